/* Any picture of one digit as MNIST would have it (LeCun, Cortes, Burges: "size normalized to fit
 * in a 20x20 pixel box while preserving their aspect ratio", grey levels by anti-aliasing,
 * "centered in a 28x28 image by computing the center of mass"). Measured on its files: the box's
 * longer side is always 20, and the centre of mass lies within half a pixel of pixel (14, 14).
 *
 * The picture is looked at twice: reduced as a whole, to find the digit and whether it is darker or
 * lighter than what is around it, and then only the part with the digit, as sharp as it is. */
#include "base/check.h"
#include "base/memory.h"
#include "data/ink.h"
#include "data/resample.h"

#include <math.h>
#include <string.h>

enum { SIDE = 28, BOX = 20, LOOK_SIDE = 320 };

/* Of a digit's box of 20 pixels: strokes thinner than `thin` would all but vanish and become
 * `normal`. */
static const double thin_stroke = 1.4, normal_stroke = 2.0;

/* The ink's box holds all that is darker than this. MNIST's boxes reach to the faintest pixels, but
 * an enlarged picture has soft edges that were not there: between 0.1 and 0.3 the error of digits
 * enlarged 3 to 8 times is the same within 5 %. */
static const float faintest = 0.2f;

/* A digit is at least this part of the longer side of the sheet that it is written on. */
static const double smallest_on_sheet = 0.05;

/* ------------------------------------------------------------------ colour to grey */

/* Grey = axis . (R,G,B): along which the picture's colours differ most, so that yellow ink on white
 * paper is seen as well as black ink. */
struct colour_axis {
    float weight[3];
};

static struct colour_axis main_axis(const float *planes, size_t n) {
    double mean[3] = {0}, covariance[3][3] = {{0}};
    for (int c = 0; c < 3; c++) {
        for (size_t i = 0; i < n; i++) {
            mean[c] += (double)planes[(size_t)c * n + i];
        }
        mean[c] /= (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++) {
                covariance[a][b] += ((double)planes[(size_t)a * n + i] - mean[a]) *
                                    ((double)planes[(size_t)b * n + i] - mean[b]);
            }
        }
    }
    /* The first eigenvector by power iteration from a start that is no eigenvector of plain
     * colours. */
    double axis[3] = {0.6, 0.62, 0.5};
    for (int round = 0; round < 50; round++) {
        double next[3], length = 0;
        for (int a = 0; a < 3; a++) {
            next[a] = covariance[a][0] * axis[0] + covariance[a][1] * axis[1] +
                      covariance[a][2] * axis[2];
            length += next[a] * next[a];
        }
        if (!(length > 1e-12)) {
            break;
        }
        for (int a = 0; a < 3; a++) {
            axis[a] = next[a] / sqrt(length);
        }
    }
    double sign = axis[0] + axis[1] + axis[2] < 0 ? -1 : 1;
    struct colour_axis out;
    for (int a = 0; a < 3; a++) {
        /* Over sqrt(3): a change of all channels by one level is a change by one level. */
        out.weight[a] = (float)(sign * axis[a] / 1.7320508);
    }
    return out;
}

/* A part of the picture as grey levels, reduced so that no side is longer than LOOK_SIDE. *axis is
 * found if `find_axis`, else used. */
static kata_status look(kata__plane *out, const kata_picture *picture, const kata__area *area,
                        struct colour_axis *axis, bool find_axis) {
    int longer = area->width > area->height ? area->width : area->height;
    double scale = longer > LOOK_SIDE ? (double)LOOK_SIDE / longer : 1;
    int width = (int)lround(area->width * scale), height = (int)lround(area->height * scale);
    width = width > 0 ? width : 1;
    height = height > 0 ? height : 1;
    kata_context *context = picture->context;
    KATA__TRY(kata__plane_new(out, context, height, width));
    if (picture->channels == 1) {
        kata_status status = kata__resample_picture(out->value, picture, area, 1, height, width);
        if (status != KATA_OK) {
            kata__plane_free(out);
        }
        return status;
    }
    size_t n = (size_t)width * (size_t)height;
    float *planes = kata__alloc(context, 3 * n, sizeof *planes);
    kata_status status = planes == NULL
                             ? KATA_OUT_OF_MEMORY
                             : kata__resample_picture(planes, picture, area, 3, height, width);
    if (status == KATA_OK) {
        if (find_axis) {
            *axis = main_axis(planes, n);
        }
        for (size_t i = 0; i < n; i++) {
            out->value[i] = axis->weight[0] * planes[i] + axis->weight[1] * planes[n + i] +
                            axis->weight[2] * planes[2 * n + i];
        }
    } else {
        kata__plane_free(out);
    }
    kata__free(context, planes);
    return status;
}

