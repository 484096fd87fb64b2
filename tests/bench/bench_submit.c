/* tests/bench/bench_submit.c
 *
 * Submissions as the store takes them, each acknowledged only when it is durable: one client, whose every job is a sync of
 * its own, and 8 and 64 at the same time, without and with an Idempotency-Key.  Rounds alternate, since disks drift; the
 * figures are medians, and the note of the many clients has their rate in units of the one client's.  The data folder is
 * a temporary one, so the figure is of the disk behind it.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is a job */
#include "server/store/store.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 64, JOBS_A_CLIENT = 100, ROUNDS = 5 };

struct client {
    struct store *store;
    pthread_t thread;
    size_t n;
    bool keys;
};

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_submit: %s\n", e->text);
    exit(1);
}

static void *submit(void *client)
{
    static const char spec[] = "{\"dataset\":\"ds_01JDCQ3V9Z6M0K7Q8T5R4W2XYN\",\"recipe\":\"topology-1\"}";
    const struct client *c = client;
    struct error e;
    char id[40], sha256[65];
    sha256_hex(spec, strlen(spec), sha256);
    for (size_t i = 0; i < c->n; i++) {
        store_new_id("job", id);
        struct job_new job = {.id = id, .kind = "features", .spec = spec, .spec_sha256 = sha256, .priority = 2,
                              .max_attempts = 3, .created_us = time_unix_us()};
        struct submit_record record = {"/api/v1/jobs", id, sha256, id, spec, job.created_us};
        must(store_jobs_insert_answered(c->store, &job, 1, c->keys ? &record : NULL, &e), &e);
    }
    return NULL;
}

/* Nanoseconds for a job of n_clients at once. */
static double run(struct store *store, size_t n_clients, bool keys)
{
    struct client clients[CLIENTS_MAX];
    int64_t begun_ns = time_mono_ns();
    for (size_t i = 0; i < n_clients; i++) {
        clients[i] = (struct client){.store = store, .n = JOBS_A_CLIENT, .keys = keys};
        if (pthread_create(&clients[i].thread, NULL, submit, &clients[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < n_clients; i++)
        pthread_join(clients[i].thread, NULL);
    return (double)(time_mono_ns() - begun_ns) / (double)(n_clients * JOBS_A_CLIENT);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare(struct store *store, const char *name, bool keys)
{
    static const size_t n_clients[] = {1, 8, 64};
    double ns[ARRAY_LEN(n_clients)][ROUNDS];
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < ARRAY_LEN(n_clients); i++)
            ns[i][round] = run(store, n_clients[i], keys);
    for (size_t i = 0; i < ARRAY_LEN(n_clients); i++) {
        qsort(ns[i], ROUNDS, sizeof ns[i][0], by_size);
        double median = ns[i][ROUNDS / 2];
        printf("bench\t%s\t%zu\t%.0f\t%.0f\t-\tclients=%zu, %.1f x one client\n", name, n_clients[i] * JOBS_A_CLIENT,
               median, 1e9 / median, n_clients[i], ns[0][ROUNDS / 2] / median);
        fflush(stdout);
    }
}

int main(void)
{
    struct store *store;
    struct error e;
    char *folder = temp_folder_create();
    log_set(LOG_ERROR, NULL, NULL);
    must(store_open(folder, &store, &e), &e);
    compare(store, "submit_durable", false);
    compare(store, "submit_durable_key", true);
    store_close(store);
    temp_folder_remove(folder);
    return 0;
}
