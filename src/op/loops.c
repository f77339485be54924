/* Loops of the plain kernels. */
#include "op/loops.h"

#include <string.h>

#include "base/parallel.h"
#include "kernel/elementwise.h"

void kata__strides(const kata_shape *shape, int64_t stride[KATA_MAX_RANK]) {
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i];
    }
}

void kata__broadcast_strides(const kata_shape *out, const kata_shape *in,
                             int64_t stride[KATA_MAX_RANK]) {
    int64_t step = 1;
    int lead = out->rank - in->rank;
    for (int i = out->rank - 1; i >= 0; i--) {
        int64_t size = i < lead ? 1 : in->dim[i - lead];
        stride[i] = size == 1 ? 0 : step;
        step *= size;
    }
}

/* Copies the axes that are not of size 1 and merges neighbours i, i+1 where
 * stride[i] == stride[i+1] dim[i+1] for every operand. Returns the number of axes left. */
static int merge_axes(int rank, const int64_t *dim, int n_operands, const int64_t *const *strides,
                      int64_t *merged_dim, int64_t merged[][KATA__WALK_AXES]) {
    int n = 0;
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1) {
            continue;
        }
        bool joins = n > 0;
        for (int k = 0; joins && k < n_operands; k++) {
            joins = merged[k][n - 1] == strides[k][i] * dim[i];
        }
        if (joins) {
            n--;
            merged_dim[n] *= dim[i];
        } else {
            merged_dim[n] = dim[i];
        }
        for (int k = 0; k < n_operands; k++) {
            merged[k][n] = strides[k][i];
        }
        n++;
    }
    return n;
}

void kata__walk_start(kata__walk *walk, int rank, const int64_t *dim, int n_operands,
                      const int64_t *const *strides) {
    int n = merge_axes(rank, dim, n_operands, strides, walk->dim, walk->stride);
    walk->n_operands = n_operands;
    walk->n = n > 0 ? walk->dim[n - 1] : 1;
    walk->rank = n > 0 ? n - 1 : 0;
    walk->rows = walk->n > 0;
    for (int i = 0; i < walk->rank; i++) {
        walk->rows *= walk->dim[i];
        walk->index[i] = 0;
    }
    for (int k = 0; k < n_operands; k++) {
        walk->at[k] = 0;
        walk->step[k] = n > 0 ? walk->stride[k][n - 1] : 0;
    }
}

void kata__walk_next(kata__walk *walk) {
    walk->rows--;
    for (int i = walk->rank - 1; i >= 0; i--) {
        bool wraps = ++walk->index[i] == walk->dim[i];
        int64_t move = wraps ? 1 - walk->dim[i] : 1;
        for (int k = 0; k < walk->n_operands; k++) {
            walk->at[k] += move * walk->stride[k][i];
        }
        if (!wraps) {
            return;
        }
        walk->index[i] = 0;
    }
}

void kata__walk_call(kata__walk *walk, const kata_call *call, int first, int n_inputs) {
    int64_t stride[KATA__WALK_OPERANDS][KATA_MAX_RANK];
    const int64_t *strides[KATA__WALK_OPERANDS];
    const kata_shape *out = &call->outputs[0].shape;
    kata__strides(out, stride[0]);
    strides[0] = stride[0];
    for (int k = 0; k < n_inputs; k++) {
        kata__broadcast_strides(out, &call->inputs[first + k].shape, stride[k + 1]);
        strides[k + 1] = stride[k + 1];
    }
    kata__walk_start(walk, out->rank, out->dim, n_inputs + 1, strides);
}

/* --- strided copy ---------------------------------------------------------------------------- */

/* A plane of the copy: n rows of m elements, after the axes before them are merged. Where the input
 * runs fastest along another axis than the output (a transpose), that axis becomes the rows, so
 * that a block of both stays in the cache. */
typedef struct strided {
    size_t size; /* bytes of an element */
    int rank;    /* axes outside the plane */
    int64_t dim[KATA__WALK_AXES], to_stride[KATA__WALK_AXES], from_stride[KATA__WALK_AXES];
    int64_t n, m;
    int64_t to_row, from_row, to_step, from_step; /* strides of the plane */
    int64_t bands, band;                          /* the rows are cut into bands of `band` */
    int64_t per_chunk;                            /* bands a chunk */
    char *to;
    const char *from;
} strided;

enum { COPY_BLOCK = 16, COPY_BAND_BYTES = 16384, COPY_CHUNK_BYTES = 131072 };

