/* Bodies of move.h. Built on NAME(transpose) of body/gemm.h, the transposition of LANES vectors. */

/* One block: n rows and m columns of x, at most LANES each. Of a smaller one only what is there is
 * touched. */
KATA__LOCAL void NAME(transpose_part)(int n, int m, const REAL *x, int64_t x_step, REAL *y,
                                      int64_t y_step) {
    VEC r[LANES];
    KATA__UNROLL
    for (int i = 0; i < LANES; i++) {
        r[i] = i < n ? NAME(load_first)(x + i * x_step, m) : (VEC){0};
    }
    NAME(transpose)(r);
    KATA__UNROLL
    for (int i = 0; i < LANES; i++) {
        if (i < m) {
            NAME(store_first)(y + i * y_step, r[i], n);
        }
    }
}

KATA__LOCAL void NAME(transpose_whole)(const REAL *x, int64_t x_step, REAL *y, int64_t y_step) {
    VEC r[LANES];
    KATA__UNROLL
    for (int i = 0; i < LANES; i++) {
        r[i] = NAME(load)(x + i * x_step);
    }
    NAME(transpose)(r);
    KATA__UNROLL
    for (int i = 0; i < LANES; i++) {
        NAME(store)(y + i * y_step, r[i]);
    }
}

/* Columns of x, (rows, columns) with rows x_step apart, become rows of y, y_step apart. Blocks of
 * LANES rows and columns; the last ones begin earlier, so that they are whole, where there is
 * enough. */
static void NAME(transpose_block)(int64_t rows, int64_t columns, const void *from, int64_t x_step,
                                  void *to, int64_t y_step) {
    const REAL *x = from;
    REAL *y = to;
    const int n = rows < LANES ? (int)rows : LANES, m = columns < LANES ? (int)columns : LANES;
    for (int64_t i = 0; i < rows; i += LANES) {
        const int64_t row = i + n <= rows ? i : rows - n;
        for (int64_t j = 0; j < columns; j += LANES) {
            const int64_t column = j + m <= columns ? j : columns - m;
            const REAL *in = x + row * x_step + column;
            REAL *out = y + column * y_step + row;
            if (n == LANES && m == LANES) {
                NAME(transpose_whole)(in, x_step, out, y_step);
            } else {
                NAME(transpose_part)(n, m, in, x_step, out, y_step);
            }
        }
    }
}
