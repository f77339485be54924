/* The rows of bfloat16 convolutions with each algorithm, on every way to multiply, against the
 * plain loops: forward, gradient by the input (spread and not), gradient by the weight.
 *
 * How far Winograd may be off. u = 2^-8 is bfloat16's unit roundoff (8 significant bits). With
 * U = G g G^T, V = B^T d B and D = A dY A^T, all in exact numbers,
 *
 *   y_ij  = sum over points q of a_q(i,j) sum over channels c of U_qc V_qc,  a_q = A_pi A_rj
 *   dg_ij = sum over points q of g_q(i,j) sum over tiles t of V_qt D_qt,     g_q = G_pi G_rj
 *
 * Products of pairs read both factors rounded: each term has two errors of at most u times its
 * size. The plain loops round the weight itself, an error of u |g d| a term of the direct sum, in
 * every way to multiply. Such errors are as often up as down; if they are independent, Hoeffding's
 * inequality says that a sum of numbers x with errors of at most u |x| is off by more than
 *
 *   t u root(sum of x^2)
 *
 * with a probability of at most 2 exp(-t^2/2), for t = 6 that is 3e-8 (Higham and Mary 2019, "A new
 * approach to probabilistic rounding error analysis"). So with W the sum of (g d)^2
 *
 *   y:  6 u root(2 sum of (a_q U_qc V_qc)^2 + W)   with products of pairs, else 6 u root(W),
 *   dw: 6 u root(2 sum of (g_q V_qt D_qt)^2)       with products of pairs, else 0,
 *
 * and what float32 adds to it. Bias, residual, relu, mask and maximum make no error larger. y and
 * what the plain loops give are rounded at the end, u times their size. */
#include "kernel/reference_bfloat16.h"

#include <kata/exec.h>
#include <kata/pass.h>

#include "kernel/conv_nhwc_bf16.h"
#include "op/problem.h"
#include "support/assert_ok.h"

static const double unit_roundoff = 1.0 / 256, likely = 6;
/* Of the largest result: what tests/kernel finds for float32, and more. */
static const double float_error = 2e-5;

enum {
    BIAS = 1,
    RELU = 2,
    RESIDUAL = 4,
    MASK = 8,
    POOL = 16,
    FLIPPED = 32, /* the weight is another convolution's: a gradient by the input */
    SPREAD = 64   /* x is the gradient of a pooling */
};

static double nearest_to_bound[3]; /* the largest error over its bound, by algorithm */

static kata__conv problem(int64_t n, int64_t c, int64_t h, int64_t w, int64_t f, int64_t pad_before,
                          int64_t pad_behind) {
    return bfloat16_layer(n, c, h, w, f, 3, pad_before, pad_behind);
}

/* ---- the transforms, in double ---- */

#define ROOT_2 1.41421356237309504880

typedef struct transforms {
    int size, points;
    double input[6][6], output[4][6], filter[6][3]; /* B^T, A^T, G */
} transforms;

/* src/kernel/body/winograd_lines.h says what they are. */
static const transforms winograd[2] = {{2,
                                        4,
                                        {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}},
                                        {{1, 1, 1, 0}, {0, 1, -1, 1}},
                                        {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}},
                                       {4,
                                        6,
                                        {{1, 0, -2.5, 0, 1, 0},
                                         {0, -ROOT_2, -2, ROOT_2 / 2, 1, 0},
                                         {0, ROOT_2, -2, -ROOT_2 / 2, 1, 0},
                                         {0, -ROOT_2 / 2, -0.5, ROOT_2, 1, 0},
                                         {0, ROOT_2 / 2, -0.5, -ROOT_2, 1, 0},
                                         {0, 1, 0, -2.5, 0, 1}},
                                        {{1, 1, 1, 1, 1, 0},
                                         {0, ROOT_2 / 2, -ROOT_2 / 2, ROOT_2, -ROOT_2, 0},
                                         {0, 0.5, 0.5, 2, 2, 0},
                                         {0, ROOT_2 / 4, -ROOT_2 / 4, 2 * ROOT_2, -2 * ROOT_2, 1}},
                                        {{1, 0, 0},
                                         {-2.0 / 3, -ROOT_2 / 3, -1.0 / 3},
                                         {-2.0 / 3, ROOT_2 / 3, -1.0 / 3},
                                         {1.0 / 6, ROOT_2 / 6, 1.0 / 3},
                                         {1.0 / 6, -ROOT_2 / 6, 1.0 / 3},
                                         {0, 0, 1}}}};

