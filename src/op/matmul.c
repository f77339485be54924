/* Matrix products: MatMul, Gemm and kata:MatMulTransposed, the product of MatMul's gradient. */
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"

#include "base/check.h"
#include "kernel/gemm.h"
#include "op/loops.h"
#include "op/rules.h"
#include "op/workspace.h"
#include "tensor/shape.h"

static bool is_fast(const kata_call *call) {
    return kata__is_fast(call->outputs[0].dtype) && kata_tensor_count(&call->outputs[0]) > 0;
}

/* ---- MatMul: Y = A B on the last two axes, the axes before them broadcast ---- */

enum { MATMUL_TRANS_A, MATMUL_TRANS_B };

/* A product with its batch axes: Y (batch...,m,n) = A (m,k) B (k,n), where A and B of a batch index
 * begin at the sum of index * stride. */
typedef struct product {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    int rank;
    int64_t batch[KATA_MAX_RANK], stride_a[KATA_MAX_RANK], stride_b[KATA_MAX_RANK];
} product;

/* Strides of the batch axes of an operand of `each` elements a matrix; 0 where it is broadcast. */
static void batch_strides(int64_t *stride, const kata_shape *operand, int rank, int64_t each) {
    int own = operand->rank - 2;
    for (int i = rank - 1; i >= 0; i--) {
        int axis = own - rank + i;
        int64_t size = axis >= 0 ? operand->dim[axis] : 1;
        stride[i] = size == 1 ? 0 : each;
        each = kata__wrap_mul(each, size);
    }
}

static product product_of(const kata_call *call) {
    const kata_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    product p = {0};
    if (call->op->attributes != NULL) {
        p.transpose_a = call->attributes[MATMUL_TRANS_A].i != 0;
        p.transpose_b = call->attributes[MATMUL_TRANS_B].i != 0;
    }
    /* A vector on the left is a row, on the right a column. */
    p.m = a->rank < 2 ? 1 : a->dim[a->rank - (p.transpose_a ? 1 : 2)];
    p.k = a->dim[a->rank - (p.transpose_a ? 2 : 1)];
    p.n = b->rank < 2 ? 1 : b->dim[b->rank - (p.transpose_b ? 2 : 1)];
    int rank_a = a->rank > 2 ? a->rank - 2 : 0, rank_b = b->rank > 2 ? b->rank - 2 : 0;
    p.rank = rank_a > rank_b ? rank_a : rank_b;
    batch_strides(p.stride_a, a, p.rank, kata__wrap_mul(p.m, p.k));
    batch_strides(p.stride_b, b, p.rank, kata__wrap_mul(p.k, p.n));
    for (int i = 0; i < p.rank; i++) {
        int64_t size_a = i >= p.rank - rank_a ? a->dim[i - p.rank + rank_a] : 1;
        int64_t size_b = i >= p.rank - rank_b ? b->dim[i - p.rank + rank_b] : 1;
        p.batch[i] = size_a == 1 ? size_b : size_a;
    }
    return p;
}

static kata_status matmul_infer(kata_infer *infer) {
    const kata_type *a = &infer->inputs[0], *b = &infer->inputs[1];
    KATA__TRY(kata__rule_same_dtype(infer, 1, 1));
    if (a->dtype != KATA_I32 && a->dtype != KATA_I64) {
        KATA__TRY(kata__infer_float(infer, 0, true));
    }
    kata_shape shape_a = a->shape, shape_b = b->shape;
    if (infer->op->attributes != NULL) {
        KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "rank 2 or more"));
        KATA__TRY(kata__rule_rank(infer, 1, 2, 0, "rank 2 or more"));
        if (infer->attributes[MATMUL_TRANS_A].i != 0) {
            shape_a.dim[shape_a.rank - 1] = a->shape.dim[shape_a.rank - 2];
            shape_a.dim[shape_a.rank - 2] = a->shape.dim[shape_a.rank - 1];
        }
        if (infer->attributes[MATMUL_TRANS_B].i != 0) {
            shape_b.dim[shape_b.rank - 1] = b->shape.dim[shape_b.rank - 2];
            shape_b.dim[shape_b.rank - 2] = b->shape.dim[shape_b.rank - 1];
        }
    }
    kata_status status = kata__shape_matmul(&infer->outputs[0].shape, &shape_a, &shape_b);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", infer->op->name);
    }
    infer->outputs[0].dtype = a->dtype;
    return kata__infer_fits(infer);
}

