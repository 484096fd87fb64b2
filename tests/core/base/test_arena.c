/* tests/core/base/test_arena.c */
#include "tests/support/unit.h"

#include <string.h>

static bool is_zero(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void test_objects_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena a;
    uint8_t *objects[200];
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        size_t n = 1 + i * 7 % 300;
        objects[i] = arena_alloc(&a, n, 1);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 64, 0);
        assert_true(is_zero(objects[i], n));
        memset(objects[i], (int)(i + 1), n);
    }
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        for (size_t j = 0; j < 1 + i * 7 % 300; j++)
            assert_int_equal(objects[i][j], (uint8_t)(i + 1));
    arena_fini(&a);
}

static void test_the_sum_of_chunks_never_exceeds_the_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max < 20000; max += 617) {
        struct arena a;
        size_t n_bytes = 0;
        arena_init(&a, max);
        while (arena_alloc(&a, 100, 1)) {
            n_bytes += 100;
            assert_true(a.used <= max);
        }
        assert_true(n_bytes <= max);
        assert_true(max < 4096 || n_bytes > max / 3);         /* and the maximum is made use of */
        arena_fini(&a);
        assert_int_equal(a.used, 0);
    }
}

static void test_overflowing_sizes_are_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX, 2));
    assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1, 2));
    assert_null(arena_alloc(&a, SIZE_MAX, 1));
    assert_null(arena_alloc(&a, SIZE_MAX - 63, 1));
    assert_null(arena_strndup(&a, "", SIZE_MAX));
    assert_non_null(arena_alloc(&a, 1, 1));
    arena_fini(&a);
}

static void test_reset_keeps_one_chunk_and_gives_zeroed_memory_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 10; i++)
        memset(arena_alloc(&a, 10000, 1), 0xAA, 10000);
    size_t used = a.used;
    arena_reset(&a);
    assert_true(a.used > 0 && a.used < used);
    used = a.used;
    uint8_t *p = arena_alloc(&a, 10000, 1);
    assert_true(is_zero(p, 10000));
    assert_int_equal(a.used, used);                           /* from the kept chunk */
    arena_fini(&a);
    arena_reset(&a);                                          /* of an empty arena */
    assert_null(a.chunk);
}

static void test_a_large_object_does_not_waste_the_present_chunk(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 24);
    char *before = arena_strdup(&a, "before");
    assert_non_null(arena_alloc(&a, 1 << 20, 1));
    char *behind = arena_strdup(&a, "behind");
    assert_ptr_equal(behind, before + strlen("before") + 1);
    arena_fini(&a);
}

static void test_texts_are_copied_and_printed(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    char text[] = "jets and leptons";
    char *copy = arena_strdup(&a, text), *part = arena_strndup(&a, text, 4);
    memset(text, 'x', 4);
    assert_string_equal(copy, "jets and leptons");
    assert_string_equal(part, "jets");
    assert_string_equal(arena_printf(&a, "%d %s", 42, copy), "42 jets and leptons");
    assert_string_equal(arena_printf(&a, "%s", ""), "");
    assert_null(arena_printf(&a, "%70000d", 1));              /* beyond the maximum */
    arena_fini(&a);
}

static void test_allocations_fail_where_the_hook_says(void **state)
{
    (void)state;
    void *p = mem_alloc(10);
    assert_non_null(p);
    assert_true(alloc_fail_begin(1));
    assert_null(mem_alloc(10));
    assert_true(alloc_fail_end());
    alloc_fail_all_from(2);
    void *q = mem_calloc(3, 5);
    assert_true(is_zero(q, 15));
    assert_null(mem_realloc(p, 100));                         /* p stays valid */
    assert_null(mem_aligned(5));
    assert_true(alloc_fail_end());
    mem_free(p);
    mem_free(q);
    mem_free(NULL);
}

static void test_an_arena_survives_each_failing_allocation(void **state)
{
    (void)state;
    size_t n_failed = 0;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct arena a;
        bool all = true;
        arena_init(&a, 1 << 20);
        for (size_t i = 0; i < 20; i++)
            all = arena_alloc(&a, 1000, 1) != NULL && all;
        bool failed = alloc_fail_end();
        assert_int_equal(all, !failed);
        n_failed += failed;
        arena_fini(&a);
    }
    assert_true(n_failed >= 2);
}

static void test_mem_functions_refuse_overflow_and_align(void **state)
{
    (void)state;
    assert_null(mem_calloc(SIZE_MAX, 2));
    assert_null(mem_aligned(SIZE_MAX));
    for (size_t n = 0; n < 300; n += 13) {
        void *p = mem_aligned(n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(is_zero(p, n));
        mem_free(p);
    }
    void *p = mem_alloc(0);
    assert_non_null(p);
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_aligned_zeroed_and_apart),
        cmocka_unit_test(test_the_sum_of_chunks_never_exceeds_the_maximum),
        cmocka_unit_test(test_overflowing_sizes_are_refused),
        cmocka_unit_test(test_reset_keeps_one_chunk_and_gives_zeroed_memory_again),
        cmocka_unit_test(test_a_large_object_does_not_waste_the_present_chunk),
        cmocka_unit_test(test_texts_are_copied_and_printed),
        cmocka_unit_test(test_allocations_fail_where_the_hook_says),
        cmocka_unit_test(test_an_arena_survives_each_failing_allocation),
        cmocka_unit_test(test_mem_functions_refuse_overflow_and_align),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
