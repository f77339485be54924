/* Fuzzes the picture readers (PNG, JPEG) and what is made of a picture: a digit, and planes of
 * another size. */
#include <kata/data.h>
#include <kata/readers.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    kata_picture picture = {0};
    uint8_t digit[28 * 28], planes[3 * 9 * 7];
    kata_readers_install();
    if (context == NULL || kata_picture_decode(&picture, context, data, n_bytes) != KATA_OK) {
        return 0;
    }
    /* One of 64 megapixels is right but takes seconds. */
    if ((int64_t)picture.width * picture.height <= 1 << 18) {
        (void)kata_picture_to_digit(&picture, digit);
        (void)kata_picture_to_planes(&picture, 1, 7, 9, planes);
        (void)kata_picture_to_planes(&picture, 3, 9, 7, planes);
    }
    kata_picture_free(&picture);
    return 0;
}