/* to = m from m^T, m (rows, inner) with rows `pitch` numbers apart, from (inner, inner). */
static void sandwich(int rows, int inner, const double *m, int pitch, const double *from,
                     double *to) {
    double half[6 * 6];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < inner; j++) {
            half[i * inner + j] = 0;
            for (int k = 0; k < inner; k++) {
                half[i * inner + j] += m[i * pitch + k] * from[k * inner + j];
            }
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < rows; j++) {
            to[i * rows + j] = 0;
            for (int k = 0; k < inner; k++) {
                to[i * rows + j] += half[i * inner + k] * m[j * pitch + k];
            }
        }
    }
}

/* B^T d B of the patch of x (n,h,w,c) under a tile, at channel c. */
static void transform_patch(const transforms *t, const kata__conv *g, const double *x, int64_t n,
                            int64_t row, int64_t column, int64_t c, double *to) {
    double patch[36];
    for (int i = 0; i < t->points * t->points; i++) {
        const int64_t y = row - g->pad_top + i / t->points,
                      z = column - g->pad_left + i % t->points;
        const bool inside = y >= 0 && y < g->h && z >= 0 && z < g->w;
        patch[i] = inside ? x[((n * g->h + y) * g->w + z) * g->c + c] : 0;
    }
    sandwich(t->points, t->points, &t->input[0][0], 6, patch, to);
}

/* G g G^T. */
static void transform_filter(const transforms *t, const double *filter, double *to) {
    sandwich(t->points, 3, &t->filter[0][0], 3, filter, to);
}

/* A dY A^T: A is (points, size). */
static void transform_gradient(const transforms *t, const double *dy, double *to) {
    double a[6 * 4];
    for (int i = 0; i < t->points; i++) {
        for (int j = 0; j < t->size; j++) {
            a[i * t->size + j] = t->output[j][i];
        }
    }
    sandwich(t->points, t->size, a, t->size, dy, to);
}

/* ---- sums and bounds ---- */

/* y (n,oh,ow,f) of x (n,h,w,c) and weight (f,c,3,3), and with it the sums of squares. */
static void direct_sums(const kata__conv *g, const double *x, const double *weight, double *y,
                        double *squares) {
    for (int64_t i = 0; i < g->n * g->oh * g->ow * g->f; i++) {
        const int64_t f = i % g->f, ox = i / g->f % g->ow, oy = i / g->f / g->ow % g->oh;
        const int64_t n = i / g->f / g->ow / g->oh;
        y[i] = squares[i] = 0;
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
            for (int64_t c = 0; c < g->c && iy >= 0 && iy < g->h && ix >= 0 && ix < g->w; c++) {
                const double term =
                    x[((n * g->h + iy) * g->w + ix) * g->c + c] * weight[(f * g->c + c) * 9 + tap];
                y[i] += term;
                squares[i] += term * term;
            }
        }
    }
}

