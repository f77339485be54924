/* bfloat16: conversion, and the matrix product with float32 sums. */
#ifndef KATA_KERNEL_BFLOAT16_H
#define KATA_KERNEL_BFLOAT16_H

#include <kata/tensor.h>

/* y = x rounded to nearest even; and back, exactly. */
void kata__bfloat16_from_float(kata_context *context, int64_t n, const float *x, uint16_t *y);
void kata__bfloat16_to_float(kata_context *context, int64_t n, const uint16_t *x, float *y);

/* Numbers that a packed right factor (k,n) takes. */
int64_t kata__bfloat16_packed(int64_t k, int64_t n);
/* b is (k,n), or (n,k) if transposed, of dtype KATA_F32 (rounded) or KATA_BF16, ldb numbers a row.
 * The workspace is for transposed ones. */
size_t kata__bfloat16_pack_workspace(kata_context *context, int64_t k, int64_t n, bool transposed);
void kata__bfloat16_pack(kata_context *context, int64_t k, int64_t n, bool transposed,
                         kata_dtype dtype, const void *b, int64_t ldb, uint16_t *packed,
                         void *workspace);

/* c (m,n) = op(a) b + bias, then relu, then 0 where mask <= 0. a is (m,k), or (k,m) if transpose_a.
 * b is packed. c is KATA_F32 or KATA_BF16; bias (n) and mask (m,n; c is KATA_BF16) may be NULL. */
typedef struct kata__bfloat16_gemm {
    int64_t m, n, k;
    bool transpose_a;
    const uint16_t *a;
    int64_t lda;
    const uint16_t *packed_b;
    kata_dtype c_dtype;
    void *c;
    int64_t ldc; /* also of mask */
    const float *bias;
    bool relu;
    const uint16_t *mask;
} kata__bfloat16_gemm;

size_t kata__bfloat16_gemm_workspace(kata_context *context, const kata__bfloat16_gemm *gemm);
/* The same bits for any number of threads. */
void kata__bfloat16_gemm_run(kata_context *context, const kata__bfloat16_gemm *gemm,
                             void *workspace);

#endif
