/* Winograd's minimal filtering, F(2x2,3x3) and F(4x4,3x3), with vectors along the channels:
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A     (Lavin and Gray 2016, "Fast algorithms for
 * convolutional neural networks") d a patch of P x P numbers of x, g a filter of 3x3, Y the tile of
 * m x m outputs, P = m + 2; sums over the input channels are taken between the inner and the outer
 * transform. The gradient by the filter is the same form flipped round: dg = G^T [ (B^T d B) . (A
 * dY A^T) ] G.
 *
 * The transforms evaluate polynomials in P - 1 points and at infinity: 0, +-1 for m = 2; 0, +-a,
 * +-b with a = 1/sqrt 2, b = sqrt 2 for m = 4, whose error is about a third of that of the usual
 * 0, +-1, +-2. With s = a^2 + b^2 = 5/2 and a^2 b^2 = 1
 *
 *          1  0 -s  0  1  0            1  0  0                    1  1  1  1  1  0
 *          0 -ab^2 -b^2 a 1 0          1  a a^2                   0  a -a  b -b  0
 *   B^T =  0  ab^2 -b^2 -a 1 0   G = D 1 -a a^2            A^T =  0 a^2 a^2 b^2 b^2 0
 *          0 -ba^2 -a^2 b 1 0          1  b b^2                   0 a^3 -a^3 b^3 -b^3 1
 *          0  ba^2 -a^2 -b 1 0         1 -b b^2
 *          0  1  0 -s  0  1            0  0  1
 *
 * D = diagonal (1, -2/3, -2/3, 1/6, 1/6, 1): the products of the differences of the points. */

#ifndef KATA_KERNEL_BODY_WINOGRAD_LINES_H
#define KATA_KERNEL_BODY_WINOGRAD_LINES_H

#include "kernel/table_winograd.h"

#define KATA__WINOGRAD_SQUARE_A 0.5f
#define KATA__WINOGRAD_SQUARE_B 2.0f
#define KATA__WINOGRAD_A 0.70710678118654752f
#define KATA__WINOGRAD_B 1.41421356237309505f
#define KATA__WINOGRAD_S 2.5f

/* Keeps the compiler from taking p for another pointer plus a distance: it would use up its
 * registers for distances. */
#define KATA__WINOGRAD_APART(p) __asm__("" : "+r"(p))

/* A product's largest tile forward is ROWS x 2 vectors, by weight WEIGHT_ROWS, which divide a
 * vector, x 2; see KATA__TILE_ROWS. */
#if KATA__VECTOR_BYTES == 64
#define KATA__WINOGRAD_ROWS 14
#define KATA__WINOGRAD_WEIGHT_ROWS 8
#elif KATA__VECTOR_BYTES == 32
#define KATA__WINOGRAD_ROWS 6
#define KATA__WINOGRAD_WEIGHT_ROWS 4
#else
#define KATA__WINOGRAD_ROWS 4
#define KATA__WINOGRAD_WEIGHT_ROWS 4
#endif
#define KATA__WINOGRAD_WEIGHT_VECTORS 2

/* ---- the transforms of a line ---- */

/* v = B^T d */
KATA__LOCAL void NAME(winograd_input_line)(const int size, const VEC *d, VEC *v) {
    if (size == 2) {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
    } else {
        const VEC even_a = d[4] - KATA__WINOGRAD_SQUARE_B * d[2];
        const VEC odd_a = d[3] - KATA__WINOGRAD_SQUARE_B * d[1];
        const VEC even_b = d[4] - KATA__WINOGRAD_SQUARE_A * d[2];
        const VEC odd_b = d[3] - KATA__WINOGRAD_SQUARE_A * d[1];
        v[0] = (d[0] + d[4]) - KATA__WINOGRAD_S * d[2];
        v[1] = even_a + KATA__WINOGRAD_A * odd_a;
        v[2] = even_a - KATA__WINOGRAD_A * odd_a;
        v[3] = even_b + KATA__WINOGRAD_B * odd_b;
        v[4] = even_b - KATA__WINOGRAD_B * odd_b;
        v[5] = (d[1] + d[5]) - KATA__WINOGRAD_S * d[3];
    }
}

