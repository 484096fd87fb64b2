/* core/base/field.c
 *
 * Walks field tables: defaults, look-up, validation and deep copies.  The text codec is field_text.c. */
#include "core/base.h"

#include <math.h>
#include <string.h>

void field_defaults(const struct field *table, void *object)
{
    for (const struct field *f = table; f->name; f++) {
        void *member = (char *)object + f->offset;
        switch (f->kind) {
        case FIELD_KIND_BOOL: *(bool *)member = f->def != 0; break;
        case FIELD_KIND_I64: *(int64_t *)member = (int64_t)f->def; break;
        case FIELD_KIND_F64: *(double *)member = f->def; break;
        case FIELD_KIND_STRING: *(const char **)member = f->def_text; break;
        case FIELD_KIND_ENUM: *(int *)member = (int)f->def; break;
        case FIELD_KIND_OBJECT: field_defaults(f->fields, member); break;
        case FIELD_KIND_LIST:
        case FIELD_KIND_SPACE:
        case FIELD_KIND_POINT:
        case FIELD_KIND_MAP: *(struct field_list *)member = (struct field_list){NULL, 0}; break;
        default: check(!"field table with an unknown kind");
        }
    }
}

const struct field *field_find(const struct field *table, const char *name)
{
    for (const struct field *f = table; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

/* ---- validation -------------------------------------------------------------------------------------- */

/* Where validation stands, from the inside out: rendered only when something is wrong. */
struct place {
    const struct place *up;
    const char *name;                  /* NULL: an item, by its index */
    size_t i_item;
};

enum { PLACE_TEXT_MAX = 256 };

static size_t place_text(const struct place *p, const char *where, char *out)
{
    size_t at = p->up ? place_text(p->up, where, out) : (size_t)snprintf(out, PLACE_TEXT_MAX, "%s", where);
    at = at < PLACE_TEXT_MAX ? at : PLACE_TEXT_MAX - 1;
    size_t room = PLACE_TEXT_MAX - at;
    int n = p->name ? snprintf(out + at, room, "/%s", p->name) : snprintf(out + at, room, "/%zu", p->i_item);
    return at + (n > 0 ? (size_t)n : 0);
}

static enum status violation(const struct place *p, const char *where, enum status s, struct error *e,
                             const char *fmt, ...) PRINTF_LIKE(5, 6);
static enum status violation(const struct place *p, const char *where, enum status s, struct error *e,
                             const char *fmt, ...)
{
    char place[PLACE_TEXT_MAX], text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    place_text(p, where, place);
    return error_set(e, s, "%s: %s", place, text);
}

/* " GeV" behind a number, or nothing. */
static const char *unit_gap(const struct field *f) { return f->unit && *f->unit ? " " : ""; }
static const char *unit_text(const struct field *f) { return f->unit ? f->unit : ""; }

/* Bounds as in base.h; `what` is "" for a number and "length " or "count " for others. */
static enum status check_bounds(const struct field *f, double value, const char *what, const struct place *p,
                                const char *where, struct error *e)
{
    if ((f->min == 0 && f->max == 0) || (value >= f->min && (value <= f->max || f->max < f->min)))
        return STATUS_OK;
    const char *gap = *what ? "" : unit_gap(f), *unit = *what ? "" : unit_text(f);
    if (f->max < f->min)
        return violation(p, where, STATUS_RANGE, e, "%s%.15g is below the minimum %.15g%s%s", what, value, f->min, gap,
                         unit);
    return violation(p, where, STATUS_RANGE, e, "%s%.15g is not within %.15g to %.15g%s%s", what, value, f->min,
                     f->max, gap, unit);
}

static enum status validate_table(const struct field *table, const void *object, const struct place *up,
                                  const char *where, struct error *e);

static enum status check_number(const struct field *f, double value, const struct place *p, const char *where,
                                struct error *e)
{
    if (!isnan(value))
        return check_bounds(f, value, "", p, where, e);
    return f->nullable || isnan(f->def) ? STATUS_OK : violation(p, where, STATUS_RANGE, e, "is not a number");
}

static enum status check_text(const struct field *f, const char *text, const struct place *p, const char *where,
                              struct error *e)
{
    if (text)
        return check_bounds(f, (double)strlen(text), "length ", p, where, e);
    return f->required ? violation(p, where, STATUS_ARGUMENT, e, "is required") : STATUS_OK;
}

static enum status check_choice(const struct field *f, int index, const struct place *p, const char *where,
                                struct error *e)
{
    for (int i = 0; f->choices[i]; i++)
        if (i == index)
            return STATUS_OK;
    return violation(p, where, STATUS_RANGE, e, "choice number %d does not exist", index);
}

static enum status check_list(const struct field *f, const struct field_list *list, const struct place *p,
                              const char *where, struct error *e)
{
    TRY(check_bounds(f, (double)list->n_items, "count ", p, where, e));
    for (size_t i = 0; i < list->n_items; i++) {
        struct place item = {p, NULL, i};
        const char *at = (const char *)list->items + i * f->item_size;
        if (f->item == FIELD_KIND_OBJECT)
            TRY(validate_table(f->fields, at, &item, where, e));
        else if (f->item == FIELD_KIND_STRING && !*(const char *const *)(const void *)at)
            return violation(&item, where, STATUS_ARGUMENT, e, "is required");
        else if (f->kind == FIELD_KIND_MAP && !((const struct field_pair *)(const void *)at)->name)
            return violation(&item, where, STATUS_ARGUMENT, e, "has no name");
    }
    return STATUS_OK;
}

static enum status validate_table(const struct field *table, const void *object, const struct place *up,
                                  const char *where, struct error *e)
{
    for (const struct field *f = table; f->name; f++) {
        const void *member = (const char *)object + f->offset;
        struct place p = {up, f->name, 0};
        switch (f->kind) {
        case FIELD_KIND_BOOL: break;
        case FIELD_KIND_I64: TRY(check_bounds(f, (double)*(const int64_t *)member, "", &p, where, e)); break;
        case FIELD_KIND_F64: TRY(check_number(f, *(const double *)member, &p, where, e)); break;
        case FIELD_KIND_STRING: TRY(check_text(f, *(const char *const *)member, &p, where, e)); break;
        case FIELD_KIND_ENUM: TRY(check_choice(f, *(const int *)member, &p, where, e)); break;
        case FIELD_KIND_OBJECT: TRY(validate_table(f->fields, member, &p, where, e)); break;
        case FIELD_KIND_LIST:
        case FIELD_KIND_SPACE:
        case FIELD_KIND_POINT:
        case FIELD_KIND_MAP: TRY(check_list(f, member, &p, where, e)); break;
        default: check(!"field table with an unknown kind");
        }
    }
    return STATUS_OK;
}

enum status field_validate(const struct field *table, const void *object, const char *where, struct error *e)
{
    return validate_table(table, object, NULL, where, e);
}

/* ---- copy -------------------------------------------------------------------------------------------- */

static enum status no_memory(const struct field *f, struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory to copy %s", f->name);
}

static enum status copy_text(struct arena *a, const struct field *f, const char *src, const char **dst,
                             struct error *e)
{
    *dst = src ? arena_strdup(a, src) : NULL;
    return src && !*dst ? no_memory(f, e) : STATUS_OK;
}

static enum status copy_list(struct arena *a, const struct field *f, const struct field_list *src,
                             struct field_list *dst, struct error *e)
{
    struct field_list copy = {NULL, src->n_items};
    if (copy.n_items > 0) {
        copy.items = arena_alloc(a, copy.n_items, f->item_size);
        if (!copy.items)
            return no_memory(f, e);
    }
    for (size_t i = 0; i < copy.n_items; i++) {
        const void *from = (const char *)src->items + i * f->item_size;
        void *to = (char *)copy.items + i * f->item_size;
        if (f->item == FIELD_KIND_OBJECT)
            TRY(field_copy(a, f->fields, from, to, e));
        else if (f->item == FIELD_KIND_STRING)
            TRY(copy_text(a, f, *(const char *const *)from, to, e));
        else
            memcpy(to, from, f->item_size);
        if (f->kind == FIELD_KIND_MAP)
            TRY(copy_text(a, f, ((const struct field_pair *)from)->name, &((struct field_pair *)to)->name, e));
    }
    *dst = copy;
    return STATUS_OK;
}

enum status field_copy(struct arena *a, const struct field *table, const void *src, void *dst, struct error *e)
{
    for (const struct field *f = table; f->name; f++) {
        const void *from = (const char *)src + f->offset;
        void *to = (char *)dst + f->offset;
        switch (f->kind) {
        case FIELD_KIND_BOOL: *(bool *)to = *(const bool *)from; break;
        case FIELD_KIND_I64: *(int64_t *)to = *(const int64_t *)from; break;
        case FIELD_KIND_F64: *(double *)to = *(const double *)from; break;
        case FIELD_KIND_STRING: TRY(copy_text(a, f, *(const char *const *)from, to, e)); break;
        case FIELD_KIND_ENUM: *(int *)to = *(const int *)from; break;
        case FIELD_KIND_OBJECT: TRY(field_copy(a, f->fields, from, to, e)); break;
        case FIELD_KIND_LIST:
        case FIELD_KIND_SPACE:
        case FIELD_KIND_POINT:
        case FIELD_KIND_MAP: TRY(copy_list(a, f, from, to, e)); break;
        default: check(!"field table with an unknown kind");
        }
    }
    return STATUS_OK;
}
