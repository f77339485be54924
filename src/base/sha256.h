/* SHA-256 (FIPS 180-4): is a downloaded file the one that is meant? */
#ifndef KATA_BASE_SHA256_H
#define KATA_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct kata__sha256 {
    uint32_t state[8];
    uint64_t n_bytes; /* taken in so far */
    uint8_t block[64];
} kata__sha256;

void kata__sha256_init(kata__sha256 *hash);
void kata__sha256_add(kata__sha256 *hash, const void *data, size_t n_bytes);
void kata__sha256_end(kata__sha256 *hash, uint8_t digest[32]);

/* The digest of one piece as 64 lower-case hexadecimal digits and a NUL. Returns `text`. */
#define KATA__SHA256_TEXT_SIZE 65
const char *kata__sha256_text(const void *data, size_t n_bytes, char text[KATA__SHA256_TEXT_SIZE]);
/* A digest as text. */
const char *kata__sha256_hex(const uint8_t digest[32], char text[KATA__SHA256_TEXT_SIZE]);

#endif