/* y = A^T m + bias */
KATA__LOCAL void NAME(winograd_output_line)(const int size, const VEC *m, VEC bias, VEC *y) {
    if (size == 2) {
        y[0] = (m[0] + bias) + (m[1] + m[2]);
        y[1] = (m[3] + bias) + (m[1] - m[2]);
    } else {
        const VEC even_a = m[1] + m[2], odd_a = m[1] - m[2];
        const VEC even_b = m[3] + m[4], odd_b = m[3] - m[4];
        y[0] = ((m[0] + bias) + even_a) + even_b;
        y[1] = (bias + KATA__WINOGRAD_B * odd_b) + KATA__WINOGRAD_A * odd_a;
        y[2] = (bias + KATA__WINOGRAD_SQUARE_B * even_b) + KATA__WINOGRAD_SQUARE_A * even_a;
        y[3] = ((m[5] + bias) + KATA__WINOGRAD_A * KATA__WINOGRAD_SQUARE_A * odd_a) +
               KATA__WINOGRAD_B * KATA__WINOGRAD_SQUARE_B * odd_b;
    }
}

/* d = A t */
KATA__LOCAL void NAME(winograd_gradient_line)(const int size, const VEC *t, VEC *d) {
    if (size == 2) {
        d[0] = t[0];
        d[1] = t[0] + t[1];
        d[2] = t[0] - t[1];
        d[3] = t[1];
    } else {
        const VEC even_a = t[0] + KATA__WINOGRAD_SQUARE_A * t[2];
        const VEC odd_a = t[1] + KATA__WINOGRAD_SQUARE_A * t[3];
        const VEC even_b = t[0] + KATA__WINOGRAD_SQUARE_B * t[2];
        const VEC odd_b = t[1] + KATA__WINOGRAD_SQUARE_B * t[3];
        d[0] = t[0];
        d[1] = even_a + KATA__WINOGRAD_A * odd_a;
        d[2] = even_a - KATA__WINOGRAD_A * odd_a;
        d[3] = even_b + KATA__WINOGRAD_B * odd_b;
        d[4] = even_b - KATA__WINOGRAD_B * odd_b;
        d[5] = t[3];
    }
}

/* g = G^T u */
KATA__LOCAL void NAME(winograd_weight_line)(const int size, const VEC *u, VEC *g) {
    if (size == 2) {
        const VEC even = 0.5f * (u[1] + u[2]);
        g[0] = u[0] + even;
        g[1] = 0.5f * (u[1] - u[2]);
        g[2] = u[3] + even;
    } else {
        const VEC even_a = (-2.0f / 3) * (u[1] + u[2]), odd_a = (-2.0f / 3) * (u[1] - u[2]);
        const VEC even_b = (1.0f / 6) * (u[3] + u[4]), odd_b = (1.0f / 6) * (u[3] - u[4]);
        g[0] = (u[0] + even_a) + even_b;
        g[1] = KATA__WINOGRAD_A * odd_a + KATA__WINOGRAD_B * odd_b;
        g[2] = (u[5] + KATA__WINOGRAD_SQUARE_A * even_a) + KATA__WINOGRAD_SQUARE_B * even_b;
    }
}

/* maximum, in one instruction where GCC does not find it. */
KATA__LOCAL VEC NAME(winograd_maximum)(VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_max_ps((__m512)b, (__m512)a); /* a if either is a NaN */
#elif KATA__VECTOR_BYTES == 32
    return (VEC)_mm256_max_ps((__m256)b, (__m256)a);
#else
    return NAME(maximum)(a, b);
#endif
}

/* ---- places ---- */

/* Where a tile is; next moves on to the one behind. */
typedef struct NAME(winograd_place) {
    int64_t image, row, column; /* row and column in tiles */
} NAME(winograd_place);

KATA__LOCAL NAME(winograd_place) NAME(winograd_first)(const kata__winograd_piece *piece) {
    const int64_t tiles = piece->rows * piece->columns, rest = piece->first % tiles;
    return (NAME(winograd_place)){piece->first / tiles, rest / piece->columns,
                                  rest % piece->columns};
}

KATA__LOCAL void NAME(winograd_next)(const kata__winograd_piece *piece,
                                     NAME(winograd_place) *place) {
    if (++place->column == piece->columns) {
        place->column = 0;
        if (++place->row == piece->rows) {
            place->row = 0;
            place->image++;
        }
    }
}

KATA__LOCAL int NAME(winograd_count)(const kata__winograd_piece *piece, int64_t at) {
    return piece->channels - at < LANES ? (int)(piece->channels - at) : LANES;
}
typedef uint8_t NAME(winograd_bytes) __attribute__((vector_size(LANES)));

/* ---- weights ---- */