/* y[.., i, j] = sum over l of a[.., i, l] b[.., l, j] */
static kata_status matmul_reference(const kata_call *call) {
    product p = product_of(call);
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *y = &call->outputs[0];
    int64_t batches = 1, index[KATA_MAX_RANK] = {0};
    for (int i = 0; i < p.rank; i++) {
        batches *= p.batch[i];
    }
    int64_t at = 0;
    for (int64_t batch = 0; batch < batches; batch++) {
        int64_t at_a = 0, at_b = 0;
        for (int i = 0; i < p.rank; i++) {
            at_a += index[i] * p.stride_a[i];
            at_b += index[i] * p.stride_b[i];
        }
        for (int64_t i = 0; i < p.m; i++) {
            for (int64_t j = 0; j < p.n; j++) {
                double sum = 0;
                for (int64_t l = 0; l < p.k; l++) {
                    int64_t in_a = p.transpose_a ? l * p.m + i : i * p.k + l;
                    int64_t in_b = p.transpose_b ? j * p.k + l : l * p.n + j;
                    sum += kata_load(a->dtype, a->data, at_a + in_a) *
                           kata_load(b->dtype, b->data, at_b + in_b);
                }
                kata_store(y->dtype, y->data, at++, sum);
            }
        }
        for (int i = p.rank - 1; i >= 0 && ++index[i] == p.batch[i]; i--) {
            index[i] = 0;
        }
    }
    return KATA_OK;
}

/* Drops batch axes of size 1 and merges neighbours that both operands walk evenly. */
static void product_merge(product *p) {
    int rank = 0;
    for (int i = 0; i < p->rank; i++) {
        if (p->batch[i] == 1) {
            continue;
        }
        if (rank > 0 && p->stride_a[rank - 1] == p->stride_a[i] * p->batch[i] &&
            p->stride_b[rank - 1] == p->stride_b[i] * p->batch[i]) {
            p->batch[rank - 1] *= p->batch[i];
        } else {
            p->batch[rank++] = p->batch[i];
        }
        p->stride_a[rank - 1] = p->stride_a[i];
        p->stride_b[rank - 1] = p->stride_b[i];
    }
    p->rank = rank;
    /* The batches of A under one B are more rows of A. */
    if (rank > 0 && !p->transpose_a && p->stride_b[rank - 1] == 0 &&
        p->stride_a[rank - 1] == p->m * p->k) {
        p->m *= p->batch[rank - 1];
        p->rank--;
    }
}

/* The kernel's call for the last batch axis. */
static kata__gemm product_gemm(const product *p) {
    int last = p->rank - 1;
    return (kata__gemm){.m = p->m,
                        .n = p->n,
                        .k = p->k,
                        .transpose_a = p->transpose_a,
                        .transpose_b = p->transpose_b,
                        .lda = p->transpose_a ? p->m : p->k,
                        .ldb = p->transpose_b ? p->k : p->n,
                        .ldc = p->n,
                        .alpha = 1,
                        .batch = last < 0 ? 1 : p->batch[last],
                        .stride_a = last < 0 ? 0 : p->stride_a[last],
                        .stride_b = last < 0 ? 0 : p->stride_b[last],
                        .stride_c = p->m * p->n};
}

static kata__workspace_size matmul_kernel_workspace(const kata_call *call) {
    if (!is_fast(call)) {
        return (kata__workspace_size){0};
    }
    product p = product_of(call);
    product_merge(&p);
    kata__gemm gemm = product_gemm(&p);
    return kata__gemm_workspace(call->context, call->outputs[0].dtype, &gemm);
}

static size_t matmul_workspace(const kata_call *call) {
    return matmul_kernel_workspace(call).shared;
}

static size_t matmul_per_thread_workspace(const kata_call *call) {
    return matmul_kernel_workspace(call).per_thread;
}

static kata_status matmul_fast(const kata_call *call) {
    kata_tensor *y = &call->outputs[0];
    product p = product_of(call);
    product_merge(&p);
    kata__gemm gemm = product_gemm(&p);
    const kata__workspace workspace = kata__call_workspace(call);
    size_t size = kata_dtype_size(y->dtype);
    int64_t outer = 1, index[KATA_MAX_RANK] = {0};
    for (int i = 0; i < p.rank - 1; i++) {
        outer *= p.batch[i];
    }
    for (int64_t batch = 0; batch < outer; batch++) {
        int64_t at_a = 0, at_b = 0;
        for (int i = 0; i < p.rank - 1; i++) {
            at_a += index[i] * p.stride_a[i];
            at_b += index[i] * p.stride_b[i];
        }
        gemm.a = (const char *)call->inputs[0].data + (size_t)at_a * size;
        gemm.b = (const char *)call->inputs[1].data + (size_t)at_b * size;
        gemm.c = (char *)y->data + (size_t)(batch * gemm.batch * gemm.stride_c) * size;
        kata__gemm_run(call->context, y->dtype, &gemm, &workspace);
        for (int i = p.rank - 2; i >= 0 && ++index[i] == p.batch[i]; i--) {
            index[i] = 0;
        }
    }
    return KATA_OK;
}

