/* tests/bench/bench_submit.c
 *
 * Submissions as the store takes them, each acknowledged only when it is durable: one client and eight at the same time,
 * without and with an Idempotency-Key.  The data folder is a temporary one, so the figure is of the disk behind it.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is a job */
#include "server/store/store.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 8, JOBS_A_RUN = 400 };

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

static void run(struct store *store, const char *name, size_t n_clients, bool keys)
{
    struct client clients[CLIENTS_MAX];
    int64_t begun_ns = time_mono_ns();
    for (size_t i = 0; i < n_clients; i++) {
        clients[i] = (struct client){.store = store, .n = JOBS_A_RUN / n_clients, .keys = keys};
        if (pthread_create(&clients[i].thread, NULL, submit, &clients[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < n_clients; i++)
        pthread_join(clients[i].thread, NULL);
    double ns = (double)(time_mono_ns() - begun_ns);
    printf("bench\t%s\t%d\t%.0f\t%.0f\t-\tclients=%zu\n", name, JOBS_A_RUN, ns / JOBS_A_RUN, JOBS_A_RUN * 1e9 / ns, n_clients);
    fflush(stdout);
}

int main(void)
{
    struct store *store;
    struct error e;
    char *folder = temp_folder_create();
    log_set(LOG_ERROR, NULL, NULL);
    must(store_open(folder, &store, &e), &e);
    run(store, "submit_durable", 1, false);
    run(store, "submit_durable", CLIENTS_MAX, false);
    run(store, "submit_durable_key", 1, true);
    run(store, "submit_durable_key", CLIENTS_MAX, true);
    store_close(store);
    temp_folder_remove(folder);
    return 0;
}
