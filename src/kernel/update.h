/* One optimiser step over an array of n numbers, in one pass; float32 and float64.
 * w: parameters, g: gradient, other arrays: state. */
#ifndef KATA_KERNEL_UPDATE_H
#define KATA_KERNEL_UPDATE_H

#include "kernel/gemm.h"

typedef enum kata__update {
    KATA__SGD,      /* w -= lr g */
    KATA__MOMENTUM, /* v = momentum v - lr g; w += v                        (book 6.3, 6.4) */
    KATA__NESTEROV, /* w += momentum^2 v - (1 + momentum) lr g; v = momentum v - lr g */
    KATA__ADAGRAD,  /* h += g^2; w -= lr g / (sqrt(h) + epsilon)            (book 6.5, 6.6) */
    KATA__RMSPROP,  /* h = decay h + (1 - decay) g^2; w -= lr g / (sqrt(h) + epsilon) */
    KATA__ADAM,     /* m += (1-b1)(g-m); v += (1-b2)(g^2-v);
                       w -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon) */
    KATA__UPDATES
} kata__update;

typedef struct kata__update_options {
    double lr, momentum, beta1, beta2, decay, epsilon;
    double weight_decay; /* decoupled (AdamW, SGDW): w -= lr weight_decay w before the step */
    double t;            /* number of this step, from 1 (Adam's bias correction) */
} kata__update_options;

/* state1: v, h or m; state2: Adam's v; NULL where the rule has none. */
void kata__update_run(kata_context *context, kata_dtype dtype, kata__update rule, int64_t n,
                      void *w, const void *g, void *state1, void *state2,
                      const kata__update_options *options);

/* The same with a gradient that is a product of m n numbers: each part of it is applied as soon as
 * it is computed and never goes to memory; plain SGD's step is the product's own store. Of
 * `product` the operands and alpha are read. Returns -1, or where the product has its first number
 * that is not finite; its parts without such numbers are applied then, those with are not. */
kata__workspace_size kata__update_by_product_workspace(kata_context *context, kata_dtype dtype,
                                                       kata__update rule, const kata__gemm *product,
                                                       double weight_decay);
int64_t kata__update_by_product(kata_context *context, kata_dtype dtype, kata__update rule,
                                const kata__gemm *product, void *w, void *state1, void *state2,
                                const kata__update_options *options,
                                const kata__workspace *workspace);

#endif
