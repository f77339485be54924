/* Convolution as products: patches are packed straight into the panels of a product, never kept as
 * a whole. Built on body/gemm.h. */

#ifndef KATA__CONV_BLOCK
/* Terms of a packed panel of patches: it stays in the first-level cache while the rows of the
 * weight run over it. */
#define KATA__CONV_BLOCK 192
/* Up to this many output channels, vectors go along the pixels and nothing is packed. */
#define KATA__CONV_FEW 3
#define KATA__CONV_PACK 4
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
        const REAL *weight = (const REAL *)g->weight + i * g->weight_row;
        const VEC bias = NAME(splat)(g->bias ? ((const REAL *)g->bias)[i] : 0);
        for (int64_t y = 0; y < g->rows; y++) {
            const REAL *source = (const REAL *)g->source + y * g->row_step;
            REAL *out = (REAL *)g->out + i * g->out_plane + y * g->out_row;
            int64_t x = 0;
            while (x < g->width) {
                const bool four = x + 4 * LANES <= g->width;
                VEC acc[4] = {{0}, {0}, {0}, {0}};
                const int64_t *offset = g->offset;
                for (int64_t r = 0; r < g->taps; r += g->run) {
                    const REAL *w = weight + r / g->run * g->run_step;
                    if (four) {
                        for (int64_t p = 0; p < g->run; p++) {
                            const REAL *s = source + *offset++ + x;
                            KATA__UNROLL
                            for (int v = 0; v < 4; v++) {
                                acc[v] += NAME(splat)(w[p]) * NAME(load)(s + v * LANES);
                            }
                        }
                    } else {
                        for (int64_t p = 0; p < g->run; p++) {
                            acc[0] += NAME(splat)(w[p]) * NAME(load)(source + *offset++ + x);
                        }
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
    bool half; /* half vectors are enough */
    int to[KATA__PANEL];
    int64_t from[KATA__PANEL];
} NAME(conv_copies);

static void NAME(conv_plan_copies)(const kata__conv_piece *g, int64_t pixel, int columns,
                                   NAME(conv_copies) *copies) {
    int64_t y = pixel / g->width, x = pixel % g->width;
    copies->n = 0;
    copies->half = 2 * g->width <= LANES;
    const int step = copies->half ? LANES / 2 : LANES;
    for (int to = 0; to < columns;) {
        int length = columns - to < g->width - x ? columns - to : (int)(g->width - x);
        for (int v = 0; v < length; v += step) {
            copies->to[copies->n] = to + v;
            copies->from[copies->n++] = y * g->row_step + x + v;
        }
        to += length;
        x = 0;
        y++;
    }
}

KATA__LOCAL void NAME(conv_copy_n)(const NAME(conv_copies) *copies, const REAL *source,
                                   const int64_t *offset, int64_t taps, REAL *panel, const int n,
                                   const bool half) {
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
            if (half) {
                memcpy(to[c] + t * KATA__PANEL, from[c] + offset[t], sizeof(VEC) / 2);
            } else {
                NAME(store)(to[c] + t * KATA__PANEL, NAME(load)(from[c] + offset[t]));
            }
        }
    }
}

static void NAME(conv_copy)(const NAME(conv_copies) *copies, const REAL *source,
                            const int64_t *offset, int64_t taps, REAL *panel) {
    switch (copies->n + (copies->half ? 4 : 0)) {
    case 1:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 1, false);
        return;
    case 2:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 2, false);
        return;
    case 3:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 3, false);
        return;
    case 4:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 4, false);
        return;
    case 4 + 4:
        NAME(conv_copy_n)(copies, source, offset, taps, panel, 4, true);
        return;
    default:
        break;
    }
    const size_t n_bytes = copies->half ? sizeof(VEC) / 2 : sizeof(VEC);
    for (int64_t t = 0; t < taps; t++) {
        for (int c = 0; c < copies->n; c++) {
            memcpy(panel + t * KATA__PANEL + copies->to[c], source + offset[t] + copies->from[c],
                   n_bytes);
        }
    }
}

