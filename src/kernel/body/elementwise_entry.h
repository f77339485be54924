/* The table of the element-wise functions, reductions, rows and optimiser steps of one instruction
 * set and type: kata__elementwise_f32 and kata__elementwise_f64. */
#include "kernel/table_elementwise.h"
#include "kernel/body/elementwise.h"
#include "kernel/body/move.h"
#include "kernel/body/philox.h"
#include "kernel/body/rows.h"
#include "kernel/body/update.h"

static const kata__elementwise_table NAME(kata__elementwise) = {
    .unary =
        {
            [KATA__RELU] = NAME(unary_relu),
            [KATA__LEAKY_RELU] = NAME(unary_leaky_relu),
            [KATA__ELU] = NAME(unary_elu),
            [KATA__SELU] = NAME(unary_selu),
            [KATA__GELU] = NAME(unary_gelu),
            [KATA__GELU_TANH] = NAME(unary_gelu_tanh),
            [KATA__HARD_SIGMOID] = NAME(unary_hard_sigmoid),
            [KATA__HARD_SWISH] = NAME(unary_hard_swish),
            [KATA__SIGMOID] = NAME(unary_sigmoid),
            [KATA__TANH] = NAME(unary_tanh),
            [KATA__SOFTPLUS] = NAME(unary_softplus),
            [KATA__ERF] = NAME(unary_erf),
            [KATA__EXP] = NAME(unary_exp),
            [KATA__LOG] = NAME(unary_log),
            [KATA__SQRT] = NAME(unary_sqrt),
            [KATA__NEG] = NAME(unary_neg),
            [KATA__ABS] = NAME(unary_abs),
            [KATA__RECIPROCAL] = NAME(unary_reciprocal),
            [KATA__CLIP] = NAME(unary_clip),
            [KATA__COPY] = NAME(unary_copy),
        },
    .binary =
        {
            [KATA__ADD] = NAME(binary_add),
            [KATA__SUB] = NAME(binary_sub),
            [KATA__MUL] = NAME(binary_mul),
            [KATA__DIV] = NAME(binary_div),
            [KATA__POW] = NAME(binary_pow),
            [KATA__MIN] = NAME(binary_min),
            [KATA__MAX] = NAME(binary_max),
            [KATA__RELU_GRADIENT] = NAME(binary_relu_gradient),
            [KATA__SIGMOID_GRADIENT] = NAME(binary_sigmoid_gradient),
            [KATA__TANH_GRADIENT] = NAME(binary_tanh_gradient),
        },
    .reduce_rows =
        {
            [KATA__REDUCE_SUM] = NAME(reduce_sum_rows),
            [KATA__REDUCE_MAX] = NAME(reduce_max_rows),
            [KATA__REDUCE_MIN] = NAME(reduce_min_rows),
            [KATA__REDUCE_SUM_SQUARE] = NAME(reduce_sum_square_rows),
        },
    .reduce_columns =
        {
            [KATA__REDUCE_SUM] = NAME(reduce_sum_columns),
            [KATA__REDUCE_MAX] = NAME(reduce_max_columns),
            [KATA__REDUCE_MIN] = NAME(reduce_min_columns),
            [KATA__REDUCE_SUM_SQUARE] = NAME(reduce_sum_square_columns),
        },
    .transpose = NAME(transpose_block),
    .from_bytes = NAME(from_bytes),
    .all_finite = NAME(all_finite),
    .uniform = kata__philox_uniform,
    .dropout = NAME(dropout),
    .dropout_gradient = NAME(dropout_gradient),
    .softmax_rows = NAME(softmax_rows),
    .softmax_gradient_rows = NAME(softmax_gradient_rows),
    .softmax_columns = NAME(softmax_columns),
    .softmax_gradient_columns = NAME(softmax_gradient_columns),
    .batch_norm_moments = NAME(batch_norm_moments),
    .batch_norm_apply = NAME(batch_norm_apply),
    .batch_norm_dots = NAME(batch_norm_dots),
    .batch_norm_gradient = NAME(batch_norm_gradient),
    .layer_norm_rows = NAME(layer_norm_rows),
    .layer_norm_gradient_rows = NAME(layer_norm_gradient_rows),
    .update =
        {
            [KATA__SGD] = NAME(update_sgd),
            [KATA__MOMENTUM] = NAME(update_momentum),
            [KATA__NESTEROV] = NAME(update_nesterov),
            [KATA__ADAGRAD] = NAME(update_adagrad),
            [KATA__RMSPROP] = NAME(update_rmsprop),
            [KATA__ADAM] = NAME(update_adam),
        },
};