static kata_kernel matmul_choose(const kata_call *call) {
    return is_fast(call) ? matmul_fast : NULL;
}

/* 2 m n k for each batch */
static double matmul_flops(const kata_call *call) {
    product p = product_of(call);
    return 2.0 * (double)kata_tensor_count(&call->outputs[0]) * (double)p.k;
}

static kata_value transposed_product(kata_graph *graph, kata_value a, bool transpose_a,
                                     kata_value b, bool transpose_b) {
    if (kata_value_shape(graph, a).rank == 2 && kata_value_shape(graph, b).rank == 2) {
        return KATA_NODE_WITH(graph, "Gemm", KATA_INPUTS(a, b), KATA_INT("transA", transpose_a),
                              KATA_INT("transB", transpose_b));
    }
    return KATA_NODE_WITH(graph, "kata:MatMulTransposed", KATA_INPUTS(a, b),
                          KATA_INT("transA", transpose_a), KATA_INT("transB", transpose_b));
}

/* dA = dY B^T and dB = A^T dY, summed over the batch axes along which A and B were broadcast. */
static kata_status matmul_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value a = g->inputs[0], b = g->inputs[1], dy = g->output_gradients[0];
    kata_shape shape_a = kata_value_shape(graph, a), shape_b = kata_value_shape(graph, b);
    kata_shape matrix_a = shape_a, matrix_b = shape_b, matrix_y = kata_value_shape(graph, dy);
    /* Vectors become the row or the column that they stand for. */
    if (shape_b.rank == 1) {
        matrix_b = KATA_SHAPE_OF(shape_b.dim[0], 1);
        matrix_y.dim[matrix_y.rank++] = 1;
    }
    if (shape_a.rank == 1) {
        matrix_a = KATA_SHAPE_OF(1, shape_a.dim[0]);
        int64_t last = matrix_y.dim[matrix_y.rank - 1];
        matrix_y.dim[matrix_y.rank - 1] = 1;
        matrix_y.dim[matrix_y.rank++] = last;
    }
    a = kata__reshape_to(graph, a, &matrix_a);
    b = kata__reshape_to(graph, b, &matrix_b);
    dy = kata__reshape_to(graph, dy, &matrix_y);
    if (g->needed[0]) {
        kata_value da = kata__sum_to(graph, transposed_product(graph, dy, false, b, true), a);
        g->input_gradients[0] = kata__reshape_to(graph, da, &shape_a);
    }
    if (g->needed[1]) {
        if (matrix_b.rank == 2 && matrix_a.rank > 2) {
            /* All batches of A share B: one long product instead of a product each and a sum. */
            int64_t rows = kata__product(&matrix_a, 0, matrix_a.rank - 1);
            kata_shape flat_a = KATA_SHAPE_OF(rows, matrix_b.dim[0]);
            kata_shape flat_y = KATA_SHAPE_OF(rows, matrix_b.dim[1]);
            a = kata__reshape_to(graph, a, &flat_a);
            dy = kata__reshape_to(graph, dy, &flat_y);
        }
        kata_value db = kata__sum_to(graph, transposed_product(graph, a, true, dy, false), b);
        g->input_gradients[1] = kata__reshape_to(graph, db, &shape_b);
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_MatMul = {
    .name = "MatMul",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = matmul_infer,
    .batch = kata__batch_MatMul,
    .workspace = matmul_workspace,
    .per_thread_workspace = matmul_per_thread_workspace,
    .reference = matmul_reference,
    .choose = matmul_choose,
    .gradient = matmul_gradient,
    .flops = matmul_flops,
    .tolerance = 1e-5,
    .doc = "Matrix product of the last two axes; the axes before them broadcast, a vector is a row "
           "on the left and a column on the right.",
};

static const kata_attribute_spec transposed_attributes[] = {
    {.name = "transA", .type = KATA_ATTRIBUTE_INT, .doc = "1: the last two axes of A are swapped"},
    {.name = "transB", .type = KATA_ATTRIBUTE_INT, .doc = "1: the last two axes of B are swapped"},
    {0}};

const kata_op kata__op_kata_MatMulTransposed = {
    .name = "MatMulTransposed",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = transposed_attributes,
    .infer = matmul_infer,
    .workspace = matmul_workspace,
    .per_thread_workspace = matmul_per_thread_workspace,
    .reference = matmul_reference,
    .choose = matmul_choose,
    .flops = matmul_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "MatMul with either operand's last two axes swapped.",
};

/* ---- Gemm: Y = alpha A' B' + beta C ---- */

enum { GEMM_ALPHA, GEMM_BETA, GEMM_TRANS_A, GEMM_TRANS_B, GEMM_RELU };
#define GEMM_ATTRIBUTES                                                                            \
    {.name = "alpha", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 1, .doc = "factor on A' B'"}, \
        {.name = "beta", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 1, .doc = "factor on C"},  \
        {.name = "transA", .type = KATA_ATTRIBUTE_INT, .doc = "1: A' is A transposed"}, {          \
        .name = "transB", .type = KATA_ATTRIBUTE_INT, .doc = "1: B' is B transposed"               \
    }
static const kata_attribute_spec gemm_attributes[] = {GEMM_ATTRIBUTES, {0}};

static kata_shape swapped_if(const kata_shape *shape, bool swap) {
    return swap ? KATA_SHAPE_OF(shape->dim[1], shape->dim[0]) : *shape;
}

static kata_status gemm_infer(kata_infer *infer) {
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    if (infer->inputs[0].dtype != KATA_I32 && infer->inputs[0].dtype != KATA_I64) {
        KATA__TRY(kata__infer_float(infer, 0, true));
    }
    KATA__TRY(kata__rule_rank(infer, 0, 2, 2, "a matrix (rank 2)"));
    KATA__TRY(kata__rule_rank(infer, 1, 2, 2, "a matrix (rank 2)"));
    bool swap_a = infer->attributes[GEMM_TRANS_A].i != 0;
    bool swap_b = infer->attributes[GEMM_TRANS_B].i != 0;
    kata_shape a = swapped_if(&infer->inputs[0].shape, swap_a);
    kata_shape b = swapped_if(&infer->inputs[1].shape, swap_b);
    kata_shape *y = &infer->outputs[0].shape;
    kata_status status = kata__shape_matmul(y, &a, &b);
    if (status != KATA_OK && (swap_a || swap_b)) {
        return kata_fail_in(status, "Gemm (transA %d, transB %d)", (int)swap_a, (int)swap_b);
    }
    if (status != KATA_OK) {
        return kata_fail_in(status, "Gemm");
    }
    if (kata__infer_has(infer, 2)) {
        const kata_shape *c = &infer->inputs[2].shape;
        bool fits = c->rank <= 2;
        for (int i = 0; fits && i < c->rank; i++) {
            fits = c->dim[i] == 1 || kata__size_agrees(c->dim[i], y->dim[2 - c->rank + i]);
        }
        if (!fits) {
            char text_c[KATA_SHAPE_TEXT_SIZE], text_y[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "Gemm: C (input 2) has shape %s, which does not broadcast to the "
                             "product's %s",
                             kata_shape_text(c, text_c), kata_shape_text(y, text_y));
        }
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    return kata__infer_fits(infer);
}

/* Strides of C, 0 where it is broadcast. */
static void gemm_c_strides(const kata_shape *c, int64_t *row, int64_t *column) {
    int64_t columns = c->rank < 1 ? 1 : c->dim[c->rank - 1];
    int64_t rows = c->rank < 2 ? 1 : c->dim[0];
    *column = columns == 1 ? 0 : 1;
    *row = rows == 1 ? 0 : columns;
}

/* y[i,j] = alpha sum over l of a'[i,l] b'[l,j] + beta c[i,j] */
static kata_status gemm_reference(const kata_call *call) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *y = &call->outputs[0];
    bool swap_a = call->attributes[GEMM_TRANS_A].i != 0;
    bool swap_b = call->attributes[GEMM_TRANS_B].i != 0;
    int64_t m = y->shape.dim[0], n = y->shape.dim[1], k = a->shape.dim[swap_a ? 0 : 1];
    int64_t c_row = 0, c_column = 0;
    bool has_c = kata__call_has(call, 2);
    if (has_c) {
        gemm_c_strides(&call->inputs[2].shape, &c_row, &c_column);
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) {
                sum += kata_load(a->dtype, a->data, swap_a ? l * m + i : i * k + l) *
                       kata_load(b->dtype, b->data, swap_b ? j * k + l : l * n + j);
            }
            sum *= call->attributes[GEMM_ALPHA].f;
            if (has_c) {
                sum += call->attributes[GEMM_BETA].f *
                       kata_load(y->dtype, call->inputs[2].data, i * c_row + j * c_column);
            }
            kata_store(y->dtype, y->data, i * n + j, sum);
        }
    }
    return KATA_OK;
}

