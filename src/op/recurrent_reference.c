/* The plain loops of the recurrent rows: one sequence after the other, step by step. Formulas are
 * those of ONNX's operators RNN, GRU and LSTM; the gradients are derived from them by the chain
 * rule, backwards through the steps (back-propagation through time, Werbos 1990). */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "op/recurrent.h"

/* --- activations ----------------------------------------------------------------------------- */

enum {
    AFFINE,
    RELU,
    THRESHOLDED_RELU,
    TANH,
    SCALED_TANH,
    SIGMOID,
    HARD_SIGMOID,
    ELU,
    SOFTSIGN,
    SOFTPLUS,
    LEAKY_RELU
};

static const struct {
    const char *name;
    kata__activation function;
} activation_list[] = {
    {"Affine", {AFFINE, true, true, 1, 0}},
    {"Relu", {.kind = RELU}},
    {"ThresholdedRelu", {THRESHOLDED_RELU, true, false, 1, 0}},
    {"Tanh", {.kind = TANH}},
    {"ScaledTanh", {SCALED_TANH, true, true, 1, 1}},
    {"Sigmoid", {.kind = SIGMOID}},
    {"HardSigmoid", {HARD_SIGMOID, true, true, 0.2, 0.5}},
    {"Elu", {ELU, true, false, 1, 0}},
    {"Softsign", {.kind = SOFTSIGN}},
    {"Softplus", {.kind = SOFTPLUS}},
    {"LeakyRelu", {LEAKY_RELU, true, false, 0.01, 0}},
};

bool kata__activation_find(const char *name, kata__activation *out) {
    for (size_t i = 0; i < KATA__COUNT(activation_list); i++) {
        if (strcasecmp(activation_list[i].name, name) == 0) {
            *out = activation_list[i].function;
            return true;
        }
    }
    return false;
}

double kata__activation_run(const kata__activation *a, double x) {
    switch (a->kind) {
    case AFFINE:
        return a->alpha * x + a->beta;
    case RELU:
        return x > 0 || isnan(x) ? x : 0;
    case THRESHOLDED_RELU: /* ">=", as the recurrent operators' text has it */
        return x >= a->alpha || isnan(x) ? x : 0;
    case TANH:
        return tanh(x);
    case SCALED_TANH:
        return a->alpha * tanh(a->beta * x);
    case SIGMOID:
        return 1 / (1 + exp(-x));
    case HARD_SIGMOID:
        x = a->alpha * x + a->beta;
        return x < 0 ? 0 : x > 1 ? 1 : x;
    case ELU:
        return x < 0 ? a->alpha * expm1(x) : x;
    case SOFTSIGN:
        return x / (1 + fabs(x));
    case SOFTPLUS:
        return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    default:
        return x < 0 ? a->alpha * x : x;
    }
}

/* f'(x) from y = f(x): all of them rise, so that y says where x was. */
static double slope(const kata__activation *a, double y) {
    switch (a->kind) {
    case AFFINE:
        return a->alpha;
    case RELU:
        return y > 0;
    case THRESHOLDED_RELU:
        return y != 0;
    case TANH:
        return 1 - y * y;
    case SCALED_TANH:
        return a->beta * (a->alpha - y * y / a->alpha);
    case SIGMOID:
        return y * (1 - y);
    case HARD_SIGMOID:
        return y > 0 && y < 1 ? a->alpha : 0;
    case ELU:
        return y < 0 ? y + a->alpha : 1;
    case SOFTSIGN:
        return (1 - fabs(y)) * (1 - fabs(y));
    case SOFTPLUS:
        return -expm1(-y);
    default:
        return y < 0 ? a->alpha : 1;
    }
}

static double activate(const kata__recurrent *rnn, const kata__activation *a, double x) {
    if (rnn->clip > 0) {
        x = x > rnn->clip ? rnn->clip : x < -rnn->clip ? -rnn->clip : x;
    }
    return kata__activation_run(a, x);
}

/* 0 where x was clipped, which shows in y: it is what the bound gives. */
static double slope_at(const kata__recurrent *rnn, const kata__activation *a, double y) {
    if (rnn->clip > 0 &&
        (y == kata__activation_run(a, rnn->clip) || y == kata__activation_run(a, -rnn->clip))) {
        return 0;
    }
    return slope(a, y);
}

/* --- one sequence in one direction ----------------------------------------------------------- */

