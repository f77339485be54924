/* Optional readers of libkata-readers: gz (zlib), npz, PNG (libpng), JPEG (libjpeg). libkata itself
 * needs none of these libraries; a program that wants them links -lkata-readers and calls this
 * once. */
#ifndef KATA_READERS_H
#define KATA_READERS_H

#include <kata/base.h>

#ifdef __cplusplus
extern "C" {
#endif

KATA_API void kata_readers_install(void);

#ifdef __cplusplus
}
#endif
#endif
