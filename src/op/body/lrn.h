/* Local response normalisation and its gradient, one chunk of work. Included by lrn.c for each
 * type, with NUMBER_TYPE, and OF(name), which names a function of that type. */

static void OF(lrn_squares)(const lrn *l, const NUMBER_TYPE *x, int64_t n, int64_t c, int64_t first,
                            int64_t count, NUMBER_TYPE *s) {
    for (int64_t i = 0; i < count; i++) {
        s[i] = 0;
    }
    for (int64_t j = kata__maximum(c - l->before, 0); j <= kata__minimum(c + l->behind, l->c - 1);
         j++) {
        const NUMBER_TYPE *row = x + (n * l->c + j) * l->d + first;
        for (int64_t i = 0; i < count; i++) {
            s[i] += row[i] * row[i];
        }
    }
}

static void OF(lrn_chunk)(void *argument, int64_t plane, int worker) {
    const lrn_job *job = argument;
    const lrn *l = &job->l;
    NUMBER_TYPE s[BLOCK];
    (void)worker;
    for (int64_t first = 0; first < l->d; first += BLOCK) {
        int64_t count = kata__minimum(l->d - first, BLOCK);
        OF(lrn_squares)(l, job->x, plane / l->c, plane % l->c, first, count, s);
        const NUMBER_TYPE *x = (const NUMBER_TYPE *)job->x + plane * l->d + first;
        NUMBER_TYPE *y = (NUMBER_TYPE *)job->out + plane * l->d + first;
        for (int64_t i = 0; i < count; i++) {
            y[i] = x[i] * OF(power)((NUMBER_TYPE)(l->bias + l->alpha * s[i]), l->beta);
        }
    }
}
/* dx = dy s^-beta and t = dy x s^(-beta-1), which the second pass sums over windows. */

static void OF(lrn_grad_first)(void *argument, int64_t plane, int worker) {
    const lrn_job *job = argument;
    const lrn *l = &job->l;
    NUMBER_TYPE s[BLOCK];
    (void)worker;
    for (int64_t first = 0; first < l->d; first += BLOCK) {
        int64_t count = kata__minimum(l->d - first, BLOCK), at = plane * l->d + first;
        OF(lrn_squares)(l, job->x, plane / l->c, plane % l->c, first, count, s);
        const NUMBER_TYPE *x = (const NUMBER_TYPE *)job->x + at,
                          *dy = (const NUMBER_TYPE *)job->dy + at;
        NUMBER_TYPE *dx = (NUMBER_TYPE *)job->out + at, *t = (NUMBER_TYPE *)job->t + at;
        for (int64_t i = 0; i < count; i++) {
            NUMBER_TYPE scale = (NUMBER_TYPE)(l->bias + l->alpha * s[i]);
            NUMBER_TYPE direct = dy[i] * OF(power)(scale, l->beta);
            dx[i] = direct;
            t[i] = direct * x[i] / scale;
        }
    }
}

static void OF(lrn_grad_second)(void *argument, int64_t plane, int worker) {
    const lrn_job *job = argument;
    const lrn *l = &job->l;
    NUMBER_TYPE sum[BLOCK], factor = (NUMBER_TYPE)(2 * l->alpha * l->beta);
    int64_t n = plane / l->c, c = plane % l->c;
    (void)worker;
    for (int64_t first = 0; first < l->d; first += BLOCK) {
        int64_t count = kata__minimum(l->d - first, BLOCK);
        for (int64_t i = 0; i < count; i++) {
            sum[i] = 0;
        }
        for (int64_t j = kata__maximum(c - l->behind, 0);
             j <= kata__minimum(c + l->before, l->c - 1); j++) {
            const NUMBER_TYPE *t = (const NUMBER_TYPE *)job->t + (n * l->c + j) * l->d + first;
            for (int64_t i = 0; i < count; i++) {
                sum[i] += t[i];
            }
        }
        const NUMBER_TYPE *x = (const NUMBER_TYPE *)job->x + plane * l->d + first;
        NUMBER_TYPE *dx = (NUMBER_TYPE *)job->out + plane * l->d + first;
        for (int64_t i = 0; i < count; i++) {
            dx[i] -= factor * x[i] * sum[i];
        }
    }
}
