/* tests/support/test_host.h
 *
 * A host for job kinds without server or store: units, checkpoint and artifacts live in memory and in one temporary
 * folder.  It can stop after a number of units, as a killed process would, and go on in a new attempt. */
#ifndef DLT_TESTS_TEST_HOST_H
#define DLT_TESTS_TEST_HOST_H

#include "core/work.h"

#include <pthread.h>

enum { TEST_UNITS_MAX = 2048, TEST_ARTIFACTS_MAX = 64 };

struct test_unit {
    int phase;
    int64_t unit;
    char *text;
    size_t len;
};
struct test_artifact {
    char kind[16], id[64], folder[512], name[64];
};
struct test_host {
    char *folder;
    size_t threads;
    int64_t stop_after;                /* > 0: cancel once so many units have run in this attempt */
    int64_t cancel_after_polls;        /* > 0: cancelled() is true from the n-th call on */
    int64_t polls, polls_after_cancel, units_run, units_begun, jobs;
    pthread_mutex_t lock;              /* of units, progress and artifacts: units of a parallel kind run together */
    char job_id[32], work_dir[512];
    struct test_unit units[TEST_UNITS_MAX];
    size_t n_units;
    struct arena plans;                /* which units a phase has still to do */
    struct buf checkpoint;
    bool has_checkpoint;
    struct test_artifact artifacts[TEST_ARTIFACTS_MAX];
    size_t n_artifacts;
    int64_t last_done, last_total, progress_calls, metric_calls;
};

void test_host_init(struct test_host *h, size_t threads);
void test_host_fini(struct test_host *h);
/* A new job: forgets units and checkpoint of the one before, keeps the artifacts. */
void test_host_new_job(struct test_host *h);
/* Runs (or, after a stop, goes on with) the present job.  `spec` is field text; *result lies in `a`. */
enum status test_host_run(struct test_host *h, struct arena *a, const char *kind, const char *spec, void **result,
                          struct error *e);
/* The callbacks, to be called with the host itself. */
const struct job_host *test_host_callbacks(void);
const char *test_host_artifact(struct test_host *h, const char *id);

#endif
