/* server/live/webhook.c
 *
 * Webhooks.  One thread, one delivery at a time, in the order of what happened; a receiver that fails is asked again with
 * doubling waits and given up after ATTEMPTS.  Redirects are not followed, so that an allowed host cannot lend its name. */
#include "server/live/webhook.h"

#include "server/store/store_jobs.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { ATTEMPTS = 8, BATCH = 50, SECRET_MAX = 4096, SECONDS = 10, BLOCK = 64 };

struct webhooks {
    struct store *store;
    struct jobs *jobs;
    struct webhooks_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool stopping;
};

/* ---- signature --------------------------------------------------------------------------------------------------------- */

static void digest(const uint8_t key[BLOCK], uint8_t pad, const void *p, size_t n, char hex[65])
{
    struct sha256 h;
    uint8_t block[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        block[i] = key[i] ^ pad;
    sha256_init(&h);
    sha256_update(&h, block, sizeof block);
    sha256_update(&h, p, n);
    sha256_final_hex(&h, hex);
}

static void bytes_of(const char hex[65], uint8_t out[32])
{
    for (int i = 0; i < 32; i++) {
        unsigned byte;
        check(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        out[i] = (uint8_t)byte;
    }
}

void webhook_signature(const void *secret, size_t n_secret, const void *body, size_t n_body, char out[72])
{
    uint8_t key[BLOCK] = {0}, inner[32];
    char hex[65];
    if (n_secret > BLOCK) {
        sha256_hex(secret, n_secret, hex);
        bytes_of(hex, key);
    } else if (n_secret > 0) {
        memcpy(key, secret, n_secret);
    }
    digest(key, 0x36, body, n_body, hex);
    bytes_of(hex, inner);
    digest(key, 0x5c, inner, sizeof inner, hex);
    snprintf(out, 72, "sha256=%s", hex);
}

/* The secret without the newline at its end; an empty one without a name. */
static enum status read_secret(const struct webhooks *w, const char *name, struct buf *out, struct error *e)
{
    char path[4096];
    if (!name)
        return STATUS_OK;
    if (!w->options.secret_dir)
        return error_set(e, STATUS_NOTFOUND, "there are no secrets: set webhook_secret_dir");
    snprintf(path, sizeof path, "%s/%s", w->options.secret_dir, name);
    TRY(file_read(path, out, e));
    while (out->len > 0 && (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
        out->len--;
    return out->len > 0 ? STATUS_OK : error_set(e, STATUS_ARGUMENT, "the secret %s is empty", name);
}

/* ---- one delivery ------------------------------------------------------------------------------------------------------ */

static enum status write_body(struct webhooks *w, struct arena *a, const struct webhook_delivery *d, struct buf *out,
                              struct error *e)
{
    struct job_row row;
    const char *state = strchr(d->event, ' ');
    TRY(jobs_get(w->jobs, a, d->job_id, &row, e));
    struct json *v = json_new_object();
    json_set(v, "event", json_new_string(state ? state + 1 : d->event));
    json_set(v, "delivery", json_new_i64(d->seq));
    json_set(v, "at", json_new_time(d->created_us));
    json_set(v, "job", jobs_to_json(&row));
    enum status s = json_write(v, out, e);
    json_free(v);
    return s;
}

static size_t throw_away(char *p, size_t size, size_t n, void *ctx)
{
    (void)p;
    (void)ctx;
    return size * n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&((struct webhooks *)ctx)->stopping);
}

static struct curl_slist *headers_of(const struct webhook_delivery *d, const struct buf *secret, const struct buf *body)
{
    char line[160], signature[72];
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    snprintf(line, sizeof line, "X-Dltrigger-Delivery: %lld", (long long)d->seq);
    struct curl_slist *more = list ? curl_slist_append(list, line) : NULL;
    if (secret->len > 0 && more) {
        webhook_signature(secret->data, secret->len, body->data, body->len, signature);
        snprintf(line, sizeof line, "X-Dltrigger-Signature: %s", signature);
        more = curl_slist_append(list, line);
    }
    if (!more)
        curl_slist_free_all(list);
    return more ? list : NULL;
}

static enum status post(struct webhooks *w, const struct webhook_delivery *d, const struct buf *secret,
                        const struct buf *body, long *status, struct error *e)
{
    CURL *c = curl_easy_init();
    struct curl_slist *headers = c ? headers_of(d, secret, body) : NULL;
    if (!headers) {
        curl_easy_cleanup(c);
        return error_set(e, STATUS_NOMEM, "no memory for a webhook");
    }
    curl_easy_setopt(c, CURLOPT_URL, d->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)SECONDS);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, (const char *)body->data);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, throw_away);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "dltrigger/" DLT_VERSION);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, w);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    if (rc != CURLE_OK)
        return error_set(e, STATUS_REMOTE, "%s", curl_easy_strerror(rc));
    return *status >= 200 && *status < 300 ? STATUS_OK : error_set(e, STATUS_REMOTE, "answered %ld", *status);
}

