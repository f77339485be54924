/* The rows RNN, GRU and LSTM: shape rules, what a call says, gradients. The loops are in
 * recurrent_reference.c. */
#include "op/recurrent.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/rules.h"

/* Inputs and outputs in ONNX's order; RNN and GRU end before initial_c. The gradient's inputs go on
 * with dY, dY_h and dY_c; its outputs are the gradients of the inputs, without that of the lengths.
 */
enum {
    X,
    W,
    R,
    B,
    LENGTHS,
    H0,
    C0,
    P,
    FORWARD_INPUTS,
    DY = FORWARD_INPUTS,
    DY_H,
    DY_C,
    ALL_INPUTS
};
enum { Y, Y_H, Y_C };
enum { DX, DW, DR, DB, DH0, DC0, DP, GRADIENTS };
enum {
    ALPHA,
    BETA,
    ACTIVATIONS,
    CLIP,
    DIRECTION,
    HIDDEN,
    LAYOUT,
    OWN /* GRU: linear_before_reset; LSTM: input_forget */
};

static kata__cell cell_of(const kata_op *op) {
    return strncmp(op->name, "RNN", 3) == 0   ? KATA__RNN
           : strncmp(op->name, "GRU", 3) == 0 ? KATA__GRU
                                              : KATA__LSTM;
}

static const int gate_counts[] = {[KATA__RNN] = 1, [KATA__GRU] = 3, [KATA__LSTM] = 4};
static const int activation_counts[] = {[KATA__RNN] = 1, [KATA__GRU] = 2, [KATA__LSTM] = 3};
static const int saved_counts[] = {[KATA__RNN] = 0, [KATA__GRU] = 4, [KATA__LSTM] = 5};

static const char *default_activation(kata__cell cell, int i) {
    return cell == KATA__RNN || i > 0 ? "Tanh" : "Sigmoid";
}

/* --- attributes ------------------------------------------------------------------------------ */

/* The activations of each direction; alphas and betas are taken in order by those that have one. */
static kata_status read_activations(kata__recurrent *rnn, const kata_op *op,
                                    const kata_attribute_value *attributes) {
    const kata_attribute_value *names = &attributes[ACTIVATIONS];
    int each = activation_counts[rnn->cell], used_alpha = 0, used_beta = 0;
    if (names->n != 0 && names->n != each * rnn->directions) {
        return kata_fail(KATA_INVALID, "%s: %d activations are needed, got %d", op->name,
                         each * rnn->directions, names->n);
    }
    for (int i = 0; i < each * rnn->directions; i++) {
        const char *name =
            names->n != 0 ? names->strings[i] : default_activation(rnn->cell, i % each);
        kata__activation *a = &rnn->activations[i / each * 3 + i % each];
        if (!kata__activation_find(name, a)) {
            return kata_fail(KATA_UNSUPPORTED, "%s: activation \"%.60s\" is not known", op->name,
                             name);
        }
        if (a->has_alpha && used_alpha < attributes[ALPHA].n) {
            a->alpha = attributes[ALPHA].floats[used_alpha++];
        }
        if (a->has_beta && used_beta < attributes[BETA].n) {
            a->beta = attributes[BETA].floats[used_beta++];
        }
    }
    return KATA_OK;
}

