/* If, Loop, Scan: rows with subgraphs. They run in a session's dynamic part, where each run of a
 * subgraph infers its types again; what a round of a loop makes is given back before the next one,
 * but for the values that are carried and the outputs that are collected. */
#include <inttypes.h>
#include <string.h>

#include <kata/graph.h>

#include "base/check.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/rules.h"
#include "op/run.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

/* A loop of more rounds is a fault of the model or an attack. */
#define MAX_ROUNDS ((int64_t)1 << 24)

#define ROW_CONTROL(NAME, SINCE, MIN_INPUTS, MIN_OUTPUTS, LIST, INFER_SUBGRAPH, DOC)               \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = MIN_INPUTS,                                     \
                                     .max_inputs = KATA_MAX_INPUTS,                                \
                                     .min_outputs = MIN_OUTPUTS,                                   \
                                     .max_outputs = KATA_MAX_OUTPUTS,                              \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .infer_subgraph = INFER_SUBGRAPH,                             \
                                     .reference = NAME##_reference,                                \
                                     .flags = KATA_OP_DYNAMIC | KATA_OP_ANY_KIND,                  \
                                     .flops = kata__flops_none,                                    \
                                     .doc = DOC};

#define BODY(NAME, DOC)                                                                            \
    { .name = NAME, .type = KATA_ATTRIBUTE_GRAPH, .required = true, .doc = DOC }

static kata_type type_of_output(const kata_graph *graph, int i) {
    return kata_value_type(graph, kata_graph_output_at(graph, i));
}

/* What two ways to a value agree in: sizes that differ are open. */
static kata_status join(const kata_infer *infer, int output, kata_type *type,
                        const kata_type *other) {
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    if (type->dtype != other->dtype || type->kind != other->kind) {
        return kata_fail(KATA_DTYPE, "%s: output %d is a %s of %s one way and a %s of %s another",
                         infer->op->name, output, kata_kind_name(type->kind),
                         kata_dtype_name(type->dtype), kata_kind_name(other->kind),
                         kata_dtype_name(other->dtype));
    }
    if (type->shape.rank != other->shape.rank) {
        if (type->kind != KATA_KIND_TENSOR) {
            type->shape.rank = -1;
            return KATA_OK;
        }
        return kata_fail(KATA_UNSUPPORTED,
                         "%s: output %d has shape %s one way and %s another; the number of axes "
                         "must be one",
                         infer->op->name, output, kata_shape_text(&type->shape, a),
                         kata_shape_text(&other->shape, b));
    }
    for (int i = 0; i < type->shape.rank; i++) {
        if (type->shape.dim[i] != other->shape.dim[i]) {
            type->shape.dim[i] = KATA_UNKNOWN_DIM;
        }
    }
    return KATA_OK;
}

static kata_status check_count(const kata_infer *infer, const char *what, int got, int expected) {
    if (got != expected) {
        return kata_fail(KATA_INVALID, "%s: the subgraph has %d %s, the node needs %d",
                         infer->op->name, got, what, expected);
    }
    return KATA_OK;
}

/* The first element as a truth; KATA_INVALID if there is none. */
static kata_status truth_of(const kata_call *call, const kata_tensor *tensor, bool *out) {
    if (tensor->dtype != KATA_BOOL || kata_tensor_count(tensor) != 1) {
        return kata_fail(KATA_INVALID, "%s: the condition must be one truth value", call->op->name);
    }
    *out = *(const uint8_t *)tensor->data != 0;
    return KATA_OK;
}

/* --- If ----------------------------------------------------------------------------------------
 */

enum { ELSE_BRANCH, THEN_BRANCH };

static kata_status If_infer(kata_infer *infer) {
    const kata_graph *yes = infer->attributes[THEN_BRANCH].graph;
    const kata_graph *no = infer->attributes[ELSE_BRANCH].graph;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__BOOLS));
    KATA__TRY(kata__rule_scalar(infer, 0, "condition"));
    KATA__TRY(check_count(infer, "outputs", kata_graph_n_outputs(yes), infer->n_outputs));
    KATA__TRY(check_count(infer, "outputs", kata_graph_n_outputs(no), infer->n_outputs));
    KATA__TRY(check_count(infer, "inputs", kata_graph_n_inputs(yes), 0));
    KATA__TRY(check_count(infer, "inputs", kata_graph_n_inputs(no), 0));
    for (int i = 0; i < infer->n_outputs; i++) {
        const kata_type other = type_of_output(no, i);
        infer->outputs[i] = type_of_output(yes, i);
        KATA__TRY(join(infer, i, &infer->outputs[i], &other));
    }
    return KATA_OK;
}

