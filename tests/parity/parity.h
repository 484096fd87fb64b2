/* tests/parity/parity.h: what both sides of our parity programs need: jobs that must succeed, and NumPy files. */
#ifndef DLT_TESTS_PARITY_H
#define DLT_TESTS_PARITY_H

#include "tests/support/test_host.h"

#include <stdlib.h>

/* Runs a job to its end; the result lies in `a`.  Ends the program on an error. */
static inline void *parity_run(struct test_host *h, struct arena *a, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(h);
    if (test_host_run(h, a, kind, spec, &result, &e) != STATUS_OK) {
        fprintf(stderr, "parity: %s: %s\n", kind, e.text);
        exit(1);
    }
    return result;
}

/* NumPy format 1.0: magic, version, header length, a Python dict padded to 64 bytes; the data follows.  columns 0: a
 * vector. */
static inline FILE *npy_open(const char *path, const char *descr, size_t n, size_t columns)
{
    char dict[118];
    FILE *f = fopen(path, "wb");
    check(f);
    if (columns)
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }", descr, n,
                 columns);
    else
        snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }", descr, n);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%-*s\n", 117, dict);
    return f;
}

#endif
