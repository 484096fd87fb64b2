/* server/cli/main.c
 *
 * dltrigger: looks into files, computes features, runs jobs without a server, and is a client of dltriggerd.  The table
 * of commands, and nothing else. */
#include "server/cli/cli.h"
#include "server/json/document.h"
#include "server/jobs/jobs.h"

#include <signal.h>
#include <string.h>

static const struct {
    const char *name, *doc;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"inspect", "what is in a ROOT file, dataset or model", cli_inspect},
    {"features", "selection, particle rows and features of a ROOT file's events", cli_features},
    {"event", "one event of a ROOT file as the JSON that is posted to the trigger", cli_event},
    {"run", "a job or pipeline, here and without a server", cli_run},
    {"submit", "a job or pipeline to a server, followed to its end with --follow", cli_submit},
    {"jobs", "the newest jobs of a server", cli_jobs},
    {"cancel", "a job of a server", cli_cancel},
    {"export", "a features dataset as Parquet, TFRecord, NumPy or CSV; a model as ONNX", cli_export},
    {"import", "a Keras model (.h5, .keras), our ONNX or a model file, into a data folder", cli_import},
    {"keys", "of a service: make, list and revoke them while it does not run", cli_keys},
    {"backup", "a checked copy of a service's data base while it does not run", cli_backup},
    {"score", "events: by a server's active menu, or by a model file", cli_score},
};

static int print_help(FILE *out)
{
    fputs("usage: dltrigger COMMAND [arguments]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].doc);
    fputs("\n`dltrigger COMMAND --help` says more.  Exit status: 0 done, 1 the work failed, 2 wrong usage.\n", out);
    return out == stdout ? CLI_DONE : CLI_USAGE;
}

int main(int argc, char **argv)
{
    sandbox_init(argc, argv, sandboxed_tasks);
    if (jobs_is_child(argc, argv))                    /* a job of `dltrigger run`: server/jobs/child.c */
        return jobs_child_main(argc, argv, NULL);
    if (argc < 2)
        return print_help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return print_help(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("dltrigger %s (%s)\n", DLT_VERSION, DLT_BUILD_ID);
        return CLI_DONE;
    }
    signal(SIGPIPE, SIG_IGN);                         /* a server that hangs up is an answer that did not come */
    log_set(LOG_WARN, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "dltrigger: there is no command %.60s\n\n", argv[1]);
    return print_help(stderr);
}
