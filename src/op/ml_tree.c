/* Trees of ai.onnx.ml: TreeEnsembleRegressor, TreeEnsembleClassifier. Their attributes list all
 * nodes of all trees; a plan is made once with them as an array that a row of the table walks. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "op/batch.h"
#include "op/loops.h"
#include "op/ml.h"

/* Attributes: nodes first, alike in both rows; then weights of leaves; then what is one's own. */
enum {
    NODE_TREES,
    NODE_IDS,
    NODE_FEATURES,
    NODE_VALUES,
    NODE_VALUES_TENSOR,
    NODE_MODES,
    NODE_TRUE,
    NODE_FALSE,
    NODE_MISSING,
    NODE_HITRATES,
    NODE_HITRATES_TENSOR,
    WEIGHT_TREES,
    WEIGHT_NODES,
    WEIGHT_TARGETS,
    WEIGHT_VALUES,
    WEIGHT_VALUES_TENSOR,
    BASE_VALUES,
    BASE_VALUES_TENSOR,
    TRANSFORM,
    OWN /* regressor: n_targets, aggregate_function; classifier: labels, integers then texts */
};

typedef enum mode { LEQ, LT, GTE, GT, EQ, NEQ, LEAF, MODES } mode;
static const char *const mode_names[MODES] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                              "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};

typedef struct node {
    double value;
    int32_t feature, yes, no; /* indices of nodes */
    int32_t first, n;         /* of a leaf: its weights */
    uint8_t mode;
    bool missing_is_yes;
} node;

typedef struct weight {
    double value;
    int32_t target, leaf;
} weight;

typedef struct forest {
    int32_t n_nodes, n_weights, n_trees;
    node *nodes;
    weight *weights; /* sorted by leaf */
    int32_t *roots;
    int64_t columns;     /* of x that are read: the largest feature + 1 */
    bool not_negative;   /* all weights */
    int32_t only_target; /* the one target of all weights, -1 if they have several */
} forest;

/* --- making a forest ------------------------------------------------------------------------- */

/* A list of numbers that is a list of floats or, for doubles, a tensor. */
static int64_t numbers_n(const kata_attribute_value *a, int list) {
    return a[list + 1].tensor != NULL ? kata_tensor_count(a[list + 1].tensor) : a[list].n;
}

static double number_at(const kata_attribute_value *a, int list, int64_t i) {
    const kata_tensor *tensor = a[list + 1].tensor;
    return tensor != NULL ? kata_load(tensor->dtype, tensor->data, i) : a[list].floats[i];
}

static kata_status check_lengths(const kata_infer *infer) {
    const kata_attribute_value *a = infer->attributes;
    const int64_t n = a[NODE_IDS].n, n_weights = a[WEIGHT_NODES].n;
    bool agree = n > 0 && n < INT32_MAX && a[NODE_TREES].n == n && a[NODE_FEATURES].n == n &&
                 numbers_n(a, NODE_VALUES) == n && a[NODE_MODES].n == n && a[NODE_TRUE].n == n &&
                 a[NODE_FALSE].n == n && (a[NODE_MISSING].n == 0 || a[NODE_MISSING].n == n);
    if (!agree) {
        return kata_fail(KATA_INVALID, "%s: the lists of its %" PRId64 " nodes differ in length",
                         infer->op->name, n);
    }
    agree = n_weights < INT32_MAX && a[WEIGHT_TREES].n == n_weights &&
            a[WEIGHT_TARGETS].n == n_weights && numbers_n(a, WEIGHT_VALUES) == n_weights;
    return agree ? KATA_OK
                 : kata_fail(KATA_INVALID,
                             "%s: the lists of its %" PRId64 " leaf weights differ in length",
                             infer->op->name, n_weights);
}

/* A node by tree and number; sorted to be found. */
typedef struct place {
    int64_t tree, id;
    int32_t index;
} place;

