/* tests/bench/bench_chain.c
 *
 * ROOT file to selected events with all features, written as Parquet: the jobs themselves, on one thread and on all
 * cores.  An event is one entry of the input files.  Files: ../shared/data/large/ttbar_*.root where it is there (700
 * entries each and more), else the sample that ships with the project. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <string.h>
#include <sys/resource.h>

static const char *input_spec(struct arena *a)
{
    if (!have_shared_data())
        return "inputs[0].path = \"tests/fixtures/sample/ttbar.root\"\ninputs[0].label = \"tt\"\n"
               "inputs[1].path = \"tests/fixtures/sample/wlnu.root\"\ninputs[1].label = \"wjets\"\n";
    return arena_printf(a,
                        "inputs[0].path = \"%s\"\ninputs[0].label = \"tt\"\n"
                        "inputs[1].path = \"%s\"\ninputs[1].label = \"wjets\"\n",
                        shared_path("large/ttbar_2.root"), shared_path("large/wlnu_2.root"));
}

static double timed(struct test_host *h, struct arena *a, const char *kind, const char *spec, void **result)
{
    struct error e = {0};
    int64_t start = time_mono_ns();
    if (test_host_run(h, a, kind, spec, result, &e) != STATUS_OK) {
        fprintf(stderr, "bench_chain: %s: %s\n", kind, e.text);
        return -1;
    }
    return (double)(time_mono_ns() - start);
}

static void line(const char *name, size_t threads, int64_t events, double ns)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("bench\t%s\t%lld\t%.0f\t%.0f\t-\tthreads=%zu max_rss=%ldMB\n", name, (long long)events, ns / (double)events,
           (double)events * 1e9 / ns, threads, usage.ru_maxrss / 1024);
    fflush(stdout);
}

static bool run_chain(size_t threads)
{
    struct test_host h;
    struct arena a;
    void *result;
    arena_init(&a, (size_t)1 << 30);
    test_host_init(&h, threads);
    double ingest = timed(&h, &a, "ingest", input_spec(&a), &result);
    double features = -1;
    if (ingest > 0) {
        const struct ingest_result *in = result;
        int64_t events = in->events_read;
        const char *spec = arena_printf(&a, "dataset = \"%s\"\n", in->dataset_id);
        test_host_new_job(&h);
        features = timed(&h, &a, "features", spec, &result);
        line("chain.ingest", threads, events, ingest);
        line("chain.features", threads, events, features);
        line("chain.ingest+features", threads, events, ingest + features);
    }
    test_host_fini(&h);
    arena_fini(&a);
    return features > 0;
}

int main(void)
{
    bool ok = run_chain(1);
    if (ok && par_cores() > 1)
        ok = run_chain(par_cores());
    return ok ? 0 : 1;
}