static kata_status If_reference(const kata_call *call) {
    bool truth = false;
    KATA__TRY(truth_of(call, &call->inputs[0], &truth));
    return call->run->subgraph(call->run, call, truth ? THEN_BRANCH : ELSE_BRANCH, NULL, 0,
                               call->outputs);
}

ROW_CONTROL(If, 11, 1, 1,
            ATTRIBUTES(BODY("else_branch", "the graph that runs if the condition is false"),
                       BODY("then_branch", "the one that runs if it is true")),
            NULL, "The outputs of one of two graphs, by a condition.")

/* --- collected outputs --------------------------------------------------------------------------
 */

/* An output of each round, one behind the other in a buffer of the run. */
typedef struct collected {
    kata_dtype dtype;
    kata_shape shape; /* of one round */
    size_t n_bytes;   /* of one round */
} collected;

/* Strings are not collected: their bytes are gone with the round. */
static kata_status collect(const kata_call *call, collected *c, int buffer, int64_t round,
                           const kata_tensor *value) {
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    if (value->dtype == KATA_STRING || value->dtype == KATA_TENSORS) {
        return kata_fail(KATA_UNSUPPORTED, "%s: outputs of each round must be numbers",
                         call->op->name);
    }
    if (round == 0) {
        *c = (collected){value->dtype, value->shape, kata_tensor_bytes(value)};
    } else if (value->dtype != c->dtype || !kata_shape_equal(&value->shape, &c->shape)) {
        return kata_fail(KATA_SHAPE,
                         "%s: an output has shape %s in round %" PRId64 " and %s in round 0",
                         call->op->name, kata_shape_text(&value->shape, a), round,
                         kata_shape_text(&c->shape, b));
    }
    size_t whole;
    if (__builtin_mul_overflow((size_t)round + 1, c->n_bytes, &whole)) {
        return kata_fail(KATA_LIMIT, "%s: the outputs of all rounds are too large", call->op->name);
    }
    char *bytes = call->run->buffer(call->run, buffer, whole);
    if (bytes == NULL) {
        return kata__run_fault(call);
    }
    if (c->n_bytes > 0) {
        memcpy(bytes + (size_t)round * c->n_bytes, value->data, c->n_bytes);
    }
    return KATA_OK;
}

/* Output k: the collected rounds along a new axis, in the other order if `backward`. `type` is what
 * the subgraph says, for the case of no round. */
static kata_status put_collected(const kata_call *call, int k, collected *c, int buffer,
                                 int64_t n_rounds, const kata_type *type, int axis, bool backward) {
    if (n_rounds == 0) {
        *c = (collected){.dtype = type->dtype, .shape = type->shape};
        for (int i = 0; i < c->shape.rank; i++) {
            c->shape.dim[i] = c->shape.dim[i] < 0 ? 0 : c->shape.dim[i];
        }
    }
    kata_shape shape = {.rank = c->shape.rank + 1};
    axis = axis < 0 ? axis + shape.rank : axis;
    if (shape.rank > KATA_MAX_RANK || axis < 0 || axis >= shape.rank) {
        return kata_fail(KATA_SHAPE, "%s: output %d cannot be collected along axis %d",
                         call->op->name, k, axis);
    }
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = i == axis ? n_rounds : c->shape.dim[i < axis ? i : i - 1];
    }
    KATA__TRY(kata_call_output(call, k, c->dtype, &shape));
    if (c->n_bytes == 0 || n_rounds == 0) {
        return KATA_OK;
    }
    const char *bytes = call->run->buffer(call->run, buffer, 0);
    for (int64_t i = 0; i < n_rounds; i++) {
        kata_tensor to;
        KATA__TRY(kata_tensor_slice(&to, &call->outputs[k], axis, i, i + 1, 1));
        const kata_tensor from = kata_tensor_view(
            (char *)(uintptr_t)bytes + (size_t)(backward ? n_rounds - 1 - i : i) * c->n_bytes,
            c->dtype, &to.shape);
        KATA__TRY(kata_tensor_copy(&to, &from));
    }
    return KATA_OK;
}

/* --- Loop --------------------------------------------------------------------------------------
 */

enum { TRIP_COUNT, CONDITION, CARRIED };

static int n_carried(int n_inputs, int n_captured) {
    const int n = n_inputs - n_captured - CARRIED;
    return n > 0 ? n : 0;
}

/* The inputs of the body. A carried value may change its sizes from round to round: only those that
 * the body declares, and the first value has, are believed. */
