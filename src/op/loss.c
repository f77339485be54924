/* Losses of classification from class numbers: SoftmaxCrossEntropyLoss, NegativeLogLikelihoodLoss,
 * and the gradients. Scores are (n, c, d): n samples, c classes, d positions (1 without them). */
#include "op/gradient.h"
#include "op/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/parallel.h"
#include "kernel/elementwise.h"
#include "kernel/rows.h"
#include "op/loops.h"
#include "op/rules.h"

enum { LOSS_IGNORE, LOSS_REDUCTION };
#define LOSS_ATTRIBUTES                                                                            \
    {.name = "ignore_index",                                                                       \
     .type = KATA_ATTRIBUTE_INT,                                                                   \
     .doc = "samples with this label do not count; none if absent"},                               \
    {                                                                                              \
        .name = "reduction", .type = KATA_ATTRIBUTE_STRING, .default_string = "mean",              \
        .doc = "none: a loss for each label; sum; mean: the sum divided by the sum of the used "   \
               "labels' weights (0 if there are none)"                                             \
    }
static const kata_attribute_spec loss_attributes[] = {LOSS_ATTRIBUTES, {0}};

typedef enum reduction { NONE, SUM, MEAN } reduction;

static kata_status read_reduction(reduction *out, const kata_op *op,
                                  const kata_attribute_value *attributes) {
    const char *text = attributes[LOSS_REDUCTION].s;
    *out = strcmp(text, "none") == 0 ? NONE : strcmp(text, "sum") == 0 ? SUM : MEAN;
    if (*out == MEAN && strcmp(text, "mean") != 0) {
        return kata_fail(KATA_INVALID, "%s: reduction is \"%.40s\", expected none, sum or mean",
                         op->name, text);
    }
    return KATA_OK;
}

/* Checks labels (input i) against scores of this shape. */
static kata_status check_labels(const kata_infer *infer, int i, const kata_shape *scores) {
    KATA__TRY(kata__infer_dtype(infer, i, KATA__INDICES));
    const kata_shape *labels = &infer->inputs[i].shape;
    bool same = labels->rank == scores->rank - 1;
    for (int k = 0; same && k < labels->rank; k++) {
        same = kata__size_agrees(labels->dim[k], scores->dim[k == 0 ? 0 : k + 1]);
    }
    if (!same) {
        char got[KATA_SHAPE_TEXT_SIZE], of[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
        kata_shape expected = *scores;
        expected.rank--;
        for (int k = 1; k < expected.rank; k++) {
            expected.dim[k] = scores->dim[k + 1];
        }
        return kata_fail(KATA_SHAPE,
                         "%s: the labels (input %d) have shape %s, expected %s: one class number "
                         "for each row of the scores %s",
                         infer->op->name, i, kata_shape_text(labels, got),
                         kata_shape_text(&expected, want), kata_shape_text(scores, of));
    }
    return KATA_OK;
}

/* Inputs: scores (N,C,...), labels (N,...), weights (C). Outputs: the loss, log_prob. */
static kata_status loss_infer(kata_infer *infer) {
    const kata_shape *scores = &infer->inputs[0].shape;
    reduction how;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,C) or (N,C,...): C scores for each sample"));
    KATA__TRY(check_labels(infer, 1, scores));
    KATA__TRY(kata__rule_same_dtype(infer, 2, 2));
    KATA__TRY(kata__rule_vector(infer, 2, "weights", scores->dim[1], "class"));
    KATA__TRY(read_reduction(&how, infer->op, infer->attributes));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = how == NONE ? infer->inputs[1].shape : (kata_shape){.rank = 0};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = infer->inputs[0];
    }
    return KATA_OK;
}

/* The labels of a call, with the weights of their classes. */
typedef struct labels {
    const char *op;
    int64_t n, c, d;
    const kata_tensor *labels, *weights; /* weights may be NULL */
    bool has_ignored;
    int64_t ignored;
    reduction how;
} labels;

static labels labels_of(const kata_call *call, int input, int weights, int64_t classes) {
    const kata_shape *shape = &call->inputs[input].shape;
    labels l = {.op = call->op->name,
                .n = shape->dim[0],
                .c = classes,
                .d = kata__product(shape, 1, shape->rank),
                .labels = &call->inputs[input],
                .weights = kata__call_has(call, weights) ? &call->inputs[weights] : NULL,
                .has_ignored = call->attributes[LOSS_IGNORE].is_set,
                .ignored = call->attributes[LOSS_IGNORE].i};
    (void)read_reduction(&l.how, call->op, call->attributes); /* checked by the shape rule */
    return l;
}

