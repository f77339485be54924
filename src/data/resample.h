/* Inside the data room: separable resampling, by area where it shrinks and bilinear where it
 * enlarges. */
#ifndef KATA_DATA_RESAMPLE_H
#define KATA_DATA_RESAMPLE_H

#include <kata/data.h>

/* What each output position of one axis reads: count[i] weights from source position start[i] on;
 * they sum to 1. */
typedef struct kata__axis {
    kata_context *context;
    int n_out, most; /* most: weights kept for a position */
    int *start, *count;
    float *weight; /* n_out x most */
} kata__axis;

/* Maps the source positions [begin, begin + length) of an axis to n_out positions. */
kata_status kata__axis_new(kata__axis *out, kata_context *context, int begin, int length,
                           int n_out);
void kata__axis_free(kata__axis *axis);

/* A part of a picture as float planes (channels, height, width), values 0..255; channels 1 or 3:
 * grey from colour is 0.299 R + 0.587 G + 0.114 B, colour from grey three times the same. */
typedef struct kata__area {
    int left, top, width, height;
} kata__area;
kata_status kata__resample_picture(float *out, const kata_picture *picture, const kata__area *area,
                                   int channels, int height, int width);

/* The same of one float plane of row length `stride`. */
kata_status kata__resample_plane(float *out, kata_context *context, const float *plane, int stride,
                                 const kata__area *area, int height, int width);

#endif
