/* Sums of known bytes and the frame of a record; tests/e2e/export.sh reads whole files with a reader of its own. */
#include "core/dataset/tfrecord.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
static void test_sums_are_those_of_the_standard(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c("123456789", 9), 0xE3069283u);
    assert_int_equal(crc32c("", 0), 0);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(bytes, sizeof bytes), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(crc32c(bytes, sizeof bytes), 0x62A8AB43u);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(bytes, sizeof bytes), 0x46DD794Eu);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(bytes, sizeof bytes), 0x113FDB5Cu);
}

static void test_a_record_is_framed_and_its_message_is_an_example(void **state)
{
    (void)state;
    static const float one[] = {1};
    static const uint8_t message[] = {0x0A, 0x0F, 0x0A, 0x0D, 0x0A, 0x01, 'x', 0x12, 0x08, 0x12, 0x06, 0x0A,
                                      0x04, 0x00, 0x00, 0x80, 0x3F};
    const struct float_feature feature = {"x", one, 1};
    struct error e;
    struct buf b;
    uint64_t length;
    uint32_t sum;
    buf_init(&b, 1 << 10);
    assert_int_equal(tfrecord_append(&b, &feature, 1, &e), STATUS_OK);
    assert_int_equal(b.len, 8 + 4 + sizeof message + 4);
    memcpy(&length, b.data, 8);
    assert_int_equal(length, sizeof message);
    memcpy(&sum, b.data + 8, 4);
    assert_int_equal(sum, crc32c_masked(&length, 8));
    assert_memory_equal(b.data + 12, message, sizeof message);
    memcpy(&sum, b.data + 12 + sizeof message, 4);
    assert_int_equal(sum, crc32c_masked(message, sizeof message));
    buf_fini(&b);
}

static void test_a_record_that_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    float values[100] = {0};
    const struct float_feature feature = {"x", values, 100};
    struct error e;
    struct buf b;
    buf_init(&b, 64);
    assert_int_equal(tfrecord_append(&b, &feature, 1, &e), STATUS_NOMEM);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_are_those_of_the_standard),
        cmocka_unit_test(test_a_record_is_framed_and_its_message_is_an_example),
        cmocka_unit_test(test_a_record_that_does_not_fit_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