/* Label i and its weight; an ignored one is -1 with weight 0. */
static inline kata_status label_at(const labels *l, int64_t i, int64_t *label, double *weight) {
    *label = l->labels->dtype == KATA_I64 ? ((const int64_t *)l->labels->data)[i]
                                          : kata__load_int(l->labels->dtype, l->labels->data, i);
    *weight = 0;
    if (l->has_ignored && *label == l->ignored) {
        *label = -1;
        return KATA_OK;
    }
    if (*label < 0 || *label >= l->c) {
        char position[40] = "";
        if (l->d > 1) {
            snprintf(position, sizeof position, ", position %lld", (long long)(i % l->d));
        }
        return kata_fail(KATA_INVALID,
                         "%s: the label of row %lld%s is %lld, but there are %lld classes: "
                         "expected 0 to %lld",
                         l->op, (long long)(i / l->d), position, (long long)*label, (long long)l->c,
                         (long long)l->c - 1);
    }
    *weight = l->weights == NULL ? 1 : kata_load(l->weights->dtype, l->weights->data, *label);
    return KATA_OK;
}

/* The labels, if they all count the same and are in range; NULL: look at each. */
static const int64_t *plain_labels(const labels *l) {
    const int64_t *label = l->labels->data;
    if (l->labels->dtype != KATA_I64 || l->weights != NULL || l->has_ignored) {
        return NULL;
    }
    bool fit = true;
    for (int64_t i = 0; i < l->n * l->d; i++) {
        fit &= (uint64_t)label[i] < (uint64_t)l->c;
    }
    return fit ? label : NULL;
}

/* loss[i] = -weight[label] log_prob[n, label, position]; none: as it is; sum: the sum over i;
 * mean: sum / sum of the weights. */
static kata_status loss_from_log(const kata_call *call, const labels *l, kata_dtype dtype,
                                 const void *log_prob) {
    kata_tensor *out = &call->outputs[0];
    double sum = 0, weights = 0;
    const int64_t *plain =
        dtype == KATA_F32 && l->d == 1 && l->how != NONE ? plain_labels(l) : NULL;
    if (plain != NULL) {
        for (int64_t n = 0; n < l->n; n++) {
            sum -= (double)((const float *)log_prob)[n * l->c + plain[n]];
        }
        kata_store(out->dtype, out->data, 0, l->how == SUM || l->n == 0 ? sum : sum / (double)l->n);
        return KATA_OK;
    }
    for (int64_t n = 0, i = 0; n < l->n; n++) {
        for (int64_t d = 0; d < l->d; d++, i++) {
            int64_t label;
            double weight, loss = 0;
            KATA__TRY(label_at(l, i, &label, &weight));
            if (label >= 0) {
                int64_t at = (n * l->c + label) * l->d + d;
                loss = -weight * (dtype == KATA_F32 ? (double)((const float *)log_prob)[at]
                                                    : kata_load(dtype, log_prob, at));
            }
            sum += loss;
            weights += weight;
            if (l->how == NONE) {
                kata_store(out->dtype, out->data, i, loss);
            }
        }
    }
    if (l->how != NONE) {
        double divisor = l->how == SUM ? 1 : weights;
        kata_store(out->dtype, out->data, 0, divisor == 0 ? 0 : sum / divisor);
    }
    return KATA_OK;
}

/* ---- SoftmaxCrossEntropyLoss (scores, labels, weights) -> loss, log_prob ---- */

/* Where log_prob is computed: the second output, or the workspace. */
static void *log_prob_of(const kata_call *call) {
    return call->n_outputs > 1 ? call->outputs[1].data : call->workspace;
}

static size_t cross_entropy_workspace(const kata_call *call) {
    return call->n_outputs > 1 ? 0 : kata_tensor_bytes(&call->inputs[0]);
}

