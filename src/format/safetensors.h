/* safetensors from memory, for tests and fuzzing. */
#ifndef KATA_FORMAT_SAFETENSORS_H
#define KATA_FORMAT_SAFETENSORS_H

#include <kata/format.h>

/* Takes over `data`, n_bytes of kata__alloc: freed with the file, or at once on failure. */
kata_status kata__safetensors_take(kata_safetensors *out, kata_context *context, char *data,
                                   size_t n_bytes, const char *name);

#endif
