/* server/live/prom.c
 *
 * Counters and histograms as flat arrays of atomics: no lock, no name lookup and no allocation where requests pass.
 * Only label values from our own tables are used, never ids of events or jobs, so that the number of series is bounded. */
#include "server/live/prom.h"

#include <dirent.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Triton's proposed buckets begin at 1 ms, too coarse for a network of 14 inputs. */
static const double bucket_seconds[] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3,
                                        250e-3, 500e-3, 1};
enum { BUCKETS = ARRAY_LEN(bucket_seconds) };

/* What a response's status may be; the last row takes the rest (0: the client was gone before the answer). */
static const int known_codes[] = {200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 409, 412,
                                  413, 415, 416, 422, 428, 429, 500, 501, 502, 503, 504, 507, 499};
enum { CODES = ARRAY_LEN(known_codes) };

static const enum http_method known_methods[] = {HTTP_GET,    HTTP_HEAD,  HTTP_POST, HTTP_PUT,
                                                 HTTP_DELETE, HTTP_PATCH, HTTP_OTHER};
enum { METHODS = ARRAY_LEN(known_methods) };

static const struct outcome {
    const char *result, *reason;
} outcomes[] = {
    {"accept", "path"}, {"accept", "overload_pass"}, {"accept", "other"},
    {"reject", "no_path"}, {"reject", "preselection"}, {"reject", "prescaled"}, {"reject", "rate_limited"},
    {"reject", "overload_reject"}, {"reject", "other"},
    {"error", "malformed_json"}, {"error", "invalid_event"}, {"error", "no_active_menu"},
    {"error", "deadline_exceeded"}, {"error", "other"},
};
enum { OUTCOMES = ARRAY_LEN(outcomes) };

static const char *const stages[] = {"parse", "features", "compute", "total"};
enum { STAGES = ARRAY_LEN(stages) };

struct histogram {
    atomic_uint_fast64_t counts[BUCKETS + 1], sum_ns;
};
struct route_stats {
    atomic_uint_fast64_t requests[METHODS][CODES];
    struct histogram duration;
};
struct prom {
    const struct route *table;
    size_t n;
    atomic_int_fast64_t in_flight;
    atomic_uint_fast64_t events[OUTCOMES];
    struct histogram latency[STAGES];
    struct route_stats routes[];       /* [n + 1]: the last for what no route matched */
};

enum status prom_create(const struct route *table, size_t n, struct prom **out, struct error *e)
{
    *out = mem_calloc(1, sizeof **out + (n + 1) * sizeof (*out)->routes[0]);
    if (!*out)
        return error_set(e, STATUS_NOMEM, "no memory for counters");
    (*out)->table = table;
    (*out)->n = n;
    return STATUS_OK;
}

