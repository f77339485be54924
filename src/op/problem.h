/* What nodes are to compute, for the passes that rewrite them. A call needs types and attributes,
 * no data. */
#ifndef KATA_OP_PROBLEM_H
#define KATA_OP_PROBLEM_H

#include "graph/graph.h"
#include "kernel/conv_nhwc.h"

/* Rows that passes look for. */
extern const kata_op kata__op_Conv, kata__op_kata_ConvGradInput, kata__op_kata_ConvGradWeight,
    kata__op_kata_ConvGradBias, kata__op_MaxPool, kata__op_kata_MaxPoolGrad, kata__op_AveragePool,
    kata__op_kata_AveragePoolGrad, kata__op_GlobalAveragePool, kata__op_Relu,
    kata__op_kata_ReluGrad, kata__op_Add, kata__op_Gemm, kata__op_Expand,
    kata__op_BatchNormalization, kata__op_kata_BatchNormGrad, kata__op_Flatten, kata__op_Reshape,
    kata__op_kata_GemmUpdate, kata__op_kata_GemmFused, kata__op_kata_ConvNhwc,
    kata__op_kata_ConvNhwcPrepack, kata__op_kata_ConvNhwcGradWeight, kata__op_kata_MaxPoolNhwcGrad;

/* Of a Conv, kata:ConvGradInput or kata:ConvGradWeight: the convolution itself. */
kata__conv kata__conv_problem(const kata_call *call);
/* Numbers of a packed weight, kata:ConvNhwcPrepack's `packed`. */
int64_t kata__conv_nhwc_numbers(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm);
/* The same of kata:ConvBfloat16Prepack. */
int64_t kata__conv_bf16_numbers(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm);
/* Of a MaxPool, AveragePool or the gradient of one. False if some window has no tap inside, which
 * only the plain loops know about, or there is nothing to compute. */
bool kata__pool_problem(const kata_call *call, kata__conv *pool, bool *count_include_pad);
/* Whether an operator is a step of an optimiser whose gradient is an input (SGD, Adam, ...): its
 * name is then a `rule` of kata:GemmUpdate. */
bool kata__is_optimizer_step(const kata_op *op);
/* Such a step that is w -= lr g and nothing else, which is how a product of matrices can store. */
bool kata__step_adds(const kata_op *op, const kata_attribute_value *attributes);

#endif