/* C with beta 1 that is one row or one column goes into the kernel's store; any other C is put into
 * Y first. */
static kata__gemm gemm_of(const kata_call *call, bool *put_c_first) {
    const kata_tensor *a = &call->inputs[0], *y = &call->outputs[0];
    bool swap_a = call->attributes[GEMM_TRANS_A].i != 0;
    bool swap_b = call->attributes[GEMM_TRANS_B].i != 0;
    kata__gemm gemm = {.m = y->shape.dim[0],
                       .n = y->shape.dim[1],
                       .k = a->shape.dim[swap_a ? 0 : 1],
                       .transpose_a = swap_a,
                       .transpose_b = swap_b,
                       .lda = a->shape.dim[1],
                       .ldb = call->inputs[1].shape.dim[1],
                       .ldc = y->shape.dim[1],
                       .alpha = call->attributes[GEMM_ALPHA].f,
                       .a = a->data,
                       .b = call->inputs[1].data,
                       .c = y->data,
                       .batch = 1};
    *put_c_first = false;
    if (!kata__call_has(call, 2) || call->attributes[GEMM_BETA].f == 0) {
        return gemm;
    }
    int64_t row, column;
    gemm_c_strides(&call->inputs[2].shape, &row, &column);
    if (call->attributes[GEMM_BETA].f == 1 && row == 0 && (column == 1 || gemm.n == 1)) {
        gemm.bias_column = call->inputs[2].data;
    } else if (call->attributes[GEMM_BETA].f == 1 && column == 0 && (row == 1 || gemm.m == 1)) {
        gemm.bias_row = call->inputs[2].data;
    } else {
        gemm.beta = call->attributes[GEMM_BETA].f;
        *put_c_first = true;
    }
    return gemm;
}