/* Its weights, and where a step's numbers lie. */
typedef struct sequence {
    const kata__recurrent *rnn;
    const kata__recurrent_data *data;
    const kata__activation *f; /* of this direction */
    int64_t n, direction, length;
    bool backwards; /* from its last step to its first */
    const double *w, *r, *wb, *rb, *p;
} sequence;

static sequence sequence_of(const kata__recurrent *rnn, const kata__recurrent_data *data,
                            int64_t direction, int64_t n) {
    const int64_t gates = rnn->gates * rnn->units;
    sequence s = {.rnn = rnn,
                  .data = data,
                  .f = rnn->activations + direction * 3,
                  .n = n,
                  .direction = direction,
                  .length = data->lengths != NULL ? data->lengths[n] : rnn->steps,
                  .backwards = rnn->reverse || direction == 1,
                  .w = data->w + direction * gates * rnn->inputs,
                  .r = data->r + direction * gates * rnn->units};
    if (data->b != NULL) {
        s.wb = data->b + direction * 2 * gates;
        s.rb = s.wb + gates;
    }
    s.p = data->p != NULL ? data->p + direction * 3 * rnn->units : NULL;
    return s;
}

static int64_t time_of(const sequence *s, int64_t step) {
    return s->backwards ? s->length - 1 - step : step;
}

static int64_t x_at(const sequence *s, int64_t t) {
    const kata__recurrent *rnn = s->rnn;
    return (rnn->sequences_first ? s->n * rnn->steps + t : t * rnn->n + s->n) * rnn->inputs;
}

static int64_t y_at(const sequence *s, int64_t t) {
    const kata__recurrent *rnn = s->rnn;
    int64_t row = rnn->sequences_first ? (s->n * rnn->steps + t) * rnn->directions + s->direction
                                       : (t * rnn->directions + s->direction) * rnn->n + s->n;
    return row * rnn->units;
}

static int64_t state_at(const sequence *s) {
    const kata__recurrent *rnn = s->rnn;
    return (rnn->sequences_first ? s->n * rnn->directions + s->direction
                                 : s->direction * rnn->n + s->n) *
           rnn->units;
}

/* Row k of what is kept of a step. */
static double *saved_at(const sequence *s, int64_t t, int k) {
    const kata__recurrent *rnn = s->rnn;
    return s->data->saved +
           (((s->direction * rnn->n + s->n) * rnn->steps + t) * rnn->n_saved + k) * rnn->units;
}

/* Of the state before a step: h is in y, and c is kept. */
static const double *h_before(const sequence *s, int64_t step, const double *zeros) {
    if (step > 0) {
        return s->data->y + y_at(s, time_of(s, step - 1));
    }
    return s->data->h0 != NULL ? s->data->h0 + state_at(s) : zeros;
}

enum { LSTM_I, LSTM_O, LSTM_F, LSTM_G, LSTM_C, LSTM_SAVED };
enum { GRU_Z, GRU_R, GRU_G, GRU_Q, GRU_SAVED }; /* q: what the reset gate is multiplied with */

static const double *c_before(const sequence *s, int64_t step, const double *zeros) {
    if (step > 0) {
        return saved_at(s, time_of(s, step - 1), LSTM_C);
    }
    return s->data->c0 != NULL ? s->data->c0 + state_at(s) : zeros;
}

/* row . v + bias of gate row k. */
static double dot(const double *matrix, int64_t k, const double *v, int64_t n) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        sum += matrix[k * n + j] * v[j];
    }
    return sum;
}

static double input_part(const sequence *s, int64_t k, const double *x) {
    return dot(s->w, k, x, s->rnn->inputs) + (s->wb != NULL ? s->wb[k] : 0);
}

static double state_part(const sequence *s, int64_t k, const double *h) {
    return dot(s->r, k, h, s->rnn->units) + (s->rb != NULL ? s->rb[k] : 0);
}

/* --- forward --------------------------------------------------------------------------------- */

/* h' = f(W x + R h + b). */
static void rnn_step(const sequence *s, const double *x, const double *h, double *y) {
    for (int64_t u = 0; u < s->rnn->units; u++) {
        y[u] = activate(s->rnn, &s->f[0], input_part(s, u, x) + state_part(s, u, h));
    }
}

/* z, r = f(W x + R h + b); g = f2(W x + R (r h) + b), or with linear_before_reset
 * f2(W x + r (R h + b) + b); h' = (1 - z) g + z h. */
