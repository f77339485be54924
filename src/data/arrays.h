/* Inside the data room: data sets that come as arrays, in one .npz or in files of their own. */
#ifndef KATA_DATA_ARRAYS_H
#define KATA_DATA_ARRAYS_H

#include "data/load.h"

/* The largest file of arrays; what is larger is not kept in memory as bytes. */
#define KATA__ARRAY_BYTES_MOST ((size_t)1 << 31)

typedef struct kata__arrays {
    kata_context *context;
    const char *path;                  /* for messages */
    kata_tensor array[KATA__PARTS][2]; /* inputs, targets; without a dtype where there is none */
    char name[KATA__PARTS][2][80];     /* what each is called where it was found */
} kata__arrays;

/* Which array a name such as "x_train" or "kmnist-test-imgs" means, by its words. What the name
 * says besides ("kmnist") goes to `set`. False if no word says whether it is inputs or targets. */
#define KATA__SET_NAME 64
bool kata__array_name_parse(kata__part *part, int *kind, char set[KATA__SET_NAME], const char *name,
                            size_t length);

/* Brings the arrays of each part that has any into the form of a data set: pictures with channels
 * first, classes as int64 from 0, other targets as float32 (n,k). Both arrays of a part must be
 * there. */
kata_status kata__arrays_open(kata_data *out, kata__arrays *arrays,
                              const kata_data_options *options);
void kata__arrays_free(kata__arrays *arrays);

#endif