static kata_status loop_subgraph(kata_infer *infer, int attribute) {
    (void)attribute;
    KATA__TRY(check_count(infer, "inputs", infer->n_outputs,
                          CARRIED + n_carried(infer->n_inputs, infer->n_captured)));
    infer->outputs[0] = (kata_type){KATA_I64, {.rank = 0}};
    infer->outputs[1] = (kata_type){KATA_BOOL, {.rank = 0}};
    for (int i = CARRIED; i < infer->n_outputs; i++) {
        const kata_type declared = infer->outputs[i];
        infer->outputs[i] = infer->inputs[i];
        kata_shape *shape = &infer->outputs[i].shape;
        for (int k = 0; k < shape->rank; k++) {
            const bool stays =
                declared.shape.rank == shape->rank && declared.shape.dim[k] == shape->dim[k];
            shape->dim[k] = stays ? shape->dim[k] : KATA_UNKNOWN_DIM;
        }
    }
    return KATA_OK;
}

static kata_status Loop_infer(kata_infer *infer) {
    const kata_graph *body = infer->attributes[0].graph;
    const int n = n_carried(infer->n_inputs, infer->n_captured);
    if (kata__infer_has(infer, TRIP_COUNT)) {
        KATA__TRY(kata__infer_dtype(infer, TRIP_COUNT, KATA__DTYPE(I64)));
        KATA__TRY(kata__rule_scalar(infer, TRIP_COUNT, "number of rounds"));
    }
    if (kata__infer_has(infer, CONDITION)) {
        KATA__TRY(kata__infer_dtype(infer, CONDITION, KATA__BOOLS));
        KATA__TRY(kata__rule_scalar(infer, CONDITION, "condition"));
    }
    KATA__TRY(check_count(infer, "inputs", kata_graph_n_inputs(body), n + CARRIED));
    KATA__TRY(check_count(infer, "outputs", kata_graph_n_outputs(body), infer->n_outputs + 1));
    for (int i = 0; i < infer->n_outputs; i++) {
        kata_type type = type_of_output(body, i + 1);
        if (i < n) {
            KATA__TRY(join(infer, i, &type, &infer->inputs[CARRIED + i]));
        } else if (type.shape.rank >= KATA_MAX_RANK || type.kind != KATA_KIND_TENSOR) {
            return kata_fail(KATA_UNSUPPORTED,
                             "Loop: output %d of each round must be a tensor of less than %d axes",
                             i, KATA_MAX_RANK);
        } else {
            for (int k = type.shape.rank++; k > 0; k--) {
                type.shape.dim[k] = type.shape.dim[k - 1];
            }
            type.shape.dim[0] = KATA_UNKNOWN_DIM;
        }
        infer->outputs[i] = type;
    }
    return KATA_OK;
}

static kata_status check_rounds(const kata_call *call, int64_t n, bool has_condition) {
    if (n > MAX_ROUNDS && !has_condition) {
        return kata_fail(KATA_LIMIT, "%s: %" PRId64 " rounds; at most %" PRId64 " are possible",
                         call->op->name, n, MAX_ROUNDS);
    }
    return KATA_OK;
}

static kata_status Loop_reference(const kata_call *call) {
    kata_run *run = call->run;
    const kata_graph *body = call->attributes[0].graph;
    const int n = n_carried(call->n_inputs, call->n_captured);
    const int n_collected = call->n_outputs - n, first_buffer = run->n_buffers;
    kata_tensor in[KATA_MAX_INPUTS], out[KATA_MAX_OUTPUTS + 1];
    collected rounds[KATA_MAX_OUTPUTS] = {{0}};
    const int64_t count = kata__call_has(call, TRIP_COUNT)
                              ? *(const int64_t *)call->inputs[TRIP_COUNT].data
                              : INT64_MAX;
    const bool has_condition = kata__call_has(call, CONDITION);
    bool goes_on = true;
    if (has_condition) {
        KATA__TRY(truth_of(call, &call->inputs[CONDITION], &goes_on));
    }
    KATA__TRY(check_rounds(call, kata__call_has(call, TRIP_COUNT) ? count : 0, has_condition));
    for (int i = 0; i < n; i++) {
        in[CARRIED + i] = call->inputs[CARRIED + i];
    }
    run->n_buffers += n_collected;
    int64_t round = 0;
    uint8_t truth = 1;
    const kata__run_mark mark = run->mark(run);
    for (; round < count && goes_on; round++) {
        if (round == MAX_ROUNDS) {
            return kata_fail(KATA_LIMIT, "Loop: its condition still holds after %" PRId64 " rounds",
                             MAX_ROUNDS);
        }
        in[0] = kata_tensor_view(&round, KATA_I64, &(kata_shape){.rank = 0});
        in[1] = kata_tensor_view(&truth, KATA_BOOL, &(kata_shape){.rank = 0});
        KATA__TRY(run->subgraph(run, call, 0, in, CARRIED + n, out));
        KATA__TRY(truth_of(call, &out[0], &goes_on));
        for (int i = 0; i < n_collected; i++) {
            KATA__TRY(collect(call, &rounds[i], first_buffer + i, round, &out[1 + n + i]));
        }
        memcpy(&in[CARRIED], &out[1], (size_t)n * sizeof in[0]);
        KATA__TRY(run->keep(run, mark, &in[CARRIED], n));
    }
    for (int i = 0; i < n; i++) {
        call->outputs[i] = in[CARRIED + i];
    }
    for (int i = 0; i < n_collected; i++) {
        const kata_type type = type_of_output(body, 1 + n + i);
        KATA__TRY(put_collected(call, n + i, &rounds[i], first_buffer + i, round, &type, 0, false));
    }
    run->n_buffers = first_buffer;
    return KATA_OK;
}