static int by_place(const void *left, const void *right) {
    const place *a = left, *b = right;
    if (a->tree != b->tree) {
        return a->tree < b->tree ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

static int32_t find(const place *places, int32_t n, int64_t tree, int64_t id) {
    const place wanted = {tree, id, 0};
    const place *found = bsearch(&wanted, places, (size_t)n, sizeof *places, by_place);
    return found != NULL ? found->index : -1;
}

static kata_status fail_node(const kata_call *call, int64_t i, const char *what) {
    const kata_attribute_value *a = call->attributes;
    return kata_fail(KATA_INVALID, "%s: node %" PRId64 " of tree %" PRId64 " %s", call->op->name,
                     a[NODE_IDS].ints[i], a[NODE_TREES].ints[i], what);
}

static kata_status fill_node(const kata_call *call, forest *f, const place *places, int32_t i,
                             bool *has_parent) {
    const kata_attribute_value *a = call->attributes;
    node *to = &f->nodes[i];
    int m = 0;
    while (m < MODES && strcmp(mode_names[m], a[NODE_MODES].strings[i]) != 0) {
        m++;
    }
    *to = (node){.mode = (uint8_t)m,
                 .value = number_at(a, NODE_VALUES, i),
                 .missing_is_yes = a[NODE_MISSING].n > 0 && a[NODE_MISSING].ints[i] != 0};
    if (m == MODES) {
        return fail_node(call, i, "has a mode that is not known");
    }
    if (m == LEAF) {
        return KATA_OK;
    }
    const int64_t feature = a[NODE_FEATURES].ints[i], tree = a[NODE_TREES].ints[i];
    to->yes = find(places, f->n_nodes, tree, a[NODE_TRUE].ints[i]);
    to->no = find(places, f->n_nodes, tree, a[NODE_FALSE].ints[i]);
    if (feature < 0 || feature >= INT32_MAX) {
        return fail_node(call, i, "reads a column that cannot be");
    }
    if (to->yes < 0 || to->no < 0) {
        return fail_node(call, i, "leads to a node that is not there");
    }
    if (to->yes == to->no || has_parent[to->yes] || has_parent[to->no]) {
        return fail_node(call, i, "leads to a node that has another way to it");
    }
    has_parent[to->yes] = has_parent[to->no] = true;
    to->feature = (int32_t)feature;
    f->columns = feature + 1 > f->columns ? feature + 1 : f->columns;
    return KATA_OK;
}

/* Where each node has one parent at most, what can be reached from a node without one is a tree. */
static kata_status fill_nodes(const kata_call *call, forest *f, place *places, bool *has_parent) {
    const kata_attribute_value *a = call->attributes;
    for (int32_t i = 0; i < f->n_nodes; i++) {
        places[i] = (place){a[NODE_TREES].ints[i], a[NODE_IDS].ints[i], i};
    }
    qsort(places, (size_t)f->n_nodes, sizeof *places, by_place);
    for (int32_t i = 1; i < f->n_nodes; i++) {
        if (by_place(&places[i - 1], &places[i]) == 0) {
            return fail_node(call, places[i].index, "is there twice");
        }
    }
    for (int32_t i = 0; i < f->n_nodes; i++) {
        KATA__TRY(fill_node(call, f, places, i, has_parent));
    }
    int32_t n_trees = 1; /* by their numbers */
    for (int32_t i = 0; i < f->n_nodes; i++) {
        if (!has_parent[i]) {
            f->roots[f->n_trees++] = i;
        }
        n_trees += i > 0 && places[i].tree != places[i - 1].tree;
    }
    return f->n_trees == n_trees
               ? KATA_OK
               : kata_fail(KATA_INVALID, "%s: %d trees have %d roots; each must have one",
                           call->op->name, (int)n_trees, (int)f->n_trees);
}

static int by_leaf(const void *left, const void *right) {
    const weight *a = left, *b = right;
    if (a->leaf != b->leaf) {
        return a->leaf < b->leaf ? -1 : 1;
    }
    return a->target < b->target ? -1 : a->target > b->target;
}

static kata_status fill_weights(const kata_call *call, forest *f, const place *places,
                                int64_t n_targets) {
    const kata_attribute_value *a = call->attributes;
    f->not_negative = true;
    for (int32_t i = 0; i < f->n_weights; i++) {
        const int64_t target = a[WEIGHT_TARGETS].ints[i];
        const int32_t leaf =
            find(places, f->n_nodes, a[WEIGHT_TREES].ints[i], a[WEIGHT_NODES].ints[i]);
        if (leaf < 0 || f->nodes[leaf].mode != LEAF || target < 0 || target >= n_targets) {
            return kata_fail(KATA_INVALID,
                             "%s: weight %d is for target %" PRId64 " of node %" PRId64
                             " of tree %" PRId64 ", which is no leaf or no target",
                             call->op->name, (int)i, target, a[WEIGHT_NODES].ints[i],
                             a[WEIGHT_TREES].ints[i]);
        }
        f->weights[i] = (weight){number_at(a, WEIGHT_VALUES, i), (int32_t)target, leaf};
        f->not_negative = f->not_negative && f->weights[i].value >= 0;
        f->only_target = i == 0 || f->only_target == target ? (int32_t)target : -1;
    }
    qsort(f->weights, (size_t)f->n_weights, sizeof *f->weights, by_leaf);
    for (int32_t i = f->n_weights; i-- > 0;) {
        f->nodes[f->weights[i].leaf].first = i;
        f->nodes[f->weights[i].leaf].n++;
    }
    return KATA_OK;
}

static void forest_free(kata_context *context, void *state) {
    forest *f = state;
    if (f != NULL) {
        kata__free(context, f->nodes);
        kata__free(context, f->weights);
        kata__free(context, f->roots);
        kata__free(context, f);
    }
}

static kata_status forest_make(const kata_call *call, int64_t n_targets, void **state) {
    const kata_attribute_value *a = call->attributes;
    const kata_shape *x = &call->inputs[0].shape;
    const size_t n = (size_t)a[NODE_IDS].n, n_weights = (size_t)a[WEIGHT_NODES].n;
    forest *f = kata__alloc_zero(call->context, 1, sizeof *f);
    place *places = kata__alloc(call->context, n, sizeof *places);
    bool *has_parent = kata__alloc_zero(call->context, n, sizeof *has_parent);
    kata_status status = KATA_OUT_OF_MEMORY;
    if (f != NULL) {
        *f = (forest){.n_nodes = (int32_t)n, .n_weights = (int32_t)n_weights};
        f->nodes = kata__alloc(call->context, n, sizeof *f->nodes);
        f->weights = kata__alloc(call->context, n_weights, sizeof *f->weights);
        f->roots = kata__alloc(call->context, n, sizeof *f->roots);
    }
    if (f != NULL && places != NULL && has_parent != NULL && f->nodes != NULL &&
        f->weights != NULL && f->roots != NULL) {
        status = fill_nodes(call, f, places, has_parent);
        status = status == KATA_OK ? fill_weights(call, f, places, n_targets) : status;
        if (status == KATA_OK && f->columns > x->dim[x->rank - 1]) {
            status = kata_fail(KATA_SHAPE,
                               "%s: its trees read %" PRId64 " columns, the input has %" PRId64,
                               call->op->name, f->columns, x->dim[x->rank - 1]);
        }
    }
    kata__free(call->context, places);
    kata__free(call->context, has_parent);
    if (status != KATA_OK) {
        forest_free(call->context, f);
        return status;
    }
    *state = f;
    return KATA_OK;
}

/* --- walking --------------------------------------------------------------------------------- */

static bool goes_to_yes(const node *at, double x) {
    if (isnan(x)) {
        return at->missing_is_yes;
    }
    switch (at->mode) {
    case LEQ:
        return x <= at->value;
    case LT:
        return x < at->value;
    case GTE:
        return x >= at->value;
    case GT:
        return x > at->value;
    case EQ:
        return x == at->value;
    default:
        return x != at->value;
    }
}

static const node *leaf_of(const forest *f, int32_t root, const kata_tensor *x, int64_t first) {
    const node *at = &f->nodes[root];
    while (at->mode != LEAF) {
        const double value = kata_load(x->dtype, x->data, first + at->feature);
        at = &f->nodes[goes_to_yes(at, value) ? at->yes : at->no];
    }
    return at;
}

/* Work over the rows of x, cut into chunks of a constant size. */
enum { CHUNK_ROWS = 64 };

typedef struct job {
    const kata_call *call;
    void (*row)(const kata_call *call, int64_t i, double *scores);
} job;

static void rows_of(const kata_call *call, int64_t *n, int64_t *columns) {
    const kata_shape *x = &call->inputs[0].shape;
    *n = x->rank == 2 ? x->dim[0] : 1;
    *columns = x->dim[x->rank - 1];
}

static void run_chunk(void *argument, int64_t chunk, int worker) {
    const job *j = argument;
    int64_t n, columns, first = chunk * CHUNK_ROWS;
    double *scores =
        (void *)((char *)j->call->per_thread_workspace + (size_t)worker * j->call->per_thread_step);
    rows_of(j->call, &n, &columns);
    for (int64_t i = first; i < n && i < first + CHUNK_ROWS; i++) {
        j->row(j->call, i, scores);
    }
}

static void run_rows(const kata_call *call,
                     void (*row)(const kata_call *call, int64_t i, double *scores)) {
    int64_t n, columns;
    job j = {call, row};
    rows_of(call, &n, &columns);
    kata__parallel(call->context, (n + CHUNK_ROWS - 1) / CHUNK_ROWS, run_chunk, &j);
}

static double base_of(const kata_attribute_value *a, int64_t target) {
    int64_t n = numbers_n(a, BASE_VALUES);
    return target < n ? number_at(a, BASE_VALUES, target) : 0;
}

static kata_status infer_nodes(kata_infer *infer, int64_t *n) {
    int64_t columns;
    KATA__TRY(kata__infer_rows(infer, n, &columns));
    KATA__TRY(kata__infer_transform(infer, infer->attributes[TRANSFORM].s));
    return check_lengths(infer);
}

/* --- TreeEnsembleRegressor ------------------------------------------------------------------- */

enum { N_TARGETS = OWN, AGGREGATE };
enum { SUM, AVERAGE, MIN, MAX, AGGREGATES };

static int aggregate_of(const char *name) {
    static const char *const names[AGGREGATES] = {"SUM", "AVERAGE", "MIN", "MAX"};
    int i = 0;
    while (i < AGGREGATES && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

static kata_status TreeEnsembleRegressor_infer(kata_infer *infer) {
    int64_t n, targets = infer->attributes[N_TARGETS].i;
    KATA__TRY(infer_nodes(infer, &n));
    if (targets < 1 || targets > 1 << 20) {
        return kata_fail(KATA_INVALID, "%s: n_targets must be at least 1, got %" PRId64,
                         infer->op->name, targets);
    }
    if (aggregate_of(infer->attributes[AGGREGATE].s) == AGGREGATES) {
        return kata_fail(KATA_UNSUPPORTED, "%s: aggregate_function \"%.40s\" is not known",
                         infer->op->name, infer->attributes[AGGREGATE].s);
    }
    infer->outputs[0] = (kata_type){KATA_F32, KATA_SHAPE_OF(n, targets)};
    return kata__infer_fits(infer);
}

static kata_status TreeEnsembleRegressor_prepare(const kata_call *call, void **state) {
    return forest_make(call, call->attributes[N_TARGETS].i, state);
}

/* For each target its aggregate, and behind these how many leaves had a weight for it. */
static size_t TreeEnsembleRegressor_scores(const kata_call *call) {
    return 2 * (size_t)call->attributes[N_TARGETS].i * sizeof(double);
}

static void regress_row(const kata_call *call, int64_t i, double *scores) {
    const forest *f = call->state;
    const kata_attribute_value *a = call->attributes;
    const int how = aggregate_of(a[AGGREGATE].s);
    const int64_t targets = a[N_TARGETS].i;
    const int64_t columns = call->inputs[0].shape.dim[call->inputs[0].shape.rank - 1];
    double *count = scores + targets;
    memset(scores, 0, (size_t)(2 * targets) * sizeof *scores);
    for (int32_t t = 0; t < f->n_trees; t++) {
        const node *leaf = leaf_of(f, f->roots[t], &call->inputs[0], i * columns);
        for (int32_t k = leaf->first; k < leaf->first + leaf->n; k++) {
            const weight *w = &f->weights[k];
            double *score = &scores[w->target];
            if (how == SUM || how == AVERAGE) {
                *score += w->value;
            } else if (count[w->target] == 0 ||
                       (how == MIN ? w->value < *score : w->value > *score)) {
                *score = w->value;
            }
            count[w->target]++;
        }
    }
    for (int64_t t = 0; t < targets; t++) {
        scores[t] = (how == AVERAGE ? scores[t] / (double)f->n_trees : scores[t]) + base_of(a, t);
    }
    const kata__transform transform = kata__transform_of(a[TRANSFORM].s);
    if (targets > 1 ||
        transform == KATA__TRANSFORM_PROBIT) { /* one target alone stays: as others */
        kata__transform_run(transform, scores, targets);
    }
    for (int64_t t = 0; t < targets; t++) {
        ((float *)call->outputs[0].data)[i * targets + t] = (float)scores[t];
    }
}

static kata_status TreeEnsembleRegressor_reference(const kata_call *call) {
    run_rows(call, regress_row);
    return KATA_OK;
}

/* --- TreeEnsembleClassifier ------------------------------------------------------------------ */

enum { LABELS = OWN, TEXT_LABELS };

static kata_status TreeEnsembleClassifier_infer(kata_infer *infer) {
    int64_t n, classes;
    kata_dtype dtype;
    KATA__TRY(infer_nodes(infer, &n));
    KATA__TRY(kata__infer_labels(infer, LABELS, TEXT_LABELS, &dtype, &classes));
    infer->outputs[0] = (kata_type){dtype, KATA_SHAPE_OF(n)};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_F32, KATA_SHAPE_OF(n, classes)};
    }
    return kata__infer_fits(infer);
}

static int64_t n_classes(const kata_attribute_value *a) {
    return a[LABELS].n + a[TEXT_LABELS].n;
}

static kata_status TreeEnsembleClassifier_prepare(const kata_call *call, void **state) {
    return forest_make(call, n_classes(call->attributes), state);
}

/* For each class its score, and behind these whether a leaf had a weight for it. */
static size_t TreeEnsembleClassifier_scores(const kata_call *call) {
    return 2 * (size_t)n_classes(call->attributes) * sizeof(double);
}

/* Two classes and weights for one of them: the score says how likely class 1 is. What is all above
 * 0 is a share and divided at 1/2, other scores at 0. Listed for class 0, the other class has what
 * is left: of a share 1 - s, of others -s. */
static int64_t divide(const forest *f, kata__transform transform, double *scores) {
    const double s = scores[f->only_target];
    const int64_t label = s > (f->not_negative ? 0.5 : 0);
    if (f->only_target == 0) {
        scores[1] = s;
        scores[0] = f->not_negative ? 1 - s : -s;
        if (transform == KATA__TRANSFORM_LOGISTIC) {
            scores[0] = kata__logistic(-s);
            scores[1] = kata__logistic(s);
        }
    } else {
        kata__transform_run(transform, scores, 2);
    }
    return label;
}

static void classify_row(const kata_call *call, int64_t i, double *scores) {
    const forest *f = call->state;
    const kata_attribute_value *a = call->attributes;
    const kata__transform transform = kata__transform_of(a[TRANSFORM].s);
    const int64_t classes = n_classes(a), n_base = numbers_n(a, BASE_VALUES);
    const int64_t columns = call->inputs[0].shape.dim[call->inputs[0].shape.rank - 1];
    double *has_score = scores + classes;
    memset(scores, 0, (size_t)(2 * classes) * sizeof *scores);
    for (int64_t k = 0; k < classes; k++) {
        scores[k] = base_of(a, k);
        has_score[k] = k < n_base;
    }
    for (int32_t t = 0; t < f->n_trees; t++) {
        const node *leaf = leaf_of(f, f->roots[t], &call->inputs[0], i * columns);
        for (int32_t k = leaf->first; k < leaf->first + leaf->n; k++) {
            scores[f->weights[k].target] += f->weights[k].value;
            has_score[f->weights[k].target] = 1;
        }
    }
    int64_t best = -1;
    for (int64_t k = 0; k < classes; k++) { /* a class that no leaf speaks of is not chosen */
        best = has_score[k] != 0 && (best < 0 || scores[k] > scores[best]) ? k : best;
    }
    if (classes == 2 && f->only_target >= 0) {
        best = divide(f, transform, scores);
    } else {
        best = classes == 2 ? scores[1] > 0 : best; /* as onnxruntime has it */
        kata__transform_run(transform, scores, classes);
    }
    kata__label_store(a, LABELS, TEXT_LABELS, best < 0 ? 0 : best, &call->outputs[0], i);
    for (int64_t k = 0; k < classes && call->n_outputs > 1; k++) {
        ((float *)call->outputs[1].data)[i * classes + k] = (float)scores[k];
    }
}

static kata_status TreeEnsembleClassifier_reference(const kata_call *call) {
    run_rows(call, classify_row);
    return KATA_OK;
}

/* --- rows ------------------------------------------------------------------------------------ */

#define LIST(NAME, TYPE, DOC)                                                                      \
    { .name = NAME, .type = KATA_ATTRIBUTE_##TYPE, .doc = DOC }
#define NODES(WEIGHT)                                                                              \
    [NODE_TREES] = LIST("nodes_treeids", INTS, "of each node, its tree"),                          \
    [NODE_IDS] = LIST("nodes_nodeids", INTS, "its number in the tree"),                            \
    [NODE_FEATURES] = LIST("nodes_featureids", INTS, "the column that it looks at"),               \
    [NODE_VALUES] = LIST("nodes_values", FLOATS, "what it compares with"),                         \
    [NODE_VALUES_TENSOR] = LIST("nodes_values_as_tensor", TENSOR, "the same as doubles"),          \
    [NODE_MODES] = LIST("nodes_modes", STRINGS, "BRANCH_LEQ, LT, GTE, GT, EQ, NEQ or LEAF"),       \
    [NODE_TRUE] = LIST("nodes_truenodeids", INTS, "the node if the comparison holds"),             \
    [NODE_FALSE] = LIST("nodes_falsenodeids", INTS, "the node if not"),                            \
    [NODE_MISSING] = LIST("nodes_missing_value_tracks_true", INTS, "1: NaN counts as true"),       \
    [NODE_HITRATES] = LIST("nodes_hitrates", FLOATS, "says nothing to a run"),                     \
    [NODE_HITRATES_TENSOR] = LIST("nodes_hitrates_as_tensor", TENSOR, "says nothing to a run"),    \
    [WEIGHT_TREES] = LIST(WEIGHT "_treeids", INTS, "of each weight, its tree"),                    \
    [WEIGHT_NODES] = LIST(WEIGHT "_nodeids", INTS, "its leaf"),                                    \
    [WEIGHT_TARGETS] = LIST(WEIGHT "_ids", INTS, "which number of the row it is added to"),        \
    [WEIGHT_VALUES] = LIST(WEIGHT "_weights", FLOATS, "the weight"),                               \
    [WEIGHT_VALUES_TENSOR] = LIST(WEIGHT "_weights_as_tensor", TENSOR, "the same as doubles"),     \
    [BASE_VALUES] = LIST("base_values", FLOATS, "added to each row"),                              \
    [BASE_VALUES_TENSOR] = LIST("base_values_as_tensor", TENSOR, "the same as doubles"),           \
    [TRANSFORM] = KATA__POST_TRANSFORM

static const kata_attribute_spec TreeEnsembleRegressor_attributes[] = {
    NODES("target"),
    [N_TARGETS] = {.name = "n_targets",
                   .type = KATA_ATTRIBUTE_INT,
                   .default_int = 1,
                   .doc = "how many numbers a row has"},
    [AGGREGATE] = {.name = "aggregate_function",
                   .type = KATA_ATTRIBUTE_STRING,
                   .default_string = "SUM",
                   .doc = "SUM, AVERAGE, MIN or MAX over the trees"},
    {.name = NULL}};
static const kata_attribute_spec TreeEnsembleClassifier_attributes[] = {
    NODES("class"),
    [LABELS] = LIST("classlabels_int64s", INTS, "the labels, whole numbers"),
    [TEXT_LABELS] = LIST("classlabels_strings", STRINGS, "the labels, texts"),
    {.name = NULL}};

#define ROW(NAME, OUTPUTS, DOC)                                                                    \
    const kata_op kata__op_ml_##NAME = {.name = #NAME,                                             \
                                        .domain = "ai.onnx.ml",                                    \
                                        .since = 1,                                                \
                                        .min_inputs = 1,                                           \
                                        .max_inputs = 1,                                           \
                                        .min_outputs = 1,                                          \
                                        .max_outputs = OUTPUTS,                                    \
                                        .attributes = NAME##_attributes,                           \
                                        .infer = NAME##_infer,                                     \
                                        .per_thread_workspace = NAME##_scores,                     \
                                        .reference = NAME##_reference,                             \
                                        .prepare = NAME##_prepare,                                 \
                                        .free = forest_free,                                       \
                                        .batch = kata__batch_rows,                                 \
                                        .tolerance = 1e-6,                                         \
                                        .doc = DOC};

ROW(TreeEnsembleRegressor, 1, "The sum of the leaves that a row of the table comes to.")
ROW(TreeEnsembleClassifier, 2, "The label of the largest sum of leaves, and the sums.")
