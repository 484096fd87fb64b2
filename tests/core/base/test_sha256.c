/* tests/core/base/test_sha256.c */
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

/* FIPS 180-2, appendix B, and the empty message. */
static const struct { const char *text, *digest; } vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};
static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void test_digests_are_those_of_the_standard(void **state)
{
    (void)state;
    char hex[65];
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        sha256_hex(vectors[i].text, strlen(vectors[i].text), hex);
        assert_string_equal(hex, vectors[i].digest);
    }
}

static void test_pieces_give_the_digest_of_the_whole(void **state)
{
    (void)state;
    char hex[65], block[1000];
    memset(block, 'a', sizeof block);
    for (size_t piece = 1; piece <= 1000; piece = piece * 7 + 1) {
        struct sha256 h;
        sha256_init(&h);
        for (size_t left = 1000000; left > 0;) {
            size_t n = left < piece ? left : piece;
            sha256_update(&h, block, n);
            left -= n;
        }
        sha256_final_hex(&h, hex);
        assert_string_equal(hex, million_a);
    }
}

static void test_a_file_has_the_digest_of_its_bytes(void **state)
{
    (void)state;
    char hex[65], *folder = temp_folder_create(), *data = malloc(1000000);
    const char *path = path_in(folder, "a.bin");
    struct error e;
    int64_t bytes = 0;
    assert_non_null(data);
    memset(data, 'a', 1000000);
    assert_ok(file_write_atomic(path, data, 1000000, &e), &e);
    assert_ok(sha256_file_hex(path, hex, &bytes, &e), &e);
    assert_string_equal(hex, million_a);
    assert_int_equal(bytes, 1000000);
    assert_ok(file_write_atomic(path, "", 0, &e), &e);
    assert_ok(sha256_file_hex(path, hex, NULL, &e), &e);
    assert_string_equal(hex, vectors[0].digest);
    assert_status(sha256_file_hex(path_in(folder, "absent"), hex, NULL, &e), STATUS_NOTFOUND, &e);
    assert_string_equal(e.text, "absent: opening: No such file or directory");
    assert_status(sha256_file_hex(folder, hex, NULL, &e), STATUS_IO, &e);
    assert_true(alloc_fail_begin(1));
    assert_status(sha256_file_hex(path, hex, NULL, &e), STATUS_NOMEM, &e);
    assert_true(alloc_fail_end());
    free(data);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_are_those_of_the_standard),
        cmocka_unit_test(test_pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(test_a_file_has_the_digest_of_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