static void gru_step(const sequence *s, int64_t t, const double *x, const double *h, double *y,
                     double *reset_h) {
    const int64_t units = s->rnn->units;
    double *z = saved_at(s, t, GRU_Z), *r = saved_at(s, t, GRU_R);
    double *g = saved_at(s, t, GRU_G), *q = saved_at(s, t, GRU_Q);
    for (int64_t u = 0; u < units; u++) {
        z[u] = activate(s->rnn, &s->f[0], input_part(s, u, x) + state_part(s, u, h));
        r[u] =
            activate(s->rnn, &s->f[0], input_part(s, units + u, x) + state_part(s, units + u, h));
        reset_h[u] = r[u] * h[u];
    }
    for (int64_t u = 0; u < units; u++) {
        const int64_t k = 2 * units + u;
        q[u] = state_part(s, k, s->rnn->linear_before_reset ? h : reset_h);
        double state = s->rnn->linear_before_reset ? r[u] * q[u] : q[u];
        g[u] = activate(s->rnn, &s->f[1], input_part(s, k, x) + state);
    }
    for (int64_t u = 0; u < units; u++) {
        y[u] = (1 - z[u]) * g[u] + z[u] * h[u];
    }
}

/* i, f = f(W x + R h + p c + b); g = f2(W x + R h + b); c' = f c + i g;
 * o = f(W x + R h + p c' + b); h' = o f3(c'). */
static void lstm_step(const sequence *s, int64_t t, const double *x, const double *h,
                      const double *c, double *y) {
    const int64_t units = s->rnn->units;
    double *i = saved_at(s, t, LSTM_I), *o = saved_at(s, t, LSTM_O), *f = saved_at(s, t, LSTM_F);
    double *g = saved_at(s, t, LSTM_G), *c_new = saved_at(s, t, LSTM_C);
    for (int64_t u = 0; u < units; u++) {
        double a[4];
        for (int gate = 0; gate < 4; gate++) {
            int64_t k = gate * units + u;
            a[gate] = input_part(s, k, x) + state_part(s, k, h);
        }
        if (s->p != NULL) {
            a[LSTM_I] += s->p[u] * c[u];
            a[LSTM_F] += s->p[2 * units + u] * c[u];
        }
        i[u] = activate(s->rnn, &s->f[0], a[LSTM_I]);
        f[u] = s->rnn->input_forget ? 1 - i[u] : activate(s->rnn, &s->f[0], a[LSTM_F]);
        g[u] = activate(s->rnn, &s->f[1], a[LSTM_G]);
        c_new[u] = f[u] * c[u] + i[u] * g[u];
        if (s->p != NULL) {
            a[LSTM_O] += s->p[units + u] * c_new[u];
        }
        o[u] = activate(s->rnn, &s->f[0], a[LSTM_O]);
        y[u] = o[u] * activate(s->rnn, &s->f[2], c_new[u]);
    }
}

static void forward_step(const sequence *s, int64_t step, const double *zeros, double *spare) {
    const int64_t t = time_of(s, step);
    const double *x = s->data->x + x_at(s, t), *h = h_before(s, step, zeros);
    double *y = s->data->y + y_at(s, t);
    switch (s->rnn->cell) {
    case KATA__RNN:
        rnn_step(s, x, h, y);
        break;
    case KATA__GRU:
        gru_step(s, t, x, h, y, spare);
        break;
    case KATA__LSTM:
        lstm_step(s, t, x, h, c_before(s, step, zeros), y);
        break;
    }
}

/* Steps behind the end are 0, and so is the last state of a sequence without a step. */
static void forward(const sequence *s, double *scratch) {
    const int64_t units = s->rnn->units, at = state_at(s);
    double *zeros = scratch, *spare = scratch + units;
    memset(zeros, 0, (size_t)units * sizeof *zeros);
    for (int64_t t = s->length; t < s->rnn->steps; t++) {
        memset(s->data->y + y_at(s, t), 0, (size_t)units * sizeof *zeros);
    }
    for (int64_t step = 0; step < s->length; step++) {
        forward_step(s, step, zeros, spare);
    }
    const int64_t last = s->length > 0 ? time_of(s, s->length - 1) : 0;
    for (int64_t u = 0; u < units; u++) {
        bool any = s->length > 0;
        if (s->data->y_h != NULL) {
            s->data->y_h[at + u] = any ? s->data->y[y_at(s, last) + u] : 0;
        }
        if (s->data->y_c != NULL) {
            s->data->y_c[at + u] = any ? saved_at(s, last, LSTM_C)[u] : 0;
        }
    }
}