/* The vectors of pixels are read where they are, two to a tile; none spans two rows of pixels. */
static void NAME(conv_in_place)(const kata__conv_piece *g) {
    const int64_t row_tiles = (g->m + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    const int64_t row_vectors = (g->width + LANES - 1) / LANES, vectors = g->rows * row_vectors;
    NAME(tile)
    tile = {.mode = KATA__BY_OFFSET,
            .k = g->run,
            .runs = g->run > 0 ? g->taps / g->run : 0,
            .run_step = g->run_step,
            .a_step = g->weight_row,
            .offset = g->offset,
            .ldc = g->out_plane,
            .alpha = 1,
            .relu = g->relu};
    for (int64_t vector = 0; vector < vectors; vector += 2) {
        tile.vectors = vectors - vector < 2 ? 1 : 2;
        const int64_t y = vector / row_vectors, x = vector % row_vectors * LANES;
        const int64_t end = vector + tile.vectors - 1;
        const int64_t end_y = end / row_vectors, end_x = end % row_vectors * LANES;
        tile.last = (int)(g->width - end_x < LANES ? g->width - end_x : LANES);
        tile.b = (const REAL *)g->source + y * g->row_step + x;
        tile.second = (end_y - y) * g->row_step + end_x - x;
        tile.second_c = (end_y - y) * g->width + end_x - x;
        for (int64_t r = 0; r < row_tiles; r++) {
            const int64_t i = g->m * r / row_tiles;
            tile.a = (const REAL *)g->weight + i * g->weight_row;
            tile.bias_row = g->bias ? (const REAL *)g->bias + i : NULL;
            tile.c = (REAL *)g->out + i * g->out_plane + y * g->width + x;
            NAME(run_tile)(&tile, (int)(g->m * (r + 1) / row_tiles - i));
        }
    }
}

/* Patches are packed a panel of pixels at a time. */
static void NAME(conv_packed)(const kata__conv_piece *g) {
    REAL out[KATA__TILE_ROWS * KATA__PANEL];
    NAME(conv_copies) copies;
    REAL *panel = g->panel;
    const int64_t pixels = g->rows * g->width;
    const bool neighbours = g->out_pixel == 1 && g->out_row == g->width;
    const int64_t row_tiles = (g->m + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    /* A block has whole runs, or is a part of the only run. Where the output's pixels are not
     * neighbours, partial sums cannot be kept in it: one block. */
    const bool one_run = g->run == g->taps;
    int64_t most = one_run || g->run > KATA__CONV_BLOCK ? KATA__CONV_BLOCK
                                                        : KATA__CONV_BLOCK / g->run * g->run;
    if (!neighbours) {
        most = g->taps;
    } else if (!one_run && g->run > KATA__CONV_BLOCK) {
        most = g->run;
    }
    NAME(tile)
    tile = {.mode = KATA__BY_ROW,
            .run_step = g->run_step,
            .a_step = g->weight_row,
            .b = panel,
            .b_step = KATA__PANEL,
            .alpha = 1};
    /* Lanes behind the last pixel are computed and thrown away: let them hold numbers. */
    const int64_t kept = most < g->taps ? most : g->taps;
    memset(panel, 0, (size_t)(kept * KATA__PANEL + LANES) * sizeof(REAL));
    for (int64_t pixel = 0; pixel < pixels; pixel += KATA__PANEL) {
        const int columns = pixels - pixel < KATA__PANEL ? (int)(pixels - pixel) : KATA__PANEL;
        NAME(set_columns)(&tile, columns);
        NAME(conv_plan_copies)(g, pixel, columns, &copies);
        int64_t p = 0;
        do {
            const int64_t terms = g->taps - p < most ? g->taps - p : most;
            const bool end = p + terms == g->taps;
            tile.k = one_run ? terms : g->run;
            tile.runs = one_run ? 1 : terms / g->run;
            tile.beta = p > 0 ? 1 : 0;
            tile.relu = end && g->relu;
            NAME(conv_copy)(&copies, g->source, g->offset + p, terms, panel);
            for (int64_t r = 0; r < row_tiles; r++) {
                const int64_t i = g->m * r / row_tiles;
                const int rows = (int)(g->m * (r + 1) / row_tiles - i);
                tile.a = (const REAL *)g->weight + i * g->weight_row +
                         (one_run ? p : p / g->run * g->run_step);
                tile.bias_row = end && g->bias ? (const REAL *)g->bias + i : NULL;
                if (neighbours) {
                    tile.c = (REAL *)g->out + i * g->out_plane + pixel;
                    tile.ldc = g->out_plane;
                    NAME(run_tile)(&tile, rows);
                } else {
                    tile.c = out;
                    tile.ldc = KATA__PANEL;
                    NAME(run_tile)(&tile, rows);
                    NAME(conv_scatter)(g, out, KATA__PANEL, i, rows, pixel, columns);
                }
            }
            p += terms;
        } while (p < g->taps);
    }
}

/* In place, a row's last vector may be partly empty (but two must fill one, so that a tile stores
 * nothing behind its last pixel); packing costs about as much as KATA__CONV_PACK
 * output channels. */
static void NAME(conv_piece)(const kata__conv_piece *g) {
    const int64_t in_place = g->rows * ((g->width + LANES - 1) / LANES);
    const int64_t packed = (g->rows * g->width + LANES - 1) / LANES;
    if (g->m <= KATA__CONV_FEW) {
        NAME(conv_few)(g);
    } else if (g->out_pixel == 1 && g->out_row == g->width && 2 * g->width >= LANES &&
               in_place * g->m <= packed * (g->m + KATA__CONV_PACK)) {
        NAME(conv_in_place)(g);
    } else {
        NAME(conv_packed)(g);
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
        if (x <
            g->width) { /* the lanes behind are 0 in both: the source may hold infinities there */
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

/* sum (taps, m) += patches (taps, pixels) dy^T (pixels, m): dy is packed, the patches are read
 * where they are, a tile's rows being taps of the same run of pixels. */
static void NAME(conv_weight_piece)(const kata__conv_weight_piece *g) {
    if (g->m <= KATA__CONV_FEW) {
        NAME(conv_weight_few)(g);
        return;
    }
    const int64_t most = kata__conv_weight_rows(g->rows, g->width);
    const int64_t tiles = (g->taps + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    NAME(tile)
    tile = {.mode = KATA__BY_POINTER,
            .k = g->width,
            .run_step = g->row_step,
            .b = g->panel,
            .ldc = g->ld,
            .alpha = 1,
            .beta = 1};
    for (int64_t y = 0; y < g->rows; y += most) {
        tile.runs = g->rows - y < most ? g->rows - y : most;
        const REAL *source = (const REAL *)g->source + y * g->row_step;
        const REAL *dy = (const REAL *)g->dy + y * g->width;
        for (int64_t j = 0; j < g->m; j += KATA__PANEL) {
            const int64_t columns = g->m - j < KATA__PANEL ? g->m - j : KATA__PANEL;
            NAME(set_columns)(&tile, (columns + LANES - 1) / LANES * LANES);
            tile.b_step = tile.vectors * LANES;
            NAME(pack_transposed)
            (dy + j * g->dy_plane, g->dy_plane, tile.runs * g->width, columns, g->panel,
             tile.b_step);
            for (int64_t r = 0; r < tiles; r++) {
                const int64_t t = g->taps * r / tiles;
                const int rows = (int)(g->taps * (r + 1) / tiles - t);
                for (int s = 0; s < rows; s++) {
                    tile.row[s] = source + g->offset[t + s];
                }
                tile.c = (REAL *)g->sum + t * g->ld + j;
                NAME(run_tile)(&tile, rows);
            }
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