/* Adds 2 sum of (a_q U_qc V_qc)^2 to each of squares (n,oh,ow,f). */
static void add_forward_squares(const transforms *t, const kata__conv *g, const double *x,
                                const double *weight, double *squares) {
    const int points = t->points * t->points;
    double *u = calloc((size_t)(g->f * g->c * points), sizeof *u);
    double *v = calloc((size_t)(g->c * points), sizeof *v);
    assert_true(u && v);
    for (int64_t i = 0; i < g->f * g->c; i++) {
        transform_filter(t, weight + i * 9, u + i * points);
    }
    const int64_t rows = (g->oh + t->size - 1) / t->size, columns = (g->ow + t->size - 1) / t->size;
    for (int64_t tile = 0; tile < g->n * rows * columns; tile++) {
        const int64_t n = tile / columns / rows, row = tile / columns % rows * t->size;
        const int64_t column = tile % columns * t->size;
        for (int64_t c = 0; c < g->c; c++) {
            transform_patch(t, g, x, n, row, column, c, v + c * points);
        }
        for (int64_t f = 0; f < g->f; f++) {
            double sum[36] = {0};
            for (int64_t i = 0; i < g->c * points; i++) {
                const double term = u[f * g->c * points + i] * v[i];
                sum[i % points] += term * term;
            }
            for (int i = 0; i < t->size && row + i < g->oh; i++) {
                for (int j = 0; j < t->size && column + j < g->ow; j++) {
                    double all = 0;
                    for (int q = 0; q < points; q++) {
                        const double a = t->output[i][q / t->points] * t->output[j][q % t->points];
                        all += a * a * sum[q];
                    }
                    squares[((n * g->oh + row + i) * g->ow + column + j) * g->f + f] += 2 * all;
                }
            }
        }
    }
    free(u);
    free(v);
}

/* dw (f,c,3,3) and db (f) of x and dy (n,oh,ow,f), by definition. */
static void weight_sums(const kata__conv *g, const double *x, const double *dy, double *dw,
                        double *db) {
    memset(dw, 0, (size_t)(g->f * g->c * 9) * sizeof *dw);
    memset(db, 0, (size_t)g->f * sizeof *db);
    for (int64_t i = 0; i < g->n * g->oh * g->ow * g->f; i++) {
        const int64_t f = i % g->f, ox = i / g->f % g->ow, oy = i / g->f / g->ow % g->oh;
        const int64_t n = i / g->f / g->ow / g->oh;
        db[f] += dy[i];
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
            for (int64_t c = 0; c < g->c && iy >= 0 && iy < g->h && ix >= 0 && ix < g->w; c++) {
                dw[(f * g->c + c) * 9 + tap] += x[((n * g->h + iy) * g->w + ix) * g->c + c] * dy[i];
            }
        }
    }
}

/* squares (f,c,3,3) = 2 sum of (g_q V_qt D_qt)^2. */
static void weight_squares(const transforms *t, const kata__conv *g, const double *x,
                           const double *dy, double *squares) {
    const int points = t->points * t->points;
    const int64_t rows = (g->oh + t->size - 1) / t->size, columns = (g->ow + t->size - 1) / t->size;
    double *v = calloc((size_t)(g->c * points), sizeof *v);
    double *sums = calloc((size_t)(g->f * g->c * points), sizeof *sums);
    assert_true(v && sums);
    for (int64_t tile = 0; tile < g->n * rows * columns; tile++) {
        const int64_t n = tile / columns / rows, row = tile / columns % rows * t->size;
        const int64_t column = tile % columns * t->size;
        for (int64_t c = 0; c < g->c; c++) {
            transform_patch(t, g, x, n, row, column, c, v + c * points);
        }
        for (int64_t f = 0; f < g->f; f++) {
            double part[16] = {0}, d[36];
            for (int i = 0; i < t->size * t->size; i++) {
                const int64_t y = row + i / t->size, z = column + i % t->size;
                part[i] = y < g->oh && z < g->ow ? dy[((n * g->oh + y) * g->ow + z) * g->f + f] : 0;
            }
            transform_gradient(t, part, d);
            for (int64_t i = 0; i < g->c * points; i++) {
                const double term = v[i] * d[i % points];
                sums[f * g->c * points + i] += term * term;
            }
        }
    }
    for (int64_t i = 0; i < g->f * g->c * 9; i++) {
        squares[i] = 0;
        for (int q = 0; q < points; q++) {
            const double a = t->filter[q / t->points][i % 9 / 3] * t->filter[q % t->points][i % 3];
            squares[i] += 2 * a * a * sums[i / 9 * points + q];
        }
    }
    free(v);
    free(sums);
}

