/* Texts in .npy files: NumPy's fixed-width unicode ('<U7': seven UTF-32 numbers an element, filled
 * up with zeros) and bytes ('S7'). */
#ifndef KATA_FORMAT_NPY_TEXT_H
#define KATA_FORMAT_NPY_TEXT_H

#include <kata/tensor.h>

/* Whether a type code without its byte order is one of texts; *width: elements or bytes each. */
bool kata__npy_is_text(const char *code, int64_t *width);
/* The bytes of one element. */
size_t kata__npy_text_size(const char *code, int64_t width);

/* A new string tensor of `view`'s shape from the elements at view->data: `view` has the shape and
 * the strides, in elements. KATA_FORMAT for what is no Unicode. */
kata_status kata__npy_text_read(kata_tensor *out, kata_context *context, const char *code,
                                int64_t width, bool swap, const kata_tensor *view);

/* The width that the longest text needs, at least 1. The texts must be UTF-8. */
int64_t kata__npy_text_width(const kata_tensor *contiguous);
/* UTF-32 into `to`: `width` numbers for each text. */
void kata__npy_text_write(const kata_tensor *contiguous, int64_t width, uint32_t *to);

#endif