static kata__workspace_size gemm_kernel_workspace(const kata_call *call) {
    bool put_c_first;
    kata__gemm gemm = gemm_of(call, &put_c_first);
    return is_fast(call) ? kata__gemm_workspace(call->context, call->outputs[0].dtype, &gemm)
                         : (kata__workspace_size){0};
}

static size_t gemm_workspace(const kata_call *call) {
    return gemm_kernel_workspace(call).shared;
}

static size_t gemm_per_thread_workspace(const kata_call *call) {
    return gemm_kernel_workspace(call).per_thread;
}

static kata_status gemm_run(const kata_call *call, bool relu, const void *mask) {
    kata_tensor *y = &call->outputs[0];
    bool put_c_first;
    kata__gemm gemm = gemm_of(call, &put_c_first);
    gemm.relu = relu;
    gemm.mask = mask;
    if (put_c_first) {
        kata_tensor c;
        KATA__TRY(kata_tensor_broadcast(&c, &call->inputs[2], &y->shape));
        KATA__TRY(kata_tensor_copy(y, &c));
    }
    const kata__workspace workspace = kata__call_workspace(call);
    kata__gemm_run(call->context, y->dtype, &gemm, &workspace);
    return KATA_OK;
}

static kata_status gemm_fast(const kata_call *call) {
    return gemm_run(call, false, NULL);
}

static kata_kernel gemm_choose(const kata_call *call) {
    return is_fast(call) ? gemm_fast : NULL;
}

static double gemm_flops(const kata_call *call) {
    bool put_c_first;
    kata__gemm gemm = gemm_of(call, &put_c_first);
    return 2.0 * (double)gemm.m * (double)gemm.n * (double)gemm.k;
}

/* Y = alpha A' B' + beta C:  dA' = alpha dY B'^T,  dB' = alpha A'^T dY,  dC = beta dY summed to C's
 * shape; a transposed operand gets the transposed gradient. (Book 5.13, L4074; dB L4131-4146.) */
