/* Kata, data room: data sets in memory, splits, pictures, augmentation, generated sets.
 *
 * A data set holds its samples in tensors whose first axis is the sample. Pictures stay uint8
 * (n, channels, height, width), 0..255; they are converted when a batch is put together.
 */
#ifndef KATA_DATA_H
#define KATA_DATA_H

#include <kata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KATA_DATASET_TENSORS 8

typedef struct kata_dataset {
    kata_context *context;
    char *name; /* where it came from, for messages */
    int64_t n;  /* samples */
    int n_inputs, n_targets;
    kata_tensor inputs[KATA_DATASET_TENSORS];  /* (n, ...), any dtype */
    kata_tensor targets[KATA_DATASET_TENSORS]; /* classes: int64 (n); several labels or numbers:
                                                  float32 (n, k) */
    kata_tensor weights;                       /* float32 (n), or dtype KATA_NO_DTYPE: all 1 */
    int n_classes;                             /* 0: not a classification */
    char **class_names;                        /* n_classes texts */
} kata_dataset;

/* An empty data set; add tensors with the functions below. */
KATA_API kata_status kata_dataset_new(kata_dataset **out, kata_context *context, const char *name);
KATA_API void kata_dataset_free(kata_dataset *dataset);
/* Copies `tensor` as the next input or target. KATA_SHAPE if its first size differs from n. */
KATA_API kata_status kata_dataset_add_input(kata_dataset *dataset, const kata_tensor *tensor);
KATA_API kata_status kata_dataset_add_target(kata_dataset *dataset, const kata_tensor *tensor);
KATA_API kata_status kata_dataset_set_weights(kata_dataset *dataset, const kata_tensor *weights);
/* Copies the names; NULL makes "0", "1", ... */
KATA_API kata_status kata_dataset_set_classes(kata_dataset *dataset, int n_classes,
                                              const char *const *names);
/* What the first target means. The number of classes that whole numbers 0, 1, ..., one a sample and
 * of any dtype, would be: 1 + the greatest; 0 where they are no such numbers. */
KATA_API int kata_dataset_count_classes(const kata_dataset *dataset);
/* Makes them classes: int64 (n), at least `n_classes` of them. KATA_INVALID if they are no such
 * numbers. */
KATA_API kata_status kata_dataset_targets_as_classes(kata_dataset *dataset, int n_classes);
/* Makes class numbers quantities: float32 (n,1), and the set is no classification any more. */
KATA_API kata_status kata_dataset_targets_as_numbers(kata_dataset *dataset);
/* The samples index[0..n-1] as a new data set. */
KATA_API kata_status kata_dataset_take(kata_dataset **out, const kata_dataset *dataset,
                                       const int64_t *index, int64_t n);
/* Splits off round(n * fraction) samples (0 < fraction < 1) as *second, the rest is *first;
 * shuffled by seed; stratified keeps the share of each class. */
KATA_API kata_status kata_dataset_split(kata_dataset **first, kata_dataset **second,
                                        const kata_dataset *dataset, double fraction, uint64_t seed,
                                        bool stratified);

/* Where batches come from, if not from a data set in memory: a stream from disk, a table, samples
 * that are made. kata_fit_source trains on it. */
typedef struct kata_source {
    size_t size;      /* sizeof(kata_source) */
    const char *name; /* for messages */
    int64_t n;        /* samples an epoch; 0: not known before an epoch is over */
    void *user;
    /* Begins epoch 0, 1, ... The samples and their order are a function of (seed, epoch, shuffle).
     * The first `skip` samples of it are done already: a resumed run is exact if they are passed
     * over. */
    kata_status (*begin)(void *user, uint64_t seed, int64_t epoch, bool shuffle, int64_t skip);
    /* Sets *batch to the next samples, at most `n`; NULL ends the epoch. The set is the source's,
     * lent until the next call; sizes beside the first axis may differ from batch to batch where
     * the model leaves them open. */
    kata_status (*next)(void *user, int64_t n, const kata_dataset **batch);
} kata_source;

/* What a data argument names: samples to train with, to test with and to validate with after each
 * epoch. test and validation are NULL where there are none. */
