/* core/root/describe.c
 *
 * What a file holds, for people (a table) and for programs (JSON): keys, trees, branches, types, entries, bytes,
 * codecs.  A tree that cannot be opened is listed with the reason. */
#include "core/root/tree.h"

#include <inttypes.h>
#include <string.h>

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static enum status put_string(struct buf *out, const char *s, struct error *e)
{
    TRY(buf_append(out, "\"", 1, e));
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            TRY(buf_append(out, "\\", 1, e));
        TRY(buf_append(out, s, 1, e)); /* control characters do not occur: see root_text */
    }
    return buf_append(out, "\"", 1, e);
}

static enum status put_member(struct buf *out, const char *name, const char *value, struct error *e)
{
    TRY(buf_printf(out, e, "\"%s\":", name));
    TRY(put_string(out, value, e));
    return buf_append(out, ",", 1, e);
}

static enum status json_branch(const struct root_branch_info *b, struct buf *out, struct error *e)
{
    TRY(buf_append(out, "{", 1, e));
    TRY(put_member(out, "name", b->name, e));
    TRY(put_member(out, "class", b->class_name, e));
    TRY(put_member(out, "title", b->title, e));
    TRY(put_member(out, "type", root_type_name(b->type), e));
    if (b->why_not)
        TRY(put_member(out, "why_not", b->why_not, e));
    TRY(put_member(out, "codec", b->codec, e));
    return buf_printf(out, e,
                      "\"depth\":%d,\"part\":%s,\"jagged\":%s,\"length\":%" PRIu32 ",\"entries\":%" PRId64
                      ",\"stored_bytes\":%" PRId64 ",\"raw_bytes\":%" PRId64 ",\"baskets\":%" PRIu32
                      ",\"embedded_baskets\":%" PRIu32 "}",
                      b->depth, b->is_part ? "true" : "false", b->jagged ? "true" : "false", b->n_fixed, b->entries,
                      b->stored_bytes, b->raw_bytes, b->baskets, b->embedded);
}

static enum status json_tree(struct root_tree *t, struct buf *out, struct error *e)
{
    TRY(buf_printf(out, e,
                   "\"entries\":%" PRId64 ",\"stored_bytes\":%" PRId64 ",\"raw_bytes\":%" PRId64 ",\"branches\":[",
                   t->entries, t->zip_bytes, t->total_bytes));
    for (size_t i = 0; i < t->n_branches; i++) {
        struct root_branch_info b = root_branch_info(t, i);
        if (i > 0)
            TRY(buf_append(out, ",\n", 2, e));
        TRY(json_branch(&b, out, e));
    }
    return buf_append(out, "]", 1, e);
}

