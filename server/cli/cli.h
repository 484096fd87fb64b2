/* server/cli/cli.h
 *
 * The commands of `dltrigger`.  Each gets its own name as argv[0] and returns the exit status: 0 done, 1 the work
 * failed (message on standard error), 2 wrong usage.  Results go to standard output, everything else to standard
 * error. */
#ifndef DLT_SERVER_CLI_CLI_H
#define DLT_SERVER_CLI_CLI_H

#include "core/base.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int cli_inspect(int argc, char **argv);
int cli_features(int argc, char **argv);
int cli_event(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_submit(int argc, char **argv);
int cli_jobs(int argc, char **argv);
int cli_cancel(int argc, char **argv);
int cli_score(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_keys(int argc, char **argv);
int cli_backup(int argc, char **argv);

/* export_model.c: a model file, or with a data folder a version in it, as ONNX. */
enum status cli_export_model(const char *ref, const char *data_dir, bool with_scaler, const char *path,
                             struct error *e) MUST_USE;

/* ---- arguments (args.c) -------------------------------------------------------------------------------- */

struct cli_option {
    const char *name;                  /* "--server" */
    const char *value;                 /* "URL" in the help, NULL: a flag */
    const char *doc;
    const char **text;                 /* where the value goes */
    bool *flag;
};

struct cli_usage {
    const char *name, *synopsis;       /* "submit", "FILE.json [options]" */
    const char *doc;
    const struct cli_option *options;
    size_t n_options;
};

enum { CLI_GO_ON = -1 };
/* Reads "--name value", "--name=value", flags and exactly `n` other arguments ("--" ends the options).  CLI_GO_ON when
 * all is well; else the exit status, the help (--help) or what is wrong being printed. */
int cli_parse(const struct cli_usage *usage, int argc, char **argv, const char **others, size_t n);
/* Wrong usage: says `problem` and how it goes. */
int cli_misused(const struct cli_usage *usage, const char *problem);
/* Prints "dltrigger NAME: text" and returns CLI_FAILED. */
int cli_failed(const char *name, const struct error *e);

/* ---- output -------------------------------------------------------------------------------------------- */

/* Writes the buffer to standard output and empties it; a full disk or closed pipe is an error. */
enum status cli_put(struct buf *b, struct error *e) MUST_USE;
/* Appends v with nine digits, which is exact for a float; "null" when it is not finite. */
enum status cli_put_f32(struct buf *b, float v, struct error *e) MUST_USE;
/* Whole file, or standard input for "-". */
enum status cli_read(const char *path, struct buf *b, struct error *e) MUST_USE;

#endif
