/* tests/fuzz/fuzz_binary_events.c
 *
 * Events as binary columns: whatever the bytes, loading every event stays within them. */
#include <stdlib.h>

#include "server/trigger/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct binary_events events;
    struct binary_cursor at = {0};
    struct event_batch batch;
    struct posted_event event;
    struct json_problems problems;
    struct error e;
    if (binary_events_parse(data, size, &events, &e) != STATUS_OK)
        return 0;
    event_batch_init(&batch);
    for (size_t i = 0; i < events.n; i++) {
        problems.n = 0;
        enum status s = binary_event_load(&events, &at, &batch, &event, &problems, &e);
        if (s == STATUS_OK && event.run < 0)
            abort();
        if (s == STATUS_ARGUMENT && problems.n == 0)
            abort();
    }
    event_batch_fini(&batch);
    return 0;
}

#define FUZZ_NAME "binary_events"
#include "tests/fuzz/replay.h"
