/* core/io/source_https.c
 *
 * Transfers of http:// and https:// files by ranged GETs.  A thread of the source's own drives libcurl with at most
 * HTTPS_CONNECTIONS kept-alive connections; readers leave requests in its queue and wait, so that any number of them
 * share these connections and each may give up at once.  Redirects are followed here and not by libcurl, because each
 * new host is the policy's to judge; the address is judged once more when a socket is made. */
#include "core/io/https.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_BYTES = 64 << 10 };              /* an attempt that brought so much does not count as failed */

struct slot {
    CURL *easy;
    struct curl_slist *headers;
    struct https_request *request;               /* NULL: idle */
    struct https_target target;
    bool elsewhere;                              /* the target is not the origin */
    size_t n_unfinished;                         /* pieces, when it was sent */
    struct http_answer answer;
    struct error refused;                        /* by the policy, when a socket was to be made */
};

struct https_engine {
    struct source *counted;
    struct policy_limits limits;
    struct https_target origin, moved;           /* moved: where a redirect led that worked; url NULL: nowhere */
    const char *authorization;
    bool opened, not_several;
    struct http_identity known;
    struct http_spool spool;
    pthread_mutex_t lock;
    pthread_cond_t progress;
    struct https_request *queue;
    bool closing, thread_runs;
    pthread_t thread;
    CURLM *multi;
    struct slot slots[HTTPS_CONNECTIONS];
    struct rng jitter;
};

/* ---- one transfer ---------------------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t one, size_t len, void *ctx)
{
    struct slot *slot = ctx;
    long status = 0;
    (void)one;
    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    return http_answer_line(&slot->answer, (const uint8_t *)line, len, status) ? len : 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    struct slot *slot = ctx;
    (void)one;
    return http_answer_body(&slot->answer, (const uint8_t *)data, len) ? len : 0;
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct slot *slot = ctx;
    (void)purpose;
    if (policy_check_address(slot->target.host.host, &a->addr, &slot->target.grant, &slot->refused) != STATUS_OK)
        return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool add_header(struct slot *slot, const char *text)
{
    struct curl_slist *list = curl_slist_append(slot->headers, text);
    if (list)
        slot->headers = list;
    return list != NULL;
}

static bool add_headers(struct https_engine *t, struct slot *slot)
{
    const struct https_target *to = &slot->target;
    bool is_origin = strcmp(to->host.scheme, t->origin.host.scheme) == 0 && to->host.port == t->origin.host.port &&
                     strcmp(to->host.host, t->origin.host.host) == 0;
    return add_header(slot, "Accept-Encoding: identity") &&
           (!t->authorization || !is_origin || add_header(slot, t->authorization));
}

static bool set_up(struct https_engine *t, struct slot *slot, const char *range)
{
    CURL *c = slot->easy;
    const char *folder = getenv("X509_CERT_DIR"), *file = getenv("SSL_CERT_FILE");
    bool ok = true;
#define SET(option, value) (ok = ok && curl_easy_setopt(c, (option), (value)) == CURLE_OK)
    curl_easy_reset(c);
    SET(CURLOPT_URL, slot->target.url);
    SET(CURLOPT_RANGE, range);
    SET(CURLOPT_HTTPHEADER, slot->headers);
    SET(CURLOPT_USERAGENT, "dltrigger/" DLT_VERSION);
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_MAXREDIRS, (long)HTTPS_REDIRECTS_MAX);
    SET(CURLOPT_PROXY, "");                      /* behind a proxy the address check would look at the proxy's */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);      /* several connections beat one with several streams */
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);                 /* giving up does not wait for a name server */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->limits.connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1024L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)((t->limits.stall_timeout_ms + 999) / 1000));
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    /* A wish: libcurl 7.88 refuses it to a handle whose last transfer found no address for its host. */
    (void)curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, slot);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    if (folder && *folder)                       /* the grid's certificate authorities */
        SET(CURLOPT_CAPATH, folder);
    if (file && *file)
        SET(CURLOPT_CAINFO, file);
