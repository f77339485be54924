/* Inside the data room: what the loaders of data arguments share. */
#ifndef KATA_DATA_LOAD_H
#define KATA_DATA_LOAD_H

#include <kata/data.h>

/* More classes than this are taken for a mistake: numbers that are no class labels. */
#define KATA__CLASSES_MOST 65535

/* Moves `tensor` in as the next input or target; the caller's becomes empty. On failure
 * (KATA_SHAPE, KATA_LIMIT, or a label outside the known classes) the caller still owns it. */
kata_status kata__dataset_adopt_input(kata_dataset *dataset, kata_tensor *tensor);
kata_status kata__dataset_adopt_target(kata_dataset *dataset, kata_tensor *tensor);

/* A data set of one input and one target, both moved in. `part` ("train") may be NULL. */
kata_status kata__dataset_of(kata_dataset **out, kata_context *context, const char *argument,
                             const char *part, kata_tensor *input, kata_tensor *target);

/* Forgets the classes and their names. */
void kata__dataset_clear_classes(kata_dataset *dataset);

/* The parts of a data set, and what folders and files call them ("train", "t10k", "valid"). */
typedef enum kata__part {
    KATA__PART_TRAIN,
    KATA__PART_TEST,
    KATA__PART_VALIDATION,
    KATA__PARTS
} kata__part;
/* -1 if the word names none. */
int kata__part_of(const char *word, size_t length);

/* Does an array's shape (n,h,w,c) have 1 or 3 channels behind height and width? (n,3,w,3) and
 * (n,1,w,1) are taken for channels first. */
bool kata__is_channels_last(const kata_shape *shape);

/* Array files (idx, npy, npz with one array) in a folder. *present: an idx file, or inputs and
 * targets of training samples, so that a stray .npy beside folders of pictures makes no data set;
 * *named: some belong to a set with a name ("emnist-letters": what the names have in common). */
kata_status kata__files_present(bool *present, bool *named, kata_context *context,
                                const char *folder);
/* The data set `set` of them, NULL if the folder holds one only. */
kata_status kata__files_open(kata_data *out, kata_context *context, const char *folder,
                             const char *set, const kata_data_options *options);
/* An idx file in memory of `rank` sizes (1 or 3) and unsigned bytes, as a uint8 tensor; the first
 * `limit` samples, all if 0. *n_whole is the number of samples of the whole file. */
kata_status kata__idx_parse(kata_tensor *out, int64_t *n_whole, kata_context *context,
                            const char *path, const void *data, size_t n_bytes, int rank,
                            int64_t limit);

/* Unpacks what kata__file_read read, in place of it. */
kata_status kata__gunzip_file(kata_context *context, const char *path, char **data,
                              size_t *n_bytes);

/* The only array of an .npz in memory. */
kata_status kata__npz_read_one(kata_tensor *out, kata_context *context, const void *bytes,
                               size_t n_bytes);
kata_status kata__npz_open(kata_data *out, kata_context *context, const char *path,
                           const kata_data_options *options);

/* Pictures by class: CLASS/NAME, or train/CLASS/NAME with test/CLASS/NAME and val/CLASS/NAME. */
kata_status kata__folder_open(kata_data *out, kata_context *context, const char *folder,
                              const kata_data_options *options);

/* make:digits. */
kata_status kata__made_open(kata_data *out, kata_context *context, const char *argument,
                            const kata_data_options *options);

#endif