/* log_prob = x - m - log sum exp(x - m) over the classes, m the largest score; then the loss. */
static kata_status cross_entropy_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    labels l = labels_of(call, 1, 2, x->shape.dim[1]);
    void *log_prob = log_prob_of(call);
    for (int64_t i = 0; i < l.n * l.d; i++) {
        int64_t start = i / l.d * l.c * l.d + i % l.d;
        double largest = (double)-INFINITY, sum = 0;
        for (int64_t k = 0; k < l.c; k++) {
            double value = kata_load(x->dtype, x->data, start + k * l.d);
            largest = value > largest ? value : largest;
        }
        for (int64_t k = 0; k < l.c; k++) {
            sum += exp(kata_load(x->dtype, x->data, start + k * l.d) - largest);
        }
        for (int64_t k = 0; k < l.c; k++) {
            kata_store(x->dtype, log_prob, start + k * l.d,
                       kata_load(x->dtype, x->data, start + k * l.d) - largest - log(sum));
        }
    }
    return loss_from_log(call, &l, x->dtype, log_prob);
}

static kata_status cross_entropy_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    labels l = labels_of(call, 1, 2, x->shape.dim[1]);
    kata__softmax(call->context, x->dtype, true, l.n, l.c, l.d, x->data, log_prob_of(call));
    return loss_from_log(call, &l, x->dtype, log_prob_of(call));
}

static kata_kernel cross_entropy_choose(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) && kata_tensor_count(&call->inputs[0]) > 0
               ? cross_entropy_fast
               : NULL;
}

static double cross_entropy_flops(const kata_call *call) {
    return 5.0 * (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status no_weights_gradient(const kata_gradient *g) {
    if (g->n_inputs > 2 && g->needed[2]) {
        return kata_fail(KATA_UNSUPPORTED, "%s: the weights (input 2) have no gradient",
                         g->op->name);
    }
    return KATA_OK;
}

/* Copies the attributes that both gradient rows share; returns how many. */
static int loss_grad_attributes(const kata_gradient *g, kata_attribute to[2]) {
    int n = 0;
    to[n++] = (kata_attribute)KATA_STRING("reduction", g->attributes[LOSS_REDUCTION].s);
    if (g->attributes[LOSS_IGNORE].is_set) {
        to[n++] = (kata_attribute)KATA_INT("ignore_index", g->attributes[LOSS_IGNORE].i);
    }
    return n;
}

static kata_status cross_entropy_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    KATA__TRY(no_weights_gradient(g));
    kata_value log_prob =
        g->n_outputs > 1
            ? g->outputs[1]
            : KATA_NODE_WITH(graph, "LogSoftmax", KATA_INPUTS(g->inputs[0]), KATA_INT("axis", 1));
    kata_value dx = KATA_NONE;
    if (g->output_gradients[0].id != 0) {
        kata_attribute attributes[2];
        int n = loss_grad_attributes(g, attributes);
        dx = kata_graph_node(graph, "kata:SoftmaxCrossEntropyGrad",
                             KATA_INPUTS(log_prob, g->inputs[1], g->output_gradients[0],
                                         g->n_inputs > 2 ? g->inputs[2] : KATA_NONE),
                             attributes, n);
    }
    if (g->n_outputs > 1 && g->output_gradients[1].id != 0) {
        kata_value more =
            KATA_NODE_WITH(graph, "kata:LogSoftmaxGrad",
                           KATA_INPUTS(log_prob, g->output_gradients[1]), KATA_INT("axis", 1));
        dx = dx.id == 0 ? more : kata__add(graph, dx, more);
    }
    g->input_gradients[0] = dx;
    return kata_graph_status(graph);
}

const kata_op kata__op_SoftmaxCrossEntropyLoss = {
    .name = "SoftmaxCrossEntropyLoss",
    .domain = "",
    .since = 12,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = loss_attributes,
    .infer = loss_infer,
    .workspace = cross_entropy_workspace,
    .reference = cross_entropy_reference,
    .choose = cross_entropy_choose,
    .gradient = cross_entropy_gradient,
    .flops = cross_entropy_flops,
    .tolerance = 1e-5,
    .doc = "-log softmax(scores) at the label's class; scores (N,C,...), labels (N,...), weights "
           "of the classes (C); outputs the loss and log_prob.",
};

/* ---- kata:SoftmaxCrossEntropyGrad (log_prob, labels, dloss, weights) -> dscores ---- */

/* The factor of each label: its weight times dloss, for the mean divided by the sum of weights. */
#define FACTORS(T)                                                                                 \
    static kata_status factors_##T(const labels *l, const T *dloss, T *factor) {                   \
        double weights = 0;                                                                        \
        for (int64_t i = 0; i < l->n * l->d; i++) {                                                \
            int64_t label;                                                                         \
            double weight;                                                                         \
            KATA__TRY(label_at(l, i, &label, &weight));                                            \
            weights += weight;                                                                     \
            factor[i] = (T)(weight * dloss[l->how == NONE ? i : 0]);                               \
        }                                                                                          \
        for (int64_t i = 0; l->how == MEAN && weights != 0 && i < l->n * l->d; i++) {              \
            factor[i] = (T)(factor[i] / weights);                                                  \
        }                                                                                          \
        return KATA_OK;                                                                            \
    }