/* ------------------------------------------------------------------ 28x28 already */

static void grey_row(const kata_picture *picture, uint8_t out[SIDE * SIDE]) {
    for (int i = 0; i < SIDE * SIDE; i++) {
        const uint8_t *p = picture->pixels + i * picture->channels;
        out[i] = picture->channels == 1
                     ? p[0]
                     : (uint8_t)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
}

/* Light ink on black: nine tenths of the outermost pixels are black, and something is light. */
static bool is_ready(const uint8_t image[SIDE * SIDE]) {
    int dark = 0, border = 0, most = 0;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            int value = image[y * SIDE + x];
            most = value > most ? value : most;
            if (x == 0 || y == 0 || x == SIDE - 1 || y == SIDE - 1) {
                border++;
                dark += value <= 16;
            }
        }
    }
    return dark * 10 >= border * 9 && most >= 64;
}

/* ------------------------------------------------------------------ ink to 28x28 */

static kata__area ink_box(const kata__plane *plane) {
    int left = plane->width, top = plane->height, right = -1, bottom = -1;
    for (int y = 0; y < plane->height; y++) {
        for (int x = 0; x < plane->width; x++) {
            if (plane->value[(size_t)y * (size_t)plane->width + (size_t)x] > faintest) {
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
            }
        }
    }
    return (kata__area){left, top, right - left + 1, bottom - top + 1};
}

/* The plane with `margin` pixels of background on each side. */
static kata_status add_margin(kata__plane *plane, int margin) {
    kata__plane wider;
    KATA__TRY(kata__plane_new(&wider, plane->context, plane->height + 2 * margin,
                              plane->width + 2 * margin));
    for (int y = 0; y < plane->height; y++) {
        memcpy(wider.value + (size_t)(y + margin) * (size_t)wider.width + (size_t)margin,
               plane->value + (size_t)y * (size_t)plane->width,
               (size_t)plane->width * sizeof *wider.value);
    }
    kata__plane_free(plane);
    *plane = wider;
    return KATA_OK;
}

/* A pen stroke of one pixel in a large drawing is a twentieth of a pixel in the box: it is widened
 * to what a pen would have left. */
static kata_status widen_thin_strokes(kata__plane *plane) {
    kata__area box = ink_box(plane);
    int longer = box.width > box.height ? box.width : box.height;
    double pixel = longer / (double)BOX, width = kata__ink_stroke_width(plane);
    if (width <= 0 || width >= thin_stroke * pixel) {
        return KATA_OK;
    }
    double radius = (normal_stroke * pixel - width) / 2;
    KATA__TRY(add_margin(plane, (int)radius + 2));
    return kata__ink_widen(plane, radius);
}

/* Where the longer side of the ink's box is BOX pixels and the centre of mass lies at (14, 14). */
static kata_status place(const kata__plane *plane, uint8_t out[SIDE * SIDE]) {
    kata__area box = ink_box(plane);
    int longer = box.width > box.height ? box.width : box.height;
    int width = (int)lround((double)box.width * BOX / longer);
    int height = (int)lround((double)box.height * BOX / longer);
    width = width > 0 ? width : 1;
    height = height > 0 ? height : 1;
    float small[BOX * BOX];
    KATA__TRY(kata__resample_plane(small, plane->context, plane->value, plane->width, &box, height,
                                   width));
    double sum = 0, sum_x = 0, sum_y = 0;
    float most = 0;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            float value = small[y * width + x];
            most = value > most ? value : most;
            sum += (double)value;
            sum_x += (double)value * x;
            sum_y += (double)value * y;
        }
    }
    int left = (int)lround(SIDE / 2 - sum_x / sum), top = (int)lround(SIDE / 2 - sum_y / sum);
    left = left < 0 ? 0 : left > SIDE - width ? SIDE - width : left;
    top = top < 0 ? 0 : top > SIDE - height ? SIDE - height : top;
    float gain = most < 0.95f ? 0.95f / most : 1;
    memset(out, 0, SIDE * SIDE);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            float value = small[y * width + x] * gain * 255 + 0.5f;
            out[(y + top) * SIDE + x + left] = (uint8_t)(value > 255 ? 255 : value);
        }
    }
    return KATA_OK;
}

