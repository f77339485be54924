/* Data types: sizes, float16 and bfloat16 exactly, single elements. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/tensor.h>

#include "base/check.h"
#include "tensor/dtype.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void list(void **state) {
    (void)state;
    assert_int_equal(kata_dtype_size(KATA_F32), 4);
    assert_int_equal(kata_dtype_size(KATA_F64), 8);
    assert_int_equal(kata_dtype_size(KATA_BF16), 2);
    assert_int_equal(kata_dtype_size(KATA_BOOL), 1);
    assert_int_equal(kata_dtype_size(KATA_NO_DTYPE), 0);
    assert_int_equal(kata_dtype_size((kata_dtype)99), 0);
    assert_string_equal(kata_dtype_name(KATA_I64), "int64");
    assert_string_equal(kata_dtype_name(KATA_NO_DTYPE), "?");
    assert_string_equal(kata_dtype_name((kata_dtype)-5), "?");
    assert_true(kata_dtype_is_float(KATA_F16) && kata_dtype_is_float(KATA_BF16));
    assert_true(kata_dtype_is_float(KATA_F32) && kata_dtype_is_float(KATA_F64));
    assert_false(kata_dtype_is_float(KATA_I8) || kata_dtype_is_float(KATA_BOOL));
    assert_int_equal(kata__dtype_check(KATA_DTYPE_COUNT, "here"), KATA_DTYPE);
    assert_string_equal(kata_error_message(), "here: 21 is not a data type");
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The value of a float16 by its definition. */
static double f16_value(uint16_t half) {
    int exponent = half >> 10 & 31;
    double fraction = half & 1023, sign = half >> 15 ? -1 : 1;
    if (exponent == 31) {
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    }
    return exponent == 0 ? sign * ldexp(fraction, -24)
                         : sign * ldexp(1024 + fraction, exponent - 25);
}

static void f16_all_patterns(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        double expected = f16_value((uint16_t)half);
        float value = kata_f16_to_f32((uint16_t)half);
        if (expected != expected) {
            assert_true(isnan(value));
            uint16_t back = kata_f32_to_f16(value);
            assert_true((back & 0x7C00) == 0x7C00 && (back & 0x3FF) != 0);
            assert_int_equal(back, half | 0x200); /* sign and payload kept, quiet */
            continue;
        }
        assert_true((double)value == expected && !signbit(value) == !(half >> 15));
        assert_int_equal(kata_f32_to_f16(value), half);
        assert_int_equal(kata__f64_to_f16(expected), half);
    }
}

/* Nearest even by search: a positive float16's pattern grows with its value, and "infinity" stands
 * for 2^16 when rounding. */
static uint16_t f16_slow(double value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    value = fabs(value);
    uint32_t low = 0, high = 0x7C00;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        *(f16_value((uint16_t)middle) <= value ? &low : &high) = middle;
    }
    double below = f16_value((uint16_t)low),
           above = high == 0x7C00 ? 65536 : f16_value((uint16_t)high);
    double down = value - below, up = above - value; /* exact: both are near */
    bool rise = up < down || (up == down && (low & 1) != 0);
    return (uint16_t)(sign | (rise ? high : low));
}

static uint16_t bf16_slow(double value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    value = fabs(value);
    uint32_t low = 0, high = 0x7F80;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        *((double)float_of(middle << 16) <= value ? &low : &high) = middle;
    }
    double below = (double)float_of(low << 16);
    double above = high == 0x7F80 ? 0x1p128 : (double)float_of(high << 16);
    double down = value - below, up = above - value;
    bool rise = up < down || (up == down && (low & 1) != 0);
    return (uint16_t)(sign | (rise ? high : low));
}

static void rounding_at_every_border(void **state) {
    (void)state;
    /* Each float16 and each middle between two, and the floats and doubles next to them. */
    for (uint32_t half = 0; half < 0x7C00; half++) {
        double here = f16_value((uint16_t)half);
        double next = half == 0x7BFF ? 65536 : f16_value((uint16_t)(half + 1));
        double points[] = {here, (here + next) / 2, next};
        for (size_t i = 0; i < KATA__COUNT(points); i++) {
            float point = (float)points[i]; /* exact */
            float near[] = {point, nextafterf(point, -INFINITY), nextafterf(point, INFINITY)};
            for (size_t j = 0; j < KATA__COUNT(near); j++) {
                uint16_t expected = f16_slow((double)near[j]);
                assert_int_equal(kata_f32_to_f16(near[j]), expected);
                assert_int_equal(kata_f32_to_f16(-near[j]), expected ^ 0x8000);
            }
            double around[] = {nextafter(points[i], -(double)INFINITY),
                               nextafter(points[i], (double)INFINITY)};
            for (size_t j = 0; j < KATA__COUNT(around); j++) {
                assert_int_equal(kata__f64_to_f16(around[j]), f16_slow(around[j]));
            }
        }
    }
    for (uint32_t b = 0; b < 0x7F80; b++) {
        double here = (double)float_of(b << 16);
        double next = b == 0x7F7F ? 0x1p128 : (double)float_of((b + 1) << 16);
        double middle = (here + next) / 2;
        double around[] = {here, middle, nextafter(middle, 0), nextafter(middle, (double)INFINITY)};
        for (size_t j = 0; j < KATA__COUNT(around); j++) {
            assert_int_equal(kata__f64_to_bf16(around[j]), bf16_slow(around[j]));
            assert_int_equal(kata__f64_to_bf16(-around[j]), bf16_slow(-around[j]));
            float value = (float)around[j];
            if ((double)value == around[j]) {
                assert_int_equal(kata_f32_to_bf16(value), bf16_slow(around[j]));
            }
        }
    }
}