/* All that attributes and the shapes of X and R say. */
static kata_status read_call(kata__recurrent *rnn, const kata_op *op,
                             const kata_attribute_value *attributes, const kata_shape *x,
                             const kata_shape *r) {
    const char *direction = attributes[DIRECTION].s;
    *rnn = (kata__recurrent){.cell = cell_of(op),
                             .sequences_first = attributes[LAYOUT].i != 0,
                             .clip = attributes[CLIP].f};
    rnn->gates = gate_counts[rnn->cell];
    rnn->n_saved = saved_counts[rnn->cell];
    rnn->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    rnn->reverse = strcmp(direction, "reverse") == 0;
    rnn->linear_before_reset = rnn->cell == KATA__GRU && attributes[OWN].i != 0;
    rnn->input_forget = rnn->cell == KATA__LSTM && attributes[OWN].i != 0;
    rnn->steps = x->dim[rnn->sequences_first ? 1 : 0];
    rnn->n = x->dim[rnn->sequences_first ? 0 : 1];
    rnn->inputs = x->dim[2];
    rnn->units = r->dim[2];
    if (rnn->directions == 1 && !rnn->reverse && strcmp(direction, "forward") != 0) {
        return kata_fail(KATA_INVALID,
                         "%s: the direction must be forward, reverse or bidirectional, got "
                         "\"%.40s\"",
                         op->name, direction);
    }
    if (attributes[LAYOUT].i != 0 && attributes[LAYOUT].i != 1) {
        return kata_fail(KATA_INVALID, "%s: the layout must be 0 or 1, got %" PRId64, op->name,
                         attributes[LAYOUT].i);
    }
    if (attributes[CLIP].f < 0 || isnan(attributes[CLIP].f)) {
        return kata_fail(KATA_INVALID, "%s: clip must be above 0, got %g", op->name,
                         attributes[CLIP].f);
    }
    return read_activations(rnn, op, attributes);
}

/* --- shapes ---------------------------------------------------------------------------------- */

/* KATA_SHAPE unless input i, if it is there, has this shape. */
static kata_status check_input(const kata_infer *infer, int i, const char *what, int rank,
                               const int64_t *dim) {
    char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    const kata_shape *shape = &infer->inputs[i].shape;
    kata_shape expected = kata_shape_make(rank, dim);
    bool same = shape->rank == rank;
    for (int k = 0; same && k < rank; k++) {
        same = kata__size_agrees(shape->dim[k], dim[k]);
    }
    return same ? KATA_OK
                : kata_fail(KATA_SHAPE, "%s: input %d (%s) must have the shape %s, got %s",
                            infer->op->name, i, what, kata_shape_text(&expected, want),
                            kata_shape_text(shape, have));
}

static kata_status check_inputs(const kata_infer *infer, const kata__recurrent *rnn) {
    const int64_t d = rnn->directions, h = rnn->units;
    const int64_t gates = h < 0 ? KATA_UNKNOWN_DIM : rnn->gates * h;
    const int64_t two = h < 0 ? KATA_UNKNOWN_DIM : 2 * gates;
    const int64_t three = h < 0 ? KATA_UNKNOWN_DIM : 3 * h;
    const int64_t state[] = {rnn->sequences_first ? rnn->n : d, rnn->sequences_first ? d : rnn->n,
                             h};
    KATA__TRY(check_input(infer, W, "W", 3, (const int64_t[]){d, gates, rnn->inputs}));
    KATA__TRY(check_input(infer, R, "R", 3, (const int64_t[]){d, gates, h}));
    KATA__TRY(check_input(infer, B, "B", 2, (const int64_t[]){d, two}));
    KATA__TRY(check_input(infer, LENGTHS, "sequence_lens", 1, &rnn->n));
    KATA__TRY(check_input(infer, H0, "initial_h", 3, state));
    if (rnn->cell == KATA__LSTM) {
        KATA__TRY(check_input(infer, C0, "initial_c", 3, state));
        KATA__TRY(check_input(infer, P, "P", 2, (const int64_t[]){d, three}));
    }
    return KATA_OK;
}

/* Reads the call from the types of the forward inputs and checks these. */
static kata_status infer_call(const kata_infer *infer, kata__recurrent *rnn) {
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_float(infer, X, true));
    for (int i = W; i < FORWARD_INPUTS && i < infer->n_inputs; i++) {
        if (i == LENGTHS && kata__infer_has(infer, i)) {
            KATA__TRY(kata__infer_dtype(infer, i, KATA__INDICES));
        } else if (kata__infer_has(infer, i)) {
            KATA__TRY(kata__infer_one_dtype(infer, X, i));
        }
    }
    if (infer->inputs[X].shape.rank != 3 || infer->inputs[R].shape.rank != 3) {
        int i = infer->inputs[X].shape.rank != 3 ? X : R;
        return kata_fail(KATA_SHAPE, "%s: input %d must have 3 axes, got shape %s", infer->op->name,
                         i, kata_shape_text(&infer->inputs[i].shape, text));
    }
    KATA__TRY(read_call(rnn, infer->op, infer->attributes, &infer->inputs[X].shape,
                        &infer->inputs[R].shape));
    int64_t hidden = infer->attributes[HIDDEN].i;
    if (hidden != 0 && rnn->units >= 0 && hidden != rnn->units) {
        return kata_fail(KATA_SHAPE, "%s: hidden_size is %" PRId64 ", but R has the shape %s",
                         infer->op->name, hidden, kata_shape_text(&infer->inputs[R].shape, text));
    }
    return check_inputs(infer, rnn);
}