/* ------------------------------------------------------------------ where to look */

/* A part of the picture, as grey levels, and what of it is to be looked at. */
struct view {
    kata__area area;
    kata__plane plane, mask; /* the mask is empty where all is to be looked at */
};

static void free_view(struct view *view) {
    kata__plane_free(&view->plane);
    kata__plane_free(&view->mask);
}

static const kata__plane *mask_of(const struct view *view) {
    return view->mask.value == NULL ? NULL : &view->mask;
}

/* The part of the picture that lies in a box of the view, `margin` of the view's pixels wider. */
static kata__area part_of(const struct view *view, const kata_picture *picture, int left, int top,
                          int width, int height, double margin) {
    double scale_x = (double)view->area.width / view->plane.width;
    double scale_y = (double)view->area.height / view->plane.height;
    int x = view->area.left + (int)floor((left - margin) * scale_x);
    int y = view->area.top + (int)floor((top - margin) * scale_y);
    int right = view->area.left + (int)ceil((left + width + margin) * scale_x);
    int bottom = view->area.top + (int)ceil((top + height + margin) * scale_y);
    x = x > 0 ? x : 0;
    y = y > 0 ? y : 0;
    right = right < picture->width ? right : picture->width;
    bottom = bottom < picture->height ? bottom : picture->height;
    return (kata__area){x, y, right - x, bottom - y};
}

/* The mask of one view as seen in another. */
static kata_status carry_mask(struct view *to, const struct view *from) {
    if (from->mask.value == NULL) {
        return KATA_OK;
    }
    KATA__TRY(kata__plane_new(&to->mask, from->mask.context, to->plane.height, to->plane.width));
    for (int y = 0; y < to->plane.height; y++) {
        double at_y = to->area.top + (y + 0.5) * to->area.height / to->plane.height;
        int v = (int)floor((at_y - from->area.top) * from->plane.height / from->area.height);
        for (int x = 0; x < to->plane.width; x++) {
            double at_x = to->area.left + (x + 0.5) * to->area.width / to->plane.width;
            int u = (int)floor((at_x - from->area.left) * from->plane.width / from->area.width);
            bool in = u >= 0 && v >= 0 && u < from->plane.width && v < from->plane.height;
            to->mask.value[(size_t)y * (size_t)to->plane.width + (size_t)x] =
                in ? from->mask.value[(size_t)v * (size_t)from->plane.width + (size_t)u] : 0;
        }
    }
    return KATA_OK;
}

/* The view becomes that of another area. */
static kata_status move_view(struct view *view, const kata_picture *picture, const kata__area *area,
                             struct colour_axis *axis, bool find_axis) {
    struct view next = {.area = *area};
    kata_status status = look(&next.plane, picture, area, axis, find_axis);
    if (status == KATA_OK) {
        status = carry_mask(&next, view);
    }
    if (status != KATA_OK) {
        free_view(&next);
        return status;
    }
    free_view(view);
    *view = next;
    return KATA_OK;
}

static kata_status whole_view(struct view *view, const kata_picture *picture,
                              struct colour_axis *axis) {
    *view = (struct view){.area = {0, 0, picture->width, picture->height}};
    return look(&view->plane, picture, &view->area, axis, true);
}

static kata__area box_of_mask(const struct view *view, const kata_picture *picture) {
    const kata__plane *mask = &view->mask;
    int left = mask->width, top = mask->height, right = -1, bottom = -1;
    for (int y = 0; y < mask->height; y++) {
        for (int x = 0; x < mask->width; x++) {
            if (mask->value[(size_t)y * (size_t)mask->width + (size_t)x] > 0.5f) {
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
            }
        }
    }
    return part_of(view, picture, left, top, right - left + 1, bottom - top + 1, 0);
}

