/* tests/core/base/test_support.c: the helpers of the tests themselves. */
#include "tests/support/unit.h"

#include <string.h>

/* A NumPy file of version 1 with this header text and these elements, in `folder`. */
static const char *write_npy(const char *folder, const char *header, const void *elements, size_t n_bytes)
{
    const char *path = path_in(folder, "a.npy");
    struct buf b;
    struct error e;
    size_t len = strlen(header);
    const uint8_t length[2] = {(uint8_t)(len % 256), (uint8_t)(len / 256)};
    buf_init(&b, 1 << 16);
    assert_ok(buf_append(&b, "\x93NUMPY\x01\x00", 8, &e), &e);
    assert_ok(buf_append(&b, length, 2, &e), &e);
    assert_ok(buf_append(&b, header, len, &e), &e);
    assert_ok(buf_append(&b, elements, n_bytes, &e), &e);
    assert_ok(file_write_atomic(path, b.data, b.len, &e), &e);
    buf_fini(&b);
    return path;
}

static void test_numpy_arrays_of_each_type_and_rank_are_read(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct npy a;
    struct error e;
    static const float f4[6] = {1, 2, 3, 4, 5, 6.5f};
    static const double f8[2] = {0.25, -1};
    static const int64_t i8[1] = {-7};
    assert_ok(npy_load(write_npy(folder, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", f4, 24), &a,
                       &e), &e);
    assert_int_equal(a.rank, 2);
    assert_true(a.shape[0] == 2 && a.shape[1] == 3 && a.n == 6 && a.f4[5] == 6.5f && npy_value(&a, 5) == 6.5);
    npy_free(&a);
    assert_ok(npy_load(write_npy(folder, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", f8, 16), &a,
                       &e), &e);
    assert_true(a.rank == 1 && a.n == 2 && a.f8[1] == -1 && !a.f4 && !a.i8);
    npy_free(&a);
    assert_ok(npy_load(write_npy(folder, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }\n", i8, 8), &a, &e),
              &e);
    assert_true(a.rank == 0 && a.n == 1 && a.i8[0] == -7 && npy_value(&a, 0) == -7);
    npy_free(&a);
    temp_folder_remove(folder);
}

static void test_other_numpy_files_are_refused(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct npy a;
    struct error e;
    assert_status(npy_load(write_npy(folder, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "", 0), &a,
                           &e), STATUS_FORMAT, &e);
    assert_status(npy_load(write_npy(folder, "{'descr': '>f4', 'fortran_order': False, 'shape': (0,), }", "", 0), &a,
                           &e), STATUS_UNSUPPORTED, &e);
    assert_status(npy_load(write_npy(folder, "{'descr': '<f4', 'fortran_order': True, 'shape': (0,), }", "", 0), &a,
                           &e), STATUS_UNSUPPORTED, &e);
    assert_status(npy_load(path_in(folder, "absent"), &a, &e), STATUS_NOTFOUND, &e);
    temp_folder_remove(folder);
}

static void test_reference_arrays_are_read(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct npy a;
    struct error e;
    assert_ok(npy_load(shared_path("golden/expect_A.npy"), &a, &e), &e);
    assert_int_equal(a.rank, 2);
    for (size_t i = 0; i < a.shape[0]; i++) {                 /* probabilities */
        double sum = 0;
        for (size_t j = 0; j < a.shape[1]; j++)
            sum += npy_value(&a, i * a.shape[1] + j);
        assert_true(sum > 0.9999 && sum < 1.0001);
    }
    npy_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_arrays_of_each_type_and_rank_are_read),
        cmocka_unit_test(test_other_numpy_files_are_refused),
        cmocka_unit_test(test_reference_arrays_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
