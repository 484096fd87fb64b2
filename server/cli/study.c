/* server/cli/study.c
 *
 * The best trials of a search, for the end of `dltrigger run` and `dltrigger submit --follow`. */
#include "server/cli/study.h"

#include <math.h>

struct study_line {
    FILE *out;
    const char *gap;
};

static void print_member(void *ctx, const char *path, const struct json *value)
{
    struct study_line *line = ctx;
    struct buf text;
    struct error e;
    buf_init(&text, 1 << 20);
    if (json_write(value, &text, &e) == STATUS_OK)
        fprintf(line->out, "%s%s=%.*s", line->gap, path, (int)text.len, (const char *)text.data);
    line->gap = " ";
    buf_fini(&text);
}

static void print_part(void *ctx, const char *path, const struct json *value)
{
    struct study_line *line = ctx;
    fprintf(line->out, "%s%s %.0f %%", line->gap, path, 100 * json_num(value, 0));
    line->gap = ", ";
}

void study_print(FILE *out, const struct json *result)
{
    const struct json *top = json_get(result, "top"), *importance = json_get(result, "importance");
    if (!json_get(result, "study_id") || json_count(top) == 0)
        return;
    fprintf(out, "%s: the best of %lld trials, %lld folds each\n", json_str(json_get(result, "study_id"), ""),
            (long long)json_int(json_get(result, "n_trials"), 0), (long long)json_int(json_get(result, "folds"), 0));
    for (size_t i = 0; i < json_count(top); i++) {
        const struct json *t = json_at(top, i);
        struct study_line line = {out, ""};
        fprintf(out, "  %2zu. trial %-4lld %.6g +- %.2g  ", i + 1, (long long)json_int(json_get(t, "trial"), 0),
                json_num(json_get(t, "value"), NAN), json_num(json_get(t, "error"), NAN));
        json_each(json_get(t, "point"), print_member, &line);
        fputc('\n', out);
    }
    if (json_count(importance) > 0) {
        struct study_line line = {out, "  of the differences between trials: "};
        json_each(importance, print_part, &line);
        fputc('\n', out);
    }
}
