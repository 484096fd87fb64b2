/* server/cli/jobs.c
 *
 * `dltrigger jobs` and `dltrigger cancel`: what a server is doing, and stopping it. */
#include "server/cli/cli.h"
#include "server/cli/client.h"

#include <string.h>

static const char server_doc[] = "the service (default DLTRIGGER_SERVER, else " CLIENT_SERVER ")";

/* Prints the answer as it came. */
static enum status print_answer(struct answer *answer, struct error *e)
{
    if (answer->body.len == 0 || answer->body.data[answer->body.len - 1] != '\n')
        TRY(buf_append(&answer->body, "\n", 1, e));
    return cli_put(&answer->body, e);
}

static enum status print_table(const struct json *page, struct error *e)
{
    struct buf out;
    const struct json *items = json_get(page, "items");
    buf_init(&out, 16 << 20);
    enum status s = buf_printf(&out, e, "%-32s %-10s %-10s %6s  %s\n", "job", "kind", "state", "done", "phase");
    for (size_t i = 0; i < json_count(items) && s == STATUS_OK; i++) {
        const struct json *job = json_at(items, i), *progress = json_get(job, "progress");
        s = buf_printf(&out, e, "%-32s %-10s %-10s %5.1f%%  %s\n", json_str(json_get(job, "id"), ""),
                       json_str(json_get(job, "kind"), ""), json_str(json_get(job, "state"), ""),
                       100 * json_num(json_get(progress, "fraction"), 0), json_str(json_get(progress, "phase"), ""));
    }
    if (s == STATUS_OK)
        s = cli_put(&out, e);
    buf_fini(&out);
    return s;
}

static int request(const char *name, const char *server, const char *method, const char *path, bool table)
{
    struct client *client = NULL;
    struct answer answer;
    struct json *v = NULL;
    struct error e;
    answer_init(&answer);
    enum status s = client_create(server, &client, &e);
    if (s == STATUS_OK)
        s = client_json(client, method, path, NULL, 0, &answer, &v, &e);
    if (s == STATUS_OK)
        s = table ? print_table(v, &e) : print_answer(&answer, &e);
    json_free(v);
    client_destroy(client);
    answer_fini(&answer);
    return s == STATUS_OK ? CLI_DONE : cli_failed(name, &e);
}

int cli_jobs(int argc, char **argv)
{
    const char *server = NULL;
    bool json = false;
    const struct cli_option options[] = {{"--server", "URL", server_doc, &server, NULL},
                                         {"--json", NULL, "the server's answer as it is", NULL, &json}};
    const struct cli_usage usage = {"jobs", "[--server URL] [--json]", "The newest 50 jobs of a server.", options,
                                    ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, NULL, 0);
    return code != CLI_GO_ON ? code : request("jobs", server, "GET", "/api/v1/jobs?limit=50", !json);
}

int cli_cancel(int argc, char **argv)
{
    const char *server = NULL, *id;
    char path[160];
    const struct cli_option options[] = {{"--server", "URL", server_doc, &server, NULL}};
    const struct cli_usage usage = {"cancel", "JOB_ID [--server URL]",
                                    "Cancels a job; the job as it then is goes to standard output.", options,
                                    ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &id, 1);
    if (code != CLI_GO_ON)
        return code;
    if (!client_is_id(id))
        return cli_misused(&usage, "that is no job's id");
    snprintf(path, sizeof path, "/api/v1/jobs/%s:cancel", id);
    return request("cancel", server, "POST", path, false);
}
