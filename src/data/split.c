/* Splitting a data set in two, shuffled by a seed, with or without keeping each class's share. */
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/load.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct share {
    int64_t n;        /* samples of the class */
    int64_t quota;    /* of them for the second part */
    double remainder; /* what rounding the quota down left over */
    int number;
};

static int by_remainder(const void *a, const void *b) {
    const struct share *x = a, *y = b;
    if (x->remainder != y->remainder) {
        return x->remainder > y->remainder ? -1 : 1;
    }
    return x->number - y->number;
}

static int by_number(const void *a, const void *b) {
    return ((const struct share *)a)->number - ((const struct share *)b)->number;
}

/* Quotas whose sum is n_second: each class's n * fraction rounded down, and one more for those with
 * the largest remainders (Hamilton's method). */
static void set_quotas(struct share *share, int n_classes, double fraction, int64_t n_second) {
    int64_t left = n_second;
    for (int c = 0; c < n_classes; c++) {
        double exact = (double)share[c].n * fraction;
        /* 10 * 0.3 is a little less than 3 in binary: nearly whole is whole. */
        share[c].quota = (int64_t)floor(exact + 1e-9 * (1 + exact));
        share[c].remainder = exact - (double)share[c].quota;
        share[c].number = c;
        left -= share[c].quota;
    }
    qsort(share, (size_t)n_classes, sizeof *share, by_remainder);
    for (int round = 0; round < 2; round++) {
        for (int c = 0; c < n_classes && left > 0; c++) {
            if (share[c].quota < share[c].n) {
                share[c].quota++;
                left--;
            }
        }
    }
    qsort(share, (size_t)n_classes, sizeof *share, by_number);
}

/* Moves the second part's samples behind the first's; the shuffled order stays within each. `order`
 * has 2 n places, the upper n are scratch. */
static void part_by_class(const kata_dataset *dataset, struct share *share, int64_t *order) {
    const int64_t *labels = dataset->targets[0].data;
    int64_t n_first = 0, n_second = 0, *second = order + dataset->n;
    for (int64_t i = 0; i < dataset->n; i++) {
        struct share *own = &share[labels[order[i]]];
        if (own->quota > 0) {
            own->quota--;
            second[n_second++] = order[i];
        } else {
            order[n_first++] = order[i];
        }
    }
    memcpy(order + n_first, second, (size_t)n_second * sizeof *order);
}

static kata_status check_stratified(const kata_dataset *dataset) {
    if (dataset->n_classes > 0 && dataset->n_targets > 0 && dataset->targets[0].dtype == KATA_I64 &&
        dataset->targets[0].shape.rank == 1) {
        return KATA_OK;
    }
    return kata_fail(KATA_INVALID,
                     "%s: a stratified split needs a target of one class a sample, and this data "
                     "set has none; split without stratifying",
                     dataset->name);
}

static kata_status stratify(const kata_dataset *dataset, double fraction, int64_t n_second,
                            int64_t *order) {
    struct share *share =
        kata__alloc_zero(dataset->context, (size_t)dataset->n_classes, sizeof *share);
    if (share == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    const int64_t *labels = dataset->targets[0].data;
    for (int64_t i = 0; i < dataset->n; i++) {
        share[labels[i]].n++;
    }
    set_quotas(share, dataset->n_classes, fraction, n_second);
    part_by_class(dataset, share, order);
    kata__free(dataset->context, share);
    return KATA_OK;
}

kata_status kata_dataset_split(kata_dataset **first, kata_dataset **second,
                               const kata_dataset *dataset, double fraction, uint64_t seed,
                               bool stratified) {
    if (!(fraction > 0 && fraction < 1)) {
        return kata_fail(KATA_INVALID,
                         "%s: cannot split off the fraction %g; it must be above 0 and below 1",
                         dataset->name, fraction);
    }
    int64_t n_second = (int64_t)llround((double)dataset->n * fraction);
    if (n_second < 1 || n_second >= dataset->n) {
        return kata_fail(KATA_INVALID,
                         "%s: splitting off the fraction %g of %" PRId64
                         " samples leaves one part empty; choose another fraction",
                         dataset->name, fraction, dataset->n);
    }
    if (stratified) {
        KATA__TRY(check_stratified(dataset));
    }
    int64_t *order = kata__alloc(dataset->context, (size_t)dataset->n, 2 * sizeof *order);
    if (order == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__random_permutation(seed, KATA__STREAM_SPLIT, 0, dataset->n, order);
    kata_status status = stratified ? stratify(dataset, fraction, n_second, order) : KATA_OK;
    int64_t n_first = dataset->n - n_second;
    kata_dataset *one = NULL, *two = NULL;
    if (status == KATA_OK) {
        status = kata_dataset_take(&one, dataset, order, n_first);
    }
    if (status == KATA_OK) {
        status = kata_dataset_take(&two, dataset, order + n_first, n_second);
    }
    kata__free(dataset->context, order);
    if (status != KATA_OK) {
        kata_dataset_free(one);
        return status;
    }
    *first = one;
    *second = two;
    return KATA_OK;
}