ROW_CONTROL(Loop, 11, 0, 1, ATTRIBUTES(BODY("body", "the graph of one round")), loop_subgraph,
            "Runs a graph again and again, as often as input 0 says and as long as its condition "
            "holds: carried values go from round to round, other outputs are collected.")

/* --- Scan --------------------------------------------------------------------------------------
 */

enum {
    SCAN_BODY,
    SCAN_N_INPUTS,
    SCAN_INPUT_AXES,
    SCAN_INPUT_DIRECTIONS,
    SCAN_OUTPUT_AXES,
    SCAN_OUTPUT_DIRECTIONS
};

static int64_t listed(const kata_attribute_value *list, int i) {
    return i < list->n ? list->ints[i] : 0;
}

/* How many states there are; KATA_INVALID unless the attributes fit the inputs. */
static kata_status scan_states(const kata_infer *infer, int *n_states) {
    const int n_own = infer->n_inputs - infer->n_captured;
    const int64_t n_scanned = infer->attributes[SCAN_N_INPUTS].i;
    if (n_scanned < 1 || n_scanned > n_own) {
        return kata_fail(KATA_INVALID,
                         "Scan: num_scan_inputs is %" PRId64 ", the node has %d inputs", n_scanned,
                         n_own);
    }
    *n_states = n_own - (int)n_scanned;
    return KATA_OK;
}

static kata_status scan_subgraph(kata_infer *infer, int attribute) {
    (void)attribute;
    int n_states = 0;
    KATA__TRY(scan_states(infer, &n_states));
    KATA__TRY(check_count(infer, "inputs", infer->n_outputs, infer->n_inputs - infer->n_captured));
    for (int i = 0; i < infer->n_outputs; i++) {
        infer->outputs[i] = infer->inputs[i];
        kata_shape *shape = &infer->outputs[i].shape;
        if (i >= n_states) {
            int axis;
            KATA__TRY(kata__infer_axis(infer,
                                       listed(&infer->attributes[SCAN_INPUT_AXES], i - n_states),
                                       shape->rank, &axis));
            for (int k = axis; k + 1 < shape->rank; k++) {
                shape->dim[k] = shape->dim[k + 1];
            }
            shape->rank--;
        }
    }
    return KATA_OK;
}

static kata_status Scan_infer(kata_infer *infer) {
    const kata_graph *body = infer->attributes[SCAN_BODY].graph;
    int n_states = 0;
    KATA__TRY(scan_states(infer, &n_states));
    KATA__TRY(check_count(infer, "inputs", kata_graph_n_inputs(body),
                          infer->n_inputs - infer->n_captured));
    KATA__TRY(check_count(infer, "outputs", kata_graph_n_outputs(body), infer->n_outputs));
    for (int i = 0; i < infer->n_outputs; i++) {
        kata_type type = type_of_output(body, i);
        if (i < n_states) {
            KATA__TRY(join(infer, i, &type, &infer->inputs[i]));
        } else {
            int axis;
            if (type.shape.rank >= KATA_MAX_RANK) {
                return kata_fail(KATA_LIMIT, "Scan: output %d would have more than %d axes", i,
                                 KATA_MAX_RANK);
            }
            KATA__TRY(kata__infer_axis(infer,
                                       listed(&infer->attributes[SCAN_OUTPUT_AXES], i - n_states),
                                       type.shape.rank + 1, &axis));
            for (int k = type.shape.rank++; k > axis; k--) {
                type.shape.dim[k] = type.shape.dim[k - 1];
            }
            type.shape.dim[axis] = KATA_UNKNOWN_DIM;
        }
        infer->outputs[i] = type;
    }
    return KATA_OK;
}

