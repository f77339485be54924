/* Local response normalisation across channels (AlexNet, Krizhevsky et al. 2012) and its gradient.
 */
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"

#include <math.h>

#include "base/check.h"
#include "base/number.h"
#include "base/parallel.h"
#include "op/rules.h"

enum { LRN_ALPHA, LRN_BETA, LRN_BIAS, LRN_SIZE };
static const kata_attribute_spec lrn_attributes[] = {
    {.name = "alpha",
     .type = KATA_ATTRIBUTE_FLOAT,
     .default_float = 1e-4,
     .doc = "factor on the mean square"},
    {.name = "beta", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 0.75, .doc = "exponent"},
    {.name = "bias", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 1, .doc = "k of the paper"},
    {.name = "size", .type = KATA_ATTRIBUTE_INT, .required = true, .doc = "channels of a window"},
    {0}};

static kata_status lrn_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,C,...)"));
    if (infer->attributes[LRN_SIZE].i < 1 || infer->attributes[LRN_SIZE].i > INT32_MAX) {
        return kata_fail(KATA_INVALID, "%s: size is %lld, expected 1 or more", infer->op->name,
                         (long long)infer->attributes[LRN_SIZE].i);
    }
    if (infer->n_inputs > 1) {
        KATA__TRY(kata__rule_same_dtype(infer, 1, 1));
        KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    }
    return kata__infer_same(infer);
}

/* The window of channel c is c - (size-1)/2 .. c + size/2, cut off at the first and last channel.
 */
typedef struct lrn {
    int64_t n, c, d, before, behind;
    double alpha, beta, bias; /* alpha is divided by the size */
} lrn;

static lrn lrn_of(const kata_call *call) {
    const kata_shape *x = &call->inputs[0].shape;
    const kata_attribute_value *a = call->attributes;
    return (lrn){.n = x->dim[0],
                 .c = x->dim[1],
                 .d = kata__product(x, 2, x->rank),
                 .before = (a[LRN_SIZE].i - 1) / 2,
                 .behind = a[LRN_SIZE].i / 2,
                 .alpha = a[LRN_ALPHA].f / (double)a[LRN_SIZE].i,
                 .beta = a[LRN_BETA].f,
                 .bias = a[LRN_BIAS].f};
}

/* s = bias + alpha / size * sum of squares over the window */
static double lrn_scale(const lrn *l, const kata_tensor *x, int64_t n, int64_t c, int64_t i) {
    double sum = 0;
    for (int64_t j = kata__maximum(c - l->before, 0); j <= kata__minimum(c + l->behind, l->c - 1);
         j++) {
        double value = kata_load(x->dtype, x->data, (n * l->c + j) * l->d + i);
        sum += value * value;
    }
    return l->bias + l->alpha * sum;
}

/* y = x / s^beta */
static kata_status lrn_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    lrn l = lrn_of(call);
    for (int64_t at = 0; at < l.n * l.c * l.d; at++) {
        double s = lrn_scale(&l, x, at / l.d / l.c, at / l.d % l.c, at % l.d);
        kata_store(y->dtype, y->data, at, kata_load(x->dtype, x->data, at) * pow(s, -l.beta));
    }
    return KATA_OK;
}

/* dx_j = dy_j s_j^-beta - 2 alpha/size beta x_j * sum over the c whose window holds j of
 *        dy_c x_c s_c^(-beta-1) */
static kata_status lrn_grad_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *dy = &call->inputs[1], *dx = &call->outputs[0];
    lrn l = lrn_of(call);
    for (int64_t at = 0; at < l.n * l.c * l.d; at++) {
        int64_t n = at / l.d / l.c, c = at / l.d % l.c, i = at % l.d;
        double sum = 0;
        for (int64_t j = kata__maximum(c - l.behind, 0); j <= kata__minimum(c + l.before, l.c - 1);
             j++) {
            int64_t at_j = (n * l.c + j) * l.d + i;
            sum += kata_load(dy->dtype, dy->data, at_j) * kata_load(x->dtype, x->data, at_j) *
                   pow(lrn_scale(&l, x, n, j, i), -l.beta - 1);
        }
        double direct =
            kata_load(dy->dtype, dy->data, at) * pow(lrn_scale(&l, x, n, c, i), -l.beta);
        kata_store(dx->dtype, dx->data, at,
                   direct - 2 * l.alpha * l.beta * kata_load(x->dtype, x->data, at) * sum);
    }
    return KATA_OK;
}

