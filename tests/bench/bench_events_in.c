/* tests/bench/bench_events_in.c
 *
 * Scanning posted events: 300 particles with 7 numbers each (as few digits as a detector gives, nine as %.9g prints,
 * seventeen as a program prints floats that became doubles), and 14 features.  The target is 500 MB/s on number-heavy
 * bodies; LIMIT_SHARE is the share of it.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; an item is an event, best of 9 runs
 */
#include "server/json/events_in.h"

#include <stdlib.h>
#include <string.h>

/* Many different events: a processor learns the digits of a single one by heart and looks twice as fast. */
enum { RUNS = 9, PARTICLES = 300, BODIES = 200 };
#define TARGET_BYTES_PER_SECOND 500e6

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_events_in: %s\n", e->text);
    exit(1);
}

static void leaf(struct buf *b, const char *name, int digits, size_t n, struct rng *r, double scale, bool last)
{
    struct error e;
    must(buf_printf(b, &e, "\"%s\":[", name), &e);
    for (size_t i = 0; i < n; i++) {
        char text[40];
        double v = (2 * rng_f64(r) - 1) * scale;
        if (digits > 0)
            snprintf(text, sizeof text, "%.*g", digits, (double)(float)v);
        else
            snprintf(text, sizeof text, "%d", (int)v);
        must(buf_printf(b, &e, "%s%s", i ? "," : "", text), &e);
    }
    must(buf_printf(b, &e, last ? "]" : "],"), &e);
}

/* An event whose tracks, photons and neutral hadrons make up PARTICLES. */
static void event_body(struct buf *b, int digits, uint64_t stream)
{
    struct error e;
    struct rng r = rng_stream(7, stream);
    const char *const calo[] = {"EFlowPhoton", "EFlowNeutralHadron"};
    const char *const tracks[] = {"PT", "Eta", "Phi", "X", "Y", "Z"};
    must(buf_printf(b, &e,
                    "{\"schema\":\"delphes-event/1\",\"event\":{\"run\":1,\"lumi\":2,\"event\":3},\"collections\":{"
                    "\"EFlowTrack\":{"),
         &e);
    for (size_t i = 0; i < ARRAY_LEN(tracks); i++)
        leaf(b, tracks[i], digits, PARTICLES, &r, i < 3 ? 40 : 5, false);
    leaf(b, "PID", 0, PARTICLES, &r, 400, true);
    for (size_t i = 0; i < ARRAY_LEN(calo); i++) {
        must(buf_printf(b, &e, "},\"%s\":{", calo[i]), &e);
        leaf(b, "ET", digits, 10, &r, 30, false);
        leaf(b, "Eta", digits, 10, &r, 3, false);
        leaf(b, "Phi", digits, 10, &r, 3.14, true);
    }
    must(buf_printf(b, &e, "},\"Electron\":{\"PT\":[41.7],\"Eta\":[0.62],\"Phi\":[-1.91],\"Charge\":[-1]},"
                           "\"MuonTight\":{\"PT\":[],\"Eta\":[],\"Phi\":[],\"Charge\":[]},"
                           "\"MissingET\":{\"MET\":[63.2],\"Phi\":[1.07]},"
                           "\"Jet\":{\"PT\":[88.1,61.0],\"Eta\":[0.3,-1.1],\"Phi\":[0.4,2.8],\"BTag\":[1,0]}}}"), &e);
}

static void feature_body(struct buf *b, uint64_t stream)
{
    struct error e;
    struct rng r = rng_stream(8, stream);
    must(buf_printf(b, &e, "{\"schema\":\"hlf/1\",\"hlf\":[%.5g", 30 + 400 * rng_f64(&r)), &e);
    for (size_t k = 1; k < HLF_COUNT; k++)
        must(buf_printf(b, &e, ",%.3g", 5 * (2 * rng_f64(&r) - 1)), &e);
    must(buf_printf(b, &e, "]}"), &e);
}

static double seconds_of(const struct buf *bodies, size_t repeats, struct event_batch *batch, struct arena *a)
{
    struct posted_event event;
    struct json_problems problems;
    struct error e;
    int64_t start = time_mono_ns();
    for (size_t i = 0; i < repeats * BODIES; i++) {
        const struct buf *body = &bodies[i % BODIES];
        must(events_in_scan(a, body->data, body->len, batch, &event, &problems, &e), &e);
        arena_reset(a);
    }
    return (double)(time_mono_ns() - start) / 1e9;
}

static void bench(const char *name, const struct buf *bodies, size_t repeats)
{
    struct event_batch batch;
    struct arena a;
    double best = 1e9, bytes = 0, n = (double)(repeats * BODIES);
    event_batch_init(&batch);
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < BODIES; i++)
        bytes += (double)bodies[i].len / BODIES;
    for (size_t run = 0; run < RUNS; run++) {
        double s = seconds_of(bodies, repeats, &batch, &a);
        best = s < best ? s : best;
    }
    printf("bench\t%s\t%.0f\t%.1f\t%.0f\t%.2f\t%.0f bytes, %.0f MB/s\n", name, n, best / n * 1e9, n / best,
           n * bytes / best / TARGET_BYTES_PER_SECOND, bytes, n * bytes / best / 1e6);
    arena_fini(&a);
    event_batch_fini(&batch);
}

int main(void)
{
    static const struct { const char *name; int digits; size_t repeats; } cases[] = {
        {"events_in_3_digits", 3, 10}, {"events_in_9_digits", 9, 10}, {"events_in_17_digits", 17, 10},
        {"events_in_hlf", 0, 1000}};
    static struct buf bodies[BODIES];
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        for (size_t i = 0; i < BODIES; i++) {
            buf_init(&bodies[i], EVENTS_IN_BYTES_MAX);
            if (cases[c].digits > 0)
                event_body(&bodies[i], cases[c].digits, i);
            else
                feature_body(&bodies[i], i);
        }
        bench(cases[c].name, bodies, cases[c].repeats);
        for (size_t i = 0; i < BODIES; i++)
            buf_fini(&bodies[i]);
    }
    return 0;
}