FACTORS(float)
FACTORS(double)

static kata_status check_dloss(const kata_infer *infer, int i, int labels_input) {
    reduction how;
    KATA__TRY(read_reduction(&how, infer->op, infer->attributes));
    if (how == NONE) {
        return kata__rule_same_shape(infer, labels_input, i);
    }
    return kata__rule_scalar(infer, i, "gradient of the loss");
}

static kata_status cross_entropy_grad_infer(kata_infer *infer) {
    const kata_shape *scores = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,C) or (N,C,...)"));
    KATA__TRY(check_labels(infer, 1, scores));
    KATA__TRY(kata__rule_same_dtype(infer, 2, 3));
    KATA__TRY(check_dloss(infer, 2, 1));
    KATA__TRY(kata__rule_vector(infer, 3, "weights", scores->dim[1], "class"));
    return kata__infer_same(infer);
}

/* The sum of the used labels' weights, 1 unless the reduction is the mean. */
static kata_status plain_divisor(const labels *l, double *divisor) {
    double sum = 0;
    for (int64_t i = 0; i < l->n * l->d; i++) {
        int64_t label;
        double weight;
        KATA__TRY(label_at(l, i, &label, &weight));
        sum += weight;
    }
    *divisor = l->how == MEAN && sum != 0 ? sum : 1;
    return KATA_OK;
}

/* dscores[n,k,..] = factor (exp(log_prob[n,k,..]) - (k == label)): "y - t" (book L4210, A.4) */
static kata_status cross_entropy_grad_reference(const kata_call *call) {
    const kata_tensor *log_prob = &call->inputs[0], *dloss = &call->inputs[2];
    const kata_tensor *dx = &call->outputs[0];
    labels l = labels_of(call, 1, 3, log_prob->shape.dim[1]);
    double divisor;
    KATA__TRY(plain_divisor(&l, &divisor));
    for (int64_t i = 0; i < l.n * l.d; i++) {
        int64_t label;
        double weight;
        KATA__TRY(label_at(&l, i, &label, &weight));
        double factor =
            weight * kata_load(dloss->dtype, dloss->data, l.how == NONE ? i : 0) / divisor;
        for (int64_t k = 0; k < l.c; k++) {
            int64_t at = (i / l.d * l.c + k) * l.d + i % l.d;
            kata_store(dx->dtype, dx->data, at,
                       factor * (exp(kata_load(dx->dtype, log_prob->data, at)) - (k == label)));
        }
    }
    return KATA_OK;
}

static size_t cross_entropy_grad_workspace(const kata_call *call) {
    return kata_tensor_bytes(&call->outputs[0]) /
           (size_t)(call->inputs[0].shape.dim[1] > 0 ? call->inputs[0].shape.dim[1] : 1);
}

typedef struct grad_job {
    const labels *l;
    const void *factor;
    void *dx;
} grad_job;

/* One chunk is one sample: dx = factor dx - (factor at the label), dx being exp(log_prob). */
#define GRAD_CHUNK(T)                                                                              \
    static void grad_chunk_##T(void *argument, int64_t n, int worker) {                            \
        const grad_job *job = argument;                                                            \
        const labels *l = job->l;                                                                  \
        const T *factor = (const T *)job->factor + n * l->d;                                       \
        T *dx = (T *)job->dx + n * l->c * l->d;                                                    \
        (void)worker;                                                                              \
        if (l->d == 1) {                                                                           \
            for (int64_t k = 0; k < l->c; k++) {                                                   \
                dx[k] *= factor[0];                                                                \
            }                                                                                      \
        }                                                                                          \
        for (int64_t k = 0; k < l->c && l->d > 1; k++) {                                           \
            for (int64_t i = 0; i < l->d; i++) {                                                   \
                dx[k * l->d + i] *= factor[i];                                                     \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < l->d; i++) {                                                       \
            int64_t label;                                                                         \
            double weight;                                                                         \
            (void)label_at(l, n * l->d + i, &label, &weight); /* checked with the factors */       \
            if (label >= 0) {                                                                      \
                dx[label * l->d + i] -= factor[i];                                                 \
            }                                                                                      \
        }                                                                                          \
    }