/* --- backward -------------------------------------------------------------------------------- */

/* The gradients of a sequence's state while going back through its steps. */
typedef struct back {
    double *dh, *dc;   /* of the state after the step; then of that before it */
    double *da;        /* of what goes into the gates' activations (G H) */
    double *dh_before; /* of the state before the step */
    double *spare;     /* H */
} back;

/* Gate row k of the input side has the gradient da: to W, its bias and x. */
static void add_input(const sequence *s, int64_t k, double da, const double *x, double *dx) {
    const int64_t n = s->rnn->inputs, gates = s->rnn->gates * s->rnn->units;
    double *dw = s->data->dw + s->direction * gates * n + k * n;
    for (int64_t j = 0; j < n; j++) {
        dw[j] += da * x[j];
        dx[j] += da * s->w[k * n + j];
    }
    if (s->data->db != NULL) {
        s->data->db[s->direction * 2 * gates + k] += da;
    }
}

/* The same of the state's side: to R, its bias and h. */
static void add_state(const sequence *s, int64_t k, double da, const double *h, double *dh) {
    const int64_t n = s->rnn->units, gates = s->rnn->gates * n;
    double *dr = s->data->dr + s->direction * gates * n + k * n;
    for (int64_t j = 0; j < n; j++) {
        dr[j] += da * h[j];
        dh[j] += da * s->r[k * n + j];
    }
    if (s->data->db != NULL) {
        s->data->db[s->direction * 2 * gates + gates + k] += da;
    }
}

static void rnn_back(const sequence *s, const double *y, const back *b) {
    for (int64_t u = 0; u < s->rnn->units; u++) {
        b->da[u] = b->dh[u] * slope_at(s->rnn, &s->f[0], y[u]);
    }
}

/* Leaves in dh_before what does not go through R; the part of g's state side is done here, since it
 * is not h that R is multiplied with. */
static void gru_back(const sequence *s, int64_t t, const double *h, const back *b) {
    const int64_t units = s->rnn->units;
    const double *z = saved_at(s, t, GRU_Z), *r = saved_at(s, t, GRU_R);
    const double *g = saved_at(s, t, GRU_G), *q = saved_at(s, t, GRU_Q);
    double *dz = b->da, *dr = b->da + units, *dg = b->da + 2 * units, *d_reset = b->spare;
    double *reset_h = b->spare + units;
    for (int64_t u = 0; u < units; u++) {
        dz[u] = b->dh[u] * (h[u] - g[u]) * slope_at(s->rnn, &s->f[0], z[u]);
        dg[u] = b->dh[u] * (1 - z[u]) * slope_at(s->rnn, &s->f[1], g[u]);
        b->dh_before[u] += b->dh[u] * z[u];
        d_reset[u] = 0;
        reset_h[u] = r[u] * h[u];
    }
    for (int64_t u = 0; u < units; u++) {
        const int64_t k = 2 * units + u;
        if (s->rnn->linear_before_reset) {
            add_state(s, k, dg[u] * r[u], h, b->dh_before);
            d_reset[u] = dg[u] * q[u];
        } else {
            add_state(s, k, dg[u], reset_h, d_reset);
        }
    }
    for (int64_t u = 0; u < units; u++) { /* d_reset: of r, or of r h */
        double d = d_reset[u];
        if (!s->rnn->linear_before_reset) {
            b->dh_before[u] += d * r[u];
            d *= h[u];
        }
        dr[u] = d * slope_at(s->rnn, &s->f[0], r[u]);
    }
}