/* One chunk is one plane (n,c), in blocks that stay in the nearest cache. */
#define BLOCK 512
typedef struct lrn_job {
    lrn l;
    const void *x, *dy;
    void *out, *t;
} lrn_job;

/* s^-beta; the usual 3/4 needs no pow. */
static inline double power_double(double s, double beta) {
    return beta == 0.75 ? 1 / (sqrt(s) * sqrt(sqrt(s))) : pow(s, -beta);
}
static inline float power_float(float s, double beta) {
    return beta == 0.75 ? 1 / (sqrtf(s) * sqrtf(sqrtf(s))) : (float)pow(s, -beta);
}

#define NUMBER_TYPE float
#define OF(name) name##_float
#include "op/body/lrn.h"
#undef NUMBER_TYPE
#undef OF
#define NUMBER_TYPE double
#define OF(name) name##_double
#include "op/body/lrn.h"
#undef NUMBER_TYPE
#undef OF

static kata_status lrn_fast(const kata_call *call) {
    lrn_job job = {.l = lrn_of(call), .x = call->inputs[0].data, .out = call->outputs[0].data};
    kata__parallel(call->context, job.l.n * job.l.c,
                   call->inputs[0].dtype == KATA_F32 ? lrn_chunk_float : lrn_chunk_double, &job);
    return KATA_OK;
}

static kata_kernel lrn_choose(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) ? lrn_fast : NULL;
}

static size_t lrn_grad_workspace(const kata_call *call) {
    return kata_tensor_bytes(&call->inputs[0]);
}

static kata_status lrn_grad_fast(const kata_call *call) {
    bool single = call->inputs[0].dtype == KATA_F32;
    lrn_job job = {.l = lrn_of(call),
                   .x = call->inputs[0].data,
                   .dy = call->inputs[1].data,
                   .out = call->outputs[0].data,
                   .t = call->workspace};
    int64_t planes = job.l.n * job.l.c;
    kata__parallel(call->context, planes, single ? lrn_grad_first_float : lrn_grad_first_double,
                   &job);
    kata__parallel(call->context, planes, single ? lrn_grad_second_float : lrn_grad_second_double,
                   &job);
    return KATA_OK;
}

static kata_kernel lrn_grad_choose(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) ? lrn_grad_fast : NULL;
}

static double lrn_flops(const kata_call *call) {
    return 2.0 * (double)(call->attributes[LRN_SIZE].i + 2) *
           (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status lrn_gradient(kata_gradient *g) {
    g->input_gradients[0] = KATA_NODE_WITH(
        g->graph, "kata:LRNGrad", KATA_INPUTS(g->inputs[0], g->output_gradients[0]),
        KATA_FLOAT("alpha", g->attributes[LRN_ALPHA].f),
        KATA_FLOAT("beta", g->attributes[LRN_BETA].f),
        KATA_FLOAT("bias", g->attributes[LRN_BIAS].f), KATA_INT("size", g->attributes[LRN_SIZE].i));
    return kata_graph_status(g->graph);
}

const kata_op kata__op_LRN = {
    .name = "LRN",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = lrn_attributes,
    .infer = lrn_infer,
    .batch = kata__batch_first,
    .reference = lrn_reference,
    .choose = lrn_choose,
    .gradient = lrn_gradient,
    .flops = lrn_flops,
    .tolerance = 1e-5,
    .doc = "x / (bias + alpha/size * sum of squares of the `size` channels around it)^beta.",
};

const kata_op kata__op_kata_LRNGrad = {
    .name = "LRNGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = lrn_attributes,
    .infer = lrn_infer,
    .workspace = lrn_grad_workspace,
    .reference = lrn_grad_reference,
    .choose = lrn_grad_choose,
    .flops = lrn_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(x, dy) -> dx of LRN.",
};
