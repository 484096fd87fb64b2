/* server/json/events_in_print.c
 *
 * The other way round: an event as a body that could be posted, for `dltrigger event`, the demo and tests. */
#include "server/json/events_in.h"

static enum status print_leaf(const struct object_columns *o, const struct event_column *column, size_t first,
                              size_t last, struct buf *out, struct error *e)
{
    const void *data = *event_column_data(o, column);
    for (size_t i = first; i < last; i++) {
        TRY(buf_append(out, ",", i > first, e));
        if (column->type == EVENT_F32)
            TRY(buf_printf(out, e, "%.9g", (double)((const float *)data)[i]));
        else if (column->type == EVENT_I32)
            TRY(buf_printf(out, e, "%d", ((const int32_t *)data)[i]));
        else
            TRY(buf_printf(out, e, "%u", ((const uint32_t *)data)[i]));
    }
    return STATUS_OK;
}

enum status events_in_print(const struct event_batch *batch, size_t i, struct buf *out, struct error *e)
{
    size_t n;
    const struct event_column *columns = event_columns(&n);
    const struct event_object *objects = event_objects();
    TRY(buf_printf(out, e,
                   "{\"schema\":\"delphes-event/1\",\"event\":{\"run\":0,\"lumi\":0,\"event\":%lld},\"collections\":{",
                   (long long)batch->number[i]));
    for (unsigned k = 0; k < OBJECT_KINDS; k++) {
        const struct object_columns *o = &batch->objects[k];
        TRY(buf_printf(out, e, "%s\"%s\":{", k ? "," : "", objects[k].branch));
        bool first = true;
        for (size_t c = 0; c < n; c++) {
            if (columns[c].kind != (enum object_kind)k)
                continue;
            TRY(buf_printf(out, e, "%s\"%s\":[", first ? "" : ",", columns[c].leaf));
            TRY(print_leaf(o, &columns[c], o->first[i], o->first[i + 1], out, e));
            TRY(buf_append(out, "]", 1, e));
            first = false;
        }
        TRY(buf_append(out, "}", 1, e));
    }
    return buf_append(out, "}}", 2, e);
}
