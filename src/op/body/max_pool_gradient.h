/* The gradient of a max pooling of planes. Included by pool.c for each type, with NUMBER_TYPE, and
 * OF(name), which names a function of that type. */

static inline bool OF(is_same)(NUMBER_TYPE a, NUMBER_TYPE b) {
    return a == b || (a != a && b != b);
}

static inline bool OF(has_nan)(int64_t n, const NUMBER_TYPE *y) {
    int found = 0;
    for (int64_t i = 0; i < n; i++) {
        found |= y[i] != y[i];
    }
    return found != 0;
}

static void OF(max_grad_2x2)(const kata__conv *v, const NUMBER_TYPE *x, const NUMBER_TYPE *y,
                             const NUMBER_TYPE *dy, NUMBER_TYPE *dx) {
    for (int64_t oy = 0; oy < v->oh; oy++, y += v->ow, dy += v->ow) {
        const NUMBER_TYPE *top = x + 2 * oy * v->w, *low = top + v->w;
        NUMBER_TYPE *d_top = dx + 2 * oy * v->w, *d_low = d_top + v->w;
        int64_t done =
            OF(has_nan)(v->ow, y) ? 0 : OF(max_grad_row)(v->ow, top, low, y, dy, d_top, d_low);
        for (int64_t i = done; i < v->ow; i++) {
            NUMBER_TYPE m = y[i], g = dy[i];
            bool a = OF(is_same)(top[2 * i], m), b = OF(is_same)(top[2 * i + 1], m);
            bool c = OF(is_same)(low[2 * i], m), d = OF(is_same)(low[2 * i + 1], m);
            d_top[2 * i] = a ? g : 0;
            d_top[2 * i + 1] = !a & b ? g : 0;
            d_low[2 * i] = !a & !b & c ? g : 0;
            d_low[2 * i + 1] = !a & !b & !c & d ? g : 0;
        }
        if (v->w % 2 != 0) {
            d_top[v->w - 1] = d_low[v->w - 1] = 0;
        }
    }
    if (v->h % 2 != 0) {
        memset(dx + (v->h - 1) * v->w, 0, (size_t)v->w * sizeof(NUMBER_TYPE));
    }
}

static __attribute__((noinline)) int64_t OF(first_nan)(const kata__conv *v, const NUMBER_TYPE *x,
                                                       int64_t iy, int64_t ix, int64_t ky0,
                                                       int64_t ky1, int64_t kx0, int64_t kx1) {
    for (int64_t ky = ky0; ky < ky1; ky++) {
        for (int64_t kx = kx0; kx < kx1; kx++) {
            int64_t at = (iy + ky * v->dilation_h) * v->w + ix + kx * v->dilation_w;
            if (x[at] != x[at]) {
                return at;
            }
        }
    }
    return -1; /* y is no maximum of x */
}

static void OF(max_grad_any)(const kata__conv *v, const NUMBER_TYPE *x, const NUMBER_TYPE *y,
                             const NUMBER_TYPE *dy, NUMBER_TYPE *dx) {
    memset(dx, 0, (size_t)(v->h * v->w) * sizeof(NUMBER_TYPE));
    for (int64_t oy = 0; oy < v->oh; oy++) {
        int64_t iy = tap_y(v, oy, 0), ky0, ky1;
        taps_inside(iy, v->dilation_h, v->kh, v->h, &ky0, &ky1);
        for (int64_t ox = 0; ox < v->ow; ox++, y++, dy++) {
            int64_t ix = tap_x(v, ox, 0), kx0 = 0, kx1 = v->kw, place = -1;
            if (ix < 0 || ix + (v->kw - 1) * v->dilation_w >= v->w) {
                taps_inside(ix, v->dilation_w, v->kw, v->w, &kx0, &kx1);
            }
            NUMBER_TYPE m = *y;
            for (int64_t ky = ky1 - 1; ky >= ky0; ky--) {
                int64_t row = (iy + ky * v->dilation_h) * v->w + ix;
                for (int64_t kx = kx1 - 1; kx >= kx0; kx--) {
                    int64_t at = row + kx * v->dilation_w;
                    place = x[at] == m ? at : place;
                }
            }
            if (__builtin_expect(place < 0, 0)) { /* no number is equal to a NaN */
                place = m != m ? OF(first_nan)(v, x, iy, ix, ky0, ky1, kx0, kx1) : -1;
                if (place < 0) {
                    continue;
                }
            }
            dx[place] += *dy;
        }
    }
}

static void OF(max_grad_chunk)(void *argument, int64_t chunk, int worker) {
    const max_grad_job *job = argument;
    const kata__conv *v = job->v;
    (void)worker;
    bool is_2x2 = v->kh == 2 && v->kw == 2 && v->stride_h == 2 && v->stride_w == 2 &&
                  v->dilation_h == 1 && v->dilation_w == 1 && v->pad_top == 0 && v->pad_left == 0 &&
                  v->oh == v->h / 2 && v->ow == v->w / 2;
    int64_t each = planes_each(v), last = (chunk + 1) * each;
    last = last < v->n * v->c ? last : v->n * v->c;
    for (int64_t p = chunk * each; p < last; p++) {
        int64_t in = p * v->h * v->w, out = p * v->oh * v->ow;
        (is_2x2 ? OF(max_grad_2x2) : OF(max_grad_any))(
            v, (const NUMBER_TYPE *)job->x + in, (const NUMBER_TYPE *)job->y + out,
            (const NUMBER_TYPE *)job->dy + out, (NUMBER_TYPE *)job->dx + in);
    }
}
