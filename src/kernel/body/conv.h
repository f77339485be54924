/* Convolution as products: patches are packed straight into the panels of a product, never kept as a
 * whole. Built on body/gemm.h. */

#ifndef KATA__CONV_BLOCK
/* Terms of a packed panel of patches: it stays in the first-level cache while the rows of the weight
 * run over it. */
#define KATA__CONV_BLOCK 192
/* Up to this many output channels, vectors go along the pixels and nothing is packed. */
#define KATA__CONV_FEW 3
#endif

static size_t NAME(conv_panel)(int64_t taps) {
    return (size_t)(taps * KATA__PANEL + 2 * LANES);
}

/* ---- padding ---- */

static void NAME(conv_pad)(const kata__conv_pad *pad) {
    for (int64_t phase = 0; phase < pad->phases; phase++) {
        REAL *to = (REAL *)pad->to + phase * pad->phase_step;
        /* Columns [first, last) lie inside the plane: 0 <= left + column stride + phase < w. */
        const int64_t left = pad->left + phase, stride = pad->stride;
        int64_t first = left >= 0 ? 0 : (-left + stride - 1) / stride;
        int64_t last = pad->w - left <= 0 ? 0 : (pad->w - left + stride - 1) / stride;
        first = first < pad->columns ? first : pad->columns;
        last = last < pad->columns ? last : pad->columns;
        for (int64_t row = 0; row < pad->rows; row++, to += pad->pitch) {
            const int64_t y = pad->top + row;
            int64_t x = 0;
            if (y >= 0 && y < pad->h && first < last) {
                const REAL *from = (const REAL *)pad->from + y * pad->w + left;
                for (; x < first; x += LANES) {
                    NAME(store)(to + x, (VEC){0});
                }
                x = first;
                if (stride == 1) {
                    for (; x + LANES <= last; x += LANES) {
                        NAME(store)(to + x, NAME(load)(from + x));
                    }
                    if (x < last) {
                        NAME(store)(to + x, NAME(load_first)(from + x, (int)(last - x)));
                        x += LANES;
                    }
                } else {
                    for (; x < last; x++) {
                        to[x] = from[x * stride];
                    }
                }
            }
            for (; x < pad->pitch; x += LANES) {
                NAME(store)(to + x, (VEC){0});
            }
        }
    }
}

/* ---- forward ---- */

/* Places (rows of `width`) that are not neighbours in the output. */
static void NAME(conv_scatter)(const kata__conv_piece *g, const REAL *from, int64_t from_step,
                               int64_t i, int rows, int64_t pixel, int columns) {
    for (int r = 0; r < rows; r++) {
        REAL *out = (REAL *)g->out + (i + r) * g->out_plane;
        int64_t y = pixel / g->width, x = pixel % g->width;
        for (int j = 0; j < columns; j++) {
            out[y * g->out_row + x * g->out_pixel] = from[r * from_step + j];
            if (++x == g->width) {
                x = 0;
                y++;
            }
        }
    }
}

/* One channel after the other, vectors along the row of pixels. */
static void NAME(conv_few)(const kata__conv_piece *g) {
    for (int64_t i = 0; i < g->m; i++) {
        const REAL *weight = (const REAL *)g->weight + i * g->taps;
        const VEC bias = NAME(splat)(g->bias ? ((const REAL *)g->bias)[i] : 0);
        for (int64_t y = 0; y < g->rows; y++) {
            const REAL *source = (const REAL *)g->source + y * g->row_step;
            REAL *out = (REAL *)g->out + i * g->out_plane + y * g->out_row;
            int64_t x = 0;
            while (x < g->width) {
                const bool four = x + 4 * LANES <= g->width;
                VEC acc[4] = {{0}, {0}, {0}, {0}};
                if (four) {
                    for (int64_t t = 0; t < g->taps; t++) {
                        const REAL *s = source + g->offset[t] + x;
                        const VEC w = NAME(splat)(weight[t]);
                        KATA__UNROLL
                        for (int v = 0; v < 4; v++) {
                            acc[v] += w * NAME(load)(s + v * LANES);
                        }
                    }
                } else {
                    for (int64_t t = 0; t < g->taps; t++) {
                        acc[0] += NAME(splat)(weight[t]) * NAME(load)(source + g->offset[t] + x);
                    }
                }
                for (int v = 0; v < (four ? 4 : 1); v++, x += LANES) {
                    const int count = g->width - x < LANES ? (int)(g->width - x) : LANES;
                    VEC value = acc[v] + bias;
                    if (g->relu) {
                        value = NAME(maximum)(value, (VEC){0});
                    }
                    if (g->out_pixel == 1) {
                        NAME(store_first)(out + x, value, count);
                    } else {
                        for (int j = 0; j < count; j++) {
                            out[(x + j) * g->out_pixel] = value[j];
                        }
                    }
                }
            }
        }
    }
}

/* The vectors that make up a panel's row of pixels: whole vectors are copied from source + from to
 * the row + to, in this order, so that what one writes too much the next writes over. */