#undef SET
    return ok;
}

/* Sends what the request still wants. */
static enum status start_transfer(struct https_engine *t, struct slot *slot, struct https_request *r, struct error *e)
{
    char range[HTTP_RANGE_TEXT_MAX];
    size_t n_spans = http_pieces_text(r->pieces, r->n_pieces, t->not_several ? 1 : HTTP_SPANS_MAX, range);
    if (!r->url)
        slot->target = t->moved.url && !r->at_origin ? t->moved : t->origin;
    slot->elsewhere = slot->target.url != t->origin.url;
    slot->n_unfinished = 0;
    for (size_t i = 0; i < r->n_pieces; i++)
        slot->n_unfinished += r->pieces[i].got < r->pieces[i].len;
    slot->refused.status = STATUS_OK;
    http_answer_init(&slot->answer, t->opened ? &t->known : NULL, r->pieces, r->n_pieces, n_spans,
                     t->opened ? NULL : &t->spool);
    if (!slot->easy)
        slot->easy = curl_easy_init();
    if (!slot->easy || !add_headers(t, slot) || !set_up(t, slot, range) ||
        curl_multi_add_handle(t->multi, slot->easy) != CURLM_OK)
        return error_set(e, STATUS_NOMEM, "no memory for a request");
    slot->request = r;
    t->counted->n_requests++;
    return STATUS_OK;
}

static void end_transfer(struct https_engine *t, struct slot *slot)
{
    if (slot->request)
        curl_multi_remove_handle(t->multi, slot->easy);
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
    slot->request = NULL;
}

/* ---- what an answer means ---------------------------------------------------------------------------------- */

static enum https_verdict judge_transport(const struct slot *slot, CURLcode result, struct error *e)
{
    enum https_verdict v = VERDICT_RETRY;
    enum status status = STATUS_REMOTE;
    if (slot->refused.status != STATUS_OK && result == CURLE_COULDNT_CONNECT) {
        *e = slot->refused;
        return VERDICT_FAIL;
    }
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        status = STATUS_NOMEM;
        v = VERDICT_FAIL;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
        v = VERDICT_FAIL;
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:             /* libcurl's word for bytes where a status line belongs */
        (void)error_set(e, status, "%s does not answer in HTTP", slot->target.host.host);
        return v;
    default:
        break;
    }
    (void)error_set(e, status, "%s: %s", slot->target.host.host, curl_easy_strerror(result));
    return v;
}

/* All that was asked for is there, or what is there is worth another request. */
static enum https_verdict judge_pieces(struct https_engine *t, struct https_request *r, struct slot *slot,
                                       struct error *e)
{
    const struct http_answer *a = &slot->answer;
    size_t n_unfinished = 0;
    if (!t->opened) {
        const struct http_piece *head = &r->pieces[0];
        uint64_t wanted = a->identity.size < head->len ? a->identity.size : head->len;
        if (head->got >= wanted) {
            t->known = a->identity;
            return VERDICT_DONE;
        }
    } else {
        for (size_t i = 0; i < r->n_pieces; i++)
            n_unfinished += r->pieces[i].got < r->pieces[i].len;
        if (n_unfinished == 0)
            return VERDICT_DONE;
        t->not_several |= a->n_spans > 1;        /* it left out some of them */
        if (n_unfinished < slot->n_unfinished)
            return VERDICT_GO_ON;
    }
    (void)error_set(e, STATUS_REMOTE, "%s answered with other or fewer bytes than were asked for",
                    slot->target.host.host);
    return VERDICT_RETRY;
}