GRAD_CHUNK(float)
GRAD_CHUNK(double)

/* One factor for all labels: dx = factor (exp(log_prob) - (k == label)). */
#define ONE_FACTOR(T)                                                                              \
    static kata_status one_factor_##T(const labels *l, T dloss, T *dx) {                           \
        const T factor = l->how == MEAN ? (T)(dloss / (double)(l->n * l->d)) : dloss;              \
        for (int64_t i = 0; i < l->n * l->c * l->d; i++) {                                         \
            dx[i] *= factor;                                                                       \
        }                                                                                          \
        const int64_t *plain = l->d == 1 ? plain_labels(l) : NULL;                                 \
        for (int64_t n = 0; plain != NULL && n < l->n; n++) {                                      \
            dx[n * l->c + plain[n]] -= factor;                                                     \
        }                                                                                          \
        for (int64_t i = 0; plain == NULL && i < l->n * l->d; i++) {                               \
            int64_t label;                                                                         \
            double weight;                                                                         \
            KATA__TRY(label_at(l, i, &label, &weight));                                            \
            dx[(i / l->d * l->c + label) * l->d + i % l->d] -= factor;                             \
        }                                                                                          \
        return KATA_OK;                                                                            \
    }
ONE_FACTOR(float)
ONE_FACTOR(double)

static kata_status cross_entropy_grad_fast(const kata_call *call) {
    const kata_tensor *log_prob = &call->inputs[0];
    bool single = log_prob->dtype == KATA_F32;
    labels l = labels_of(call, 1, 3, log_prob->shape.dim[1]);
    grad_job job = {&l, call->workspace, call->outputs[0].data};
    if (l.how != NONE && l.weights == NULL && !l.has_ignored && l.c * l.d < 4096) {
        kata__unary_run(call->context, log_prob->dtype, KATA__EXP, l.n * l.c * l.d, log_prob->data,
                        job.dx, 0, 0);
        return single ? one_factor_float(&l, *(const float *)call->inputs[2].data, job.dx)
                      : one_factor_double(&l, *(const double *)call->inputs[2].data, job.dx);
    }
    KATA__TRY(single ? factors_float(&l, call->inputs[2].data, call->workspace)
                     : factors_double(&l, call->inputs[2].data, call->workspace));
    kata__unary_run(call->context, log_prob->dtype, KATA__EXP, l.n * l.c * l.d, log_prob->data,
                    job.dx, 0, 0);
    if (l.c * l.d >= 4096) {
        kata__parallel(call->context, l.n, single ? grad_chunk_float : grad_chunk_double, &job);
        return KATA_OK;
    }
    for (int64_t n = 0; n < l.n; n++) {
        (single ? grad_chunk_float : grad_chunk_double)(&job, n, 0);
    }
    return KATA_OK;
}

static kata_kernel cross_entropy_grad_choose(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) && kata_tensor_count(&call->inputs[0]) > 0
               ? cross_entropy_grad_fast
               : NULL;
}

const kata_op kata__op_kata_SoftmaxCrossEntropyGrad = {
    .name = "SoftmaxCrossEntropyGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = loss_attributes,
    .infer = cross_entropy_grad_infer,
    .workspace = cross_entropy_grad_workspace,
    .reference = cross_entropy_grad_reference,
    .choose = cross_entropy_grad_choose,
    .flops = cross_entropy_flops,
    .flags = KATA_OP_INTERNAL,
    .in_place = 1,
    .tolerance = 1e-5,
    .doc = "(log_prob, labels, dloss, weights) -> dscores = softmax - one-hot labels, weighted.",
};

/* ---- NegativeLogLikelihoodLoss (log_prob, labels, weights) -> loss ---- */

