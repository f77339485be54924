/* Softmax and its logarithm along one axis, and the gradients (book 5.6.3, appendix A). */
#include "op/batch.h"
#include "op/adapt.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

#include <math.h>

#include "base/check.h"
#include "kernel/rows.h"
#include "op/rules.h"

enum { SOFTMAX_AXIS };
static const kata_attribute_spec softmax_attributes[] = {
    {.name = "axis",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = -1,
     .doc = "the axis whose numbers become probabilities"},
    {0}};

static kata_status softmax_infer(kata_infer *infer) {
    int axis;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_axis(infer, infer->attributes[SOFTMAX_AXIS].i,
                               infer->inputs[0].shape.rank, &axis));
    if (infer->n_inputs > 1) {
        KATA__TRY(kata__rule_same_dtype(infer, 1, 1));
        KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    }
    return kata__infer_same(infer);
}

/* The tensor as (outer, n, inner). */
typedef struct layout {
    int64_t outer, n, inner;
} layout;

static layout layout_of(const kata_call *call) {
    const kata_shape *shape = &call->inputs[0].shape;
    int64_t axis = call->attributes[SOFTMAX_AXIS].i;
    axis += axis < 0 ? shape->rank : 0;
    return (layout){kata__product(shape, 0, (int)axis), shape->dim[axis],
                    kata__product(shape, (int)axis + 1, shape->rank)};
}

/* y = exp(x - m) / sum exp(x - m), or its logarithm x - m - log sum exp(x - m); m is the largest,
 * so that nothing overflows (book 3.5.2). */
static kata_status softmax_plain(const kata_call *call, bool logarithm) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    layout l = layout_of(call);
    for (int64_t at = 0; at < l.outer * l.inner; at++) {
        int64_t start = at / l.inner * l.n * l.inner + at % l.inner;
        double largest = (double)-INFINITY, sum = 0;
        for (int64_t k = 0; k < l.n; k++) {
            double value = kata_load(x->dtype, x->data, start + k * l.inner);
            largest = value > largest ? value : largest;
        }
        for (int64_t k = 0; k < l.n; k++) {
            sum += exp(kata_load(x->dtype, x->data, start + k * l.inner) - largest);
        }
        for (int64_t k = 0; k < l.n; k++) {
            double d = kata_load(x->dtype, x->data, start + k * l.inner) - largest;
            kata_store(y->dtype, y->data, start + k * l.inner,
                       logarithm ? d - log(sum) : exp(d) / sum);
        }
    }
    return KATA_OK;
}

static kata_status softmax_reference(const kata_call *call) {
    return softmax_plain(call, false);
}
static kata_status log_softmax_reference(const kata_call *call) {
    return softmax_plain(call, true);
}

static bool is_fast(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) && kata_tensor_count(&call->inputs[0]) > 0;
}

static void softmax_run(const kata_call *call, bool logarithm) {
    layout l = layout_of(call);
    kata__softmax(call->context, call->inputs[0].dtype, logarithm, l.outer, l.n, l.inner,
                  call->inputs[0].data, call->outputs[0].data);
}

static kata_status softmax_fast(const kata_call *call) {
    softmax_run(call, false);
    return KATA_OK;
}
static kata_status log_softmax_fast(const kata_call *call) {
    softmax_run(call, true);
    return KATA_OK;
}

static kata_kernel softmax_choose(const kata_call *call) {
    return is_fast(call) ? softmax_fast : NULL;
}
static kata_kernel log_softmax_choose(const kata_call *call) {
    return is_fast(call) ? log_softmax_fast : NULL;
}