static enum https_verdict judge(struct https_engine *t, struct https_request *r, struct slot *slot, CURLcode result,
                          struct error *e)
{
    struct http_answer *a = &slot->answer;
    long code = 0;
    char *location = NULL;
    switch (a->outcome) {
    case ANSWER_BROKEN:
        *e = a->e;
        return a->again ? VERDICT_RETRY : VERDICT_FAIL;
    case ANSWER_NOT_SEVERAL:
        t->not_several = true;
        return VERDICT_GO_ON;
    case ANSWER_EMPTY_FILE:
        t->known = a->identity;
        return VERDICT_DONE;
    case ANSWER_IGNORED:
        curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &code);
        curl_easy_getinfo(slot->easy, CURLINFO_REDIRECT_URL, &location);
        return https_judge_status(r, &slot->target, code, location, e);
    default:
        break;
    }
    if (a->outcome == ANSWER_PIECES && http_pieces_done(r->pieces, r->n_pieces))
        return judge_pieces(t, r, slot, e);      /* whatever happened behind the last byte that is wanted */
    if (result != CURLE_OK)
        return judge_transport(slot, result, e);
    if (a->outcome == ANSWER_PIECES)
        return judge_pieces(t, r, slot, e);
    if (a->outcome == ANSWER_WHOLE) {
        t->known = a->identity;
        t->known.size = t->spool.bytes;
        return VERDICT_DONE;
    }
    (void)error_set(e, STATUS_REMOTE, "%s closed the connection without an answer", slot->target.host.host);
    return VERDICT_RETRY;
}

/* ---- the queue, under the lock ------------------------------------------------------------------------------- */

static void enqueue(struct https_engine *t, struct https_request *r)
{
    struct https_request **end = &t->queue;
    while (*end)
        end = &(*end)->next;
    r->next = NULL;
    *end = r;
}

static void complete(struct https_engine *t, struct https_request *r, const struct error *e)
{
    mem_free(r->url);
    r->url = NULL;
    if (e && !r->call->abandoned) {
        r->call->e = *e;
        r->call->abandoned = true;
        curl_multi_wakeup(t->multi);             /* the call's other requests are in vain */
    }
    if (--r->call->n_left == 0)
        pthread_cond_broadcast(&t->progress);
}

/* When to try again: exponential, with jitter so that many readers do not come back together. */
static int64_t wait_ns(struct https_engine *t, const struct https_request *r, CURL *easy)
{
    curl_off_t retry_after = 0;                  /* seconds */
    int64_t ms = t->limits.first_wait_ms, most = t->limits.wait_max_ms;
    for (int64_t i = 1; i < r->attempts && ms < most; i++)
        ms *= 2;
    ms = (int64_t)((double)ms * (0.5 + rng_f64(&t->jitter)));
    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
    if (retry_after > ms / 1000)
        ms = retry_after > most / 1000 ? most : (int64_t)retry_after * 1000;
    return (ms < most ? ms : most) * 1000000;
}

static void remember_move(struct https_engine *t, struct https_request *r, const struct slot *slot)
{
    if (!r->url)
        return;
    mem_free((char *)(uintptr_t)t->moved.url);
    t->moved = slot->target;
    r->url = NULL;                               /* now t->moved's */
}

static void send_request(struct https_engine *t, struct slot *slot, struct https_request *r)
{
    struct error e;
    if (start_transfer(t, slot, r, &e) == STATUS_OK)
        return;
    end_transfer(t, slot);
    complete(t, r, &e);
}

