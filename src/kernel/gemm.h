/* Matrix product, float32 and float64. */
#ifndef KATA_KERNEL_GEMM_H
#define KATA_KERNEL_GEMM_H

#include <kata/tensor.h>

/* C = op(A) op(B) + beta C + bias, row-major. op(A) is (m,k): A is (m,k), or (k,m) if transpose_a;
 * op(B) is (k,n): B is (k,n), or (n,k) if transpose_b. ld* are row lengths in elements. beta is 0
 * or any number; with 0, C need not hold numbers. k may be 0: C = beta C + bias. `batch`
 * independent products: operand i starts at i * stride_* (a stride of 0 shares it). */
typedef struct kata__gemm {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    const void *a, *b;
    void *c;
    int64_t lda, ldb, ldc;
    double alpha; /* factor on op(A) op(B) */
    double beta;
    const void *bias_column; /* NULL, or n numbers: bias_column[j] is added to column j */
    const void *bias_row;    /* NULL, or m numbers: bias_row[i] is added to row i */
    bool relu;               /* max(0, .) in the store */
    const void *mask; /* NULL, or numbers that lie like C (ldc, stride_c): the result is 0 where
                         mask <= 0, the gradient of a relu whose output was mask */
    int64_t batch;    /* 0 and 1: one product */
    int64_t stride_a, stride_b, stride_c;
} kata__gemm;

/* Scratch bytes for these sizes (pointers are not read); does not depend on the instruction set's
 * results, may depend on the number of threads. */
size_t kata__gemm_workspace(kata_context *context, kata_dtype dtype, const kata__gemm *gemm);
/* dtype KATA_F32 or KATA_F64. The same bits for any number of threads. */
void kata__gemm_run(kata_context *context, kata_dtype dtype, const kata__gemm *gemm,
                    void *workspace);

#endif