KATA__LOCAL void NAME(winograd_weight_end_body)(const int size, int64_t channels, int64_t vectors,
                                                const REAL *u, int64_t pitch, int64_t step,
                                                REAL *part, int64_t part_step) {
    for (int64_t c = 0; c < channels; c++, u += pitch, part += 9 * part_step) {
        for (int64_t vector = 0; vector < vectors; vector++) {
            VEC half[3][6];
            KATA__UNROLL
            for (int j = 0; j < size + 2; j++) {
                VEC d[6], t[3];
                KATA__UNROLL
                for (int i = 0; i < size + 2; i++) {
                    d[i] = NAME(load)(u + vector * LANES + (i * (size + 2) + j) * step);
                }
                NAME(winograd_weight_line)(size, d, t);
                KATA__UNROLL
                for (int i = 0; i < 3; i++) {
                    half[i][j] = t[i];
                }
            }
            KATA__UNROLL
            for (int i = 0; i < 3; i++) {
                VEC t[3];
                NAME(winograd_weight_line)(size, half[i], t);
                KATA__UNROLL
                for (int j = 0; j < 3; j++) {
                    NAME(store)(part + vector * LANES + (3 * i + j) * part_step, t[j]);
                }
            }
        }
    }
}

static void NAME(winograd_weight_end)(int size, int64_t channels, int64_t vectors, const float *u,
                                      int64_t pitch, int64_t step, float *part, int64_t part_step) {
    if (size == 2) {
        NAME(winograd_weight_end_body)(2, channels, vectors, u, pitch, step, part, part_step);
    } else {
        NAME(winograd_weight_end_body)(4, channels, vectors, u, pitch, step, part, part_step);
    }
}

static void NAME(winograd_weight_sum)(const kata__conv *conv, int64_t first, int64_t last,
                                      const float *part, int64_t pitch, int64_t n_parts,
                                      int64_t part_step, float *dw) {
    for (int64_t f = first * LANES; f < conv->f && f < last * LANES; f += LANES) {
        const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
        for (int64_t c = 0; c < conv->c; c++) {
            REAL sum[9][LANES];
            for (int tap = 0; tap < 9; tap++) {
                const REAL *from = part + (c * 9 + tap) * pitch + f;
                VEC v = NAME(load)(from);
                for (int64_t s = 1; s < n_parts; s++) {
                    v += NAME(load)(from + s * part_step);
                }
                NAME(store)(sum[tap], v);
            }
            for (int l = 0; l < count; l++) {
                for (int tap = 0; tap < 9; tap++) {
                    dw[((f + l) * conv->c + c) * 9 + tap] = sum[tap][l];
                }
            }
        }
    }
}

/* u = G g, in double: the packed weight is exact to one rounding. */
KATA__LOCAL void NAME(winograd_pack_line)(const int size, double (*g)[LANES], int g_step,
                                          double (*u)[LANES], int u_step) {
    static const double point[2][4] = {{1, -1, 0, 0},
                                       {0.70710678118654752440, -0.70710678118654752440,
                                        1.41421356237309504880, -1.41421356237309504880}};
    static const double factor[2][4] = {{0.5, 0.5, 0, 0}, {-2.0 / 3, -2.0 / 3, 1.0 / 6, 1.0 / 6}};
    for (int l = 0; l < LANES; l++) {
        u[0][l] = g[0][l];
        u[(size + 1) * u_step][l] = g[2 * g_step][l];
    }
    KATA__UNROLL
    for (int i = 0; i < size; i++) {
        const double x = point[size / 4][i], scale = factor[size / 4][i];
        for (int l = 0; l < LANES; l++) {
            u[(i + 1) * u_step][l] = scale * (g[0][l] + x * (g[g_step][l] + x * g[2 * g_step][l]));
        }
    }
}

/* u = G g G^T for `count` filters from f on, g their weights at channel c. */
KATA__LOCAL void NAME(winograd_pack_filter)(const int size, const kata__conv *conv, bool flipped,
                                            const float *weight, int64_t f, int count, int64_t c,
                                            VEC *u) {
    double g[9][LANES] = {{0}}, half[18][LANES], whole[KATA__WINOGRAD_POINTS][LANES];
    for (int l = 0; l < count; l++) {
        const float *from = weight + (flipped ? c * conv->f + f + l : (f + l) * conv->c + c) * 9;
        for (int tap = 0; tap < 9; tap++) {
            g[tap][l] = from[flipped ? 8 - tap : tap];
        }
    }
    for (int j = 0; j < 3; j++) {
        NAME(winograd_pack_line)(size, g + j, 3, half + j, 3);
    }
    for (int i = 0; i < size + 2; i++) {
        NAME(winograd_pack_line)(size, half + 3 * i, 1, whole + i * (size + 2), 1);
    }
    for (int q = 0; q < (size + 2) * (size + 2); q++) {
        REAL numbers[LANES];
        for (int l = 0; l < LANES; l++) {
            numbers[l] = (REAL)whole[q][l];
        }
        u[q] = NAME(load)(numbers);
    }
}

#endif