static void finish_transfer(struct https_engine *t, struct slot *slot, CURLcode result)
{
    struct https_request *r = slot->request;
    struct error e = {.status = STATUS_OK};
    enum https_verdict v = judge(t, r, slot, result, &e);
    t->counted->n_bytes += slot->answer.useful;
    r->progress += t->opened ? slot->answer.useful : 0;      /* a whole file starts from nothing again */
    if (v == VERDICT_FAIL && slot->elsewhere && slot->answer.outcome == ANSWER_IGNORED && e.status != STATUS_NOMEM &&
        !r->at_origin && !r->url)
        v = VERDICT_RETRY;                       /* where it was redirected to before: the redirect may have expired */
    if (v == VERDICT_RETRY) {
        if (r->progress >= PROGRESS_BYTES)
            r->attempts = 0;
        r->progress = 0;
        r->not_before_ns = ++r->attempts < t->limits.attempts ? time_mono_ns() + wait_ns(t, r, slot->easy) : 0;
        mem_free(r->url);
        r->url = NULL;
        r->n_redirects = 0;
        r->at_origin = slot->elsewhere;
        if (!t->opened)
            r->pieces[0].got = 0;                /* the next answer may be of another version */
        t->counted->n_retries++;
    }
    if (v == VERDICT_DONE || (v == VERDICT_GO_ON && slot->answer.outcome != ANSWER_IGNORED))
        remember_move(t, r, slot);
    end_transfer(t, slot);
    if (v == VERDICT_RETRY && r->attempts >= t->limits.attempts) {
        struct error last = e;
        (void)error_set(&e, last.status, "%s (%" PRId64 " attempts)", last.text, r->attempts);
        v = VERDICT_FAIL;
    }
    if (v == VERDICT_DONE)
        complete(t, r, NULL);
    else if (v == VERDICT_FAIL)
        complete(t, r, &e);
    else if (v == VERDICT_GO_ON && r->url)
        send_request(t, slot, r);                /* at once: slot->target is where it goes */
    else
        enqueue(t, r);
}

static void drop_abandoned(struct https_engine *t)
{
    for (struct slot *slot = t->slots; slot < t->slots + HTTPS_CONNECTIONS; slot++) {
        struct https_request *r = slot->request;
        if (r && (r->call->abandoned || t->closing)) {
            end_transfer(t, slot);
            complete(t, r, NULL);
        }
    }
    for (struct https_request **at = &t->queue; *at;) {
        struct https_request *r = *at;
        if (r->call->abandoned || t->closing) {
            *at = r->next;
            complete(t, r, NULL);
        } else {
            at = &r->next;
        }
    }
}

/* Starts what may start; returns how long the thread may sleep then. */
static int start_ready(struct https_engine *t)
{
    int64_t now = time_mono_ns(), next = now + 60 * (int64_t)1000000000;
    struct slot *slot = t->slots;
    for (struct https_request **at = &t->queue; *at;) {
        struct https_request *r = *at;
        while (slot < t->slots + HTTPS_CONNECTIONS && slot->request)
            slot++;
        if (slot == t->slots + HTTPS_CONNECTIONS)
            break;
        if (r->not_before_ns > now) {
            next = r->not_before_ns < next ? r->not_before_ns : next;
            at = &r->next;
            continue;
        }
        *at = r->next;
        send_request(t, slot, r);
    }
    return (int)((next - now) / 1000000 + 1);
}

static void *run_transfers(void *arg)
{
    struct https_engine *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->closing) {
        int running, n_messages, sleep_ms;
        drop_abandoned(t);
        sleep_ms = start_ready(t);
        pthread_mutex_unlock(&t->lock);
        curl_multi_perform(t->multi, &running);
        pthread_mutex_lock(&t->lock);
        for (CURLMsg *m; (m = curl_multi_info_read(t->multi, &n_messages));) {
            struct slot *slot = NULL;
            CURLcode result = m->data.result;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &slot);
            finish_transfer(t, slot, result);
            sleep_ms = 0;                        /* a connection is free */
        }
        pthread_mutex_unlock(&t->lock);
        curl_multi_poll(t->multi, NULL, 0, sleep_ms, NULL);
        pthread_mutex_lock(&t->lock);
    }
    drop_abandoned(t);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- readers ------------------------------------------------------------------------------------------------- */