typedef struct kata_data {
    kata_dataset *train, *test, *validation;
} kata_data;
typedef struct kata_data_options {
    int64_t limit_train, limit_test; /* 0: all; the first so many (a folder of pictures: of each
                                        class as evenly as can be); limit_test also of those to
                                        validate with. make:digits: how many to draw (default 60000
                                        and 10000) */
    uint64_t seed;                   /* make:... */
    int height, width, channels; /* a folder of pictures: resize to this; 0: as the first picture */
} kata_data_options;
/* Opens a data argument:
 * - a folder with array files, found by the words in their names: train, t10k or test, val or
 *   validation; images, imgs or x; labels or y; the endings of idx (-idx3-ubyte), .npy or .npz with
 *   one array, each plain or .gz (train-images-idx3-ubyte, kmnist-test-imgs.npz). Where a folder
 *   holds several sets, FOLDER/SET names one (emnist/emnist-letters);
 * - a folder of pictures by class: CLASS/NAME.png, or train/CLASS/..., test/CLASS/... and
 *   val/CLASS/... (also training, testing, valid, validation);
 * - an .npz: x_train, y_train, x_test, y_test, x_val, y_val, or x, y, or the same with other words
 *   (train_images, train_labels);
 * - "make:digits", or the name of a known set ("mnist"), looked for in $KATA_DATA, then in the
 *   user's cache ($XDG_CACHE_HOME/kata, ~/.cache/kata).
 * Files that are none of this are passed over; the log says in one line how many and which.
 * Arrays (n,height,width,channels) of 1 or 3 channels are turned into (n,channels,height,width),
 * and labels that begin above 0 and leave none out are counted from 0 with their numbers as names;
 * the log says so. gz, npz, PNG and JPEG need the readers (kata/readers.h); without them
 * KATA_UNSUPPORTED says so. */
KATA_API kata_status kata_data_open(kata_data *out, kata_context *context, const char *argument,
                                    const kata_data_options *options);
KATA_API void kata_data_close(kata_data *data);

/* The book's loader (scratch-book-1 L2276): MNIST as float32 with the three options. */
typedef struct kata_mnist_options {
    bool raw;        /* do not normalise: 0..255 instead of 0..1 */
    bool keep_image; /* do not flatten: (n,1,28,28) instead of (n,784) */
    bool one_hot;    /* targets float32 (n,10) instead of int64 (n) */
} kata_mnist_options;
KATA_API kata_status kata_data_load_mnist(kata_data *out, kata_context *context, const char *folder,
                                          const kata_mnist_options *options);

/* Random changes of pictures (n, c, h, w) while a batch is put together; a function of
 * (seed, epoch, sample). Zero means off. */
typedef struct kata_augment {
    double shift;         /* at most so many pixels each way */
    double rotate;        /* at most so many degrees each way */
    double scale;         /* factor in [1-scale, 1+scale] */
    double shear;         /* at most so much each way, x += shear * y */
    double elastic;       /* displacement field amplitude in pixels (Simard 2003), smoothed */
    double elastic_sigma; /* its smoothness in pixels; 0: 4 */
    bool flip;            /* mirror left-right with probability 1/2 */
    int crop;             /* pad by so many pixels and cut out a random window of the old size */
    double brightness;    /* factor in [1-brightness, 1+brightness] */
    int cut_out;          /* blank a random square of this side */
} kata_augment;

/* A decoded picture: 8 bits a channel, row by row, channels interleaved; turned as its EXIF
 * orientation says. Alpha is laid over white, or over black where on white nothing would be seen.
 */
typedef struct kata_picture {
    int width, height, channels; /* 1 grey, 3 RGB */
    uint8_t *pixels;             /* of the context */
    kata_context *context;
} kata_picture;
KATA_API void kata_picture_free(kata_picture *picture);
/* Decodes PNG or JPEG from memory (readers needed). At most 64 megapixels. */
KATA_API kata_status kata_picture_decode(kata_picture *out, kata_context *context, const void *data,
                                         size_t n_bytes);
KATA_API kata_status kata_picture_read(kata_picture *out, kata_context *context, const char *path);
/* Any picture of one digit -> 28x28 as MNIST has it: grey, light ink on black (dark-on-light is
 * found and inverted), background removed, the ink's box scaled to fit 20x20, centred by its centre
 * of mass. Of a sheet of paper on a table only what is on the sheet counts. A picture that already
 * is 28x28, light on black is taken as it is. KATA_INVALID if it is blank. */
KATA_API kata_status kata_picture_to_digit(const kata_picture *picture, uint8_t out[28 * 28]);
/* Area/bilinear resize to (channels, height, width) uint8, as model input. */
KATA_API kata_status kata_picture_to_planes(const kata_picture *picture, int channels, int height,
                                            int width, uint8_t *out);
/* How pictures lie in samples of a shape: NCHW is (channels, height, width), NHWC, which other
 * tools write, (height, width, channels); the channels are 1 or 3. A shape that could be both is
 * NCHW. */
typedef struct kata_picture_layout {
    int channels, height, width;
    bool channels_last; /* NHWC */
} kata_picture_layout;
/* False if no samples of this shape are pictures. */
KATA_API bool kata_picture_layout_of(kata_picture_layout *out, const kata_shape *sample);
/* kata_picture_to_planes in the layout of a sample of this shape. KATA_SHAPE if it is no picture.
 */
KATA_API kata_status kata_picture_to_sample(const kata_picture *picture, const kata_shape *sample,
                                            uint8_t *out);
/* Pictures (n, ...) of the data set that lie in the other layout than a model's samples of this
 * shape are turned into it; *turned says if any were. Others stay as they are. */
KATA_API kata_status kata_dataset_match_layout(kata_dataset *dataset, const kata_shape *sample,
                                               bool *turned);

#ifdef __cplusplus
}
#endif
#endif
