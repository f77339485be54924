/* Predictors: plans by the sizes of the inputs, and sessions for as many callers as there are.
 *
 * A plan is the graph bound to some sizes. A session of it is what one caller runs; when it is done
 * the session waits for the next. Most calls find the one that their thread has used before in a
 * place of its own (`places`), with one exchange and no lock. All others go through the lock, look
 * in the plan's list and in the other threads' places, and make a new session only if there is
 * none: so there are never more of them than callers at a time.
 *
 * Samples run whole if the graph's first sizes are open and there are few; else in parts, if the
 * graph does the same to each sample by itself (kata__graph_batch_axes). */
#include "exec/predictor.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/context.h"
#include "base/parallel.h"
#include "exec/session.h"
#include "pass/pass.h"

#define WHOLE 256 /* up to so many samples run as one batch */
#define PART 100  /* more run in batches of this size */

enum { MOST_OPEN = 32, MOST_PLANS = 8, PLACES = 16, CACHE_LINE = 64 };
/* A run of fewer operations is over before another thread has begun to help. */
#define SMALL_FLOPS 4e6

typedef struct open_size {
    int input, axis;
    int64_t dim; /* in the graph: equal numbers are one size */
} open_size;

typedef struct runner runner;

typedef struct sized_plan {
    int64_t sizes[MOST_OPEN];
    kata_graph *graph; /* bound and optimised */
    int64_t batch;     /* of the first axes; -1: they have no size in common */
    int *axes;         /* where the samples are in each output */
    bool is_small;
    runner *idle;
    int n_runners;
    uint64_t used;
    struct sized_plan *next;
} sized_plan;

struct runner {
    sized_plan *plan;
    kata_session *session;
    runner *next;
};

typedef struct place {
    _Alignas(CACHE_LINE) _Atomic(runner *) runner;
} place;

struct kata_predictor {
    place places[PLACES];
    kata_context *context;
    kata_graph *graph;
    kata_precision precision;
    size_t n_values, n_outputs; /* of the graph when the predictor was made */
    open_size open[MOST_OPEN];
    int n_open;
    int64_t fixed; /* samples at a time: > 0 fixed by the graph, 0 open, -1 no axis of samples */
    kata__prepared *prepared;
    pthread_mutex_t mutex;    /* of plans and their lists */
    pthread_mutex_t building; /* one plan is made at a time */
    sized_plan *plans;
    int n_plans;
    uint64_t clock;
};

/* --- sizes ------------------------------------------------------------------------------------ */

static const kata_shape *input_shape(const kata_predictor *p, int i) {
    return &p->graph->values[p->graph->inputs[i].id].type.shape;
}

static kata_status find_open(kata_predictor *p) {
    for (int i = 0; i < (int)p->graph->n_inputs; i++) {
        const kata_shape *shape = input_shape(p, i);
        for (int axis = 0; axis < shape->rank; axis++) {
            if (shape->dim[axis] >= 0) {
                continue;
            }
            if (p->n_open == MOST_OPEN) {
                return kata_fail(KATA_LIMIT, "model %s has more than %d open sizes", p->graph->name,
                                 MOST_OPEN);
            }
            p->open[p->n_open++] = (open_size){i, axis, shape->dim[axis]};
        }
    }
    return KATA_OK;
}

/* The first axes carry the samples if all are open by one size that is nowhere else, or fixed to
 * the same number. */
static int64_t samples_at_a_time(const kata_predictor *p) {
    int64_t fixed = 0, open = 0;
    for (int i = 0; i < (int)p->graph->n_inputs; i++) {
        const kata_shape *shape = input_shape(p, i);
        const int64_t first = shape->rank > 0 ? shape->dim[0] : 0;
        if (shape->rank == 0 || first == 0 || (first > 0 && fixed > 0 && first != fixed) ||
            (first < 0 && open < 0 && first != open)) {
            return -1;
        }
        fixed = first > 0 ? first : fixed;
        open = first < 0 ? first : open;
    }
    for (int k = 0; k < p->n_open; k++) {
        if (p->open[k].axis > 0 && p->open[k].dim == open) {
            return -1;
        }
    }
    return fixed;
}