static void random_floats(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 400000; i++) {
        float value = float_of(kata_random_bits(11, 0, 0, i));
        if (isnan(value)) {
            assert_true((kata_f32_to_f16(value) & 0x7FFF) > 0x7C00);
            assert_true((kata_f32_to_bf16(value) & 0x7FFF) > 0x7F80);
        } else if (!isinf(value)) {
            assert_int_equal(kata_f32_to_f16(value), f16_slow((double)value));
            assert_int_equal(kata_f32_to_bf16(value), bf16_slow((double)value));
        }
    }
}

static void special_values(void **state) {
    (void)state;
    assert_int_equal(kata_f32_to_f16(INFINITY), 0x7C00);
    assert_int_equal(kata_f32_to_f16(-INFINITY), 0xFC00);
    assert_int_equal(kata_f32_to_f16(65519.996f), 0x7BFF);
    assert_int_equal(kata_f32_to_f16(65520.0f), 0x7C00);
    assert_int_equal(kata_f32_to_f16(FLT_MAX), 0x7C00);
    assert_int_equal(kata_f32_to_f16(-0.0f), 0x8000);
    assert_int_equal(kata_f32_to_f16(0x1p-24f), 0x0001);
    assert_int_equal(kata_f32_to_f16(0x1p-25f), 0x0000); /* a tie, to even */
    assert_int_equal(kata_f32_to_f16(0x1.000002p-25f), 0x0001);
    assert_int_equal(kata_f32_to_f16(float_of(0x7F800001)), 0x7E00); /* stays NaN */
    assert_int_equal(kata_f32_to_bf16(INFINITY), 0x7F80);
    assert_int_equal(kata_f32_to_bf16(FLT_MAX), 0x7F80);
    assert_int_equal(kata_f32_to_bf16(float_of(0x7F800001)), 0x7FC0);
    assert_int_equal(kata_f32_to_bf16(float_of(0xFFFFFFFF)), 0xFFFF);
    for (uint32_t b = 0; b < 65536; b++) {
        assert_int_equal(bits_of(kata_bf16_to_f32((uint16_t)b)), b << 16);
        if ((b & 0x7FFF) <= 0x7F80) {
            assert_int_equal(kata_f32_to_bf16(kata_bf16_to_f32((uint16_t)b)), b);
        }
    }
    /* By way of float32 these would round twice. */
    assert_int_equal(kata__f64_to_f16(1 + 0x1p-11 + 0x1p-40), 0x3C01);
    assert_int_equal(kata_f32_to_f16((float)(1 + 0x1p-11 + 0x1p-40)), 0x3C00);
    assert_int_equal(kata__f64_to_bf16(1 + 0x1p-8 + 0x1p-40), 0x3F81);
    assert_int_equal(kata__f64_to_f16(0x1p-25 + 0x1p-77), 0x0001);
    assert_int_equal(kata__f64_to_f16(-0x1p-300), 0x8000);
    assert_int_equal(kata__f64_to_f16(DBL_MAX), 0x7C00);
    assert_int_equal(kata__f64_to_bf16(-DBL_MAX), 0xFF80);
    assert_int_equal(kata__f64_to_bf16((double)NAN) & 0x7FFF, 0x7FC0);
    assert_int_equal(kata__f64_to_f16((double)INFINITY), 0x7C00);
}

