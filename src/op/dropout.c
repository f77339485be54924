/* Dropout: while training, numbers are dropped at random and the others scaled up ("inverted", book
 * L5116-5118), so that inference needs nothing. */
#include "op/batch.h"
#include "op/adapt.h"
#include "op/gradient.h"
#include "op/infer.h"

#include <string.h>

#include "base/check.h"
#include "kernel/elementwise.h"
#include "op/rules.h"

enum { DROPOUT_SEED };
static const kata_attribute_spec dropout_attributes[] = {
    {.name = "seed",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "takes the place of the run's seed; the step still counts"},
    {0}};

static kata_status check_ratio(const char *op, double ratio) {
    if (!(ratio >= 0 && ratio <= 1)) {
        return kata_fail(KATA_INVALID, "%s: the ratio is %g, expected 0 to 1", op, ratio);
    }
    return KATA_OK;
}

static kata_status check_ratio_input(const kata_infer *infer, int i) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    KATA__TRY(kata__infer_float(infer, i, true));
    KATA__TRY(kata__rule_scalar(infer, i, "ratio"));
    const kata_tensor *ratio = infer->constants == NULL ? NULL : infer->constants[i];
    return ratio == NULL || kata_tensor_count(ratio) != 1
               ? KATA_OK
               : check_ratio(infer->op->name, kata_load(ratio->dtype, ratio->data, 0));
}

static kata_status dropout_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(check_ratio_input(infer, 1));
    KATA__TRY(kata__rule_scalar(infer, 2, "training_mode"));
    if (kata__infer_has(infer, 2)) {
        KATA__TRY(kata__infer_dtype(infer, 2, KATA__BOOLS));
    }
    infer->outputs[0] = infer->inputs[0];
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_BOOL, infer->inputs[0].shape};
    }
    return KATA_OK;
}

/* The ratio of this call: 0 when it is not training. */
static kata_status dropout_ratio(const kata_call *call, double *ratio) {
    bool training =
        kata__call_has(call, 2) && kata_load(call->inputs[2].dtype, call->inputs[2].data, 0) != 0;
    *ratio =
        kata__call_has(call, 1) ? kata_load(call->inputs[1].dtype, call->inputs[1].data, 0) : 0.5;
    KATA__TRY(check_ratio(call->op->name, *ratio));
    if (!training) {
        *ratio = 0;
    }
    return KATA_OK;
}

static uint64_t dropout_seed(const kata_call *call) {
    const kata_call_random *random = call->random;
    return call->attributes[DROPOUT_SEED].is_set ? (uint64_t)call->attributes[DROPOUT_SEED].i
                                                 : random->seed;
}

/* mask[i] = uniform(seed, stream, step, i) >= ratio; y[i] = mask[i] ? x[i] / (1 - ratio) : 0 */
static kata_status dropout_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const kata_call_random *random = call->random;
    double ratio;
    KATA__TRY(dropout_ratio(call, &ratio));
    for (int64_t i = 0; i < kata_tensor_count(x); i++) {
        bool keep = ratio == 0 || (double)kata_random_uniform(dropout_seed(call), random->stream,
                                                              random->step, (uint64_t)i) >= ratio;
        kata_store(y->dtype, y->data, i,
                   keep && ratio < 1 ? kata_load(x->dtype, x->data, i) / (1 - ratio) : 0);
        if (call->n_outputs > 1) {
            ((uint8_t *)call->outputs[1].data)[i] = keep && ratio < 1;
        }
    }
    return KATA_OK;
}

/* Without the output mask, the kernel still writes one. */
static size_t dropout_workspace(const kata_call *call) {
    return call->n_outputs > 1 ? 0 : (size_t)kata_tensor_count(&call->inputs[0]);
}

static kata_status dropout_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const kata_call_random *random = call->random;
    double ratio;
    KATA__TRY(dropout_ratio(call, &ratio));
    if (ratio == 0) {
        if (y->data != x->data) {
            memcpy(y->data, x->data, kata_tensor_bytes(x));
        }
        if (call->n_outputs > 1) {
            memset(call->outputs[1].data, 1, (size_t)kata_tensor_count(x));
        }
        return KATA_OK;
    }
    kata__dropout(call->context, x->dtype, kata_tensor_count(x), x->data, ratio, dropout_seed(call),
                  random->stream, random->step, y->data,
                  call->n_outputs > 1 ? call->outputs[1].data : call->workspace);
    return KATA_OK;
}

static bool is_fast(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) && kata_tensor_count(&call->inputs[0]) > 0;
}

static kata_kernel dropout_choose(const kata_call *call) {
    return is_fast(call) ? dropout_fast : NULL;
}