/* ------------------------------------------------------------------ the whole way */

/* From a view to the digit in it: the ink is found, looked at closely and found again. */
static kata_status read_view(struct view *view, const kata_picture *picture,
                             struct colour_axis *axis, kata__ink *ink, uint8_t out[SIDE * SIDE]) {
    KATA__TRY(kata__ink_find(&view->plane, mask_of(view), ink));
    int longer = ink->width > ink->height ? ink->width : ink->height;
    kata__area area =
        part_of(view, picture, ink->left, ink->top, ink->width, ink->height, 0.3 * longer + 2);
    kata__ink close = {.sign = ink->sign};
    KATA__TRY(move_view(view, picture, &area, axis, false));
    KATA__TRY(kata__ink_find(&view->plane, mask_of(view), &close));
    KATA__TRY(widen_thin_strokes(&view->plane));
    return place(&view->plane, out);
}

enum { SHEETS = 2 }; /* a sheet on a board on a table */

static kata_status read_parts(struct view *view, const kata_picture *picture,
                              struct colour_axis *axis, int depth, kata__ink *ink,
                              uint8_t out[SIDE * SIDE]);

/* The digit on the sheet that the mask of the view leaves. *read stays false if nothing that could
 * be one is there: then it was no sheet, but a solid figure. */
static kata_status read_sheet(struct view *view, const kata_picture *picture, int depth, bool *read,
                              kata__ink *ink, uint8_t out[SIDE * SIDE]) {
    struct colour_axis axis;
    kata__area area = box_of_mask(view, picture);
    *read = false;
    KATA__TRY(move_view(view, picture, &area, &axis, true));
    int side = view->plane.width > view->plane.height ? view->plane.width : view->plane.height;
    kata_status status = read_parts(view, picture, &axis, depth, ink, out);
    if (status == KATA_INVALID) {
        return KATA_OK; /* nothing is on it */
    }
    int longer = ink->width > ink->height ? ink->width : ink->height;
    *read = status == KATA_OK && longer >= smallest_on_sheet * side;
    return status;
}

static kata_status read_parts(struct view *view, const kata_picture *picture,
                              struct colour_axis *axis, int depth, kata__ink *ink,
                              uint8_t out[SIDE * SIDE]) {
    struct view sheet = {.area = view->area,
                         .plane = {.width = view->plane.width, .height = view->plane.height}};
    bool found = false, read = false;
    if (depth < SHEETS) {
        KATA__TRY(kata__sheet_find(&sheet.mask, &found, &view->plane, mask_of(view)));
    }
    if (found) {
        kata_status status = read_sheet(&sheet, picture, depth + 1, &read, ink, out);
        free_view(&sheet);
        KATA__TRY(status);
    }
    if (!read) {
        *ink = (kata__ink){.sign = 0};
    }
    return read ? KATA_OK : read_view(view, picture, axis, ink, out);
}

kata_status kata_picture_to_digit(const kata_picture *picture, uint8_t out[28 * 28]) {
    if (picture->pixels == NULL || picture->context == NULL || picture->width < 1 ||
        picture->height < 1 || (picture->channels != 1 && picture->channels != 3)) {
        return kata_fail(KATA_INVALID,
                         "a picture of %dx%d pixels with %d channels cannot be used; it needs "
                         "pixels, a context, and 1 or 3 channels",
                         picture->width, picture->height, picture->channels);
    }
    uint8_t image[SIDE * SIDE];
    if (picture->width == SIDE && picture->height == SIDE) {
        grey_row(picture, image);
        if (is_ready(image)) {
            memcpy(out, image, sizeof image);
            return KATA_OK;
        }
    }
    struct view view = {.plane = {.context = NULL}};
    struct colour_axis axis;
    kata__ink ink;
    kata_status status = whole_view(&view, picture, &axis);
    if (status == KATA_OK) {
        status = read_parts(&view, picture, &axis, 0, &ink, image);
    }
    free_view(&view);
    KATA__TRY(status);
    memcpy(out, image, sizeof image);
    return KATA_OK;
}
