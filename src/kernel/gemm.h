/* Matrix product, float32 and float64. */
#ifndef KATA_KERNEL_GEMM_H
#define KATA_KERNEL_GEMM_H

#include <kata/tensor.h>

#include "kernel/workspace.h"

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
    /* NULL, or: C += alpha op(A) op(B), where each sum is multiplied and added in one rounding if
     * the instruction set has it; beta, bias, relu and mask are not read. A sum that is not finite,
     * and some near it, are not added, and *not_finite, UINTPTR_MAX before, becomes the address of
     * the first such number of C. Only where kata__gemm_adds. */
    uintptr_t *not_finite;
    int64_t batch; /* 0 and 1: one product */
    int64_t stride_a, stride_b, stride_c;
    /* NULL, or called with each part of C instead of storing it: m rows of n numbers, one behind
     * the other at c, which in a C without gaps would begin at number `at`, `step` numbers from row
     * to row. Parts come in any order, from several threads at once. Then the product is one,
     * without mask and with beta 0, and c and ldc are not read. */
    void (*take)(void *taker, int64_t at, int64_t step, int64_t m, int64_t n, const void *c);
    void *taker;
} kata__gemm;

/* Scratch for these sizes (pointers are not read); does not depend on the instruction set's
 * results, may depend on the number of threads. */
kata__workspace_size kata__gemm_workspace(kata_context *context, kata_dtype dtype,
                                          const kata__gemm *gemm);
/* Whether a product of these sizes can have `not_finite`: each of its sums is made in one go. */
bool kata__gemm_adds(kata_context *context, kata_dtype dtype, const kata__gemm *gemm);
/* dtype KATA_F32 or KATA_F64. The same bits for any number of threads. */
void kata__gemm_run(kata_context *context, kata_dtype dtype, const kata__gemm *gemm,
                    const kata__workspace *workspace);

#endif