/* Allowed once more: the configuration may have changed since the job was submitted. */
static enum status deliver(struct webhooks *w, struct arena *a, const struct webhook_delivery *d, long *status,
                           struct error *e)
{
    struct buf secret, body;
    buf_init(&secret, SECRET_MAX);
    buf_init(&body, 16 << 20);
    enum status s = STATUS_OK;
    if (!webhook_url_allowed(d->url, w->options.hosts, w->options.n_hosts))
        s = error_set(e, STATUS_FORBIDDEN, "its host is not in webhook_host");
    if (s == STATUS_OK)
        s = read_secret(w, d->secret_ref, &secret, e);
    if (s == STATUS_OK)
        s = write_body(w, a, d, &body, e);
    if (s == STATUS_OK)
        s = post(w, d, &secret, &body, status, e);
    memset(secret.data ? secret.data : (uint8_t *)status, 0, secret.len);
    buf_fini(&body);
    buf_fini(&secret);
    return s;
}

static void deliver_one(struct webhooks *w, struct arena *a, struct webhook_delivery d)
{
    struct error e, why;
    long status = 0;
    enum status s = deliver(w, a, &d, &status, &why);
    if (atomic_load(&w->stopping) && s != STATUS_OK)
        return;                                       /* not its fault: the next start repeats it */
    int64_t wait_us = w->options.first_wait_us, now_us = time_unix_us();
    for (int i = 0; i < d.attempts && wait_us < 3600 * 1000000LL; i++)
        wait_us *= 2;
    d.attempts++;
    bool over = s == STATUS_OK || d.attempts >= ATTEMPTS;
    d.state = s == STATUS_OK ? "delivered" : over ? "failed" : "waiting";
    d.next_us = now_us + wait_us;
    d.http_status = (int)status;
    d.error = s == STATUS_OK ? NULL : why.text;
    d.finished_us = over ? now_us : 0;
    if (s != STATUS_OK)
        log_line(LOG_WARN, "job %s: webhook, attempt %d of %d: %s", d.job_id, d.attempts, ATTEMPTS, why.text);
    if (store_webhook_delivery_save(w->store, &d, &e) != STATUS_OK)
        log_line(LOG_WARN, "job %s: webhook: %s", d.job_id, e.text);
}

/* ---- the thread -------------------------------------------------------------------------------------------------------- */

static void look(struct webhooks *w)
{
    struct arena a;
    struct webhook_delivery *rows;
    struct error e;
    size_t n = 0;
    bool any;
    arena_init(&a, 64 << 20);
    enum status s = store_webhooks_note(w->store, &any, &e);
    if (s == STATUS_OK && any)
        s = store_webhook_deliveries(w->store, &a, NULL, time_unix_us(), BATCH, &rows, &n, &e);
    for (size_t i = 0; s == STATUS_OK && i < n && !atomic_load(&w->stopping); i++)
        deliver_one(w, &a, rows[i]);
    if (s != STATUS_OK)
        log_line(LOG_WARN, "webhooks: %s", e.text);
    arena_fini(&a);
}

static void *deliver_main(void *arg)
{
    struct webhooks *w = arg;
    while (!atomic_load(&w->stopping)) {
        struct timespec until;
        look(w);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += w->options.look_ms / 1000;
        until.tv_nsec += w->options.look_ms % 1000 * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_mutex_lock(&w->lock);
        while (!atomic_load(&w->stopping) && pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
            ;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

enum status webhooks_start(struct store *store, struct jobs *jobs, const struct webhooks_options *o, struct webhooks **out,
                           struct error *e)
{
    *out = NULL;
    struct webhooks *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set(e, STATUS_NOMEM, "no memory for webhooks");
    w->store = store;
    w->jobs = jobs;
    w->options = *o;
    w->options.first_wait_us = o->first_wait_us > 0 ? o->first_wait_us : 10 * 1000000LL;
    w->options.look_ms = o->look_ms > 0 ? o->look_ms : 1000;
    check(pthread_mutex_init(&w->lock, NULL) == 0 && pthread_cond_init(&w->wake, NULL) == 0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    errno = pthread_create(&w->thread, NULL, deliver_main, w);
    if (errno != 0) {
        enum status s = error_errno(e, "starting a thread for webhooks");
        mem_free(w);
        return s;
    }
    *out = w;
    return STATUS_OK;
}

void webhooks_stop(struct webhooks *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stopping, true);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
