/* tests/fuzz/fuzz_events_in.c
 *
 * Posted events from anywhere.  Beyond not crashing: what the scanner takes, the general JSON parser takes too; what it
 * calls no JSON, the general parser does not take either; an event that was taken is printed and scanned to the same
 * columns. */
#include "server/json/events_in.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct event_batch *x, const struct event_batch *y)
{
    size_t n;
    const struct event_column *columns = event_columns(&n);
    for (size_t c = 0; c < n; c++) {
        const struct object_columns *a = &x->objects[columns[c].kind], *b = &y->objects[columns[c].kind];
        check(a->first[1] == b->first[1] && a->first[1] <= EVENTS_IN_OBJECTS_MAX);
        const uint32_t *u = *event_column_data(a, &columns[c]), *v = *event_column_data(b, &columns[c]);
        check(a->first[1] == 0 || memcmp(u, v, a->first[1] * sizeof *u) == 0);
        for (size_t i = 0; i < a->first[1] && columns[c].type == EVENT_F32; i++)
            check(isfinite(((const float *)(const void *)u)[i]));
    }
    check(x->number[0] == y->number[0]);
}

static void check_round_trip(struct arena *a, const struct event_batch *batch)
{
    struct event_batch again;
    struct posted_event event;
    static struct json_problems problems;
    struct error e;
    struct buf text;
    buf_init(&text, 16 << 20);
    event_batch_init(&again);
    check(events_in_print(batch, 0, &text, &e) == STATUS_OK);
    if (text.len <= EVENTS_IN_BYTES_MAX) {
        check(events_in_scan(a, text.data, text.len, &again, &event, &problems, &e) == STATUS_OK);
        check_same(batch, &again);
    }
    event_batch_fini(&again);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct event_batch batch;
    struct posted_event event;
    static struct json_problems problems;      /* 9 kB */
    struct json *tree;
    struct error e, ignored;
    arena_init(&a, 8 << 20);
    event_batch_init(&batch);
    enum status s = events_in_scan(&a, data, size, &batch, &event, &problems, &e);
    enum status general = json_parse(data, size, &tree, &ignored);
    check(s == STATUS_OK || s == STATUS_FORMAT || s == STATUS_ARGUMENT);
    check((s == STATUS_ARGUMENT) == (problems.n > 0) || s == STATUS_FORMAT);
    if (s == STATUS_OK)
        check(general == STATUS_OK);
    if (s == STATUS_FORMAT && !memchr(data, 0, size))          /* jansson takes a NUL behind a number for the end */
        check(general != STATUS_OK);
    for (size_t i = 0; i < problems.n; i++)
        check(text_is_clean(problems.items[i].pointer, strlen(problems.items[i].pointer)) &&
              text_is_clean(problems.items[i].detail, strlen(problems.items[i].detail)));
    if (s == STATUS_OK && event.schema == POSTED_DELPHES)
        check_round_trip(&a, &batch);
    if (s == STATUS_OK && event.schema == POSTED_HLF)
        for (size_t i = 0; i < HLF_COUNT; i++)
            check(isfinite(event.hlf[i]));
    json_free(tree);
    event_batch_fini(&batch);
    arena_fini(&a);
    return 0;
}

#define FUZZ_NAME "events_in"
#include "tests/fuzz/replay.h"
