/* A reduction of rows. Included once for each by body/elementwise.h, which defines
 *   KATA__REDUCTION       its name
 *   KATA__ACC             the type of partial results
 *   KATA__EMPTY           the result of nothing
 *   KATA__COMBINE(a, b)   two results become one
 *   KATA__VALUE(v)        what an element is
 * and undefines them. */
#define KATA__REDUCE_NAMED(name) NAME(name)
#define KATA__REDUCE(part) KATA__REDUCE_NAMED(KATA__PASTE(KATA__REDUCTION, part))

/* n < KATA__STRIP */
KATA__LOCAL double KATA__REDUCE(short)(int64_t n, const REAL *x) {
    KATA__ACC part[8], last = (KATA__ACC)(KATA__EMPTY);
    int64_t i = 0;
    if (n >= 16) {
        for (int j = 0; j < 8; j++) {
            const KATA__ACC v = (KATA__ACC)x[j];
            part[j] = KATA__VALUE(v);
        }
        for (i = 8; i + 8 <= n; i += 8) {
            for (int j = 0; j < 8; j++) {
                const KATA__ACC v = (KATA__ACC)x[i + j];
                part[j] = KATA__COMBINE(part[j], KATA__VALUE(v));
            }
        }
        for (int j = 0; j < 4; j++) {
            part[j] = KATA__COMBINE(part[j], part[j + 4]);
        }
        part[0] = KATA__COMBINE(part[0], part[2]);
        part[1] = KATA__COMBINE(part[1], part[3]);
        last = KATA__COMBINE(part[0], part[1]);
    }
    for (; i < n; i++) {
        const KATA__ACC v = (KATA__ACC)x[i];
        last = KATA__COMBINE(last, KATA__VALUE(v));
    }
    return (double)last;
}

static double KATA__REDUCE(row)(int64_t n, const REAL *x) {
    if (n > KATA__ROW_BLOCK) {
        const int64_t half = (n / 2 + KATA__STRIP - 1) / KATA__STRIP * KATA__STRIP;
        const double left = KATA__REDUCE(row)(half, x);
        const double right = KATA__REDUCE(row)(n - half, x + half);
        return KATA__COMBINE(left, right);
    }
    if (n < KATA__STRIP) {
        return KATA__REDUCE(short)(n, x);
    }
    KATA__ACC part[KATA__STRIP];
    for (int j = 0; j < KATA__STRIP; j++) {
        const KATA__ACC v = (KATA__ACC)x[j];
        part[j] = KATA__VALUE(v);
    }
    int64_t i = KATA__STRIP;
    for (; i + KATA__STRIP <= n; i += KATA__STRIP) {
        KATA__VECTOR_LOOP
        for (int j = 0; j < KATA__STRIP; j++) {
            const KATA__ACC v = (KATA__ACC)x[i + j];
            part[j] = KATA__COMBINE(part[j], KATA__VALUE(v));
        }
    }
    for (int width = KATA__STRIP / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) {
            part[j] = KATA__COMBINE(part[j], part[j + width]);
        }
    }
    const double most = (double)part[0], rest = KATA__REDUCE(short)(n - i, x + i);
    return KATA__COMBINE(most, rest);
}

static void KATA__REDUCE(rows)(int64_t rows, int64_t stride, int64_t n, const void *x_data,
                               double *sum) {
    const REAL *x = x_data;
    if (n < KATA__STRIP) {
        for (int64_t i = 0; i < rows; i++) {
            const double row = KATA__REDUCE(short)(n, x + i * stride);
            sum[i] = KATA__COMBINE(sum[i], row);
        }
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        const double row = KATA__REDUCE(row)(n, x + i * stride);
        sum[i] = KATA__COMBINE(sum[i], row);
    }
}

#undef KATA__REDUCE
#undef KATA__REDUCE_NAMED
#undef KATA__REDUCTION
#undef KATA__ACC
#undef KATA__EMPTY
#undef KATA__COMBINE
#undef KATA__VALUE