static kata_status dropout_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dy = g->output_gradients[0];
    double training = 0;
    if (g->n_inputs > 2 && g->inputs[2].id != 0 &&
        !kata__constant_scalar(graph, g->inputs[2], &training)) {
        return kata_fail(KATA_UNSUPPORTED,
                         "Dropout: training_mode (input 2) must be a constant for a gradient");
    }
    if (training == 0) {
        return kata__gradient_pass(g);
    }
    if (g->n_outputs < 2) {
        return kata_fail(KATA_UNSUPPORTED,
                         "Dropout: its gradient needs the output mask; kata_graph_bind makes it "
                         "for training");
    }
    bool given = g->n_inputs > 1 && g->inputs[1].id != 0;
    kata_value ratio = given ? g->inputs[1] : kata__scalar_like(graph, 0.5, dy);
    g->input_gradients[0] =
        KATA_NODE(graph, "kata:DropoutGrad", KATA_INPUTS(dy, g->outputs[1], ratio));
    return kata_graph_status(graph);
}

/* For inference it goes, unless its mask is asked for; for training it makes one, which the
 * gradient reads. */
static kata_status dropout_bind(kata_binding *b) {
    if (!b->training && b->n_outputs == 1) {
        b->outputs[0] = b->inputs[0];
        return KATA_OK;
    }
    kata_attribute given[KATA_MAX_ATTRIBUTES];
    int n = kata_attributes_given(b->op, b->attributes, given);
    kata_value outputs[2], ratio = b->n_inputs > 1 ? b->inputs[1] : KATA_NONE;
    kata_value training = kata_graph_scalar(b->graph, KATA_BOOL, b->training ? 1 : 0);
    KATA__TRY(kata_graph_node_outputs(b->graph, b->name, "Dropout",
                                      KATA_INPUTS(b->inputs[0], ratio, training), given, n, outputs,
                                      2));
    memcpy(b->outputs, outputs, (size_t)b->n_outputs * sizeof *outputs);
    return KATA_OK;
}

const kata_op kata__op_Dropout = {
    .name = "Dropout",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = dropout_attributes,
    .infer = dropout_infer,
    .batch = kata__batch_Dropout,
    .workspace = dropout_workspace,
    .reference = dropout_reference,
    .choose = dropout_choose,
    .gradient = dropout_gradient,
    .flags = KATA_OP_RANDOM,
    .in_place = 1,
    .tolerance = 1e-6,
    .doc = "With training_mode each number is 0 with probability `ratio` (0.5), else divided by "
           "1 - ratio; without it nothing changes. Outputs: the numbers, mask (what was kept).",
    .bind = dropout_bind,
    .constant_inputs = 1 << 1 | 1 << 2,
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_TO_INPUT, 12, "ratio", 1},
                                        {KATA_ATTRIBUTE_IGNORED, 0, "is_test", 0},
                                        {0}},
    .adapt = kata__adapt_dropout,
    .adapt_before = 10,
};

/* ---- kata:DropoutGrad (dy, mask, ratio) -> dx ---- */

static kata_status dropout_grad_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__BOOLS));
    KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    KATA__TRY(check_ratio_input(infer, 2));
    return kata__infer_same(infer);
}

/* dx[i] = mask[i] ? dy[i] / (1 - ratio) : 0 */
static kata_status dropout_grad_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    const uint8_t *mask = call->inputs[1].data;
    double ratio = kata_load(call->inputs[2].dtype, call->inputs[2].data, 0);
    for (int64_t i = 0; i < kata_tensor_count(dy); i++) {
        kata_store(dx->dtype, dx->data, i,
                   mask[i] ? kata_load(dy->dtype, dy->data, i) / (1 - ratio) : 0);
    }
    return KATA_OK;
}

static kata_status dropout_grad_fast(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0];
    double ratio = kata_load(call->inputs[2].dtype, call->inputs[2].data, 0);
    if (ratio >= 1) {
        memset(call->outputs[0].data, 0, kata_tensor_bytes(dy));
        return KATA_OK;
    }
    kata__dropout_gradient(call->context, dy->dtype, kata_tensor_count(dy), dy->data,
                           call->inputs[1].data, ratio, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel dropout_grad_choose(const kata_call *call) {
    return is_fast(call) ? dropout_grad_fast : NULL;
}

const kata_op kata__op_kata_DropoutGrad = {
    .name = "DropoutGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = dropout_grad_infer,
    .reference = dropout_grad_reference,
    .choose = dropout_grad_choose,
    .flags = KATA_OP_INTERNAL,
    .in_place = 1,
    .tolerance = 1e-6,
    .doc = "(dy, mask, ratio) -> dx: dy / (1 - ratio) where the mask kept, else 0.",
};