static kata_status recurrent_infer(kata_infer *infer) {
    kata__recurrent rnn;
    kata_dtype dtype = infer->inputs[X].dtype;
    KATA__TRY(infer_call(infer, &rnn));
    const int64_t t = rnn.steps, n = rnn.n, d = rnn.directions, h = rnn.units;
    kata_shape state = rnn.sequences_first ? KATA_SHAPE_OF(n, d, h) : KATA_SHAPE_OF(d, n, h);
    infer->outputs[Y] = (kata_type){dtype, rnn.sequences_first ? KATA_SHAPE_OF(n, t, d, h)
                                                               : KATA_SHAPE_OF(t, d, n, h)};
    for (int i = Y_H; i < infer->n_outputs; i++) {
        infer->outputs[i] = (kata_type){dtype, state};
    }
    return kata__infer_fits(infer);
}

static kata_status recurrent_grad_infer(kata_infer *infer) {
    static const int of[GRADIENTS] = {X, W, R, B, H0, C0, P};
    kata__recurrent rnn;
    KATA__TRY(infer_call(infer, &rnn));
    const int64_t t = rnn.steps, n = rnn.n, d = rnn.directions, h = rnn.units;
    const int64_t all[2][4] = {{t, d, n, h}, {n, t, d, h}};
    const int64_t state[2][3] = {{d, n, h}, {n, d, h}};
    KATA__TRY(check_input(infer, DY, "dY", 4, all[rnn.sequences_first]));
    KATA__TRY(check_input(infer, DY_H, "dY_h", 3, state[rnn.sequences_first]));
    KATA__TRY(check_input(infer, DY_C, "dY_c", 3, state[rnn.sequences_first]));
    for (int i = 0; i < infer->n_outputs;
         i++) { /* of an absent input: one number that nobody reads */
        infer->outputs[i] = kata__infer_has(infer, of[i])
                                ? infer->inputs[of[i]]
                                : (kata_type){infer->inputs[X].dtype, {.rank = 0}};
    }
    return KATA_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static kata_status call_of(const kata_call *call, kata__recurrent *rnn) {
    return read_call(rnn, call->op, call->attributes, &call->inputs[X].shape,
                     &call->inputs[R].shape);
}

/* Takes doubles from the workspace; with `base` NULL it only counts. */
typedef struct taker {
    double *base;
    size_t used;
} taker;

static double *take(taker *t, int64_t n) {
    double *at = t->base != NULL ? t->base + t->used : NULL;
    t->used += (size_t)n;
    return at;
}

/* The numbers of input i as doubles, NULL if it is absent. */
static const double *take_input(taker *t, const kata_call *call, int i) {
    if (!kata__call_has(call, i)) {
        return NULL;
    }
    const kata_tensor *in = &call->inputs[i];
    int64_t n = kata_tensor_count(in);
    double *to = take(t, n);
    for (int64_t k = 0; k < n && to != NULL; k++) {
        to[k] = kata_load(in->dtype, in->data, k);
    }
    return to;
}

/* Room for an output, zeroed. */
static double *take_output(taker *t, const kata_call *call, int i) {
    if (i >= call->n_outputs) {
        return NULL;
    }
    int64_t n = kata_tensor_count(&call->outputs[i]);
    double *to = take(t, n);
    if (to != NULL && n > 0) {
        memset(to, 0, (size_t)n * sizeof *to);
    }
    return to;
}

static void give_output(const kata_call *call, int i, const double *from) {
    if (from != NULL) {
        const kata_tensor *out = &call->outputs[i];
        for (int64_t k = 0, n = kata_tensor_count(out); k < n; k++) {
            kata_store(out->dtype, out->data, k, from[k]);
        }
    }
}

static const int64_t *take_lengths(taker *t, const kata_call *call) {
    if (!kata__call_has(call, LENGTHS)) {
        return NULL;
    }
    const kata_tensor *in = &call->inputs[LENGTHS];
    int64_t n = kata_tensor_count(in);
    int64_t *to = (int64_t *)take(t, n);
    for (int64_t k = 0; k < n && to != NULL; k++) {
        to[k] = kata__load_int(in->dtype, in->data, k);
    }
    return to;
}

static void take_operands(taker *t, const kata_call *call, const kata__recurrent *rnn,
                          kata__recurrent_data *data) {
    *data = (kata__recurrent_data){.x = take_input(t, call, X),
                                   .w = take_input(t, call, W),
                                   .r = take_input(t, call, R),
                                   .b = take_input(t, call, B),
                                   .lengths = take_lengths(t, call),
                                   .h0 = take_input(t, call, H0)};
    if (rnn->cell == KATA__LSTM) {
        data->c0 = take_input(t, call, C0);
        data->p = take_input(t, call, P);
    }
    data->saved = take(t, rnn->directions * rnn->n * rnn->steps * rnn->n_saved * rnn->units);
    data->scratch = take(t, kata__recurrent_scratch(rnn));
}

static kata_status check_lengths(const kata_call *call, const kata__recurrent *rnn,
                                 const kata__recurrent_data *data) {
    for (int64_t i = 0; data->lengths != NULL && i < rnn->n; i++) {
        if (data->lengths[i] < 0 || data->lengths[i] > rnn->steps) {
            return kata_fail(KATA_INVALID,
                             "%s: length %" PRId64 " (element %" PRId64
                             " of sequence_lens) is outside 0..%" PRId64,
                             call->op->name, data->lengths[i], i, rnn->steps);
        }
    }
    return KATA_OK;
}

/* Takes all that a forward run needs; `base` NULL counts. */
static size_t forward_room(const kata_call *call, const kata__recurrent *rnn, double *base,
                           kata__recurrent_data *data) {
    taker t = {.base = base};
    take_operands(&t, call, rnn, data);
    data->y = take_output(&t, call, Y);
    data->y_h = take_output(&t, call, Y_H);
    data->y_c = take_output(&t, call, Y_C);
    return t.used * sizeof(double);
}

static size_t recurrent_workspace(const kata_call *call) {
    kata__recurrent rnn;
    kata__recurrent_data data;
    return call_of(call, &rnn) == KATA_OK ? forward_room(call, &rnn, NULL, &data) : 0;
}

static kata_status recurrent_reference(const kata_call *call) {
    kata__recurrent rnn;
    kata__recurrent_data data;
    KATA__TRY(call_of(call, &rnn));
    forward_room(call, &rnn, call->workspace, &data);
    KATA__TRY(check_lengths(call, &rnn, &data));
    kata__recurrent_forward(&rnn, &data);
    give_output(call, Y, data.y);
    give_output(call, Y_H, data.y_h);
    give_output(call, Y_C, data.y_c);
    return KATA_OK;
}

static size_t backward_room(const kata_call *call, const kata__recurrent *rnn, double *base,
                            kata__recurrent_data *data) {
    taker t = {.base = base};
    take_operands(&t, call, rnn, data);
    data->dy = take_input(&t, call, DY);
    data->dy_h = take_input(&t, call, DY_H);
    data->dy_c = take_input(&t, call, DY_C);
    data->y = take(&t, rnn->steps * rnn->directions * rnn->n * rnn->units);
    data->dx = take_output(&t, call, DX);
    data->dw = take_output(&t, call, DW);
    data->dr = take_output(&t, call, DR);
    data->db = data->b != NULL || base == NULL ? take_output(&t, call, DB) : NULL;
    data->dh0 = data->h0 != NULL || base == NULL ? take_output(&t, call, DH0) : NULL;
    data->dc0 = data->c0 != NULL || base == NULL ? take_output(&t, call, DC0) : NULL;
    data->dp = data->p != NULL || base == NULL ? take_output(&t, call, DP) : NULL;
    return t.used * sizeof(double);
}

static size_t recurrent_grad_workspace(const kata_call *call) {
    kata__recurrent rnn;
    kata__recurrent_data data;
    return call_of(call, &rnn) == KATA_OK ? backward_room(call, &rnn, NULL, &data) : 0;
}

/* The steps are run again for what the gradient needs of each. */
static kata_status recurrent_grad_reference(const kata_call *call) {
    kata__recurrent rnn;
    kata__recurrent_data data;
    KATA__TRY(call_of(call, &rnn));
    backward_room(call, &rnn, call->workspace, &data);
    KATA__TRY(check_lengths(call, &rnn, &data));
    kata__recurrent_forward(&rnn, &data);
    kata__recurrent_backward(&rnn, &data);
    double *const results[GRADIENTS] = {data.dx,  data.dw,  data.dr, data.db,
                                        data.dh0, data.dc0, data.dp};
    for (int i = 0; i < call->n_outputs; i++) {
        if (results[i] != NULL) {
            give_output(call, i, results[i]);
        } else {
            kata_store(call->outputs[i].dtype, call->outputs[i].data, 0, 0);
        }
    }
    return KATA_OK;
}

/* --- gradient -------------------------------------------------------------------------------- */

static kata_status recurrent_gradient(kata_gradient *g) {
    static const char *const rows[] = {"kata:RNNGrad", "kata:GRUGrad", "kata:LSTMGrad"};
    static const int to[GRADIENTS] = {X, W, R, B, H0, C0, P};
    const kata__cell cell = cell_of(g->op);
    const int n_outputs = cell == KATA__LSTM ? GRADIENTS : DC0;
    kata_value inputs[ALL_INPUTS] = {KATA_NONE}, outputs[GRADIENTS];
    kata_attribute attributes[OWN + 1];
    int n_attributes = 0;
    for (int i = 0; i < g->n_inputs; i++) {
        inputs[i] = g->inputs[i];
    }
    for (int i = 0; i < g->n_outputs; i++) {
        inputs[DY + i] = g->output_gradients[i];
    }
    for (; g->op->attributes[n_attributes].name != NULL; n_attributes++) {
        const kata_attribute_value *value = &g->attributes[n_attributes];
        attributes[n_attributes] = (kata_attribute){.name = g->op->attributes[n_attributes].name,
                                                    .type = g->op->attributes[n_attributes].type,
                                                    .i = value->i,
                                                    .f = value->f,
                                                    .s = value->s,
                                                    .ints = value->ints,
                                                    .floats = value->floats,
                                                    .strings = value->strings,
                                                    .n = value->n};
    }
    KATA__TRY(kata_graph_node_outputs(g->graph, NULL, rows[cell], inputs, ALL_INPUTS, attributes,
                                      n_attributes, outputs, n_outputs));
    for (int i = 0; i < n_outputs; i++) {
        if (to[i] < g->n_inputs && g->needed[to[i]]) {
            g->input_gradients[to[i]] = outputs[i];
        }
    }
    return KATA_OK;
}

/* --- rows ------------------------------------------------------------------------------------ */

static double recurrent_flops(const kata_call *call) {
    kata__recurrent rnn;
    if (call_of(call, &rnn) != KATA_OK) {
        return 0;
    }
    return 2.0 * (double)(rnn.steps * rnn.n * rnn.directions) * (double)(rnn.gates * rnn.units) *
           (double)(rnn.inputs + rnn.units);
}

/* The steps again, and twice as much for the gradients of weights and inputs. */
static double recurrent_grad_flops(const kata_call *call) {
    return 3 * recurrent_flops(call);
}

#define ATTRIBUTES(...)                                                                            \
    (const kata_attribute_spec[]) {                                                                \
        [ALPHA] = {.name = "activation_alpha",                                                     \
                   .type = KATA_ATTRIBUTE_FLOATS,                                                  \
                   .doc = "alpha of the activations that have one, in their order"},               \
        [BETA] = {.name = "activation_beta",                                                       \
                  .type = KATA_ATTRIBUTE_FLOATS,                                                   \
                  .doc = "beta of the activations that have one, in their order"},                 \
        [ACTIVATIONS] = {.name = "activations",                                                    \
                         .type = KATA_ATTRIBUTE_STRINGS,                                           \
                         .doc = "of each direction; none: Sigmoid for gates, else Tanh"},          \
        [CLIP] = {.name = "clip",                                                                  \
                  .type = KATA_ATTRIBUTE_FLOAT,                                                    \
                  .doc = "bound of what goes into an activation; 0: none"},                        \
        [DIRECTION] = {.name = "direction",                                                        \
                       .type = KATA_ATTRIBUTE_STRING,                                              \
                       .default_string = "forward",                                                \
                       .doc = "forward, reverse or bidirectional"},                                \
        [HIDDEN] = {.name = "hidden_size", .type = KATA_ATTRIBUTE_INT, .doc = "units"},            \
        [LAYOUT] = {.name = "layout",                                                              \
                    .type = KATA_ATTRIBUTE_INT,                                                    \
                    .doc = "0: X is (T,N,I); 1: X is (N,T,I)"},                                    \
        __VA_ARGS__ {                                                                              \
            .name = NULL                                                                           \
        }                                                                                          \
    }

#define ROWS(NAME, INPUTS, OUTPUTS, N_GRADIENTS, LIST, DOC)                                        \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = 7,                                                   \
                                     .min_inputs = 3,                                              \
                                     .max_inputs = INPUTS,                                         \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = OUTPUTS,                                       \
                                     .attributes = LIST,                                           \
                                     .infer = recurrent_infer,                                     \
                                     .workspace = recurrent_workspace,                             \
                                     .reference = recurrent_reference,                             \
                                     .gradient = recurrent_gradient,                               \
                                     .flops = recurrent_flops,                                     \
                                     .tolerance = 1e-5,                                            \
                                     .doc = DOC};                                                  \
    const kata_op kata__op_kata_##NAME##Grad = {                                                   \
        .name = #NAME "Grad",                                                                      \
        .domain = "kata",                                                                          \
        .since = 1,                                                                                \
        .min_inputs = 3,                                                                           \
        .max_inputs = ALL_INPUTS,                                                                  \
        .min_outputs = N_GRADIENTS,                                                                \
        .max_outputs = N_GRADIENTS,                                                                \
        .attributes = LIST,                                                                        \
        .infer = recurrent_grad_infer,                                                             \
        .workspace = recurrent_grad_workspace,                                                     \
        .reference = recurrent_grad_reference,                                                     \
        .flops = recurrent_grad_flops,                                                             \
        .flags = KATA_OP_INTERNAL,                                                                 \
        .tolerance = 1e-5,                                                                         \
        .doc = "Gradients of " #NAME " from its inputs and those of its outputs."};

ROWS(RNN, C0, Y_C, DC0, ATTRIBUTES(),
     "Recurrent layer: h = f(W x + R h + b), step by step (template book 5.3).")
ROWS(GRU, C0, Y_C, DC0,
     ATTRIBUTES([OWN] = {.name = "linear_before_reset",
                         .type = KATA_ATTRIBUTE_INT,
                         .doc = "1: the reset gate multiplies R h + b, not h"}, ),
     "Gated recurrent units (Cho et al. 2014).")
ROWS(LSTM, FORWARD_INPUTS, Y_C + 1, GRADIENTS,
     ATTRIBUTES([OWN] = {.name = "input_forget",
                         .type = KATA_ATTRIBUTE_INT,
                         .doc = "1: the forget gate is 1 - the input gate"}, ),
     "Long short-term memory (Hochreiter and Schmidhuber 1997), with peepholes (input 7).")
