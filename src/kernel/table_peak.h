/* The part of the kernel table that peak.c uses: one for float32 and one for float64, for each
 * instruction set. The bodies are body/peak.h. */
#ifndef KATA_KERNEL_TABLE_PEAK_H
#define KATA_KERNEL_TABLE_PEAK_H

#include <stdint.h>

typedef struct kata__peak_table {
    /* Multiply-adds in registers, as many as the processor can start; returns how many
     * floating-point operations that were. *value depends on all of them. */
    double (*multiply_add)(int64_t rounds, double *value);
    /* Over arrays of n numbers aligned to 64 bytes; n is a multiple of 512 bytes' worth. */
    double (*read)(int64_t n, const void *x);                                  /* sum of x */
    void (*write)(int64_t n, double a, void *z);                               /* z = a */
    void (*triad)(int64_t n, const void *x, const void *y, double a, void *z); /* z = x + a y;
                                                                 without y, a copy: z = x */
} kata__peak_table;

#endif