void prom_destroy(struct prom *p)
{
    mem_free(p);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void observe(struct histogram *h, int64_t ns)
{
    size_t i = 0;
    ns = ns < 0 ? 0 : ns;
    while (i < BUCKETS && (double)ns * 1e-9 > bucket_seconds[i])
        i++;
    add(&h->counts[i], 1);
    add(&h->sum_ns, (uint64_t)ns);
}

void prom_http_begun(void *prom)
{
    atomic_fetch_add_explicit(&((struct prom *)prom)->in_flight, 1, memory_order_relaxed);
}

void prom_http_done(void *prom, size_t route, enum http_method method, int status, int64_t duration_ns)
{
    struct prom *p = prom;
    size_t i_code = 0, i_method = 0;
    while (i_code < CODES - 1 && known_codes[i_code] != status)
        i_code++;
    while (i_method < METHODS - 1 && known_methods[i_method] != method)
        i_method++;
    struct route_stats *r = &p->routes[route < p->n ? route : p->n];
    add(&r->requests[i_method][i_code], 1);
    observe(&r->duration, duration_ns);
    atomic_fetch_sub_explicit(&p->in_flight, 1, memory_order_relaxed);
}

static void count_outcome(struct prom *p, const char *result, const char *reason)
{
    size_t other = 0;
    for (size_t i = 0; i < OUTCOMES; i++) {
        if (strcmp(outcomes[i].result, result) != 0)
            continue;
        other = i;                                     /* each result's last row */
        if (strcmp(outcomes[i].reason, reason) == 0)
            break;
    }
    add(&p->events[other], 1);
}

void prom_decided(struct prom *p, const struct decision_brief *brief)
{
    const int64_t us[STAGES] = {brief->parse_us, brief->features_us, brief->compute_us, brief->total_us};
    count_outcome(p, brief->accept ? "accept" : "reject", brief->reason);
    for (size_t i = 0; i < STAGES; i++)
        observe(&p->latency[i], us[i] * 1000);
}

void prom_undecided(struct prom *p, const char *problem_code)
{
    count_outcome(p, "error", problem_code);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Gathers output; after the first failure the rest is passed over. */
struct writer {
    struct buf *out;
    struct error *e;
    enum status status;
};

static void put(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *w, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    check(n >= 0 && (size_t)n < sizeof text);
    if (w->status == STATUS_OK)
        w->status = buf_append(w->out, text, (size_t)n, w->e);
}

static void family(struct writer *w, const char *name, const char *type, const char *help)
{
    put(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label value that needs no escaping: names from outside our tables lose what would. */
static void plain(const char *name, char *out, size_t cap)
{
    text_copy(out, cap, name);
    for (char *p = out; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
            *p = '_';
}

static uint64_t value_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* `label` is route="..." or stage="..."; the counts are made cumulative here. */
static void put_histogram(struct writer *w, const char *name, const char *label, const char *label_value,
                          const struct histogram *h)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        char le[24] = "+Inf";
        if (i < BUCKETS)
            snprintf(le, sizeof le, "%g", bucket_seconds[i]);
        sum += value_of(&h->counts[i]);
        put(w, "%s_bucket{%s=\"%s\",le=\"%s\"} %llu\n", name, label, label_value, le, (unsigned long long)sum);
    }
    put(w, "%s_sum{%s=\"%s\"} %.9f\n", name, label, label_value, (double)value_of(&h->sum_ns) * 1e-9);
    put(w, "%s_count{%s=\"%s\"} %llu\n", name, label, label_value, (unsigned long long)sum);
}

static bool is_empty(const struct histogram *h)
{
    for (size_t i = 0; i <= BUCKETS; i++)
        if (value_of(&h->counts[i]) > 0)
            return false;
    return true;
}

static const char *route_name(const struct prom *p, size_t i)
{
    return i < p->n ? p->table[i].path : "unknown";
}

/* Two routes of one path (GET and POST) share the label value but not the method; their durations must be one series. */
static bool is_first_of_path(const struct prom *p, size_t i)
{
    for (size_t j = 0; i < p->n && j < i; j++)
        if (strcmp(p->table[j].path, p->table[i].path) == 0)
            return false;
    return true;
}

static void add_duration(const struct prom *p, size_t i, struct histogram *sum)
{
    for (size_t j = i; j <= p->n; j++) {
        if (strcmp(route_name(p, j), route_name(p, i)) != 0)
            continue;
        for (size_t k = 0; k <= BUCKETS; k++)
            sum->counts[k] += value_of(&p->routes[j].duration.counts[k]);
        sum->sum_ns += value_of(&p->routes[j].duration.sum_ns);
    }
}

static void put_http(struct writer *w, const struct prom *p)
{
    family(w, "dltrigger_http_requests_total", "counter", "Requests answered; code 499: the client was gone.");
    for (size_t i = 0; i <= p->n; i++)
        for (size_t m = 0; m < METHODS; m++)
            for (size_t c = 0; c < CODES; c++)
                if (value_of(&p->routes[i].requests[m][c]) > 0)
                    put(w, "dltrigger_http_requests_total{route=\"%s\",method=\"%s\",code=\"%d\"} %llu\n",
                        route_name(p, i), http_method_name(known_methods[m]), known_codes[c],
                        (unsigned long long)value_of(&p->routes[i].requests[m][c]));
    family(w, "dltrigger_http_request_duration_seconds", "histogram", "From the request line to the end of the answer.");
    for (size_t i = 0; i <= p->n; i++) {
        struct histogram sum = {0};
        if (!is_first_of_path(p, i))
            continue;
        add_duration(p, i, &sum);
        if (!is_empty(&sum))
            put_histogram(w, "dltrigger_http_request_duration_seconds", "route", route_name(p, i), &sum);
    }
    family(w, "dltrigger_http_in_flight_requests", "gauge", "Requests that are being read or answered.");
    put(w, "dltrigger_http_in_flight_requests %lld\n", (long long)atomic_load(&p->in_flight));
}

static void put_trigger(struct writer *w, const struct prom *p, const struct prom_facts *facts)
{
    family(w, "dltrigger_trigger_events_total", "counter", "Posted events by decision and why.");
    for (size_t i = 0; i < OUTCOMES; i++)
        put(w, "dltrigger_trigger_events_total{result=\"%s\",reason=\"%s\"} %llu\n", outcomes[i].result,
            outcomes[i].reason, (unsigned long long)value_of(&p->events[i]));
    family(w, "dltrigger_trigger_latency_seconds", "histogram", "Time of one decision by stage.");
    for (size_t i = 0; i < STAGES; i++)
        put_histogram(w, "dltrigger_trigger_latency_seconds", "stage", stages[i], &p->latency[i]);
    family(w, "dltrigger_menu_info", "gauge", "The active menu.");
    if (facts->menu) {
        char menu[128];
        plain(facts->menu, menu, sizeof menu);
        put(w, "dltrigger_menu_info{menu=\"%s\",revision=\"%lld\"} 1\n", menu, (long long)facts->menu_revision);
    }
}

static void put_jobs(struct writer *w, const struct prom_facts *facts)
{
    family(w, "dltrigger_jobs", "gauge", "Jobs in the store.");
    for (size_t i = 0; i < facts->n_jobs; i++) {
        char kind[64];
        plain(facts->jobs[i].kind, kind, sizeof kind);
        put(w, "dltrigger_jobs{kind=\"%s\",state=\"%s\"} %lld\n", kind, job_state_name(facts->jobs[i].state),
            (long long)facts->jobs[i].n);
    }
    family(w, "dltrigger_job_transitions_total", "counter", "Changes of a job's state by this process.");
    for (int s = 0; facts->transitions && s < JOB_STATES; s++)
        put(w, "dltrigger_job_transitions_total{to=\"%s\"} %lld\n", job_state_name((enum job_state)s),
            (long long)facts->transitions[s]);
}

static long open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    long n = -3;                                       /* ".", ".." and the one that counts */
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static long resident_pages(void)
{
    long total, resident = -1;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return -1;
    if (fscanf(f, "%ld %ld", &total, &resident) != 2)
        resident = -1;
    fclose(f);
    return resident;
}

static void put_process(struct writer *w, const struct prom_facts *facts)
{
    struct timespec cpu = {0, 0};
    long fds = open_fds(), pages = resident_pages();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    family(w, "dltrigger_build_info", "gauge", "What is running.");
    put(w, "dltrigger_build_info{version=\"%s\",build_id=\"%s\"} 1\n", DLT_VERSION, DLT_BUILD_ID);
    family(w, "process_cpu_seconds_total", "counter", "User and system time.");
    put(w, "process_cpu_seconds_total %.6f\n", (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9);
    if (pages >= 0) {
        family(w, "process_resident_memory_bytes", "gauge", "Resident memory.");
        put(w, "process_resident_memory_bytes %lld\n", (long long)pages * sysconf(_SC_PAGESIZE));
    }
    if (fds >= 0) {
        family(w, "process_open_fds", "gauge", "Open file descriptors.");
        put(w, "process_open_fds %ld\n", fds);
    }
    family(w, "process_start_time_seconds", "gauge", "Start, seconds since 1970.");
    put(w, "process_start_time_seconds %.3f\n", (double)facts->started_us * 1e-6);
}

enum status prom_write(const struct prom *p, const struct prom_facts *facts, struct buf *out, struct error *e)
{
    struct writer w = {out, e, STATUS_OK};
    put_http(&w, p);
    put_trigger(&w, p, facts);
    put_jobs(&w, facts);
    put_process(&w, facts);
    return w.status;
}
