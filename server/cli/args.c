/* server/cli/args.c
 *
 * Arguments, help and output: the same for every command. */
#include "server/cli/cli.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

/* ---- help ---------------------------------------------------------------------------------------------- */

static void print_usage(FILE *out, const struct cli_usage *u)
{
    fprintf(out, "usage: dltrigger %s %s\n", u->name, u->synopsis);
}

static int print_help(const struct cli_usage *u)
{
    print_usage(stdout, u);
    printf("\n%s\n", u->doc);
    for (size_t i = 0; i < u->n_options; i++) {
        const struct cli_option *o = &u->options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("%s  %-22s %s\n", i == 0 ? "\n" : "", left, o->doc);
    }
    return CLI_DONE;
}

int cli_misused(const struct cli_usage *usage, const char *problem)
{
    fprintf(stderr, "dltrigger %s: %s\n", usage->name, problem);
    print_usage(stderr, usage);
    fprintf(stderr, "`dltrigger %s --help` says more.\n", usage->name);
    return CLI_USAGE;
}

int cli_failed(const char *name, const struct error *e)
{
    fflush(stdout);
    fprintf(stderr, "dltrigger %s: %s\n", name, e->text);
    return CLI_FAILED;
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

static const struct cli_option *find_option(const struct cli_usage *u, const char *arg, size_t len)
{
    for (size_t i = 0; i < u->n_options; i++)
        if (strlen(u->options[i].name) == len && strncmp(u->options[i].name, arg, len) == 0)
            return &u->options[i];
    return NULL;
}

/* One option at argv[*i]; NULL, or what is wrong. */
static const char *take_option(const struct cli_usage *u, int argc, char **argv, int *i, char *problem, size_t cap)
{
    const char *arg = argv[*i], *equals = strchr(arg, '=');
    const struct cli_option *o = find_option(u, arg, equals ? (size_t)(equals - arg) : strlen(arg));
    if (!o) {
        snprintf(problem, cap, "unknown option %.60s", arg);
        return problem;
    }
    if (o->flag && equals) {
        snprintf(problem, cap, "%s takes no value", o->name);
        return problem;
    }
    if (o->flag) {
        *o->flag = true;
        return NULL;
    }
    if (!equals && *i + 1 >= argc) {
        snprintf(problem, cap, "%s needs a value: %s", o->name, o->value);
        return problem;
    }
    *o->text = equals ? equals + 1 : argv[++*i];
    return NULL;
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv, const char **others, size_t n)
{
    char problem[160];
    size_t n_found = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--help") == 0)
            return print_help(usage);
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            if (take_option(usage, argc, argv, &i, problem, sizeof problem))
                return cli_misused(usage, problem);
        } else {
            if (n_found == n) {
                snprintf(problem, sizeof problem, "one argument too many: %.80s", argv[i]);
                return cli_misused(usage, problem);
            }
            others[n_found++] = argv[i];
        }
    }
    return n_found == n ? CLI_GO_ON : cli_misused(usage, "an argument is missing");
}

/* ---- output -------------------------------------------------------------------------------------------- */

enum status cli_put(struct buf *b, struct error *e)
{
    size_t n = fwrite(b->data, 1, b->len, stdout);
    bool all = n == b->len && fflush(stdout) == 0;
    b->len = 0;
    if (all)
        return STATUS_OK;
    if (errno == EPIPE) {                             /* `| head` has seen enough: end as every tool does */
        (void)signal(SIGPIPE, SIG_DFL);
        (void)raise(SIGPIPE);
    }
    return error_errno(e, "writing to standard output");
}

enum status cli_put_f32(struct buf *b, float v, struct error *e)
{
    return isfinite(v) ? buf_printf(b, e, "%.9g", (double)v) : buf_append(b, "null", 4, e);
}

enum status cli_read(const char *path, struct buf *b, struct error *e)
{
    if (strcmp(path, "-") != 0)
        return file_read(path, b, e);
    char chunk[8192];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0)
        TRY(buf_append(b, chunk, n, e));
    return ferror(stdin) ? error_errno(e, "reading standard input") : STATUS_OK;
}
