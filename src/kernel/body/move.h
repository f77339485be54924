/* Bodies of move.h. Built on NAME(transpose) of body/gemm.h, the transposition of LANES vectors. */

/* Columns of x, (rows, columns) with rows x_step apart, become rows of y, y_step apart. Blocks of
 * LANES rows and columns; at the edges only what is there is touched. */
static void NAME(transpose_block)(int64_t rows, int64_t columns, const void *from, int64_t x_step,
                                  void *to, int64_t y_step) {
    const REAL *x = from;
    REAL *y = to;
    for (int64_t row = 0; row < rows; row += LANES) {
        const int n = rows - row < LANES ? (int)(rows - row) : LANES;
        for (int64_t column = 0; column < columns; column += LANES) {
            const int m = columns - column < LANES ? (int)(columns - column) : LANES;
            const REAL *in = x + row * x_step + column;
            REAL *out = y + column * y_step + row;
            VEC r[LANES];
            if (n == LANES && m == LANES) {
                KATA__UNROLL
                for (int i = 0; i < LANES; i++) {
                    r[i] = NAME(load)(in + i * x_step);
                }
                NAME(transpose)(r);
                KATA__UNROLL
                for (int i = 0; i < LANES; i++) {
                    NAME(store)(out + i * y_step, r[i]);
                }
                continue;
            }
            for (int i = 0; i < LANES; i++) {
                r[i] = i < n ? NAME(load_first)(in + i * x_step, m) : (VEC){0};
            }
            NAME(transpose)(r);
            for (int i = 0; i < m; i++) {
                NAME(store_first)(out + i * y_step, r[i], n);
            }
        }
    }
}
