/* tests/support/support.h
 *
 * What several tests need: reference data, temporary folders, NumPy files and failing allocations.
 * Needs no test framework, so that benchmarks and fuzz targets may use it too. */
#ifndef DLT_TESTS_SUPPORT_H
#define DLT_TESTS_SUPPORT_H

#include "core/base.h"

/* ---- reference data ---------------------------------------------------------------------------------- */

/* Whether ../shared/data is here.  A test that needs it starts with SKIP_WITHOUT_SHARED_DATA(). */
bool have_shared_data(void);
/* "../shared/data/REL"; the text stays valid for the next 15 calls of this thread. */
const char *shared_path(const char *rel);
/* In a cmocka test function: shows why, and skips. */
#define SKIP_WITHOUT_SHARED_DATA()                                                                                \
    do {                                                                                                          \
        if (!have_shared_data()) {                                                                                \
            print_message("skipped: ../shared/data is not here\n");                                               \
            skip();                                                                                               \
        }                                                                                                         \
    } while (0)

/* ---- NumPy files ------------------------------------------------------------------------------------- */

enum { NPY_RANK_MAX = 8 };

/* An array in C order; the member of the element type that was read is set, the others are NULL. */
struct npy {
    float *f4;
    double *f8;
    int64_t *i8;
    size_t rank, shape[NPY_RANK_MAX];
    size_t n;                              /* product of the shape; 1 for a scalar */
};

/* Reads <f4, <f8 or <i8.  On OK the caller owns it: npy_free(). */
enum status npy_load(const char *path, struct npy *out, struct error *e) MUST_USE;
void npy_free(struct npy *a);
/* Element i as a double, whatever the type. */
double npy_value(const struct npy *a, size_t i);

/* ---- temporary folders --------------------------------------------------------------------------------- */

/* Makes an empty folder of its own and returns its path (release with temp_folder_remove); aborts if it cannot. */
char *temp_folder_create(void);
/* Removes the folder with all that is in it and frees the path. */
void temp_folder_remove(char *folder);
/* "FOLDER/NAME"; the text stays valid for the next 15 calls of this thread. */
const char *path_in(const char *folder, const char *name);
/* Number of entries of a folder, without . and .. */
size_t folder_count(const char *folder);

/* ---- failing allocations ------------------------------------------------------------------------------- */

/* Fails the n-th allocation (from 1) from now on, in any thread, once.  The usual loop:
 *
 *     for (size_t n = 1; alloc_fail_begin(n); n++) {
 *         enum status s = thing_under_test(...);
 *         bool failed = alloc_fail_end();
 *         assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
 *         ... release ...
 *     }
 *
 * alloc_fail_begin() returns false once the allocation before was never reached: all have then failed in turn. */
bool alloc_fail_begin(size_t n);
/* Ends it; returns whether the allocation was reached and failed. */
bool alloc_fail_end(void);
/* The same with every allocation from the n-th on failing. */
void alloc_fail_all_from(size_t n);

#endif