typedef struct NAME(conv_copies) {
    int n;
    int to[2 * KATA__PANEL];
    int64_t from[2 * KATA__PANEL];
} NAME(conv_copies);

static void NAME(conv_plan_copies)(const kata__conv_piece *g, int64_t pixel, int columns,
                                   NAME(conv_copies) *copies) {
    int64_t y = pixel / g->width, x = pixel % g->width;
    copies->n = 0;
    for (int to = 0; to < columns;) {
        int length = columns - to < g->width - x ? columns - to : (int)(g->width - x);
        for (int v = 0; v < length; v += LANES) {
            copies->to[copies->n] = to + v;
            copies->from[copies->n++] = y * g->row_step + x + v;
        }
        to += length;
        x = 0;
        y++;
    }
}

KATA__LOCAL void NAME(conv_copy_n)(const NAME(conv_copies) *copies, const REAL *source,
                                   const int64_t *offset, int64_t taps, REAL *panel, const int n) {
    const REAL *from[4];
    REAL *to[4];
    KATA__UNROLL
    for (int c = 0; c < n; c++) {
        from[c] = source + copies->from[c];
        to[c] = panel + copies->to[c];
    }
    for (int64_t t = 0; t < taps; t++) {
        KATA__UNROLL
        for (int c = 0; c < n; c++) {
            NAME(store)(to[c] + t * KATA__PANEL, NAME(load)(from[c] + offset[t]));
        }
    }
}

static void NAME(conv_copy)(const NAME(conv_copies) *copies, const REAL *source,
                            const int64_t *offset, int64_t taps, REAL *panel) {
    switch (copies->n) {
    case 1:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 1);
        return;
    case 2:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 2);
        return;
    case 3:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 3);
        return;
    case 4:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 4);
        return;
    default:
        break;
    }
    for (int64_t t = 0; t < taps; t++) {
        for (int c = 0; c < copies->n; c++) {
            NAME(store)(panel + t * KATA__PANEL + copies->to[c],
                        NAME(load)(source + offset[t] + copies->from[c]));
        }
    }
}

/* out (m, pixels) = weight (m, taps) patches (taps, pixels), a panel of pixels at a time. */
static void NAME(conv_piece)(const kata__conv_piece *g) {
    if (g->m <= KATA__CONV_FEW) {
        NAME(conv_few)(g);
        return;
    }
    REAL out[KATA__TILE_ROWS * KATA__PANEL];
    NAME(conv_copies) copies;
    REAL *panel = g->panel;
    const int64_t pixels = g->rows * g->width;
    const bool neighbours = g->out_pixel == 1 && g->out_row == g->width;
    const int64_t row_tiles = (g->m + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    /* Where the output's pixels are not neighbours, partial sums cannot be kept in it. */
    const int64_t most = neighbours ? KATA__CONV_BLOCK : g->taps;
    const int64_t blocks = g->taps > 0 ? (g->taps + most - 1) / most : 1;
    NAME(tile) tile = {.mode = KATA__BY_ROW,
                       .outer = 1,
                       .a_step = g->taps,
                       .b = panel,
                       .b_step = KATA__PANEL,
                       .alpha = 1};
    /* Lanes behind the last pixel are computed and thrown away: let them hold numbers. */
    memset(panel, 0, ((size_t)((g->taps + blocks - 1) / blocks) * KATA__PANEL + LANES) * sizeof(REAL));
    for (int64_t pixel = 0; pixel < pixels; pixel += KATA__PANEL) {
        tile.columns = pixels - pixel < KATA__PANEL ? (int)(pixels - pixel) : KATA__PANEL;
        NAME(conv_plan_copies)(g, pixel, tile.columns, &copies);
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t p = g->taps * block / blocks;
            const bool end = block == blocks - 1;
            tile.k = g->taps * (block + 1) / blocks - p;
            tile.beta = block > 0 ? 1 : 0;
            tile.relu = end && g->relu;
            NAME(conv_copy)(&copies, g->source, g->offset + p, tile.k, panel);
            for (int64_t r = 0; r < row_tiles; r++) {
                const int64_t i = g->m * r / row_tiles;
                const int rows = (int)(g->m * (r + 1) / row_tiles - i);
                tile.a = (const REAL *)g->weight + i * g->taps + p;
                tile.bias_row = end && g->bias ? (const REAL *)g->bias + i : NULL;
                if (neighbours) {
                    tile.c = (REAL *)g->out + i * g->out_plane + pixel;
                    tile.ldc = g->out_plane;
                    NAME(run_tile)(&tile, rows);
                } else {
                    tile.c = out;
                    tile.ldc = KATA__PANEL;
                    NAME(run_tile)(&tile, rows);
                    NAME(conv_scatter)(g, out, KATA__PANEL, i, rows, pixel, tile.columns);
                }
            }
        }
    }
}

/* ---- gradient by the weight ---- */