static void lstm_back(const sequence *s, int64_t t, const double *c, const back *b) {
    const int64_t units = s->rnn->units;
    const double *i = saved_at(s, t, LSTM_I), *o = saved_at(s, t, LSTM_O);
    const double *f = saved_at(s, t, LSTM_F), *g = saved_at(s, t, LSTM_G);
    const double *c_new = saved_at(s, t, LSTM_C);
    double *dp = s->data->dp != NULL ? s->data->dp + s->direction * 3 * units : NULL;
    for (int64_t u = 0; u < units; u++) {
        double out = activate(s->rnn, &s->f[2], c_new[u]);
        double d_o = b->dh[u] * out * slope_at(s->rnn, &s->f[0], o[u]);
        double dc = b->dc[u] + b->dh[u] * o[u] * slope_at(s->rnn, &s->f[2], out);
        dc += s->p != NULL ? d_o * s->p[units + u] : 0;
        double df = dc * c[u], di = dc * g[u];
        if (s->rnn->input_forget) { /* f = 1 - i */
            di -= df;
            df = 0;
        } else {
            df *= slope_at(s->rnn, &s->f[0], f[u]);
        }
        di *= slope_at(s->rnn, &s->f[0], i[u]);
        b->da[LSTM_I * units + u] = di;
        b->da[LSTM_O * units + u] = d_o;
        b->da[LSTM_F * units + u] = df;
        b->da[LSTM_G * units + u] = dc * i[u] * slope_at(s->rnn, &s->f[1], g[u]);
        b->dc[u] = dc * f[u];
        if (s->p != NULL) {
            b->dc[u] += di * s->p[u] + df * s->p[2 * units + u];
        }
        if (dp != NULL) {
            dp[u] += di * c[u];
            dp[units + u] += d_o * c_new[u];
            dp[2 * units + u] += df * c[u];
        }
    }
}

static void backward_step(const sequence *s, int64_t step, const double *zeros, const back *b) {
    const int64_t units = s->rnn->units, t = time_of(s, step);
    const double *x = s->data->x + x_at(s, t), *h = h_before(s, step, zeros);
    double *dx = s->data->dx + x_at(s, t);
    for (int64_t u = 0; u < units; u++) {
        b->dh[u] += s->data->dy != NULL ? s->data->dy[y_at(s, t) + u] : 0;
        b->dh_before[u] = 0;
    }
    int64_t through_r = s->rnn->gates * units; /* gate rows whose state side is R h */
    switch (s->rnn->cell) {
    case KATA__RNN:
        rnn_back(s, s->data->y + y_at(s, t), b);
        break;
    case KATA__GRU:
        gru_back(s, t, h, b);
        through_r = 2 * units;
        break;
    case KATA__LSTM:
        lstm_back(s, t, c_before(s, step, zeros), b);
        break;
    }
    for (int64_t k = 0; k < s->rnn->gates * units; k++) {
        add_input(s, k, b->da[k], x, dx);
        if (k < through_r) {
            add_state(s, k, b->da[k], h, b->dh_before);
        }
    }
    memcpy(b->dh, b->dh_before, (size_t)units * sizeof *b->dh);
}

static void backward(const sequence *s, double *scratch) {
    const int64_t units = s->rnn->units, at = state_at(s);
    double *zeros = scratch;
    const back b = {.dh = scratch + units,
                    .dc = scratch + 2 * units,
                    .dh_before = scratch + 3 * units,
                    .spare = scratch + 4 * units,
                    .da = scratch + 6 * units};
    const bool any = s->length > 0;
    memset(zeros, 0, (size_t)units * sizeof *zeros);
    for (int64_t u = 0; u < units; u++) {
        b.dh[u] = any && s->data->dy_h != NULL ? s->data->dy_h[at + u] : 0;
        b.dc[u] = any && s->data->dy_c != NULL ? s->data->dy_c[at + u] : 0;
    }
    for (int64_t step = s->length - 1; step >= 0; step--) {
        backward_step(s, step, zeros, &b);
    }
    for (int64_t u = 0; u < units; u++) {
        if (s->data->dh0 != NULL) {
            s->data->dh0[at + u] = b.dh[u];
        }
        if (s->data->dc0 != NULL) {
            s->data->dc0[at + u] = b.dc[u];
        }
    }
}

int64_t kata__recurrent_scratch(const kata__recurrent *rnn) {
    return (6 + rnn->gates) * rnn->units;
}

void kata__recurrent_forward(const kata__recurrent *rnn, const kata__recurrent_data *data) {
    for (int64_t d = 0; d < rnn->directions; d++) {
        for (int64_t n = 0; n < rnn->n; n++) {
            const sequence s = sequence_of(rnn, data, d, n);
            forward(&s, data->scratch);
        }
    }
}

void kata__recurrent_backward(const kata__recurrent *rnn, const kata__recurrent_data *data) {
    for (int64_t d = 0; d < rnn->directions; d++) {
        for (int64_t n = 0; n < rnn->n; n++) {
            const sequence s = sequence_of(rnn, data, d, n);
            backward(&s, data->scratch);
        }
    }
}
