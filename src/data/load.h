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

/* 1 + the greatest label of class targets, 0 where there is no sample or the target is no class. */
int64_t kata__dataset_class_count(const kata_dataset *dataset);

/* "FOLDER/NAME", of the context; NULL when memory is short. */
char *kata__path_join(kata_context *context, const char *folder, const char *name);

/* Is one of the four idx files there, plain or .gz? */
kata_status kata__idx_present(bool *present, kata_context *context, const char *folder);
kata_status kata__idx_open(kata_data *out, kata_context *context, const char *folder,
                           const kata_data_options *options);
/* An idx file in memory of `rank` sizes (1 or 3) and unsigned bytes, as a uint8 tensor; the first
 * `limit` samples, all if 0. *n_whole is the number of samples of the whole file. */
kata_status kata__idx_parse(kata_tensor *out, int64_t *n_whole, kata_context *context,
                            const char *path, const void *data, size_t n_bytes, int rank,
                            int64_t limit);

kata_status kata__npz_open(kata_data *out, kata_context *context, const char *path,
                           const kata_data_options *options);

/* Pictures by class: CLASS/NAME or train/CLASS/NAME and test/CLASS/NAME. */
kata_status kata__folder_open(kata_data *out, kata_context *context, const char *folder,
                              const kata_data_options *options);

/* make:digits. */
kata_status kata__made_open(kata_data *out, kata_context *context, const char *argument,
                            const kata_data_options *options);

#endif
