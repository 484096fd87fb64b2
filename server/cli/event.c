/* server/cli/event.c
 *
 * `dltrigger event`: one entry of a ROOT file as the body of POST /api/v1/trigger/decisions, before any cut, with as
 * many digits as a float needs: posted, it is the same event as ingested. */
#include "server/cli/cli.h"
#include "server/cli/input.h"
#include "server/json/events_in.h"

#define EVENT_TEXT_MAX ((size_t)256 << 20)

static enum status print_event(const char *url, const char *tree, int64_t entry, struct error *e)
{
    struct input in;
    struct buf text;
    int64_t end = entry + 1;
    buf_init(&text, EVENT_TEXT_MAX);
    enum status s = input_open(&in, url, tree, e);
    if (s == STATUS_OK)
        s = input_range(&in, entry, &end, e);
    if (s == STATUS_OK)
        s = delphes_read(in.delphes, entry, end - entry, &in.batch, e);
    if (s == STATUS_OK && in.batch.n_events == 0)
        s = error_set(e, STATUS_RANGE, "%s has no entries", source_name(in.source));
    if (s == STATUS_OK)
        s = events_in_print(&in.batch, 0, &text, e);
    if (s == STATUS_OK)
        s = buf_append(&text, "\n", 1, e);
    if (s == STATUS_OK)
        s = cli_put(&text, e);
    input_close(&in);
    buf_fini(&text);
    return s;
}

int cli_event(int argc, char **argv)
{
    const char *url, *entry = "0", *tree = "Delphes";
    int64_t first, end;
    struct error e;
    const struct cli_option options[] = {
        {"--entry", "N", "which entry, from 0 (default 0)", &entry, NULL},
        {"--tree", "NAME", "the Delphes tree (default Delphes)", &tree, NULL},
    };
    const struct cli_usage usage = {"event", "FILE_OR_URL [--entry N]",
                                    "Prints one entry of a Delphes file as the JSON that is posted to the trigger.",
                                    options, ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &url, 1);
    if (code != CLI_GO_ON)
        return code;
    if (!input_entries(entry, &first, &end) || end != first + 1)
        return cli_misused(&usage, "--entry is a number from 0");
    return print_event(url, tree, first, &e) == STATUS_OK ? CLI_DONE : cli_failed("event", &e);
}