static enum status json_key(const struct root_key *k, struct buf *out, struct error *e)
{
    TRY(buf_append(out, "{", 1, e));
    TRY(put_member(out, "path", k->path, e));
    TRY(put_member(out, "class", k->class_name, e));
    TRY(put_member(out, "title", k->title, e));
    return buf_printf(out, e, "\"cycle\":%d,\"stored_bytes\":%" PRIu32 ",\"object_bytes\":%" PRIu32 "}", k->cycle,
                      k->n_bytes, k->object_bytes);
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

/* "float32[]", "int32[10]", "float64[][5]" */
static void type_text(const struct root_branch_info *b, char *text, size_t cap)
{
    char length[16] = "";
    if (b->n_fixed > 1)
        (void)snprintf(length, sizeof length, "[%" PRIu32 "]", b->n_fixed);
    if (b->type == ROOT_OTHER)
        (void)snprintf(text, cap, "-");
    else
        (void)snprintf(text, cap, "%s%s%s", root_type_name(b->type), b->jagged ? "[]" : "", length);
}

static enum status table_branch(const struct root_branch_info *b, struct buf *out, struct error *e)
{
    char type[48], name[64], baskets[24] = "", bytes[48] = "";
    type_text(b, type, sizeof type);
    (void)snprintf(name, sizeof name, "%*s%s", 2 * (b->depth < 8 ? b->depth : 8), "", b->name);
    if (!b->is_part) {
        (void)snprintf(baskets, sizeof baskets, b->embedded ? "%" PRIu32 "+%" PRIu32 : "%" PRIu32, b->baskets,
                       b->embedded);
        (void)snprintf(bytes, sizeof bytes, "%" PRId64 " / %" PRId64, b->stored_bytes, b->raw_bytes);
    }
    return buf_printf(out, e, "  %-40s %-14s %10" PRId64 " %8s %24s %-4s %s\n", name, type, b->entries, baskets, bytes,
                      b->is_part ? "" : b->codec, b->why_not ? b->why_not : b->class_name);
}

static enum status table_tree(struct root_tree *t, struct buf *out, struct error *e)
{
    TRY(buf_printf(out, e, "  %" PRId64 " entries, %" PRId64 " bytes stored, %" PRId64 " uncompressed\n", t->entries,
                   t->zip_bytes, t->total_bytes));
    TRY(buf_printf(out, e, "  %-40s %-14s %10s %8s %24s %-4s %s\n", "branch", "type", "entries", "baskets",
                   "bytes stored / raw", "", "class, or why it is not read"));
    for (size_t i = 0; i < t->n_branches; i++) {
        struct root_branch_info b = root_branch_info(t, i);
        TRY(table_branch(&b, out, e));
    }
    return STATUS_OK;
}

/* ---- both ----------------------------------------------------------------------------------------------------------
 */

static enum status describe_tree(struct root_file *f, const struct root_key *k, bool json, struct buf *out,
                                 struct error *e)
{
    char path[1024];
    struct root_tree *t;
    struct error why;
    (void)snprintf(path, sizeof path, "%s;%d", k->path, k->cycle);
    enum status s = root_tree_get(f, path, &t, &why);
    if (s == STATUS_NOMEM)
        return error_set(e, s, "%s", why.text);
    if (json) {
        TRY(buf_append(out, "{", 1, e));
        TRY(put_member(out, "path", path, e));
        if (s == STATUS_OK)
            TRY(json_tree(t, out, e));
        else
            TRY(buf_printf(out, e, "\"status\":\"%s\",\"error\":", status_name(s)));
        if (s != STATUS_OK)
            TRY(put_string(out, why.text, e));
        return buf_append(out, "}", 1, e);
    }
    TRY(buf_printf(out, e, "\ntree %s\n", path));
    return s == STATUS_OK ? table_tree(t, out, e) : buf_printf(out, e, "  cannot be read: %s\n", why.text);
}

static enum status describe_keys(const struct root_file *f, bool json, struct buf *out, struct error *e)
{
    if (json) {
        TRY(buf_append(out, "{", 1, e));
        TRY(put_member(out, "file", source_name(f->src), e));
        TRY(buf_printf(out, e, "\"bytes\":%" PRIu64 ",\"root_version\":%" PRIu32 ",\"compression\":%d,\"keys\":[",
                       f->size, f->version, f->compression));
    } else {
        TRY(buf_printf(out, e, "%s: %" PRIu64 " bytes, written by ROOT %u.%02u/%02u, compression %d\n",
                       source_name(f->src), f->size, f->version / 10000, f->version / 100 % 100, f->version % 100,
                       f->compression));
        TRY(buf_printf(out, e, "%-48s %-20s %12s  %s\n", "key", "class", "bytes", "title"));
    }
    for (size_t i = 0; i < f->n_keys; i++) {
        const struct root_key *k = &f->keys[i];
        if (json && i > 0)
            TRY(buf_append(out, ",\n", 2, e));
        if (json) {
            TRY(json_key(k, out, e));
        } else {
            char path[256];
            (void)snprintf(path, sizeof path, "%s;%d", k->path, k->cycle);
            TRY(buf_printf(out, e, "%-48s %-20s %12" PRIu32 "  %s\n", path, k->class_name, k->n_bytes, k->title));
        }
    }
    return json ? buf_printf(out, e, "],\n\"trees\":[") : STATUS_OK;
}

enum status root_describe(struct root_file *f, bool json, struct buf *out, struct error *e)
{
    TRY(describe_keys(f, json, out, e));
    bool first = true;
    for (size_t i = 0; i < f->n_keys; i++) {
        if (!key_is_tree(&f->keys[i]))
            continue;
        if (json && !first)
            TRY(buf_append(out, ",\n", 2, e));
        first = false;
        TRY(describe_tree(f, &f->keys[i], json, out, e));
    }
    return json ? buf_printf(out, e, "]}\n") : STATUS_OK;
}