/* Largest, difference, exponential, sum, quotient. */
static double softmax_flops(const kata_call *call) {
    return 5.0 * (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status softmax_grad_node(kata_gradient *g, const char *op) {
    g->input_gradients[0] =
        KATA_NODE_WITH(g->graph, op, KATA_INPUTS(g->outputs[0], g->output_gradients[0]),
                       KATA_INT("axis", g->attributes[SOFTMAX_AXIS].i));
    return kata_graph_status(g->graph);
}

static kata_status softmax_gradient(kata_gradient *g) {
    return softmax_grad_node(g, "kata:SoftmaxGrad");
}
static kata_status log_softmax_gradient(kata_gradient *g) {
    return softmax_grad_node(g, "kata:LogSoftmaxGrad");
}

/* softmax:     dx = y (dy - sum(dy y))
 * log-softmax: dx = dy - exp(y) sum(dy) */
static kata_status softmax_grad_plain(const kata_call *call, bool logarithm) {
    const kata_tensor *y = &call->inputs[0], *dy = &call->inputs[1], *dx = &call->outputs[0];
    layout l = layout_of(call);
    for (int64_t at = 0; at < l.outer * l.inner; at++) {
        int64_t start = at / l.inner * l.n * l.inner + at % l.inner;
        double sum = 0;
        for (int64_t k = 0; k < l.n; k++) {
            double g = kata_load(dy->dtype, dy->data, start + k * l.inner);
            sum += logarithm ? g : g * kata_load(y->dtype, y->data, start + k * l.inner);
        }
        for (int64_t k = 0; k < l.n; k++) {
            double value = kata_load(y->dtype, y->data, start + k * l.inner);
            double g = kata_load(dy->dtype, dy->data, start + k * l.inner);
            kata_store(dx->dtype, dx->data, start + k * l.inner,
                       logarithm ? g - exp(value) * sum : value * (g - sum));
        }
    }
    return KATA_OK;
}

static kata_status softmax_grad_reference(const kata_call *call) {
    return softmax_grad_plain(call, false);
}
static kata_status log_softmax_grad_reference(const kata_call *call) {
    return softmax_grad_plain(call, true);
}

static void softmax_grad_run(const kata_call *call, bool logarithm) {
    layout l = layout_of(call);
    kata__softmax_gradient(call->context, call->inputs[0].dtype, logarithm, l.outer, l.n, l.inner,
                           call->inputs[0].data, call->inputs[1].data, call->outputs[0].data);
}

static kata_status softmax_grad_fast(const kata_call *call) {
    softmax_grad_run(call, false);
    return KATA_OK;
}
static kata_status log_softmax_grad_fast(const kata_call *call) {
    softmax_grad_run(call, true);
    return KATA_OK;
}

static kata_kernel softmax_grad_choose(const kata_call *call) {
    return is_fast(call) ? softmax_grad_fast : NULL;
}
static kata_kernel log_softmax_grad_choose(const kata_call *call) {
    return is_fast(call) ? log_softmax_grad_fast : NULL;
}

const kata_op kata__op_Softmax = {
    .name = "Softmax",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = softmax_attributes,
    .infer = softmax_infer,
    .batch = kata__batch_along,
    .reference = softmax_reference,
    .choose = softmax_choose,
    .gradient = softmax_gradient,
    .flops = softmax_flops,
    .tolerance = 1e-5,
    .doc = "exp(x) / sum exp(x) along the axis: positive, and the sum is 1.",
    .adapt = kata__adapt_flattened,
    .adapt_before = 13,
};

const kata_op kata__op_LogSoftmax = {
    .name = "LogSoftmax",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = softmax_attributes,
    .infer = softmax_infer,
    .batch = kata__batch_along,
    .reference = log_softmax_reference,
    .choose = log_softmax_choose,
    .gradient = log_softmax_gradient,
    .flops = softmax_flops,
    .tolerance = 1e-5,
    .doc = "Logarithm of Softmax: x - log sum exp(x) along the axis.",
    .adapt = kata__adapt_flattened,
    .adapt_before = 13,
};

/* --- Hardmax ---------------------------------------------------------------------------------- */

/* 1 at the first of the largest numbers along the axis; a NaN is the largest. */
static kata_status hardmax_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    layout l = layout_of(call);
    for (int64_t at = 0; at < l.outer * l.inner; at++) {
        int64_t start = at / l.inner * l.n * l.inner + at % l.inner, best = 0;
        for (int64_t k = 1; k < l.n; k++) {
            double most = kata_load(x->dtype, x->data, start + best * l.inner);
            double value = kata_load(x->dtype, x->data, start + k * l.inner);
            best = value > most || (isnan(value) && !isnan(most)) ? k : best;
        }
        for (int64_t k = 0; k < l.n; k++) {
            kata_store(y->dtype, y->data, start + k * l.inner, k == best);
        }
    }
    return KATA_OK;
}

const kata_op kata__op_Hardmax = {
    .name = "Hardmax",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = softmax_attributes,
    .infer = softmax_infer,
    .batch = kata__batch_along,
    .reference = hardmax_reference,
    .gradient = kata__gradient_zero,
    .flops = kata__flops_input,
    .doc = "1 at the first of the largest numbers along the axis, else 0.",
    .adapt = kata__adapt_flattened,
    .adapt_before = 13,
};

const kata_op kata__op_kata_SoftmaxGrad = {
    .name = "SoftmaxGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = softmax_attributes,
    .infer = softmax_infer,
    .reference = softmax_grad_reference,
    .choose = softmax_grad_choose,
    .flops = softmax_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(y, dy) -> dx = y (dy - sum(dy y)).",
};

const kata_op kata__op_kata_LogSoftmaxGrad = {
    .name = "LogSoftmaxGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = softmax_attributes,
    .infer = softmax_infer,
    .reference = log_softmax_grad_reference,
    .choose = log_softmax_grad_choose,
    .flops = softmax_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(y, dy) -> dx = dy - exp(y) sum(dy).",
};