#define COPY_ROWS(type)                                                                            \
    static void copy_rows_##type(const strided *s, int64_t n, type *to, const type *from) {        \
        int64_t width = s->from_step == 1 || s->from_step == 0 ? s->m : COPY_BLOCK;                \
        for (int64_t start = 0; start < s->m; start += width) {                                    \
            int64_t stop = start + width < s->m ? start + width : s->m;                            \
            for (int64_t i = 0; i < n; i++) {                                                      \
                type *z = to + i * s->to_row;                                                      \
                const type *x = from + i * s->from_row;                                            \
                for (int64_t j = start; j < stop; j++) {                                           \
                    z[j * s->to_step] = x[j * s->from_step];                                       \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
COPY_ROWS(uint8_t)
COPY_ROWS(uint16_t)
COPY_ROWS(uint32_t)
COPY_ROWS(uint64_t)
COPY_ROWS(kata_string)

static void copy_band(const strided *s, int64_t n, char *to, const char *from) {
    if (s->to_step == 1 && s->from_step == 1) {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + i * s->to_row * (int64_t)s->size, from + i * s->from_row * (int64_t)s->size,
                   (size_t)s->m * s->size);
        }
        return;
    }
    switch (s->size) {
    case 1:
        copy_rows_uint8_t(s, n, (uint8_t *)to, (const uint8_t *)from);
        break;
    case 2:
        copy_rows_uint16_t(s, n, (uint16_t *)(void *)to, (const uint16_t *)(const void *)from);
        break;
    case 4:
        copy_rows_uint32_t(s, n, (uint32_t *)(void *)to, (const uint32_t *)(const void *)from);
        break;
    case sizeof(kata_string):
        copy_rows_kata_string(s, n, (kata_string *)(void *)to,
                              (const kata_string *)(const void *)from);
        break;
    default:
        copy_rows_uint64_t(s, n, (uint64_t *)(void *)to, (const uint64_t *)(const void *)from);
        break;
    }
}

static void copy_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const strided *s = argument;
    int64_t size = (int64_t)s->size, planes = 1;
    for (int i = 0; i < s->rank; i++) {
        planes *= s->dim[i];
    }
    int64_t stop = (chunk + 1) * s->per_chunk;
    for (int64_t k = chunk * s->per_chunk; k < stop && k < planes * s->bands; k++) {
        int64_t plane = k / s->bands, row = k % s->bands * s->band;
        int64_t to = row * s->to_row, from = row * s->from_row;
        for (int i = s->rank - 1; i >= 0; i--) {
            to += plane % s->dim[i] * s->to_stride[i];
            from += plane % s->dim[i] * s->from_stride[i];
            plane /= s->dim[i];
        }
        copy_band(s, s->n - row < s->band ? s->n - row : s->band, s->to + to * size,
                  s->from + from * size);
    }
}

void kata__copy_strided(kata_context *context, size_t element_size, int rank, const int64_t *dim,
                        void *to, const int64_t *to_stride, const void *from,
                        const int64_t *from_stride) {
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 0) {
            return;
        }
    }
    const int64_t *strides[2] = {to_stride, from_stride};
    int64_t size[KATA__WALK_AXES], stride[2][KATA__WALK_AXES];
    int n = merge_axes(rank, dim, 2, strides, size, stride);
    strided s = {.size = element_size, .n = 1, .m = 1, .to_step = 1, .from_step = 1};
    s.to = to;
    s.from = from;
    int row = n - 2;
    if (n >= 1) {
        s.m = size[n - 1];
        s.to_step = stride[0][n - 1];
        s.from_step = stride[1][n - 1];
        for (int i = 0; s.from_step != 1 && i < n - 1; i++) {
            if (stride[1][i] == 1) {
                row = i;
            }
        }
    }
    if (row >= 0) {
        s.n = size[row];
        s.to_row = stride[0][row];
        s.from_row = stride[1][row];
    }
    int64_t planes = 1;
    for (int i = 0; i < n - 1; i++) {
        if (i != row) {
            s.dim[s.rank] = size[i];
            s.to_stride[s.rank] = stride[0][i];
            s.from_stride[s.rank++] = stride[1][i];
            planes *= size[i];
        }
    }
    int64_t row_bytes = s.m * (int64_t)element_size;
    s.band = row_bytes >= COPY_BAND_BYTES / COPY_BLOCK ? COPY_BLOCK : COPY_BAND_BYTES / row_bytes;
    s.bands = (s.n + s.band - 1) / s.band;
    int64_t band_bytes = row_bytes * (s.band < s.n ? s.band : s.n);
    s.per_chunk = band_bytes >= COPY_CHUNK_BYTES ? 1 : COPY_CHUNK_BYTES / band_bytes;
    int64_t chunks = (planes * s.bands + s.per_chunk - 1) / s.per_chunk;
    if (chunks == 1 || context == NULL) {
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            copy_chunk(&s, chunk, 0);
        }
    } else {
        kata__parallel(context, chunks, copy_chunk, &s);
    }
}

void kata__divide_output(const kata_call *call, double divisor) {
    const kata_tensor *out = &call->outputs[0];
    if (divisor == 1.0) {
        return;
    }
    double number[1]; /* of out's dtype */
    kata_store(out->dtype, number, 0, divisor);
    int64_t stride[KATA_MAX_RANK], none[KATA_MAX_RANK] = {0};
    kata__strides(&out->shape, stride);
    kata__binary_run(call->context, out->dtype, KATA__DIV, &out->shape, out->data, stride, number,
                     none, out->data);
}

double kata__flops_none(const kata_call *call) {
    (void)call;
    return 0.0;
}

double kata__flops_input(const kata_call *call) {
    return (double)kata_tensor_count(&call->inputs[0]);
}
