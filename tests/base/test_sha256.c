/* SHA-256 against NIST's examples (FIPS 180-4; the long one is the million "a"). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sha256.h"

#include <string.h>

static void test_vectors(void **state) {
    (void)state;
    static const struct {
        const char *message, *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
         "lmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[KATA__SHA256_TEXT_SIZE];
        assert_string_equal(kata__sha256_text(cases[i].message, strlen(cases[i].message), text),
                            cases[i].digest);
    }
}

static void test_million(void **state) {
    (void)state;
    kata__sha256 hash;
    uint8_t digest[32];
    char part[1000], text[KATA__SHA256_TEXT_SIZE];
    memset(part, 'a', sizeof part);
    kata__sha256_init(&hash);
    for (int i = 0; i < 1000; i++) {
        kata__sha256_add(&hash, part, sizeof part);
    }
    kata__sha256_end(&hash, digest);
    assert_string_equal(kata__sha256_hex(digest, text),
                        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* However the bytes are cut into pieces, the digest is the same. */
static void test_pieces(void **state) {
    (void)state;
    uint8_t data[300], whole[32], digest[32];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 37);
    }
    for (size_t n = 0; n <= sizeof data; n += 13) {
        kata__sha256 hash;
        kata__sha256_init(&hash);
        kata__sha256_add(&hash, data, n);
        kata__sha256_end(&hash, whole);
        for (size_t cut = 1; cut < 130; cut += 7) {
            kata__sha256_init(&hash);
            for (size_t at = 0; at < n; at += cut) {
                kata__sha256_add(&hash, data + at, n - at < cut ? n - at : cut);
            }
            kata__sha256_end(&hash, digest);
            assert_memory_equal(digest, whole, 32);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
