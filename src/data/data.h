/* Inside the data room: hooks that the optional readers fill, and batches. */
#ifndef KATA_DATA_DATA_H
#define KATA_DATA_DATA_H

#include <kata/data.h>

/* Filled once by kata_readers_install; NULL where the readers are not linked. */
typedef struct kata__readers {
    /* Inflates gzip data of a file; result in *out (kata__free), at most `maximum` bytes. */
    kata_status (*gunzip)(kata_context *context, const void *data, size_t n_bytes, size_t maximum,
                          char **out, size_t *n_out);
    kata_status (*decode_picture)(kata_picture *out, kata_context *context, const void *data,
                                  size_t n_bytes);
    /* Calls entry() for each member of a zip file (name, contents). */
    kata_status (*unzip)(kata_context *context, const void *data, size_t n_bytes, size_t maximum,
                         kata_status (*entry)(void *user, const char *name, const void *data,
                                              size_t n_bytes),
                         void *user);
} kata__readers;
extern kata__readers kata__reader_hooks;

/* KATA_NON_FINITE with the place ("input 0 of sample 5, column 3 is nan") if a tensor of samples
 * (n, ...) holds a number that is not finite in float32. `name` is the data's, `what` is "input" or
 * "target". Looks at all numbers once; allocates nothing. */
kata_status kata__check_finite(kata_context *context, const kata_tensor *tensor, const char *name,
                               const char *what, int number);
/* The same for all inputs and targets of a data set. */
kata_status kata__dataset_check_finite(const kata_dataset *dataset);

/* The first bytes of a picture that is read; at most 8 are looked at. */
bool kata__is_png_or_jpeg(const uint8_t *bytes, size_t n_bytes);

/* Puts samples order[first .. first+n) of input or target `k` into `out`, a contiguous tensor
 * (n, ...) of a float or integer dtype with the same element count a sample; uint8 becomes the same
 * number. Then all numbers are multiplied by `scale`. Parallel; allocates nothing. `augment` may be
 * NULL; only for pictures (n,c,h,w). */
void kata__batch_input(const kata_dataset *dataset, int k, const int64_t *order, int64_t first,
                       int64_t n, const kata_augment *augment, uint64_t seed, uint64_t epoch,
                       double scale, const kata_tensor *out);
/* Class targets into an int64 (n) tensor, or one-hot into a float (n, classes) tensor; float
 * targets as they are. */
void kata__batch_target(const kata_dataset *dataset, int k, const int64_t *order, int64_t first,
                        int64_t n, const kata_tensor *out);

#endif
