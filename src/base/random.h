/* Philox4x32-10: the counter-based generator behind every random number of Kata. */
#ifndef KATA_BASE_RANDOM_H
#define KATA_BASE_RANDOM_H

#include <kata/base.h>

/* Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". */
void kata__philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]);

/* kata_random_bits(seed, stream, step, index) is word index % 4 of the Philox block of
 *
 *     key       seed XOR mix(stream)
 *     counter   step and index / 4, the high and the low 64 bits
 *
 * mix is the 64-bit finaliser of MurmurHash3, a bijection with mix(0) = 0: no two streams of a seed
 * share a key.
 *
 * The normal number of `index` takes half a block (2 x 53 bits) of
 *
 *     key       seed XOR mix(stream + 2^32)
 *     counter   step and index / 2
 *
 * so that uniform and normal numbers of one stream are independent. It is made with Kata's own
 * logarithm, sine and cosine: the same bits on every machine. */

/* The Philox key of the uniform numbers of a seed and stream: number `index` of step `step` is word
 * index % 4 of kata__philox(key, step, index / 4). */
uint64_t kata__random_uniform_key(uint64_t seed, uint32_t stream);
/* out[i] = kata_random_uniform(seed, stream, step, first_index + i), four to a Philox block. */
void kata__random_fill_uniform(float *out, int64_t n, uint64_t seed, uint32_t stream, uint64_t step,
                               uint64_t first_index);
/* out[i] = (float)kata_random_normal(seed, stream, step, first_index + i), two to a block. */
void kata__random_fill_normal(float *out, int64_t n, uint64_t seed, uint32_t stream, uint64_t step,
                              uint64_t first_index);

/* Streams: who draws. A stream number is mixed with the seed so that two users never share numbers.
 */
enum kata__stream {
    KATA__STREAM_INITIALISER = 1u << 24, /* + number of the parameter */
    KATA__STREAM_DROPOUT = 2u << 24,     /* + number of the node */
    KATA__STREAM_SHUFFLE = 3u << 24,
    KATA__STREAM_AUGMENT = 4u << 24,
    KATA__STREAM_SPLIT = 5u << 24,
    KATA__STREAM_DIGITS = 6u << 24
};

/* order[0..n) becomes a permutation of 0..n-1 (Fisher-Yates), a function of its arguments. */
void kata__random_permutation(uint64_t seed, uint32_t stream, uint64_t step, int64_t n,
                              int64_t *order);

#endif
