/* The limits of the processor: what all other speeds are shares of. */
#ifndef KATA_KERNEL_PEAK_H
#define KATA_KERNEL_PEAK_H

#include <kata/tensor.h>

typedef enum kata__peak_kind {
    KATA__PEAK_F32, /* of the context's instruction set */
    KATA__PEAK_F64,
    KATA__PEAK_BF16_DOT, /* AVX512_BF16's dot products of pairs */
    KATA__PEAK_BF16_TILE /* AMX */
} kata__peak_kind;

/* Floating-point operations a second of all threads of the context, over about this many seconds
 * (the fastest of some pieces, so that a short disturbance does not count); 0 if the processor
 * cannot do this kind. */
double kata__peak_flops(kata_context *context, kata__peak_kind kind, double seconds);

typedef enum kata__stream {
    KATA__STREAM_READ,
    KATA__STREAM_WRITE,
    KATA__STREAM_COPY, /* a read and a write */
    KATA__STREAM_TRIAD /* z = x + a y: two reads and a write */
} kata__stream;

/* Bytes a second that all threads together read and write, each going over its own part of
 * `memory` (n_bytes in all, aligned to 64) again and again: the fastest of some passes. What a
 * cache reads before it is written is not counted. */
double kata__peak_bandwidth(kata_context *context, kata__stream stream, void *memory,
                            size_t n_bytes, double seconds);

/* The clock in Hz: additions that wait for each other, one a cycle. 0 where that is not known. */
double kata__peak_clock(double seconds);

/* Takes about n cycles and touches no memory: what of a call's time the machine itself adds now and
 * then shows where the clock is known. */
void kata__peak_cycles(int64_t n);

#endif