/* Slice `at` of a scanned input, as a tensor of its own. */
static kata_status scan_slice(const kata_call *call, const kata_tensor *x, int64_t axis, int64_t at,
                              kata_tensor *out) {
    kata_tensor view;
    axis = axis < 0 ? axis + x->shape.rank : axis;
    KATA__TRY(kata_tensor_slice(&view, x, (int)axis, at, at + 1, 1));
    kata_shape shape = {.rank = x->shape.rank - 1};
    for (int k = 0; k < shape.rank; k++) {
        shape.dim[k] = x->shape.dim[k < axis ? k : k + 1];
    }
    void *data = kata_call_memory(call, kata_tensor_bytes(&view));
    if (data == NULL) {
        return kata__run_fault(call);
    }
    const kata_tensor copy = kata_tensor_view(data, x->dtype, &view.shape);
    *out = kata_tensor_view(data, x->dtype, &shape);
    return kata_tensor_copy(&copy, &view);
}

static kata_status Scan_reference(const kata_call *call) {
    kata_run *run = call->run;
    const kata_attribute_value *a = call->attributes;
    const kata_graph *body = a[SCAN_BODY].graph;
    const int n_own = call->n_inputs - call->n_captured, n_scanned = (int)a[SCAN_N_INPUTS].i;
    const int n = n_own - n_scanned, n_collected = call->n_outputs - n;
    const int first_buffer = run->n_buffers;
    kata_tensor in[KATA_MAX_INPUTS], out[KATA_MAX_OUTPUTS];
    collected rounds[KATA_MAX_OUTPUTS] = {{0}};
    int64_t count = -1;
    for (int i = 0; i < n_scanned; i++) {
        const kata_tensor *x = &call->inputs[n + i];
        const int64_t axis = listed(&a[SCAN_INPUT_AXES], i);
        const int64_t size = x->shape.dim[axis < 0 ? axis + x->shape.rank : axis];
        if (count >= 0 && size != count) {
            return kata_fail(KATA_SHAPE,
                             "Scan: inputs %d and %d have %" PRId64 " and %" PRId64 " slices", n,
                             n + i, count, size);
        }
        count = size;
    }
    KATA__TRY(check_rounds(call, count, false));
    memcpy(in, call->inputs, (size_t)n * sizeof in[0]);
    run->n_buffers += n_collected;
    const kata__run_mark mark = run->mark(run);
    for (int64_t round = 0; round < count; round++) {
        for (int i = 0; i < n_scanned; i++) {
            const bool backward = listed(&a[SCAN_INPUT_DIRECTIONS], i) != 0;
            KATA__TRY(scan_slice(call, &call->inputs[n + i], listed(&a[SCAN_INPUT_AXES], i),
                                 backward ? count - 1 - round : round, &in[n + i]));
        }
        KATA__TRY(run->subgraph(run, call, SCAN_BODY, in, n_own, out));
        for (int i = 0; i < n_collected; i++) {
            KATA__TRY(collect(call, &rounds[i], first_buffer + i, round, &out[n + i]));
        }
        memcpy(in, out, (size_t)n * sizeof in[0]);
        KATA__TRY(run->keep(run, mark, in, n));
    }
    memcpy(call->outputs, in, (size_t)n * sizeof in[0]);
    for (int i = 0; i < n_collected; i++) {
        const kata_type type = type_of_output(body, n + i);
        KATA__TRY(put_collected(call, n + i, &rounds[i], first_buffer + i, count, &type,
                                (int)listed(&a[SCAN_OUTPUT_AXES], i),
                                listed(&a[SCAN_OUTPUT_DIRECTIONS], i) != 0));
    }
    run->n_buffers = first_buffer;
    return KATA_OK;
}

#define LIST_OF(NAME, DOC)                                                                         \
    { .name = NAME, .type = KATA_ATTRIBUTE_INTS, .doc = DOC }

ROW_CONTROL(Scan, 11, 1, 1,
            ATTRIBUTES(BODY("body", "the graph of one slice"),
                       {.name = "num_scan_inputs",
                        .type = KATA_ATTRIBUTE_INT,
                        .required = true,
                        .doc = "of the inputs, the last ones: they are cut into slices"},
                       LIST_OF("scan_input_axes", "the axis to cut each along"),
                       LIST_OF("scan_input_directions", "1: from the last slice to the first"),
                       LIST_OF("scan_output_axes", "the axis to collect each output along"),
                       LIST_OF("scan_output_directions", "1: in the other order")),
            scan_subgraph,
            "Runs a graph on each slice of its last inputs: states go from slice to slice, other "
            "outputs are collected.")