/* Checks the inputs' shapes; *n is the number of samples, -1 without axis of samples. */
static kata_status check_inputs(const kata_predictor *p, const kata_tensor *inputs, int64_t *n) {
    char want[KATA_SHAPE_TEXT_SIZE], have[KATA_SHAPE_TEXT_SIZE];
    *n = -1;
    for (int i = 0; i < (int)p->graph->n_inputs; i++) {
        const kata_shape *shape = input_shape(p, i), *given = &inputs[i].shape;
        const char *name = kata_value_name(p->graph, p->graph->inputs[i]);
        bool fits = shape->rank == given->rank && kata_shape_count(given) >= 0 &&
                    kata_tensor_is_contiguous(&inputs[i]);
        for (int axis = p->fixed >= 0 ? 1 : 0; axis < shape->rank && fits; axis++) {
            fits = shape->dim[axis] < 0 || shape->dim[axis] == given->dim[axis];
        }
        if (!fits) {
            return kata_fail(KATA_SHAPE,
                             "input %s of model %s has the shape %s, got %sa tensor of %s", name,
                             p->graph->name, kata_shape_text(shape, want),
                             kata_tensor_is_contiguous(&inputs[i]) ? "" : "(not contiguous) ",
                             kata_shape_text(given, have));
        }
        if (p->fixed >= 0 && *n >= 0 && given->dim[0] != *n) {
            return kata_fail(KATA_SHAPE,
                             "input %s of model %s is given %" PRId64 " samples, input %s %" PRId64,
                             name, p->graph->name, given->dim[0],
                             kata_value_name(p->graph, p->graph->inputs[0]), *n);
        }
        *n = p->fixed >= 0 ? given->dim[0] : -1;
    }
    for (int k = 0; k < p->n_open; k++) {
        const open_size *a = &p->open[k];
        for (int j = 0; j < k && a->axis > 0; j++) {
            const open_size *b = &p->open[j];
            const int64_t size_a = inputs[a->input].shape.dim[a->axis];
            const int64_t size_b = inputs[b->input].shape.dim[b->axis];
            if (a->dim == b->dim && size_a != size_b) {
                return kata_fail(KATA_SHAPE,
                                 "axis %d of input %s and axis %d of input %s of model %s are one "
                                 "size, got %" PRId64 " and %" PRId64,
                                 b->axis, kata_value_name(p->graph, p->graph->inputs[b->input]),
                                 a->axis, kata_value_name(p->graph, p->graph->inputs[a->input]),
                                 p->graph->name, size_b, size_a);
            }
        }
    }
    return KATA_OK;
}

/* The key of a plan: open sizes with `batch` samples on the first axes. */
static void set_sizes(const kata_predictor *p, const kata_tensor *inputs, int64_t batch,
                      int64_t sizes[MOST_OPEN]) {
    for (int k = 0; k < p->n_open; k++) {
        const open_size *o = &p->open[k];
        sizes[k] = o->axis == 0 && batch >= 0 ? batch : inputs[o->input].shape.dim[o->axis];
    }
}

/* --- plans ------------------------------------------------------------------------------------ */

static void plan_free(kata_predictor *p, sized_plan *plan) {
    while (plan->idle != NULL) {
        runner *first = plan->idle;
        plan->idle = first->next;
        kata_session_free(first->session);
        kata__free(p->context, first);
    }
    kata_graph_free(plan->graph);
    kata__free(p->context, plan->axes);
    kata__free(p->context, plan);
}

static kata_status bind(const kata_predictor *p, sized_plan *made) {
    kata_size sizes[MOST_OPEN];
    int n = 0;
    for (int k = 0; k < p->n_open; k++) {
        bool is_new = true;
        for (int j = 0; j < k; j++) {
            is_new = is_new && p->open[j].dim != p->open[k].dim;
        }
        if (is_new) {
            sizes[n++] =
                (kata_size){kata_graph_size_name(p->graph, p->open[k].dim), made->sizes[k]};
        }
    }
    return kata_graph_bind(&made->graph, p->graph, sizes, n, false);
}

/* Replaces the plan's graph. */
static kata_status take_over(sized_plan *made, kata_status status, kata_graph *next) {
    if (status == KATA_OK) {
        kata_graph_free(made->graph);
        made->graph = next;
    }
    return status;
}