KATA__LOCAL void NAME(conv_weight_few_taps)(const kata__conv_weight_piece *g, int64_t i, int64_t t,
                                            const int taps) {
    VEC acc[6];
    KATA__UNROLL
    for (int s = 0; s < taps; s++) {
        acc[s] = (VEC){0};
    }
    const REAL *dy = (const REAL *)g->dy + i * g->dy_plane;
    for (int64_t y = 0; y < g->rows; y++, dy += g->width) {
        const REAL *source = (const REAL *)g->source + y * g->row_step;
        int64_t x = 0;
        for (; x + LANES <= g->width; x += LANES) {
            const VEC d = NAME(load)(dy + x);
            KATA__UNROLL
            for (int s = 0; s < taps; s++) {
                acc[s] += d * NAME(load)(source + g->offset[t + s] + x);
            }
        }
        if (x < g->width) { /* the lanes behind are 0 in both: the source may hold infinities there */
            const int count = (int)(g->width - x);
            const VEC d = NAME(load_first)(dy + x, count);
            KATA__UNROLL
            for (int s = 0; s < taps; s++) {
                acc[s] += d * NAME(load_first)(source + g->offset[t + s] + x, count);
            }
        }
    }
    REAL *sum = (REAL *)g->sum + t * g->ld + i;
    KATA__UNROLL
    for (int s = 0; s < taps; s++) {
        sum[s * g->ld] += NAME(sum)(acc[s]);
    }
}

/* Vectors along the pixels. */
static void NAME(conv_weight_few)(const kata__conv_weight_piece *g) {
    for (int64_t i = 0; i < g->m; i++) {
        int64_t t = 0;
        for (; t + 6 <= g->taps; t += 6) {
            NAME(conv_weight_few_taps)(g, i, t, 6);
        }
        for (; t + 3 <= g->taps; t += 3) {
            NAME(conv_weight_few_taps)(g, i, t, 3);
        }
        for (; t < g->taps; t++) {
            NAME(conv_weight_few_taps)(g, i, t, 1);
        }
    }
}

/* sum (taps, m) += patches (taps, pixels) dy^T (pixels, m): dy is packed, the patches are read where
 * they are, a tile's rows being taps of the same run of pixels. */
static void NAME(conv_weight_piece)(const kata__conv_weight_piece *g) {
    if (g->m <= KATA__CONV_FEW) {
        NAME(conv_weight_few)(g);
        return;
    }
    const int64_t pixels = g->rows * g->width;
    const int64_t tiles = (g->taps + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    NAME(tile) tile = {.mode = KATA__BY_POINTER,
                       .k = g->width,
                       .outer = g->rows,
                       .outer_step = g->row_step,
                       .b = g->panel,
                       .b_step = KATA__PANEL,
                       .ldc = g->ld,
                       .alpha = 1,
                       .beta = 1};
    for (int64_t j = 0; j < g->m; j += KATA__PANEL) {
        const int64_t columns = g->m - j < KATA__PANEL ? g->m - j : KATA__PANEL;
        tile.columns = (int)(columns + LANES - 1) / LANES * LANES;
        NAME(pack_transposed)((const REAL *)g->dy + j * g->dy_plane, g->dy_plane, pixels, columns,
                              g->panel, KATA__PANEL);
        for (int64_t r = 0; r < tiles; r++) {
            const int64_t t = g->taps * r / tiles;
            const int rows = (int)(g->taps * (r + 1) / tiles - t);
            for (int s = 0; s < rows; s++) {
                tile.row[s] = (const REAL *)g->source + g->offset[t + s];
            }
            tile.c = (REAL *)g->sum + t * g->ld + j;
            NAME(run_tile)(&tile, rows);
        }
    }
}

static void NAME(conv_weight_sum)(int64_t m, int64_t taps, int64_t first, int64_t last,
                                  const void *part, int64_t ld, int64_t n_parts, int64_t part_step,
                                  void *dw) {
    for (int64_t t = first; t < last; t++) {
        for (int64_t i = 0; i < m; i += LANES) {
            const REAL *from = (const REAL *)part + t * ld + i;
            VEC x = NAME(load)(from);
            for (int64_t s = 1; s < n_parts; s++) {
                x += NAME(load)(from + s * part_step);
            }
            REAL *to = (REAL *)dw + i * taps + t;
            for (int j = 0; j < LANES && i + j < m; j++) {
                to[j * taps] = x[j];
            }
        }
    }
}

static double NAME(sum_planes)(const void *x, int64_t count, int64_t n, int64_t step) {
    double total = 0;
    for (int64_t plane = 0; plane < n; plane++) {
        const REAL *p = (const REAL *)x + plane * step;
        VEC acc[4] = {{0}, {0}, {0}, {0}};
        int64_t i = 0;
        for (; i + 4 * LANES <= count; i += 4 * LANES) {
            KATA__UNROLL
            for (int v = 0; v < 4; v++) {
                acc[v] += NAME(load)(p + i + v * LANES);
            }
        }
        for (; i < count; i += LANES) {
            acc[0] += NAME(load_first)(p + i, count - i < LANES ? (int)(count - i) : LANES);
        }
        total += (double)NAME(sum)((acc[0] + acc[1]) + (acc[2] + acc[3]));
    }
    return total;
}