static kata_status likelihood_reference(const kata_call *call) {
    const kata_tensor *log_prob = &call->inputs[0];
    labels l = labels_of(call, 1, 2, log_prob->shape.dim[1]);
    return loss_from_log(call, &l, log_prob->dtype, log_prob->data);
}

static double likelihood_flops(const kata_call *call) {
    return 2.0 * (double)kata_tensor_count(&call->inputs[1]);
}

static kata_status likelihood_gradient(kata_gradient *g) {
    kata_attribute attributes[3];
    KATA__TRY(no_weights_gradient(g));
    int n = loss_grad_attributes(g, attributes);
    attributes[n++] =
        (kata_attribute)KATA_INT("classes", kata_value_shape(g->graph, g->inputs[0]).dim[1]);
    g->input_gradients[0] = kata_graph_node(g->graph, "kata:NegativeLogLikelihoodGrad",
                                            KATA_INPUTS(g->output_gradients[0], g->inputs[1],
                                                        g->n_inputs > 2 ? g->inputs[2] : KATA_NONE),
                                            attributes, n);
    return kata_graph_status(g->graph);
}

const kata_op kata__op_NegativeLogLikelihoodLoss = {
    .name = "NegativeLogLikelihoodLoss",
    .domain = "",
    .since = 12,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = loss_attributes,
    .infer = loss_infer,
    .reference = likelihood_reference,
    .gradient = likelihood_gradient,
    .flops = likelihood_flops,
    .tolerance = 1e-5,
    .doc = "-log_prob at the label's class; log_prob (N,C,...), labels (N,...), weights of the "
           "classes (C).",
};

/* ---- kata:NegativeLogLikelihoodGrad (dloss, labels, weights) -> dlog_prob ---- */

enum { LIKELIHOOD_CLASSES = LOSS_REDUCTION + 1 };
static const kata_attribute_spec likelihood_grad_attributes[] = {
    LOSS_ATTRIBUTES,
    {.name = "classes", .type = KATA_ATTRIBUTE_INT, .required = true, .doc = "number of classes"},
    {0}};

static kata_status likelihood_grad_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__INDICES));
    KATA__TRY(kata__rule_rank(infer, 1, 1, KATA_MAX_RANK - 1, "(N,...)"));
    KATA__TRY(kata__rule_same_dtype(infer, 2, 2));
    KATA__TRY(check_dloss(infer, 0, 1));
    int64_t classes = infer->attributes[LIKELIHOOD_CLASSES].i;
    if (classes < 1) {
        return kata_fail(KATA_INVALID, "%s: classes is %lld, expected 1 or more", infer->op->name,
                         (long long)classes);
    }
    KATA__TRY(kata__rule_vector(infer, 2, "weights", classes, "class"));
    const kata_shape *shape = &infer->inputs[1].shape;
    kata_shape *out = &infer->outputs[0].shape;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    out->rank = shape->rank + 1;
    for (int i = 0; i < shape->rank; i++) {
        out->dim[i == 0 ? 0 : i + 1] = shape->dim[i];
    }
    out->dim[1] = classes;
    return KATA_OK;
}

/* dlog_prob = 0 but at the labels: -weight dloss, for the mean divided by the sum of weights */
static kata_status likelihood_grad_reference(const kata_call *call) {
    const kata_tensor *dloss = &call->inputs[0], *dx = &call->outputs[0];
    labels l = labels_of(call, 1, 2, call->attributes[LIKELIHOOD_CLASSES].i);
    double divisor;
    KATA__TRY(plain_divisor(&l, &divisor));
    memset(dx->data, 0, kata_tensor_bytes(dx));
    for (int64_t i = 0; i < l.n * l.d; i++) {
        int64_t label;
        double weight;
        KATA__TRY(label_at(&l, i, &label, &weight));
        if (label >= 0) {
            double g = kata_load(dloss->dtype, dloss->data, l.how == NONE ? i : 0);
            kata_store(dx->dtype, dx->data, (i / l.d * l.c + label) * l.d + i % l.d,
                       -weight * g / divisor);
        }
    }
    return KATA_OK;
}

const kata_op kata__op_kata_NegativeLogLikelihoodGrad = {
    .name = "NegativeLogLikelihoodGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = likelihood_grad_attributes,
    .infer = likelihood_grad_infer,
    .reference = likelihood_grad_reference,
    .flops = likelihood_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(dloss, labels, weights) -> dlog_prob of NegativeLogLikelihoodLoss.",
};
