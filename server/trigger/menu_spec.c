/* server/trigger/menu_spec.c
 *
 * A menu as posted: its field tables, and the rules that tables do not express. */
#include "server/trigger/menu.h"

#include <math.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64 };
#define PRESCALE_MAX 1e9

static const struct field target_fields[] = {
    FIELD_F64(struct target_spec, signal_efficiency, .min = 0, .max = 1, .def = NAN, .nullable = true,
              .doc = "fraction of the discriminant's class to keep; the threshold comes from an evaluation"),
    FIELD_F64(struct target_spec, threshold, .min = 0, .max = 1, .def = NAN, .nullable = true,
              .doc = "keep score >= threshold"),
    FIELD_END};
static const struct field working_point_spec_fields[] = {
    FIELD_OBJECT(struct working_point_spec, target, target_fields, .required = true,
                 .doc = "signal_efficiency or threshold"),
    FIELD_STRING(struct working_point_spec, evaluation, .def_text = "latest", .min = 1, .max = NAME_BYTES_MAX,
                 .doc = "\"latest\" of the model version, or an evaluation's id"),
    FIELD_END};
static const struct field path_fields[] = {
    FIELD_STRING(struct path_spec, path, .required = true, .min = 1, .max = NAME_BYTES_MAX,
                 .doc = "name of the path, unique in the menu"),
    FIELD_STRING(struct path_spec, model, .required = true, .min = 1, .max = 2 * NAME_BYTES_MAX + 1,
                 .doc = "\"name@version\", \"name@alias\" or \"name\" (newest); frozen to a version on activation"),
    FIELD_STRING(struct path_spec, discriminant, .required = true, .min = 1, .max = NAME_BYTES_MAX,
                 .doc = "class whose score decides"),
    FIELD_OBJECT(struct path_spec, working_point, working_point_spec_fields, .required = true),
    FIELD_MAP(struct path_spec, prescales, .doc = "column to N: one of N events is kept; 0: none; not named: all"),
    FIELD_BOOL(struct path_spec, shadow, .doc = "evaluated and shown, never accepts"),
    FIELD_F64(struct path_spec, rate_budget_hz, .min = 0, .max = 1e9, .def = NAN, .nullable = true, .unit = "Hz",
              .doc = "events a second that the path may accept"),
    FIELD_ENUM(struct path_spec, on_budget, on_budget_names, .def = BUDGET_PRESCALE,
               .doc = "prescale: the prescale is raised to a multiple that fits, adapted each second to the last ten; limit: "
                      "accepts while the second has room; report: only shows it"),
    FIELD_END};
static const struct field menu_fields[] = {
    FIELD_STRING(struct menu_spec, name, .required = true, .min = 1, .max = NAME_BYTES_MAX),
    FIELD_STRING(struct menu_spec, comment, .def_text = "", .min = 0, .max = 1000),
    FIELD_F64(struct menu_spec, input_rate_hz, .min = 0, .max = 1e9, .def = NAN, .nullable = true, .unit = "Hz",
              .doc = "of record"),
    FIELD_F64(struct menu_spec, total_rate_budget_hz, .min = 0, .max = 1e9, .def = NAN, .nullable = true, .unit = "Hz",
              .doc = "events a second that all paths together may accept; above it they are rate limited"),
    FIELD_LIST_STRING(struct menu_spec, columns, .min = 0, .max = MENU_COLUMNS_MAX, .doc = "sets of prescales"),
    FIELD_I64(struct menu_spec, prescale_seed, .min = 0, .max = 9007199254740991.0, .doc = "of the prescales' hash"),
    FIELD_LIST_OBJECT(struct menu_spec, paths, struct path_spec, path_fields, .required = true, .min = 1,
                      .max = MENU_PATHS_MAX),
    FIELD_END};