/* All patterns of the 8-bit floats, there and back; the numbers of their definitions. */
static void f8_all_patterns(void **state) {
    (void)state;
    static const struct {
        kata_dtype dtype;
        double one, largest, smallest,
            tie;                       /* tie: half way from the largest to what would follow */
        uint8_t one_bits, nan, beyond; /* beyond: of infinity, not saturated */
    } types[] = {{KATA_F8E4M3FN, 1, 448, 0x1p-9, 464, 0x38, 0x7F, 0x7F},
                 {KATA_F8E4M3FNUZ, 1, 240, 0x1p-10, 248, 0x40, 0x80, 0x80},
                 {KATA_F8E5M2, 1, 57344, 0x1p-16, 61440, 0x3C, 0x7F, 0x7C},
                 {KATA_F8E5M2FNUZ, 1, 57344, 0x1p-17, 61440, 0x40, 0x80, 0x80}};
    for (size_t t = 0; t < KATA__COUNT(types); t++) {
        kata_dtype dtype = types[t].dtype;
        double largest = 0;
        for (int bits = 0; bits < 256; bits++) {
            double value = kata__f8_to_f64(dtype, (uint8_t)bits);
            if (!isnan(value) && !isinf(value)) {
                assert_int_equal(kata__f64_to_f8(dtype, value, true), bits);
                largest = value > largest ? value : largest;
                double next = kata__f8_to_f64(dtype, (uint8_t)(bits + 1));
                if (bits < 127 && isfinite(next)) { /* ties go to the even one, the rest nearest */
                    double middle = (value + next) / 2;
                    assert_int_equal(kata__f64_to_f8(dtype, middle, true), bits + (bits & 1));
                    assert_int_equal(kata__f64_to_f8(dtype, nextafter(middle, 1e9), true),
                                     bits + 1);
                    assert_int_equal(kata__f64_to_f8(dtype, nextafter(middle, 0), true), bits);
                }
            }
        }
        assert_true(largest == types[t].largest);
        assert_true(kata__f8_to_f64(dtype, 1) == types[t].smallest);
        assert_int_equal(kata__f64_to_f8(dtype, 1, true), types[t].one_bits);
        assert_int_equal(kata__f64_to_f8(dtype, (double)NAN, true), types[t].nan);
        assert_int_equal(kata__f64_to_f8(dtype, (double)INFINITY, false), types[t].beyond);
        assert_true(kata__f8_to_f64(dtype, kata__f64_to_f8(dtype, -1e300, true)) == -largest);
        assert_true(kata__f8_to_f64(dtype, kata__f64_to_f8(dtype, types[t].tie, true)) == largest);
        double at_tie = kata__f8_to_f64(dtype, kata__f64_to_f8(dtype, types[t].tie, false));
        assert_true(dtype == KATA_F8E4M3FN ? at_tie == largest : !isfinite(at_tie));
    }
    assert_true(
        signbit(kata__f8_to_f64(KATA_F8E4M3FN, kata__f64_to_f8(KATA_F8E4M3FN, -0.0, true))));
    assert_int_equal(kata__f64_to_f8(KATA_F8E4M3FNUZ, -0.0, true), 0);
}

static double through(kata_dtype dtype, double value) {
    /* At an odd address: a caller's memory may lie anywhere. */
    char memory[32];
    kata_store(dtype, memory + 1, 2, value);
    return kata_load(dtype, memory + 1, 2);
}

static void elements(void **state) {
    (void)state;
#define X(name, text, bytes, onnx)                                                                 \
    assert_true(KATA_##name == KATA_STRING || through(KATA_##name, 1) == 1);                       \
    assert_true(KATA_##name == KATA_STRING || through(KATA_##name, 0) == 0);
    KATA_DTYPE_LIST(X)
#undef X
    assert_true(through(KATA_F32, 0.1) == (double)0.1f);
    assert_true(through(KATA_F64, 0.1) == 0.1);
    assert_true(through(KATA_F16, 0.1) == (double)kata_f16_to_f32(kata_f32_to_f16(0.1f)));
    assert_true(through(KATA_I8, -3.99) == -3); /* towards zero */
    assert_true(through(KATA_I8, 1000) == 127);
    assert_true(through(KATA_I8, -1000) == -128);
    assert_true(through(KATA_U8, -5) == 0);
    assert_true(through(KATA_U8, 255.9) == 255);
    assert_true(through(KATA_U8, 1e30) == 255);
    assert_true(through(KATA_I32, 2147483647) == 2147483647);
    assert_true(through(KATA_I32, -1e12) == -2147483648.0);
    assert_true(through(KATA_I64, 9007199254740992) == 9007199254740992);
    assert_true(through(KATA_I64, 1e300) == 0x1p63); /* INT64_MAX, as a double */
    assert_true(through(KATA_I64, -(double)INFINITY) == -0x1p63);
    assert_true(through(KATA_I32, (double)NAN) == 0);
    assert_true(through(KATA_BOOL, 0.3) == 1);
    assert_true(through(KATA_BOOL, (double)NAN) == 1);
    assert_true(through(KATA_BOOL, -0.0) == 0);
    assert_true(isnan(through(KATA_F16, (double)NAN)));
    assert_true(kata_load(KATA_NO_DTYPE, "", 0) == 0);
    char untouched = 5;
    kata_store(KATA_NO_DTYPE, &untouched, 0, 7);
    assert_int_equal(untouched, 5);
    uint8_t odd_bool = 7;
    assert_true(kata_load(KATA_BOOL, &odd_bool, 0) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list),
        cmocka_unit_test(f16_all_patterns),
        cmocka_unit_test(rounding_at_every_border),
        cmocka_unit_test(random_floats),
        cmocka_unit_test(special_values),
        cmocka_unit_test(elements),
        cmocka_unit_test(f8_all_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