static double *doubles(int64_t count) {
    double *x = calloc((size_t)count + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

static double *read_all(kata_dtype dtype, const void *data, int64_t count) {
    double *x = doubles(count);
    for (int64_t i = 0; i < count; i++) {
        x[i] = kata_load(dtype, data, i);
    }
    return x;
}

/* (n,h,w,c) from what a pooling of it has, (n,h/2,w/2,c). */
static double *spread(const uint16_t *x, const uint8_t *index, int64_t n, int64_t h, int64_t w,
                      int64_t c) {
    double *to = doubles(n * h * w * c);
    for (int64_t i = 0; i < n * (h / 2) * (w / 2) * c; i++) {
        const int64_t column = i / c % (w / 2) * 2 + index[i] % 2;
        const int64_t row = i / c / (w / 2) % (h / 2) * 2 + index[i] / 2;
        if (index[i] < 4) {
            to[((i / c / (w / 2) / (h / 2) * h + row) * w + column) * c + i % c] =
                kata_load(KATA_BF16, x, i);
        }
    }
    return to;
}

static uint8_t *some_places(int64_t count) {
    uint8_t *index = reference_buffer((size_t)count);
    for (int64_t i = 0; i < count; i++) {
        const uint32_t place = reference_bits() % 5;
        index[i] = place < 4 ? (uint8_t)place : KATA__POOL_NONE;
    }
    return index;
}

/* ---- graphs ---- */

typedef struct graph_input {
    kata_dtype dtype;
    kata_shape shape;
    const void *data; /* NULL: absent */
} graph_input;

typedef struct network {
    kata_graph *graph;
    const void *data[6];
    kata_value values[6];
    int n;
} network;

static network begin(kata_context *context, const graph_input *inputs, int n) {
    network net = {0};
    assert_ok(kata_graph_new(&net.graph, context, "conv"));
    for (int i = 0; i < n; i++) {
        if (inputs[i].data != NULL) {
            net.data[net.n++] = inputs[i].data;
            net.values[i] = kata_graph_input(net.graph, NULL, inputs[i].dtype, &inputs[i].shape);
        }
    }
    return net;
}

static kata_session *run(network *net, const kata_value *outputs, int n_outputs, bool reference) {
    kata_session *session;
    for (int i = 0; i < n_outputs; i++) {
        kata_graph_output(net->graph, NULL, outputs[i]);
    }
    if (kata_graph_status(net->graph) != KATA_OK) {
        fail_msg("%s", kata_graph_message(net->graph));
    }
    assert_ok(
        kata_session_new(&session, net->graph, &(kata_session_options){.reference = reference}));
    for (int i = 0; i < net->n; i++) {
        kata_tensor tensor = kata_session_input(session, i);
        memcpy(tensor.data, net->data[i], kata_tensor_bytes(&tensor));
    }
    assert_ok(kata_session_run(session, 1, 1));
    return session;
}

/* What all rows take. */
#define SHARED(g, algorithm)                                                                       \
    KATA_INT("algorithm", algorithm), KATA_INTS("pads", (g)->pad_top, (g)->pad_left),              \
        KATA_INTS("sizes", (g)->oh, (g)->ow), KATA_INTS("weight", (g)->f, (g)->c, 3, 3)

enum { IN_X, IN_WEIGHT, IN_BIAS, IN_RESIDUAL, IN_MASK, IN_SPREAD, INPUTS };

static kata_session *run_forward(kata_context *context, const kata__conv *g, int algorithm,
                                 int options, const graph_input *inputs, bool reference,
                                 kata_graph **graph) {
    network net = begin(context, inputs, INPUTS);
    const int64_t packed = kata__conv_bf16_numbers(context, g, (kata__conv_algorithm)algorithm);
    const kata_attribute packing[] = {
        SHARED(g, algorithm), KATA_INTS("input", g->n, g->h, g->w, g->c),
        KATA_INT("flipped", (options & FLIPPED) != 0), KATA_INT("packed", packed)};
    kata_value weight, outputs[2];
    kata_graph_node_outputs(net.graph, NULL, "kata:ConvBfloat16Prepack", &net.values[IN_WEIGHT], 1,
                            packing, sizeof packing / sizeof *packing, &weight, 1);
    net.values[IN_WEIGHT] = weight;
    const bool spreads = options & SPREAD;
    const int n_outputs = options & POOL ? 2 : 1;
    const kata_attribute list[] = {SHARED(g, algorithm), KATA_INT("relu", (options & RELU) != 0),
                                   KATA_INT("pool", (options & POOL) != 0),
                                   KATA_INTS("input", g->h, g->w)};
    const int n = (int)(sizeof list / sizeof *list) - !spreads;
    kata_graph_node_outputs(net.graph, NULL, "kata:ConvBfloat16", net.values,
                            spreads ? INPUTS : IN_SPREAD, list, n, outputs, n_outputs);
    *graph = net.graph;
    return run(&net, outputs, n_outputs, reference);
}

static kata_session *run_weight(kata_context *context, const kata__conv *g, int algorithm,
                                const graph_input *inputs, bool reference, kata_graph **graph) {
    network net = begin(context, inputs, 3);
    const kata_attribute list[] = {SHARED(g, algorithm)};
    kata_value outputs[2];
    kata_graph_node_outputs(net.graph, NULL, "kata:ConvBfloat16GradWeight", net.values,
                            inputs[2].data != NULL ? 3 : 2, list, sizeof list / sizeof *list,
                            outputs, 2);
    *graph = net.graph;
    return run(&net, outputs, 2, reference);
}

static void same_bits(kata_session *a, kata_session *b, int n_outputs) {
    for (int k = 0; k < n_outputs; k++) {
        kata_tensor x = kata_session_output(a, k), y = kata_session_output(b, k);
        assert_memory_equal(x.data, y.data, kata_tensor_bytes(&x));
    }
}

/* ---- the checks ---- */

static void name_case(char *what, size_t size, int way, int algorithm, const kata__conv *g,
                      int options) {
    snprintf(
        what, size, "%s %s algorithm %d options %d n %lld c %lld h %lld w %lld f %lld pad %lld",
        bfloat16_ways[way][0], bfloat16_ways[way][1], algorithm, options, (long long)g->n,
        (long long)g->c, (long long)g->h, (long long)g->w, (long long)g->f, (long long)g->pad_top);
}

/* Element o of the result: its numbers' error bound before the last rounding, and whether `index`
 * is the place of a maximum within it. sums: before the store. */
static double bound_of(const kata__conv *g, int options, const graph_input *inputs,
                       const double *sums, const double *errors, int64_t o, int index,
                       bool *is_place) {
    const bool pool = options & POOL;
    const int64_t rows = pool ? g->oh / 2 : g->oh, columns = pool ? g->ow / 2 : g->ow;
    const int64_t f = o % g->f, ox = o / g->f % columns, oy = o / g->f / columns % rows;
    const int64_t n = o / g->f / columns / rows;
    double value[4], best = -INFINITY, error = 0;
    for (int k = 0; k < (pool ? 4 : 1); k++) {
        const int64_t row = pool ? 2 * oy + k / 2 : oy, column = pool ? 2 * ox + k % 2 : ox;
        const int64_t at = ((n * g->oh + row) * g->ow + column) * g->f + f;
        value[k] = sums[at];
        value[k] += options & BIAS ? kata_load(KATA_F32, inputs[IN_BIAS].data, f) : 0;
        value[k] += options & RESIDUAL ? kata_load(KATA_BF16, inputs[IN_RESIDUAL].data, at) : 0;
        best = fmax(best, value[k]);
        error = fmax(error, errors[at]);
    }
    *is_place = index == KATA__POOL_NONE ? options & RELU && best <= error
                                         : index < 4 && value[index] >= best - 2 * error &&
                                               !(options & RELU && best < -error);
    return error;
}

static void check_forward(const kata__conv *g, int options) {
    const int64_t n_y = g->n * g->oh * g->ow * g->f, n_weight = g->f * g->c * 9;
    const int64_t half_h = g->h / 2, half_w = g->w / 2;
    const bool spreads = options & SPREAD, flipped = options & FLIPPED;
    const int64_t n_x = spreads ? g->n * half_h * half_w * g->c : g->n * g->h * g->w * g->c;
    uint16_t *x = reference_numbers(KATA_BF16, n_x);
    uint8_t *places = some_places(n_x);
    float *weight = reference_numbers(KATA_F32, n_weight);
    float *bias = reference_numbers(KATA_F32, g->f);
    uint16_t *residual = reference_numbers(KATA_BF16, n_y);
    uint16_t *mask = reference_numbers(KATA_BF16, n_y);
    const kata_shape y_shape = KATA_SHAPE_OF(g->n, g->oh, g->ow, g->f);
    const kata_shape x_shape =
        spreads ? KATA_SHAPE_OF(g->n, half_h, half_w, g->c) : KATA_SHAPE_OF(g->n, g->h, g->w, g->c);
    const graph_input inputs[INPUTS] = {
        {KATA_BF16, x_shape, x},
        {KATA_F32, KATA_SHAPE_OF(flipped ? g->c : g->f, flipped ? g->f : g->c, 3, 3), weight},
        {KATA_F32, KATA_SHAPE_OF(g->f), options & BIAS ? bias : NULL},
        {KATA_BF16, y_shape, options & RESIDUAL ? residual : NULL},
        {KATA_BF16, y_shape, options & MASK ? mask : NULL},
        {KATA_U8, x_shape, spreads ? places : NULL}};

    double *dense =
        spreads ? spread(x, places, g->n, g->h, g->w, g->c) : read_all(KATA_BF16, x, n_x);
    /* (f,c,3,3), and rounded: what the plain loops read. */
    double *read = doubles(n_weight), *rounded = doubles(n_weight);
    for (int64_t i = 0; i < n_weight; i++) {
        const int64_t f = i / 9 / g->c, c = i / 9 % g->c, tap = i % 9;
        const float v = weight[flipped ? (c * g->f + f) * 9 + 8 - tap : i];
        read[i] = (double)v;
        rounded[i] = (double)kata_bf16_to_f32(kata_f32_to_bf16(v));
    }
    double *sums = doubles(n_y), *direct = doubles(n_y), *errors = doubles(n_y);
    direct_sums(g, dense, rounded, sums, direct);
    const double float_part = float_error * (bfloat16_largest(sums, n_y) + 1);
    kata_graph *plain;
    kata_session *want = run_forward(bfloat16_contexts[0][0], g, 0, options, inputs, true, &plain);
    for (int algorithm = 0; algorithm < 3; algorithm++) {
        double *pairs = doubles(n_y);
        if (algorithm > 0) {
            add_forward_squares(&winograd[algorithm - 1], g, dense, read, pairs);
        }
        for (int way = 0; way < BFLOAT16_WAYS; way++) {
            kata_context *context = bfloat16_contexts[way][0];
            if (context == NULL) {
                continue;
            }
            const bool has_pairs = strcmp(bfloat16_ways[way][1], "plain") != 0;
            for (int64_t i = 0; i < n_y; i++) {
                const double squares = algorithm == 0 ? 0 : direct[i] + has_pairs * pairs[i];
                errors[i] = likely * unit_roundoff * sqrt(squares) + float_part;
            }
            kata_graph *graph, *other_graph;
            kata_session *got = run_forward(context, g, algorithm, options, inputs, false, &graph);
            for (int t = 1; t < BFLOAT16_THREADS; t++) {
                kata_session *other = run_forward(bfloat16_contexts[way][t], g, algorithm, options,
                                                  inputs, false, &other_graph);
                same_bits(got, other, options & POOL ? 2 : 1);
                kata_session_free(other);
                kata_graph_free(other_graph);
            }
            char what[240];
            name_case(what, sizeof what, way, algorithm, g, options);
            kata_tensor y = kata_session_output(got, 0), expected = kata_session_output(want, 0);
            const uint8_t *index = options & POOL ? kata_session_output(got, 1).data : NULL;
            for (int64_t i = 0; i < kata_tensor_count(&y); i++) {
                const double a = kata_load(KATA_BF16, y.data, i);
                const double b = kata_load(KATA_BF16, expected.data, i);
                bool is_place = true;
                double bound = bound_of(g, options, inputs, sums, errors, i,
                                        index != NULL ? index[i] : 0, &is_place);
                bound += unit_roundoff * (fabs(a) + fabs(b));
                if (!(fabs(a - b) <= bound)) {
                    fail_msg("%s: number %lld is %g, expected %g within %g", what, (long long)i, a,
                             b, bound);
                }
                if (index != NULL && !is_place) {
                    fail_msg("%s: place %lld is %d", what, (long long)i, index[i]);
                }
                nearest_to_bound[algorithm] =
                    fmax(nearest_to_bound[algorithm], fabs(a - b) / bound);
            }
            kata_session_free(got);
            kata_graph_free(graph);
        }
        free(pairs);
    }
    kata_session_free(want);
    kata_graph_free(plain);
    free(x);
    free(places);
    free(weight);
    free(bias);
    free(residual);
    free(mask);
    free(dense);
    free(read);
    free(rounded);
    free(sums);
    free(direct);
    free(errors);
}

static void check_weight(const kata__conv *g, bool pooled) {
    const int64_t n_x = g->n * g->h * g->w * g->c, n_dw = g->f * g->c * 9;
    const int64_t rows = pooled ? g->oh / 2 : g->oh, columns = pooled ? g->ow / 2 : g->ow;
    const int64_t n_dy = g->n * rows * columns * g->f, sums = g->n * g->oh * g->ow;
    uint16_t *x = reference_numbers(KATA_BF16, n_x), *dy = reference_numbers(KATA_BF16, n_dy);
    uint8_t *places = some_places(n_dy);
    const kata_shape dy_shape = KATA_SHAPE_OF(g->n, rows, columns, g->f);
    const graph_input inputs[3] = {{KATA_BF16, KATA_SHAPE_OF(g->n, g->h, g->w, g->c), x},
                                   {KATA_BF16, dy_shape, dy},
                                   {KATA_U8, dy_shape, pooled ? places : NULL}};
    double *x_all = read_all(KATA_BF16, x, n_x);
    double *dy_all =
        pooled ? spread(dy, places, g->n, g->oh, g->ow, g->f) : read_all(KATA_BF16, dy, n_dy);
    double *dw = doubles(n_dw), *db = doubles(g->f), *squares = doubles(n_dw);
    weight_sums(g, x_all, dy_all, dw, db);
    const double float_part = float_error * (bfloat16_largest(dw, n_dw) + 1);
    kata_graph *plain;
    kata_session *want = run_weight(bfloat16_contexts[0][0], g, 0, inputs, true, &plain);
    for (int algorithm = 0; algorithm < 3; algorithm++) {
        memset(squares, 0, (size_t)n_dw * sizeof *squares);
        if (algorithm > 0) {
            weight_squares(&winograd[algorithm - 1], g, x_all, dy_all, squares);
        }
        for (int way = 0; way < BFLOAT16_WAYS; way++) {
            kata_context *context = bfloat16_contexts[way][0];
            if (context == NULL) {
                continue;
            }
            const bool has_pairs = strcmp(bfloat16_ways[way][1], "plain") != 0;
            kata_graph *graph, *other_graph;
            kata_session *got = run_weight(context, g, algorithm, inputs, false, &graph);
            for (int t = 1; t < BFLOAT16_THREADS; t++) {
                kata_session *other = run_weight(bfloat16_contexts[way][t], g, algorithm, inputs,
                                                 false, &other_graph);
                same_bits(got, other, 2);
                kata_session_free(other);
                kata_graph_free(other_graph);
            }
            char what[240];
            name_case(what, sizeof what, way, algorithm, g, pooled ? POOL : 0);
            const float *a = kata_session_output(got, 0).data;
            const float *b = kata_session_output(want, 0).data;
            for (int64_t i = 0; i < n_dw; i++) {
                const double error = fabs((double)a[i] - (double)b[i]);
                const double bound =
                    likely * unit_roundoff * sqrt(has_pairs * squares[i]) + float_part;
                if (!(error <= bound)) {
                    fail_msg("%s: dw %lld is %g, expected %g within %g", what, (long long)i,
                             (double)a[i], (double)b[i], bound);
                }
                nearest_to_bound[algorithm] = fmax(nearest_to_bound[algorithm], error / bound);
            }
            strncat(what, " by bias", sizeof what - strlen(what) - 1);
            reference_compare(what, KATA_F32, kata_session_output(got, 1).data, db, g->f,
                              bfloat16_tolerance(KATA_F32, sums));
            kata_session_free(got);
            kata_graph_free(graph);
        }
    }
    kata_session_free(want);
    kata_graph_free(plain);
    free(x);
    free(dy);
    free(places);
    free(x_all);
    free(dy_all);
    free(dw);
    free(db);
    free(squares);
}

/* Whole tiles and parts of tiles, pairs of channels and one too many, more filters than a vector.
 */
static void test_forward(void **state) {
    (void)state;
    const kata__conv even = problem(2, 16, 8, 12, 16, 1, 1), odd = problem(2, 17, 7, 9, 33, 1, 1);
    const kata__conv wide = problem(1, 48, 6, 5, 20, 2, 2), one = problem(3, 1, 5, 6, 3, 0, 0);
    const int options[] = {0,           BIAS | RELU,        BIAS | RELU | RESIDUAL, MASK,
                           BIAS | POOL, BIAS | RELU | POOL, RELU | RESIDUAL | POOL};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        check_forward(&even, options[i]);
        check_forward(&odd, options[i]);
        check_forward(&wide, options[i]);
        check_forward(&one, options[i]);
    }
}

/* Of x (n,c,h,w) with pads p: the convolution of dy with pads 2 - p, the weight flipped. */
static void test_by_input(void **state) {
    (void)state;
    for (int64_t pad = 0; pad < 3; pad++) {
        const kata__conv even = problem(2, 32, 8, 8, 16, 2 - pad, 2 - pad);
        const kata__conv odd = problem(2, 19, 7, 9, 17, 2 - pad, 2 - pad);
        const int options[] = {0, MASK, RESIDUAL | MASK};
        for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
            check_forward(&even, FLIPPED | options[i]);
            check_forward(&odd, FLIPPED | options[i]);
            check_forward(&even, FLIPPED | SPREAD | options[i]);
            check_forward(&odd, FLIPPED | SPREAD | options[i]);
        }
    }
}