static kata_status plan_build(const kata_predictor *p, sized_plan *made) {
    kata_graph *next = NULL;
    KATA__TRY(bind(p, made));
    KATA__TRY(kata_graph_simplify(made->graph));
    for (size_t i = 0; i < made->graph->n_outputs; i++) {
        made->axes[i] = KATA_BATCH_MIXED;
    }
    if (made->batch >= 2) {
        KATA__TRY(kata__graph_batch_axes(made->graph, made->batch, made->axes));
    }
    kata_status status = kata_graph_optimize(&next, made->graph);
    KATA__TRY(take_over(made, status, next));
    if (p->precision == KATA_PRECISION_BF16 && p->context->bfloat16_level != KATA__BFLOAT16_NONE) {
        status = kata_graph_lower_precision(&next, made->graph);
        KATA__TRY(take_over(made, status, next));
    }
    return KATA_OK;
}

static kata_status runner_new(runner **out, kata_predictor *p, sized_plan *plan) {
    runner *made = kata__alloc_zero(p->context, 1, sizeof *made);
    if (made == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    made->plan = plan;
    kata_status status = kata__session_new(&made->session, plan->graph, NULL, p->prepared);
    if (status != KATA_OK) {
        kata__free(p->context, made);
        return status;
    }
    *out = made;
    return KATA_OK;
}

/* Under the building lock: a new plan with one runner. */
static kata_status plan_new(sized_plan **out, kata_predictor *p, const int64_t *sizes,
                            int64_t batch) {
    sized_plan *made = kata__alloc_zero(p->context, 1, sizeof *made);
    if (made == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    memcpy(made->sizes, sizes, sizeof made->sizes);
    made->batch = batch;
    made->axes = kata__alloc_zero(p->context, p->graph->n_outputs + 1, sizeof *made->axes);
    kata_status status = made->axes != NULL ? plan_build(p, made) : KATA_OUT_OF_MEMORY;
    if (status == KATA_OK) {
        status = runner_new(&made->idle, p, made);
    }
    if (status != KATA_OK) {
        plan_free(p, made);
        return status;
    }
    made->n_runners = 1;
    double flops = 0;
    for (int i = 0; i < kata_session_n_profile(made->idle->session); i++) {
        flops += kata_session_profile(made->idle->session, i).flops;
    }
    made->is_small = flops < SMALL_FLOPS;
    *out = made;
    return KATA_OK;
}

static bool has_sizes(const kata_predictor *p, const sized_plan *plan, const int64_t *sizes) {
    return memcmp(plan->sizes, sizes, (size_t)p->n_open * sizeof *sizes) == 0;
}

/* Takes all waiting runners out of the places into the lists of their plans. */
static void collect(kata_predictor *p) {
    for (int i = 0; i < PLACES; i++) {
        runner *found = atomic_exchange(&p->places[i].runner, NULL);
        if (found != NULL) {
            found->next = found->plan->idle;
            found->plan->idle = found;
        }
    }
}

static bool is_idle(const sized_plan *plan) {
    int n = 0;
    for (const runner *r = plan->idle; r != NULL; r = r->next) {
        n++;
    }
    return n == plan->n_runners;
}

/* Plans that nobody has used for the longest time go, unless they are in use. */
static void forget_plans(kata_predictor *p) {
    if (p->n_plans <= MOST_PLANS) {
        return;
    }
    collect(p);
    while (p->n_plans > MOST_PLANS) {
        sized_plan **oldest = NULL;
        for (sized_plan **at = &p->plans; *at != NULL; at = &(*at)->next) {
            if (is_idle(*at) && (oldest == NULL || (*at)->used < (*oldest)->used)) {
                oldest = at;
            }
        }
        if (oldest == NULL) {
            return;
        }
        sized_plan *gone = *oldest;
        *oldest = gone->next;
        p->n_plans--;
        plan_free(p, gone);
    }
}

static sized_plan *find_plan(const kata_predictor *p, const int64_t *sizes) {
    sized_plan *found = p->plans;
    while (found != NULL && !has_sizes(p, found, sizes)) {
        found = found->next;
    }
    return found;
}

/* --- runners ---------------------------------------------------------------------------------- */

static place *own_place(kata_predictor *p) {
    static _Thread_local char here; /* its address tells threads apart */
    const uint64_t mixed = (uint64_t)(uintptr_t)&here * UINT64_C(0x9E3779B97F4A7C15);
    return &p->places[mixed >> 60];
}

/* A waiting runner of the plan that has these sizes, from its list or any place. *found is the
 * plan, NULL if there is none; if it has no waiting runner, `counts` counts one that the caller
 * makes. */
static runner *take_waiting(kata_predictor *p, const int64_t *sizes, bool counts,
                            sized_plan **found) {
    runner *taken = NULL;
    pthread_mutex_lock(&p->mutex);
    sized_plan *plan = *found = find_plan(p, sizes);
    if (plan != NULL) {
        plan->used = ++p->clock;
        if (plan->idle == NULL) {
            collect(p);
        }
        taken = plan->idle;
        if (taken != NULL) {
            plan->idle = taken->next;
        } else {
            plan->n_runners += counts;
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return taken;
}

static kata_status take_new(runner **out, kata_predictor *p, const int64_t *sizes, int64_t batch) {
    sized_plan *plan = NULL;
    pthread_mutex_lock(&p->building);
    runner *taken = take_waiting(p, sizes, true, &plan); /* another thread has made it meanwhile? */
    kata_status status = KATA_OK;
    if (taken == NULL && plan != NULL) {
        status = runner_new(&taken, p, plan);
        if (status != KATA_OK) {
            pthread_mutex_lock(&p->mutex);
            plan->n_runners--;
            pthread_mutex_unlock(&p->mutex);
        }
    } else if (taken == NULL) {
        status = plan_new(&plan, p, sizes, batch);
        if (status == KATA_OK) {
            taken = plan->idle;
            plan->idle = NULL;
            pthread_mutex_lock(&p->mutex);
            plan->used = ++p->clock;
            plan->next = p->plans;
            p->plans = plan;
            p->n_plans++;
            forget_plans(p);
            pthread_mutex_unlock(&p->mutex);
        }
    }
    pthread_mutex_unlock(&p->building);
    *out = taken;
    return status;
}

static void give_back(kata_predictor *p, runner *done) {
    runner *other = atomic_exchange_explicit(&own_place(p)->runner, done, memory_order_acq_rel);
    if (other != NULL) {
        pthread_mutex_lock(&p->mutex);
        other->next = other->plan->idle;
        other->plan->idle = other;
        pthread_mutex_unlock(&p->mutex);
    }
}

static kata_status take(runner **out, kata_predictor *p, const kata_tensor *inputs, int64_t batch) {
    int64_t sizes[MOST_OPEN] = {0};
    sized_plan *plan = NULL;
    set_sizes(p, inputs, batch, sizes);
    runner *found = atomic_exchange_explicit(&own_place(p)->runner, NULL, memory_order_acq_rel);
    if (found != NULL && !has_sizes(p, found->plan, sizes)) {
        give_back(p, found);
        found = NULL;
    }
    if (found == NULL) {
        found = take_waiting(p, sizes, false, &plan);
    }
    *out = found;
    return found != NULL ? KATA_OK : take_new(out, p, sizes, batch);
}

/* --- life ------------------------------------------------------------------------------------- */

kata_status kata_predictor_new(kata_predictor **out, kata_graph *graph,
                               const kata_predictor_options *options) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    if (graph->n_outputs == 0) {
        return kata_fail(KATA_INVALID, "model %s has no output (kata_graph_output)", graph->name);
    }
    const kata_precision precision = options != NULL ? options->precision : KATA_PRECISION_F32;
    if ((unsigned)precision >= KATA_PRECISION_COUNT) {
        return kata_fail(KATA_INVALID, "there is no precision %d", (int)precision);
    }
    kata_predictor *p = kata__alloc_zero(graph->context, 1, sizeof *p);
    if (p == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    p->context = graph->context;
    p->graph = graph;
    p->precision = precision;
    p->n_values = graph->n_values;
    p->n_outputs = graph->n_outputs;
    kata_status status = find_open(p);
    if (status == KATA_OK) {
        status = kata__prepared_new(&p->prepared, graph);
    }
    if (status != KATA_OK) {
        kata__free(p->context, p);
        return status;
    }
    p->fixed = samples_at_a_time(p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_mutex_init(&p->building, NULL);
    kata__graph_share(graph);
    *out = p;
    return KATA_OK;
}

void kata_predictor_free(kata_predictor *predictor) {
    kata_predictor *p = predictor;
    if (p == NULL) {
        return;
    }
    collect(p);
    while (p->plans != NULL) {
        sized_plan *first = p->plans;
        p->plans = first->next;
        plan_free(p, first);
    }
    kata__prepared_free(p->prepared);
    pthread_mutex_destroy(&p->mutex);
    pthread_mutex_destroy(&p->building);
    kata_graph_free(p->graph);
    kata__free(p->context, p);
}

bool kata__predictor_fits(const kata_predictor *predictor, const kata_graph *graph,
                          kata_precision precision) {
    return predictor->graph == graph && predictor->precision == precision &&
           predictor->n_values == graph->n_values && predictor->n_outputs == graph->n_outputs;
}

kata_predictor_memory kata_predictor_memory_of(kata_predictor *predictor) {
    kata_predictor_memory memory = {.prepared = kata__prepared_bytes(predictor->prepared)};
    pthread_mutex_lock(&predictor->mutex);
    collect(predictor);
    for (const sized_plan *plan = predictor->plans; plan != NULL; plan = plan->next) {
        memory.n_sessions += plan->n_runners;
        if (plan->idle != NULL) {
            memory.activations +=
                (size_t)plan->n_runners * kata_session_arena_bytes(plan->idle->session);
        }
    }
    pthread_mutex_unlock(&predictor->mutex);
    return memory;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool is_wanted(const kata__samples *s, int k) {
    return s->outputs[k].dtype != KATA_NO_DTYPE || (s->wanted != NULL && s->wanted[k]);
}

static const kata_shape *output_shape(const sized_plan *plan, int k) {
    return &plan->graph->values[plan->graph->outputs[k].id].type.shape;
}

/* Output k has a row for each sample by itself. */
static bool is_by_row(const sized_plan *plan, int k) {
    const kata_shape *shape = output_shape(plan, k);
    return plan->batch > 0 && shape->rank > 0 && shape->dim[0] == plan->batch &&
           (plan->batch == 1 || plan->axes[k] == 0);
}

/* The first output that is wanted and is not; -1: none. */
static int not_by_row(const kata_predictor *p, const sized_plan *plan, const kata__samples *s) {
    for (int k = 0; k < (int)p->n_outputs; k++) {
        if (is_wanted(s, k) && !is_by_row(plan, k)) {
            return k;
        }
    }
    return -1;
}

/* A runner for parts of *part samples of n (-1: no samples); for all of them at once where they
 * cannot be divided. */
static kata_status take_for(runner **out, kata_predictor *p, const kata__samples *s, int64_t n,
                            int64_t *part) {
    *part = p->fixed > 0 ? p->fixed : n <= WHOLE ? n : PART;
    KATA__TRY(take(out, p, s->inputs, *part));
    const int k = *part != n ? not_by_row(p, (*out)->plan, s) : -1;
    if (k < 0) {
        return KATA_OK;
    }
    if (p->fixed > 0) {
        char text[KATA_SHAPE_TEXT_SIZE];
        kata_fail(KATA_SHAPE,
                  "model %s is made for exactly %" PRId64 " samples, got %" PRId64
                  ", and it cannot take them in parts: its output %s, of shape %s, is not computed "
                  "for each sample by itself; give %" PRId64
                  ", or export the model with an open first axis",
                  p->graph->name, p->fixed, n, kata_value_name(p->graph, p->graph->outputs[k]),
                  kata_shape_text(output_shape((*out)->plan, k), text), p->fixed);
        give_back(p, *out);
        return KATA_SHAPE;
    }
    give_back(p, *out);
    *part = n;
    return take(out, p, s->inputs, n);
}

/* The shape that output k has for n samples. */
static kata_shape shape_for(const sized_plan *plan, int k, int64_t n, int64_t part) {
    kata_shape shape = *output_shape(plan, k);
    if (part != n) {
        shape.dim[0] = n;
    }
    return shape;
}

static kata_status check_outputs(const kata_predictor *p, const sized_plan *plan,
                                 const kata__samples *s, int64_t n, int64_t part) {
    char want[KATA_SHAPE_TEXT_SIZE], have[KATA_SHAPE_TEXT_SIZE];
    for (int k = 0; k < (int)p->n_outputs; k++) {
        const kata_value value = plan->graph->outputs[k];
        const kata_shape shape = shape_for(plan, k, n, part);
        kata_tensor *out = &s->outputs[k];
        if (kata_shape_count(&shape) < 0) {
            continue; /* its size depends on the data: get_open_output */
        }
        if (out->dtype == KATA_NO_DTYPE) {
            if (is_wanted(s, k)) {
                KATA__TRY(
                    kata_tensor_new(out, p->context, kata_value_dtype(plan->graph, value), &shape));
            }
            continue;
        }
        const bool same_first = shape.rank == 0 || out->shape.rank == 0
                                    ? shape.rank == out->shape.rank
                                    : shape.dim[0] == out->shape.dim[0];
        if (!kata_tensor_is_contiguous(out) || !same_first ||
            kata_tensor_count(out) != kata_shape_count(&shape)) {
            return kata_fail(KATA_SHAPE,
                             "output %s of model %s has the shape %s here; the tensor for it is %s",
                             kata_value_name(p->graph, p->graph->outputs[k]), p->graph->name,
                             kata_shape_text(&shape, want), kata_shape_text(&out->shape, have));
        }
    }
    return KATA_OK;
}

/* `n` rows of a contiguous tensor from row `first` on; n < 0: the whole tensor. */
static kata_tensor rows_of(const kata_tensor *tensor, const kata_shape *row_shape, int64_t first,
                           int64_t n) {
    kata_shape shape = *row_shape;
    size_t offset = 0;
    if (n >= 0) {
        shape.dim[0] = 1;
        offset = (size_t)(first * kata_shape_count(&shape)) * kata_dtype_size(tensor->dtype);
        shape.dim[0] = n;
    }
    return kata_tensor_view((char *)tensor->data + offset, tensor->dtype, &shape);
}

/* Fills what is left of a part with the last sample: numbers that the model is used to. */
static void fill_up(const kata_tensor *x, int64_t n) {
    const size_t row = kata_tensor_bytes(x) / (size_t)x->shape.dim[0];
    for (int64_t i = n; i < x->shape.dim[0]; i++) {
        memcpy((char *)x->data + (size_t)i * row, (char *)x->data + (size_t)(n - 1) * row, row);
    }
}

static kata_status set_inputs(const kata_predictor *p, kata_session *session,
                              const kata__samples *s, int64_t first, int64_t n, bool is_whole) {
    for (int i = 0; i < (int)p->graph->n_inputs; i++) {
        kata_tensor x = kata_session_input(session, i);
        const bool is_full = is_whole || x.shape.dim[0] == n;
        const kata_tensor to = rows_of(&x, &x.shape, 0, is_full ? -1 : n);
        if (s->fill != NULL) {
            s->fill(s->user, i, first, &to);
        } else {
            const kata_tensor from = rows_of(&s->inputs[i], &to.shape, first, is_whole ? -1 : n);
            if (is_full && from.dtype == x.dtype) {
                kata__session_borrow(session, i, from.data);
                continue;
            }
            KATA__TRY(kata_tensor_copy(&to, &from));
        }
        if (!is_full) {
            fill_up(&x, n);
        }
    }
    return KATA_OK;
}

/* An output whose size is known now that it is there. */
static kata_status get_open_output(const kata_predictor *p, const kata_tensor *y, int k,
                                   kata_tensor *out) {
    char want[KATA_SHAPE_TEXT_SIZE], have[KATA_SHAPE_TEXT_SIZE];
    if (y->dtype <= KATA_NO_DTYPE || y->dtype >= KATA_DTYPE_COUNT) {
        return kata_fail(KATA_UNSUPPORTED, "output %s of model %s is no tensor",
                         kata_value_name(p->graph, p->graph->outputs[k]), p->graph->name);
    }
    if (out->dtype == KATA_NO_DTYPE) {
        return kata_tensor_clone(out, p->context, y);
    }
    if (!kata_shape_equal(&out->shape, &y->shape)) {
        return kata_fail(KATA_SHAPE,
                         "output %s of model %s has the shape %s for these data; the tensor for it "
                         "is %s",
                         kata_value_name(p->graph, p->graph->outputs[k]), p->graph->name,
                         kata_shape_text(&y->shape, want), kata_shape_text(&out->shape, have));
    }
    return kata_tensor_copy(out, y);
}

static kata_status get_outputs(const kata_predictor *p, const sized_plan *plan,
                               kata_session *session, const kata__samples *s, int64_t first,
                               int64_t n, bool is_whole) {
    for (int k = 0; k < (int)p->n_outputs; k++) {
        if (!is_wanted(s, k)) {
            continue;
        }
        const kata_tensor y = kata_session_output(session, k);
        if (kata_shape_count(output_shape(plan, k)) < 0) {
            KATA__TRY(get_open_output(p, &y, k, &s->outputs[k]));
            continue;
        }
        const kata_tensor from = rows_of(&y, &y.shape, 0, is_whole ? -1 : n);
        const kata_tensor to = rows_of(&s->outputs[k], &from.shape, first, is_whole ? -1 : n);
        if (to.dtype == from.dtype) {
            memcpy(to.data, from.data, kata_tensor_bytes(&from));
        } else {
            KATA__TRY(kata_tensor_copy(&to, &from));
        }
    }
    return KATA_OK;
}

static kata_status run_part(const kata_predictor *p, const sized_plan *plan, kata_session *session,
                            const kata__samples *s, int64_t first, int64_t n, bool is_whole) {
    kata_status status = set_inputs(p, session, s, first, n, is_whole);
    if (status == KATA_OK) {
        status = kata_session_run(session, 0, 0);
    }
    if (status == KATA_OK) {
        status = get_outputs(p, plan, session, s, first, n, is_whole);
    }
    for (int i = 0; i < (int)p->graph->n_inputs && s->fill == NULL; i++) {
        kata__session_borrow(session, i, NULL);
    }
    return status;
}

kata_status kata__predictor_answer(kata_predictor *predictor, const kata__samples *samples) {
    kata_predictor *p = predictor;
    runner *taken;
    int64_t n, part;
    KATA__TRY(check_inputs(p, samples->inputs, &n));
    KATA__TRY(take_for(&taken, p, samples, n, &part));
    kata_status status = check_outputs(p, taken->plan, samples, n, part);
    if (status == KATA_OK) {
        const kata__parallel_mode mode = kata__parallel_enter(p->context, taken->plan->is_small);
        if (part == n) {
            status = run_part(p, taken->plan, taken->session, samples, 0, n, true);
        }
        for (int64_t first = 0; part != n && first < n && status == KATA_OK; first += part) {
            status = run_part(p, taken->plan, taken->session, samples, first,
                              n - first < part ? n - first : part, false);
        }
        kata__parallel_leave(p->context, mode);
    }
    give_back(p, taken);
    return status;
}

kata_status kata__predictor_part(kata_predictor *predictor, int64_t n, int64_t *part) {
    kata_predictor *p = predictor;
    *part = p->fixed > PART ? p->fixed : p->fixed > 0 ? PART / p->fixed * p->fixed : PART;
    *part = p->fixed < 0 || n < *part ? n : *part;
    if (p->fixed != 0 || *part == n) {
        return KATA_OK;
    }
    int64_t sizes[MOST_OPEN];
    sized_plan *plan;
    for (int k = 0; k < p->n_open; k++) {
        if (p->open[k].axis > 0) { /* other open sizes: nothing is known of them yet */
            *part = n;
            return KATA_OK;
        }
        sizes[k] = *part;
    }
    runner *taken = take_waiting(p, sizes, false, &plan);
    KATA__TRY(taken != NULL ? KATA_OK : take_new(&taken, p, sizes, *part));
    for (int k = 0; k < (int)p->n_outputs; k++) {
        *part = is_by_row(taken->plan, k) ? *part : n;
    }
    give_back(p, taken);
    return KATA_OK;
}

kata_status kata__predictor_session(kata_predictor *predictor, const kata_tensor *inputs,
                                    const kata_session **out) {
    int64_t n;
    runner *taken;
    KATA__TRY(check_inputs(predictor, inputs, &n));
    KATA__TRY(take(&taken, predictor, inputs, predictor->fixed > 0 ? predictor->fixed : n));
    *out = taken->session;
    give_back(predictor, taken);
    return KATA_OK;
}

/* --- by name ---------------------------------------------------------------------------------- */

static int find_named(const kata_graph *graph, const kata_value *values, size_t n,
                      const char *name) {
    for (size_t i = 0; i < n; i++) {
        if (name != NULL && strcmp(kata_value_name(graph, values[i]), name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static kata_status no_such(const kata_graph *graph, const char *what, const kata_value *values,
                           size_t n, const char *name) {
    return kata_fail(KATA_NOT_FOUND, "model %s has no %s %.80s; %s %s", graph->name, what,
                     name != NULL ? name : "(NULL)", n == 1 ? "it is called" : "the first is",
                     n > 0 ? kata_value_name(graph, values[0]) : "(none)");
}

static kata_status run_named(kata_predictor *p, const kata_named_tensor *inputs, int n_inputs,
                             kata_named_tensor *outputs, int n_outputs, kata_tensor *in,
                             kata_tensor *out, bool *wanted) {
    const kata_graph *graph = p->graph;
    for (int i = 0; i < n_inputs; i++) {
        const int k = find_named(graph, graph->inputs, graph->n_inputs, inputs[i].name);
        if (k < 0) {
            return no_such(graph, "input", graph->inputs, graph->n_inputs, inputs[i].name);
        }
        in[k] = inputs[i].tensor;
    }
    for (size_t k = 0; k < graph->n_inputs; k++) {
        if (in[k].dtype == KATA_NO_DTYPE) {
            return kata_fail(KATA_INVALID, "input %s of model %s is not given",
                             kata_value_name(graph, graph->inputs[k]), graph->name);
        }
    }
    for (int i = 0; i < n_outputs; i++) {
        const int k = find_named(graph, graph->outputs, graph->n_outputs, outputs[i].name);
        if (k < 0 || wanted[k]) {
            return k < 0
                       ? no_such(graph, "output", graph->outputs, graph->n_outputs, outputs[i].name)
                       : kata_fail(KATA_INVALID, "output %s is asked for twice", outputs[i].name);
        }
        wanted[k] = true;
        out[k] = outputs[i].tensor;
    }
    kata_status status =
        kata__predictor_answer(p, &(kata__samples){.inputs = in, .outputs = out, .wanted = wanted});
    for (int i = 0; i < n_outputs; i++) {
        const int k = find_named(graph, graph->outputs, graph->n_outputs, outputs[i].name);
        if (outputs[i].tensor.dtype != KATA_NO_DTYPE) {
            continue;
        }
        if (status == KATA_OK) {
            outputs[i].tensor = out[k];
        } else if (out[k].dtype != KATA_NO_DTYPE) {
            kata_tensor_release(&out[k]);
        }
    }
    return status;
}

kata_status kata_predictor_run(kata_predictor *predictor, const kata_named_tensor *inputs,
                               int n_inputs, kata_named_tensor *outputs, int n_outputs) {
    enum { FEW = 8 };
    kata_tensor few[2 * FEW] = {{0}};
    bool few_wanted[FEW] = {false};
    const size_t n_in = predictor->graph->n_inputs, n_out = predictor->n_outputs;
    if (n_in <= FEW && n_out <= FEW) {
        return run_named(predictor, inputs, n_inputs, outputs, n_outputs, few, few + FEW,
                         few_wanted);
    }
    kata_tensor *all = kata__alloc_zero(predictor->context, n_in + n_out, sizeof *all);
    bool *wanted = kata__alloc_zero(predictor->context, n_out, sizeof *wanted);
    kata_status status =
        all == NULL || wanted == NULL
            ? KATA_OUT_OF_MEMORY
            : run_named(predictor, inputs, n_inputs, outputs, n_outputs, all, all + n_in, wanted);
    kata__free(predictor->context, all);
    kata__free(predictor->context, wanted);
    return status;
}
