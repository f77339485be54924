/* The product on AMX tiles. A tile is 16 rows of 64 bytes: of a, 16 rows of 32 numbers, wherever
 * they lie; of b, 16 pairs of rows by 16 columns, as they are packed; of c, 16 by 16 sums. One
 * instruction multiplies two tiles in 16 cycles, so what matters is that the loads (8 cycles each,
 * but 50 where every row crosses a cache line) and the stores keep up: sums stay in 4 tiles while k
 * is run through, and one loaded tile serves two of them.
 *
 * The instructions are written out: the compilers' functions do not tell them that memory is read.
 */

/* Tiles 0-3: sums; 4 to 7: of a, b, a, b. Where k is no multiple of 32, 6 and 7 have the sizes of
 * what is left, so that nothing outside the rows is read or multiplied. */
#define TILE_LOAD(tile, from, step)                                                                \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"(from), "r"((int64_t)(step))                                             \
                     : "memory")
#define TILE_STORE(tile, to, step)                                                                 \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((int64_t)(step))                                               \
                     : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : :)
/* c += a b */
#define TILE_PRODUCT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : :)

/* rows: of a and c that a tile has; rest: what is left of k behind its last multiple of 32. Setting
 * the sizes takes as long as a dozen products: they are kept while they do. */
static void tile_configure(uint32_t *kept, int rows, int rest) {
    const uint32_t wanted = (uint32_t)(rows * 32 + rest);
    if (*kept == wanted) {
        return;
    }
    *kept = wanted;
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config;
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)(i == 5 || i == 7 ? 16 : rows);
        config.row_bytes[i] = 64;
    }
    if (rest > 0) {
        config.row_bytes[6] = (uint16_t)(2 * rest);
        config.rows[7] = (uint8_t)(rest / 2);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
}

#define TILE_PAIR (2 * KATA__BFLOAT16_BLOCK) /* numbers of a packed pair of rows */

typedef struct kata__tile_place {
    const uint16_t *a;
    float *c;
} kata__tile_place;

/* Tile `t` of rows, counted from row `first` on. */
KATA__LOCAL kata__tile_place tile_place(const kata__bfloat16_product *p, int64_t t, int64_t first) {
    return (kata__tile_place){p->a + (first + t * 16) * p->a_row, p->c + (first + t * 16) * p->ldc};
}

