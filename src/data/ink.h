/* Inside the data room: finding the ink of a drawing or a photo. */
#ifndef KATA_DATA_INK_H
#define KATA_DATA_INK_H

#include <kata/data.h>

/* A float plane (height, width) of the context. */
typedef struct kata__plane {
    kata_context *context;
    int width, height;
    float *value;
} kata__plane;

kata_status kata__plane_new(kata__plane *out, kata_context *context, int height, int width);
void kata__plane_free(kata__plane *plane);

/* What is known of a picture's ink. */
typedef struct kata__ink {
    int sign;       /* +1: ink is lighter than the background, -1: darker; 0: not known yet */
    float contrast; /* grey levels between background and ink */
    int left, top, width, height; /* the ink's box */
} kata__ink;

/* Looks for a sheet of paper that lies on a table: a large, solid, four-cornered piece that stands
 * out from what is at the picture's border. *found, and *inside (1 on the sheet but for its rim, 0
 * elsewhere; of the plane's size, to be freed) if there is one. Only what `mask` leaves (NULL: all)
 * is looked at. Whether anything is written on it is not asked. */
kata_status kata__sheet_find(kata__plane *inside, bool *found, const kata__plane *plane,
                             const kata__plane *mask);

/* Replaces grey levels (0..255) by ink, 0 (background) to 1: the background, a surface of second
 * order, is fitted and subtracted; what stands out from it in its darker or lighter half is ink;
 * the main piece and the pieces that belong to it stay, specks and what comes in from the border
 * go. `ink->sign` is used if it is not 0, else found. Only what `mask` leaves (1; NULL: all) is
 * looked at. KATA_INVALID if nothing stands out. */
kata_status kata__ink_find(kata__plane *plane, const kata__plane *mask, kata__ink *ink);

/* Distances of pixels to the nearest that holds 0, in *distance: 0 there, large numbers elsewhere.
 */
void kata__distances(float *distance, int width, int height);

/* Widens strokes by `radius` pixels. */
kata_status kata__ink_widen(kata__plane *plane, double radius);

/* The mean width of the strokes in pixels: twice the area over the length of the outline. */
double kata__ink_stroke_width(const kata__plane *plane);

#endif