static kata_status gemm_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value a = g->inputs[0], b = g->inputs[1], dy = g->output_gradients[0];
    double alpha = g->attributes[GEMM_ALPHA].f, beta = g->attributes[GEMM_BETA].f;
    bool swap_a = g->attributes[GEMM_TRANS_A].i != 0, swap_b = g->attributes[GEMM_TRANS_B].i != 0;
    if (g->needed[0]) {
        g->input_gradients[0] =
            swap_a ? KATA_NODE_WITH(graph, "Gemm", KATA_INPUTS(b, dy), KATA_FLOAT("alpha", alpha),
                                    KATA_INT("transA", swap_b), KATA_INT("transB", 1))
                   : KATA_NODE_WITH(graph, "Gemm", KATA_INPUTS(dy, b), KATA_FLOAT("alpha", alpha),
                                    KATA_INT("transA", 0), KATA_INT("transB", !swap_b));
    }
    if (g->needed[1]) {
        g->input_gradients[1] =
            swap_b ? KATA_NODE_WITH(graph, "Gemm", KATA_INPUTS(dy, a), KATA_FLOAT("alpha", alpha),
                                    KATA_INT("transA", 1), KATA_INT("transB", swap_a))
                   : KATA_NODE_WITH(graph, "Gemm", KATA_INPUTS(a, dy), KATA_FLOAT("alpha", alpha),
                                    KATA_INT("transA", !swap_a), KATA_INT("transB", 0));
    }
    if (g->n_inputs > 2 && g->needed[2]) {
        g->input_gradients[2] = kata__scale(graph, kata__sum_to(graph, dy, g->inputs[2]), beta);
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_Gemm = {
    .name = "Gemm",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = gemm_attributes,
    .infer = gemm_infer,
    .batch = kata__batch_Gemm,
    .workspace = gemm_workspace,
    .per_thread_workspace = gemm_per_thread_workspace,
    .reference = gemm_reference,
    .choose = gemm_choose,
    .gradient = gemm_gradient,
    .flops = gemm_flops,
    .tolerance = 1e-5,
    .doc = "alpha A' B' + beta C for matrices; C broadcasts to the product.",
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_IGNORED, 0, "broadcast", 0}, {0}},
};

/* ---- kata:GemmFused (A, B, C, mask): Gemm, relu, the gradient of a relu ---- */

static const kata_attribute_spec fused_attributes[] = {
    GEMM_ATTRIBUTES, {.name = "relu", .type = KATA_ATTRIBUTE_INT, .doc = "1: max(0, .)"}, {0}};

static kata_status fused_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 3, 3));
    KATA__TRY(gemm_infer(infer));
    const kata_shape *y = &infer->outputs[0].shape, *mask = &infer->inputs[3].shape;
    if (kata__infer_has(infer, 3) &&
        (mask->rank != 2 || !kata__size_agrees(mask->dim[0], y->dim[0]) ||
         !kata__size_agrees(mask->dim[1], y->dim[1]))) {
        char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: the mask (input 3) has shape %s, expected %s",
                         infer->op->name, kata_shape_text(mask, have), kata_shape_text(y, want));
    }
    return KATA_OK;
}

static kata_status fused_reference(const kata_call *call) {
    const kata_tensor *y = &call->outputs[0], *mask = &call->inputs[3];
    KATA__TRY(gemm_reference(call));
    for (int64_t i = 0; i < kata_tensor_count(y); i++) {
        bool off = (call->attributes[GEMM_RELU].i != 0 && kata_load(y->dtype, y->data, i) <= 0) ||
                   (kata__call_has(call, 3) && kata_load(mask->dtype, mask->data, i) <= 0);
        if (off) {
            kata_store(y->dtype, y->data, i, 0);
        }
    }
    return KATA_OK;
}

static kata_status fused_fast(const kata_call *call) {
    return gemm_run(call, call->attributes[GEMM_RELU].i != 0,
                    kata__call_has(call, 3) ? call->inputs[3].data : NULL);
}

static kata_kernel fused_choose(const kata_call *call) {
    return is_fast(call) ? fused_fast : NULL;
}

const kata_op kata__op_kata_GemmFused = {
    .name = "GemmFused",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = fused_attributes,
    .infer = fused_infer,
    .workspace = gemm_workspace,
    .per_thread_workspace = gemm_per_thread_workspace,
    .reference = fused_reference,
    .choose = fused_choose,
    .flops = gemm_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(A, B, C, mask): Gemm, then max(0, .) if relu, then 0 where mask <= 0, the gradient of "
           "a relu whose output was mask.",
};