/* Two tiles of rows by two blocks of columns. */
static void tile_2x2(const kata__bfloat16_product *p, kata__tile_place at0, kata__tile_place at1,
                     int64_t j) {
    const int64_t step = 2 * p->a_row, ldc = 4 * p->ldc, full = p->k / 32, rest = p->k % 32;
    const uint16_t *b0 = bf16_block(p, j), *b1 = bf16_block(p, j + 1);
    float *c0 = at0.c + j * 16, *c1 = at1.c + j * 16;
    if (p->accumulate) {
        TILE_LOAD(0, c0, ldc);
        TILE_LOAD(1, c0 + 16, ldc);
        TILE_LOAD(2, c1, ldc);
        TILE_LOAD(3, c1 + 16, ldc);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (int64_t run = 0; run < p->runs; run++) {
        const uint16_t *a0 = at0.a + run * p->a_run, *a1 = at1.a + run * p->a_run;
        if (rest == 0) {
            for (int64_t i = 0; i < full; i++, a0 += 32, a1 += 32) {
                TILE_LOAD(5, b0, 64);
                TILE_LOAD(4, a0, step);
                TILE_PRODUCT(0, 4, 5);
                TILE_LOAD(6, a1, step);
                TILE_PRODUCT(2, 6, 5);
                TILE_LOAD(7, b1, 64);
                TILE_PRODUCT(1, 4, 7);
                TILE_PRODUCT(3, 6, 7);
                b0 += 16 * TILE_PAIR;
                b1 += 16 * TILE_PAIR;
            }
            continue;
        }
        for (int64_t i = 0; i < full; i++, a0 += 32, a1 += 32) {
            TILE_LOAD(5, b0, 64);
            TILE_LOAD(4, a0, step);
            TILE_PRODUCT(0, 4, 5);
            TILE_LOAD(4, a1, step);
            TILE_PRODUCT(2, 4, 5);
            TILE_LOAD(5, b1, 64);
            TILE_PRODUCT(3, 4, 5);
            TILE_LOAD(4, a0, step);
            TILE_PRODUCT(1, 4, 5);
            b0 += 16 * TILE_PAIR;
            b1 += 16 * TILE_PAIR;
        }
        TILE_LOAD(7, b0, 64);
        TILE_LOAD(6, a0, step);
        TILE_PRODUCT(0, 6, 7);
        TILE_LOAD(6, a1, step);
        TILE_PRODUCT(2, 6, 7);
        TILE_LOAD(7, b1, 64);
        TILE_PRODUCT(3, 6, 7);
        TILE_LOAD(6, a0, step);
        TILE_PRODUCT(1, 6, 7);
        b0 += rest / 2 * TILE_PAIR;
        b1 += rest / 2 * TILE_PAIR;
    }
    TILE_STORE(0, c0, ldc);
    TILE_STORE(1, c0 + 16, ldc);
    TILE_STORE(2, c1, ldc);
    TILE_STORE(3, c1 + 16, ldc);
}

/* What tile `t` of `count` (up to 4) does with the sums of number `s`: numbers of tiles must be
 * written out. */
#define TILE_EACH(count, DO)                                                                       \
    do {                                                                                           \
        DO(0, 0);                                                                                  \
        if ((count) > 1) {                                                                         \
            DO(1, 1);                                                                              \
        }                                                                                          \
        if ((count) > 2) {                                                                         \
            DO(2, 2);                                                                              \
        }                                                                                          \
        if ((count) > 3) {                                                                         \
            DO(3, 3);                                                                              \
        }                                                                                          \
    } while (0)
/* Up to 5: the fifth sum lies in tile 6, which is free where k is a multiple of 32. */
#define TILE_EACH_5(count, DO)                                                                     \
    do {                                                                                           \
        TILE_EACH(count, DO);                                                                      \
        if ((count) > 4) {                                                                         \
            DO(4, 6);                                                                              \
        }                                                                                          \
    } while (0)

/* Up to five tiles of rows by one block of columns; five if k is a multiple of 32. */
static void tile_5x1(const kata__bfloat16_product *p, const kata__tile_place *at, int count,
                     int64_t j) {
    const int64_t step = 2 * p->a_row, ldc = 4 * p->ldc, full = p->k / 32, rest = p->k % 32;
    const uint16_t *b = bf16_block(p, j);
#define TILE_BEGIN(t, s)                                                                           \
    if (p->accumulate) {                                                                           \
        TILE_LOAD(s, at[t].c + j * 16, ldc);                                                       \
    } else {                                                                                       \
        TILE_ZERO(s);                                                                              \
    }
#define TILE_FULL(t, s)                                                                            \
    TILE_LOAD(4, at[t].a + offset, step);                                                          \
    TILE_PRODUCT(s, 4, 5)
#define TILE_REST(t, s)                                                                            \
    TILE_LOAD(6, at[t].a + offset, step);                                                          \
    TILE_PRODUCT(s, 6, 7)
#define TILE_END(t, s) TILE_STORE(s, at[t].c + j * 16, ldc)
    TILE_EACH_5(count, TILE_BEGIN);
    for (int64_t run = 0; run < p->runs; run++) {
        int64_t offset = run * p->a_run;
        for (int64_t i = 0; i < full; i++, offset += 32, b += 16 * TILE_PAIR) {
            TILE_LOAD(5, b, 64);
            TILE_EACH_5(count, TILE_FULL);
        }
        if (rest > 0) {
            TILE_LOAD(7, b, 64);
            TILE_EACH(count, TILE_REST);
            b += rest / 2 * TILE_PAIR;
        }
    }
    TILE_EACH_5(count, TILE_END);
#undef TILE_BEGIN
#undef TILE_FULL
#undef TILE_REST
#undef TILE_END
}

/* One tile of rows by up to four blocks of columns. */
static void tile_1x4(const kata__bfloat16_product *p, kata__tile_place at, int count, int64_t j) {
    const int64_t step = 2 * p->a_row, ldc = 4 * p->ldc, full = p->k / 32, rest = p->k % 32;
    const uint16_t *b[4];
    int64_t done = 0;
    for (int t = 0; t < count; t++) {
        b[t] = bf16_block(p, j + t);
    }
    float *c = at.c + j * 16;
#define TILE_BEGIN(t, s)                                                                           \
    if (p->accumulate) {                                                                           \
        TILE_LOAD(s, c + t * 16, ldc);                                                             \
    } else {                                                                                       \
        TILE_ZERO(s);                                                                              \
    }
#define TILE_FULL(t, s)                                                                            \
    TILE_LOAD(5, b[t] + done, 64);                                                                 \
    TILE_PRODUCT(s, 4, 5)
#define TILE_REST(t, s)                                                                            \
    TILE_LOAD(7, b[t] + done, 64);                                                                 \
    TILE_PRODUCT(s, 6, 7)
#define TILE_END(t, s) TILE_STORE(s, c + t * 16, ldc)
    TILE_EACH(count, TILE_BEGIN);
    for (int64_t run = 0; run < p->runs; run++) {
        const uint16_t *a = at.a + run * p->a_run;
        for (int64_t i = 0; i < full; i++, a += 32, done += 16 * TILE_PAIR) {
            TILE_LOAD(4, a, step);
            TILE_EACH(count, TILE_FULL);
        }
        if (rest > 0) {
            TILE_LOAD(6, a, step);
            TILE_EACH(count, TILE_REST);
            done += rest / 2 * TILE_PAIR;
        }
    }
    TILE_EACH(count, TILE_END);
#undef TILE_BEGIN
#undef TILE_FULL
#undef TILE_REST
#undef TILE_END
}

/* All columns of `tiles` tiles of `rows` rows, from row `first` on. */
static void tile_rows(const kata__bfloat16_product *p, uint32_t *kept, int64_t tiles, int64_t first,
                      int rows) {
    const int64_t n = p->n_blocks, most = p->k % 32 == 0 ? 5 : 4;
    /* A long block of b does not stay in the first-level cache beside a: one at a time, then, for
     * more rows. */
    const bool is_long = p->runs * p->k > 448 && tiles > 2;
    int64_t j = 0;
    tile_configure(kept, rows, (int)(p->k % 32));
    if (tiles == 1) {
        for (; j < n; j += 4) {
            tile_1x4(p, tile_place(p, 0, first), (int)(n - j < 4 ? n - j : 4), j);
        }
    }
    for (; j + 2 <= n && !is_long; j += 2) {
        int64_t t = 0;
        for (; t + 2 <= tiles; t += 2) {
            tile_2x2(p, tile_place(p, t, first), tile_place(p, t + 1, first), j);
        }
        if (t < tiles) {
            tile_1x4(p, tile_place(p, t, first), 2, j);
        }
    }
    for (; j < n; j++) {
        for (int64_t t = 0; t < tiles; t += most) {
            const int count = (int)(tiles - t < most ? tiles - t : most);
            kata__tile_place at[5];
            for (int i = 0; i < count; i++) {
                at[i] = tile_place(p, t + i, first);
            }
            tile_5x1(p, at, count, j);
        }
    }
}

/* Tiles are left empty: the system saves none at a switch of threads. */
static void bf16_tile_finish(uint32_t *kept) {
    if (*kept != 0) {
        __asm__ volatile("tilerelease" : : :);
    }
    *kept = 0;
}

static void bf16_tile_product(const kata__bfloat16_product *p) {
    uint32_t own = 0, *kept = p->kept != NULL ? p->kept : &own;
    const bool whole = p->whole;
    const int64_t full = whole ? (p->m + 15) / 16 : p->m / 16;
    const int rest = whole ? 0 : (int)(p->m % 16);
    if (full > 0) {
        tile_rows(p, kept, full, 0, 16);
    }
    if (rest > 0) {
        tile_rows(p, kept, 1, full * 16, rest);
    }
    if (p->kept == NULL) {
        bf16_tile_finish(kept);
    }
}