static void path_problem(struct json_problems *p, size_t i, const char *member, const char *code, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
static void path_problem(struct json_problems *p, size_t i, const char *member, const char *code, const char *fmt, ...)
{
    char pointer[160], detail[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    (void)snprintf(pointer, sizeof pointer, "/paths/%zu/%s", i, member);
    json_problem_add(p, pointer, code, "%s", detail);
}

/* Names end up in labels, URLs and file names of plots: letters, digits and . _ - only. */
static bool is_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= NAME_BYTES_MAX && s[n] == '\0';
}

static bool has_column(const struct menu_spec *spec, const char *name)
{
    const char *const *columns = spec->columns.items;
    for (size_t i = 0; i < spec->columns.n_items; i++)
        if (strcmp(columns[i], name) == 0)
            return true;
    return false;
}

static void check_prescales(const struct menu_spec *spec, const struct path_spec *path, size_t i,
                            struct json_problems *p)
{
    const struct field_pair *pairs = path->prescales.items;
    for (size_t k = 0; k < path->prescales.n_items; k++) {
        char member[96];
        (void)snprintf(member, sizeof member, "prescales/%.64s", pairs[k].name);
        if (!is_name(pairs[k].name) || !has_column(spec, pairs[k].name))
            path_problem(p, i, "prescales", "unknown_column", "prescales are by the names in /columns only");
        else if (!(pairs[k].value >= 0 && pairs[k].value <= PRESCALE_MAX && pairs[k].value == trunc(pairs[k].value)))
            path_problem(p, i, member, "out_of_range", "expected an integer from 0 to %.0f", PRESCALE_MAX);
    }
}

static void check_target(const struct path_spec *path, size_t i, struct json_problems *p)
{
    const struct target_spec *t = &path->working_point.target;
    if (isnan(t->signal_efficiency) == isnan(t->threshold))
        path_problem(p, i, "working_point/target", "conflict", "expected either signal_efficiency or threshold");
    else if (t->signal_efficiency <= 0)
        path_problem(p, i, "working_point/target/signal_efficiency", "out_of_range", "must be above 0");
}

static void check_menu(const struct menu_spec *spec, struct json_problems *p)
{
    const char *const *columns = spec->columns.items;
    const struct path_spec *paths = spec->paths.items;
    static const char rule[] = "1 to 64 letters, digits, '.', '_' and '-'";
    if (!is_name(spec->name))
        json_problem_add(p, "/name", "text", "%s", rule);
    for (size_t i = 0; i < spec->columns.n_items; i++) {
        char pointer[32];
        (void)snprintf(pointer, sizeof pointer, "/columns/%zu", i);
        if (!is_name(columns[i]))
            json_problem_add(p, pointer, "text", "%s", rule);
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns[i], columns[j]) == 0)
                json_problem_add(p, pointer, "duplicate", "column %zu has this name already", j);
    }
    for (size_t i = 0; i < spec->paths.n_items; i++) {
        if (!is_name(paths[i].path))
            path_problem(p, i, "path", "text", "%s", rule);
        for (size_t j = 0; j < i; j++)
            if (strcmp(paths[i].path, paths[j].path) == 0)
                path_problem(p, i, "path", "duplicate", "path %zu has this name already", j);
        check_target(&paths[i], i, p);
        check_prescales(spec, &paths[i], i, p);
    }
}

/* A member that menus of later versions have: refused with more than "unknown". */
static void explain_unknown(struct json_problems *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->items[i].pointer, "/on_overload") == 0 && strcmp(p->items[i].code, "unknown_member") == 0)
            (void)snprintf(p->items[i].detail, sizeof p->items[i].detail,
                           "this version has no overload policies: events are scored by the thread that reads them, and "
                           "what cannot be read waits in the client's connection");
}

enum status menu_spec_decode(struct arena *a, const struct json *body, struct menu_spec *out,
                             struct json_problems *problems, struct error *e)
{
    problems->n = 0;
    enum status s = json_decode_fields(a, menu_fields, body, "", out, problems, e);
    if (s == STATUS_OK)
        check_menu(out, problems);
    explain_unknown(problems);
    if (s == STATUS_OK && problems->n > 0)
        return error_set(e, STATUS_ARGUMENT, "menu: %s: %s", problems->items[0].pointer, problems->items[0].detail);
    return s == STATUS_OK ? s : error_wrap(e, "menu");
}
