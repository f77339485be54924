/* The two layouts of pictures, NCHW and NHWC: what a shape says, and from one to the other. Kata's
 * own data sets and networks have NCHW; networks of other tools may have NHWC. */
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "data/data.h"

enum { SIDE_MOST = 65535 };

static bool is_side(int64_t size) {
    return size >= 1 && size <= SIDE_MOST;
}

static bool is_channels(int64_t size) {
    return size == 1 || size == 3;
}

bool kata_picture_layout_of(kata_picture_layout *out, const kata_shape *sample) {
    const int64_t *d = sample->dim;
    if (sample->rank != 3 || !is_side(d[0]) || !is_side(d[1]) || !is_side(d[2])) {
        return false;
    }
    const bool last = !is_channels(d[0]);
    if (last && !is_channels(d[2])) {
        return false;
    }
    *out = (kata_picture_layout){.channels = (int)(last ? d[2] : d[0]),
                                 .height = (int)(last ? d[0] : d[1]),
                                 .width = (int)(last ? d[1] : d[2]),
                                 .channels_last = last};
    return true;
}

kata_status kata_picture_to_sample(const kata_picture *picture, const kata_shape *sample,
                                   uint8_t *out) {
    char text[KATA_SHAPE_TEXT_SIZE];
    kata_picture_layout l;
    if (!kata_picture_layout_of(&l, sample)) {
        return kata_fail(KATA_SHAPE,
                         "samples of shape %s are no pictures; expected (channels, height, width) "
                         "or (height, width, channels) with 1 or 3 channels",
                         kata_shape_text(sample, text));
    }
    if (!l.channels_last || l.channels == 1) {
        return kata_picture_to_planes(picture, l.channels, l.height, l.width, out);
    }
    const size_t n = (size_t)l.height * (size_t)l.width;
    uint8_t *planes = kata__alloc(picture->context, n, 3);
    if (planes == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata_status status = kata_picture_to_planes(picture, 3, l.height, l.width, planes);
    for (size_t i = 0; i < n && status == KATA_OK; i++) {
        for (size_t c = 0; c < 3; c++) {
            out[3 * i + c] = planes[c * n + i];
        }
    }
    kata__free(picture->context, planes);
    return status;
}

kata_status kata_dataset_match_layout(kata_dataset *dataset, const kata_shape *sample,
                                      bool *turned) {
    kata_picture_layout l;
    *turned = false;
    if (dataset == NULL || !kata_picture_layout_of(&l, sample)) {
        return KATA_OK;
    }
    const kata_shape other = l.channels_last
                                 ? KATA_SHAPE_OF(dataset->n, l.channels, l.height, l.width)
                                 : KATA_SHAPE_OF(dataset->n, l.height, l.width, l.channels);
    static const int to_last[] = {0, 2, 3, 1}, to_first[] = {0, 3, 1, 2};
    for (int k = 0; k < dataset->n_inputs; k++) {
        kata_tensor *input = &dataset->inputs[k], view, copy;
        if (!kata_shape_equal(&input->shape, &other)) {
            continue;
        }
        KATA__TRY(kata_tensor_transpose(&view, input, l.channels_last ? to_last : to_first));
        KATA__TRY(kata_tensor_clone(&copy, dataset->context, &view));
        kata_tensor_release(input);
        *input = copy;
        *turned = true;
    }
    return KATA_OK;
}