enum status https_engine_read(struct https_engine *t, struct https_request *requests, size_t n,
                              const struct source_cancel *c, struct error *e)
{
    struct https_call call = {.n_left = n};
    struct error cancelled = {.status = STATUS_OK};
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        requests[i].call = &call;
        enqueue(t, &requests[i]);
    }
    curl_multi_wakeup(t->multi);
    while (call.n_left > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SOURCE_POLL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&t->progress, &t->lock, &until);
        if (call.n_left > 0 && cancelled.status == STATUS_OK &&
            source_check_cancel(c, &cancelled) != STATUS_OK) {
            call.abandoned = true;              /* and wait: the caller's memory must be free of writers */
            curl_multi_wakeup(t->multi);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (cancelled.status != STATUS_OK)
        *e = cancelled;
    else if (call.abandoned)
        *e = call.e;
    else
        return STATUS_OK;
    return e->status;
}

size_t https_engine_spans_max(struct https_engine *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->not_several ? 1 : HTTP_SPANS_MAX;
    pthread_mutex_unlock(&t->lock);
    return n;
}

enum status https_engine_open(struct https_engine *t, uint8_t *head, size_t head_bytes, const struct source_cancel *c,
                              struct http_identity *identity, int *fd, struct error *e)
{
    struct http_piece piece = {0, head_bytes, 0, head};
    struct https_request request = {.pieces = &piece, .n_pieces = 1};
    TRY(https_engine_read(t, &request, 1, c, e));
    t->opened = true;
    *identity = t->known;
    *fd = t->spool.fd;
    t->spool.fd = -1;
    return STATUS_OK;
}

/* ---- lifetime -------------------------------------------------------------------------------------------------- */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum status start_thread(struct https_engine *t, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t all, before;
    pthread_once(&once, init_curl);
    t->multi = curl_multi_init();
    if (!t->multi)
        return error_set(e, STATUS_NOMEM, "no memory for connections");
    curl_multi_setopt(t->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)HTTPS_CONNECTIONS);
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)HTTPS_CONNECTIONS);
    sigfillset(&all);                            /* signals belong to the threads of whoever uses the library */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&t->thread, NULL, run_transfers, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return error_set(e, STATUS_NOMEM, "starting a thread: %s", strerror(failed));
    t->thread_runs = true;
    return STATUS_OK;
}

enum status https_engine_create(const struct https_target *origin, const char *authorization,
                                const struct policy_limits *limits, struct source *counted, struct https_engine **out,
                                struct error *e)
{
    size_t url_bytes = strlen(origin->url) + 1;
    struct https_engine *t = mem_calloc(1, sizeof *t);
    char *url = mem_alloc(url_bytes);
    pthread_condattr_t monotonic;
    *out = NULL;
    if (!t || !url) {
        mem_free(t);
        mem_free(url);
        return error_set(e, STATUS_NOMEM, "no memory to open a URL");
    }
    memcpy(url, origin->url, url_bytes);
    t->origin = *origin;
    t->origin.url = url;
    t->authorization = authorization;
    t->limits = *limits;
    t->counted = counted;
    t->spool = (struct http_spool){-1, 0, limits->download_bytes_max, t->limits.download_folder};
    t->jitter = rng_stream((uint64_t)time_mono_ns(), (uintptr_t)t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (start_thread(t, e) != STATUS_OK) {
        https_engine_destroy(t);
        return e->status;
    }
    *out = t;
    return STATUS_OK;
}

void https_engine_destroy(struct https_engine *t)
{
    if (!t)
        return;
    if (t->thread_runs) {
        pthread_mutex_lock(&t->lock);
        t->closing = true;
        pthread_mutex_unlock(&t->lock);
        curl_multi_wakeup(t->multi);
        pthread_join(t->thread, NULL);
    }
    for (struct slot *slot = t->slots; slot < t->slots + HTTPS_CONNECTIONS; slot++)
        curl_easy_cleanup(slot->easy);
    if (t->multi)
        curl_multi_cleanup(t->multi);
    if (t->spool.fd >= 0)
        close(t->spool.fd);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->progress);
    mem_free((char *)(uintptr_t)t->origin.url);
    mem_free((char *)(uintptr_t)t->moved.url);
    mem_free(t);
}