static void test_by_weight(void **state) {
    (void)state;
    for (int64_t pad = 0; pad < 3; pad++) {
        const kata__conv even = problem(3, 16, 8, 8, 32, pad, pad);
        const kata__conv odd = problem(2, 33, 7, 10, 17, pad, pad);
        const kata__conv one = problem(3, 3, 5, 6, 2, pad, pad);
        for (int pooled = 0; pooled < 2; pooled++) {
            check_weight(&even, pooled);
            check_weight(&odd, pooled);
            check_weight(&one, pooled);
        }
    }
}

/* Sizes by chance. */
static void test_random(void **state) {
    (void)state;
    for (int round = 0; round < 24;) {
        const kata__conv g =
            problem(reference_range(1, 3), reference_range(1, 40), reference_range(3, 11),
                    reference_range(3, 18), reference_range(1, 40), reference_range(0, 2),
                    reference_range(0, 2));
        if (g.oh < 2 || g.ow < 2) {
            continue;
        }
        int options = (int)(reference_bits() % 64);
        options = options & POOL ? options & ~MASK : options;
        check_forward(&g, options);
        check_weight(&g, reference_bits() % 2);
        round++;
    }
}

static void test_bounds(void **state) {
    (void)state;
    printf("largest error over its bound: direct %.2g, F(2x2) %.2g, F(4x4) %.2g\n",
           nearest_to_bound[0], nearest_to_bound[1], nearest_to_bound[2]);
    /* A bound that no error comes near would find no fault. */
    assert_true(nearest_to_bound[1] > 0.1 && nearest_to_bound[2] > 0.1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),   cmocka_unit_test(test_by_input),
        cmocka_unit_test(test_by_weight), cmocka_unit_test(test_random),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests_name("op/conv_bfloat16", tests, bfloat16_setup,
                                       bfloat16_teardown);
}
