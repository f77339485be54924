/* What the processor can do at most: multiply-adds in registers, and STREAM's loops over arrays
 * (McCalpin 1995). Measured by peak.c, for each instruction set and type. No include guard: once
 * for each type. */

/* Twelve chains hide the latency of a multiply-add (4 cycles, 2 a cycle: 8 would do) and with the
 * factor and the term fill 14 of the 16 registers of SSE2 and AVX2. x = x factor + term is no sum
 * that a compiler may reorder, and it does not know the numbers. */
static double NAME(peak_multiply_add)(int64_t rounds, double *value) {
    enum { CHAINS = 12 };
    static const volatile REAL numbers[2] = {(REAL)0.999, (REAL)0.001};
    const VEC factor = NAME(splat)(numbers[0]), term = NAME(splat)(numbers[1]);
    VEC x[CHAINS], sum = {0};
    KATA__UNROLL for (int c = 0; c < CHAINS; c++) {
        x[c] = NAME(splat)((REAL)(1 + c) * numbers[1]);
    }
    for (int64_t i = 0; i < rounds; i++) {
        KATA__UNROLL for (int c = 0; c < CHAINS; c++) {
            x[c] = x[c] * factor + term;
        }
    }
    KATA__UNROLL for (int c = 0; c < CHAINS; c++) {
        sum += x[c];
    }
    *value = (double)NAME(sum)(sum);
    return 2.0 * LANES * CHAINS * (double)rounds;
}

/* n is a multiple of 8 vectors, arrays are aligned to 64 bytes. */
static double NAME(peak_read)(int64_t n, const void *x) {
    const REAL *from = x;
    VEC sum[8] = {{0}}, all = {0};
    for (int64_t i = 0; i < n; i += (int64_t)8 * LANES) {
        KATA__UNROLL for (int k = 0; k < 8; k++) {
            sum[k] += NAME(load)(from + i + (ptrdiff_t)k * LANES);
        }
    }
    KATA__UNROLL for (int k = 0; k < 8; k++) {
        all += sum[k];
    }
    return (double)NAME(sum)(all);
}

static void NAME(peak_write)(int64_t n, double a, void *z) {
    const VEC v = NAME(splat)((REAL)a);
    REAL *to = z;
    for (int64_t i = 0; i < n; i += (int64_t)4 * LANES) {
        KATA__UNROLL for (int k = 0; k < 4; k++) {
            NAME(store)(to + i + (ptrdiff_t)k * LANES, v);
        }
    }
}

/* z = x + a y; without y: z = x. */
static void NAME(peak_triad)(int64_t n, const void *x, const void *y, double a, void *z) {
    const VEC v = NAME(splat)((REAL)a);
    const REAL *first = x, *second = y;
    REAL *to = z;
    if (second == NULL) {
        for (int64_t i = 0; i < n; i += (int64_t)4 * LANES) {
            KATA__UNROLL for (int k = 0; k < 4; k++) {
                NAME(store)
                (to + i + (ptrdiff_t)k * LANES, NAME(load)(first + i + (ptrdiff_t)k * LANES));
            }
        }
        return;
    }
    for (int64_t i = 0; i < n; i += (int64_t)4 * LANES) {
        KATA__UNROLL for (int k = 0; k < 4; k++) {
            const ptrdiff_t at = i + (ptrdiff_t)k * LANES;
            NAME(store)(to + at, NAME(load)(first + at) + v * NAME(load)(second + at));
        }
    }
}

static const kata__peak_table NAME(kata__peak) = {
    .multiply_add = NAME(peak_multiply_add),
    .read = NAME(peak_read),
    .write = NAME(peak_write),
    .triad = NAME(peak_triad),
};
