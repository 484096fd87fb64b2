/* tests/core/root/test_variants.c
 *
 * Sixty events that ROOT wrote in twelve ways (codecs, basket sizes, split levels, cycles), against what ROOT itself
 * prints of every member: the reader equals it bit for bit. */
#include "core/root.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LINE_MAX_BYTES = 4 << 20, ENTRIES = 60 };

static const struct variant {
    const char *file;
    bool slim; /* holds only the members that the pipeline reads */
} variants[] = {
    {"tt60_L4.root", true},     {"tt60_XZ.root", true},   {"tt60_ZL.root", true},   {"tt60_ZS.root", true},
    {"v_basket4k.root", false}, {"v_cycles.root", false}, {"v_lzma5.root", false},  {"v_none.root", false},
    {"v_oldroot3.root", false}, {"v_split0.root", false}, {"v_split1.root", false}, {"v_zlib1.root", false},
};

struct opened {
    const char *name;
    bool slim;
    struct source *src;
    struct root_file *file;
    struct root_tree *tree;
    struct root_column column;
    size_t n_compared, n_absent;
};

static void open_variant(struct opened *o, const struct variant *v)
{
    struct error e = {0};
    char rel[64];
    snprintf(rel, sizeof rel, "variants/%s", v->file);
    *o = (struct opened){.name = v->file, .slim = v->slim};
    if (source_open(shared_path(rel), &o->src, &e) != STATUS_OK || root_open(o->src, &o->file, &e) != STATUS_OK ||
        root_tree_get(o->file, "Delphes", &o->tree, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(root_tree_entries(o->tree), ENTRIES);
}

static void close_variant(struct opened *o)
{
    root_column_fini(&o->column);
    root_close(o->file);
    source_close(o->src);
}

/* The values of one entry, or NULL when a slim file does not have the branch. */
static const struct root_column *column_of(struct opened *o, const char *name, int64_t entry)
{
    struct error e = {0};
    const struct root_branch *b = root_branch_find(o->tree, name);
    if (!b && o->slim) {
        o->n_absent++;
        return NULL;
    }
    if (!b)
        fail_msg("%s: no branch %s", o->name, name);
    if (root_read(o->tree, b, entry, 1, &o->column, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return &o->column;
}

static bool has(struct opened *o, const char *name)
{
    return root_branch_find(o->tree, name) != NULL;
}

/* Whether value i is the number that ROOT printed; `mask` clears what the printing cleared. */
static bool same_value(const struct root_column *c, size_t i, double want, uint32_t mask)
{
    float f = (float)want;
    switch (c->type) {
    case ROOT_F32:
        return memcmp(&f, (const float *)c->values + i, sizeof f) == 0;
    case ROOT_F64:
        return memcmp(&want, (const double *)c->values + i, sizeof want) == 0;
    case ROOT_I32:
        return (double)((const int32_t *)c->values)[i] == want;
    case ROOT_U32:
        return (double)(((const uint32_t *)c->values)[i] & mask) == want;
    case ROOT_I64:
        return (double)((const int64_t *)c->values)[i] == want;
    case ROOT_U8:
    case ROOT_BOOL:
        return (double)((const uint8_t *)c->values)[i] == want;
    default:
        return false;
    }
}

static uint32_t mask_of(const char *name)
{
    size_t n = strlen(name);
    if (n >= 5 && strcmp(name + n - 5, "fBits") == 0)
        return ~8u;
    bool id = (n >= 9 && strcmp(name + n - 9, "fUniqueID") == 0) || (n >= 5 && strcmp(name + n - 5, "fUIDs") == 0);
    return id ? 0xffffff : 0xffffffff;
}

/* All of `wanted` (numbers, nested arrays flattened by the caller) against a column. */
struct wanted {
    double *v;
    size_t n, cap;
};

static void want(struct wanted *w, const json_t *v)
{
    if (json_is_array(v)) {
        size_t i;
        json_t *item;
        json_array_foreach(v, i, item) want(w, item);
        return;
    }
    if (w->n == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 1024;
        w->v = realloc(w->v, w->cap * sizeof *w->v);
        assert_non_null(w->v);
    }
    assert_true(json_is_number(v));
    w->v[w->n++] = json_number_value(v);
}

static void compare(struct opened *o, const char *name, int64_t entry, struct wanted *w)
{
    const struct root_column *c = column_of(o, name, entry);
    if (c) {
        if (c->offsets[1] != w->n)
            fail_msg("%s: %s, entry %d: %d values, ROOT has %d", o->name, name, (int)entry, (int)c->offsets[1],
                     (int)w->n);
        for (size_t i = 0; i < w->n; i++)
            if (!same_value(c, i, w->v[i], mask_of(name)))
                fail_msg("%s: %s, entry %d: value %d is not ROOT's %.17g", o->name, name, (int)entry, (int)i, w->v[i]);
        o->n_compared += w->n;
    }
    w->n = 0;
}

/* Member `member` of every object, or component `at` of it when at >= 0 (of each of several when it is nested). */
static void want_all(struct wanted *w, const json_t *objects, const char *member, int at, const char *inner)
{
    size_t i, k;
    json_t *object, *row;
    json_array_foreach(objects, i, object)
    {
        const json_t *v = json_object_get(object, member);
        assert_non_null(v);
        if (inner)
            v = json_object_get(v, inner);
        if (at < 0) {
            want(w, v);
        } else if (json_is_array(json_array_get(v, 0))) {
            json_array_foreach(v, k, row) want(w, json_array_get(row, (size_t)at));
        } else {
            want(w, json_array_get(v, (size_t)at));
        }
    }
}

static void compare_member(struct opened *o, const char *collection, const char *member, int64_t entry,
                           const json_t *objects, struct wanted *w)
{
    static const char *const components[] = {"fP.fX", "fP.fY", "fP.fZ", "fE"};
    static const char *const ids[] = {"fUniqueID", "fBits"};
    char base[128], name[160];
    snprintf(base, sizeof base, "%s.%s", collection, member);
    snprintf(name, sizeof name, "%s.fE", base);
    if (has(o, name)) { /* four-vectors are printed as [x, y, z, t] */
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%s.%s", base, components[k]);
            want_all(w, objects, member, k, NULL);
            compare(o, name, entry, w);
        }
        return;
    }
    snprintf(name, sizeof name, "%s.fUIDs", base);
    if (has(o, name)) { /* lists of references as the list of their numbers */
        want_all(w, objects, member, -1, NULL);
        compare(o, name, entry, w);
        snprintf(name, sizeof name, "%s.size", base);
        size_t i;
        json_t *object;
        json_array_foreach(objects, i, object)
        {
            json_t *n = json_real((double)json_array_size(json_object_get(object, member)));
            want(w, n);
            json_decref(n);
        }
        compare(o, name, entry, w);
        return;
    }
    for (size_t k = 0; k < ARRAY_LEN(ids) && json_is_object(json_object_get(json_array_get(objects, 0), member)); k++) {
        snprintf(name, sizeof name, "%s.%s", base, ids[k]);
        want_all(w, objects, member, -1, ids[k]);
        compare(o, name, entry, w);
    }
    if (json_is_object(json_object_get(json_array_get(objects, 0), member)))
        return;
    want_all(w, objects, member, -1, NULL);
    compare(o, base, entry, w);
}

static void compare_entry(struct opened *o, int64_t entry, json_t *truth, struct wanted *w)
{
    const char *key, *member;
    json_t *value, *unused;
    json_object_foreach(truth, key, value)
    {
        if (strcmp(key, "entry") == 0)
            continue;
        if (!json_is_array(value)) { /* "Jet_size" */
            want(w, value);
            compare(o, key, entry, w);
            continue;
        }
        json_t *n = json_real((double)json_array_size(value));
        want(w, n);
        json_decref(n);
        compare(o, key, entry, w);
        json_object_foreach(json_array_get(value, 0), member, unused) compare_member(o, key, member, entry, value, w);
        (void)unused;
    }
}

static void test_every_member_of_every_variant_equals_what_root_prints(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened open[ARRAY_LEN(variants)];
    struct wanted w = {0};
    for (size_t i = 0; i < ARRAY_LEN(variants); i++)
        open_variant(&open[i], &variants[i]);
    gzFile gz = gzopen(shared_path("variants/variants.truth.jsonl.gz"), "rb");
    char *line = malloc(LINE_MAX_BYTES);
    assert_true(gz && line);
    int64_t n = 0;
    for (; gzgets(gz, line, LINE_MAX_BYTES); n++) {
        json_error_t why;
        json_t *truth = json_loads(line, JSON_DECODE_INT_AS_REAL, &why);
        if (!truth)
            fail_msg("line %d: %s", (int)n, why.text);
        assert_true(json_number_value(json_object_get(truth, "entry")) == (double)n);
        for (size_t i = 0; i < ARRAY_LEN(open); i++)
            compare_entry(&open[i], n, truth, &w);
        json_decref(truth);
    }
    assert_int_equal(n, ENTRIES);
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        print_message("%-16s %zu values equal\n", open[i].name, open[i].n_compared);
        assert_true(open[i].n_compared > (open[i].slim ? 300000 : 1000000));
        assert_true(open[i].slim || open[i].n_compared == open[ARRAY_LEN(open) - 1].n_compared);
        close_variant(&open[i]);
    }
    gzclose(gz);
    free(line);
    free(w.v);
}

static void test_cycles_of_one_tree_are_told_apart(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened o;
    struct error e = {0};
    struct root_tree *old, *both;
    open_variant(&o, &variants[5]);
    assert_string_equal(o.name, "v_cycles.root");
    assert_int_equal(root_tree_get(o.file, "Delphes;1", &old, &e), STATUS_OK);
    assert_int_equal(root_tree_get(o.file, "Delphes;2", &both, &e), STATUS_OK);
    assert_int_equal(root_tree_entries(old), 31);
    assert_int_equal(root_tree_entries(both), ENTRIES);
    struct root_column a = {0};
    assert_int_equal(root_read(old, root_branch_find(old, "Jet.PT"), 0, 31, &a, &e), STATUS_OK);
    const struct root_column *b = &o.column;
    assert_int_equal(root_read(o.tree, root_branch_find(o.tree, "Jet.PT"), 0, 31, &o.column, &e), STATUS_OK);
    assert_memory_equal(a.offsets, b->offsets, 32 * sizeof *a.offsets);
    assert_memory_equal(a.values, b->values, (size_t)a.offsets[31] * sizeof(float));
    assert_int_equal(root_tree_get(o.file, "Delphes;3", &both, &e), STATUS_NOTFOUND);
    root_column_fini(&a);
    close_variant(&o);
}

static void test_reading_in_pieces_gives_what_reading_at_once_gives(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const names[] = {"EFlowTrack.PT", "EFlowTrack.fBits", "EFlowPhoton.Particles.fUIDs", "Jet_size"};
    struct opened o;
    struct error e = {0};
    open_variant(&o, &variants[4]); /* 4 kB baskets: borders everywhere */
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const struct root_branch *b = root_branch_find(o.tree, names[k]);
        struct root_column piece = {0};
        assert_int_equal(root_read(o.tree, b, 0, ENTRIES, &o.column, &e), STATUS_OK);
        for (int64_t first = 0; first < ENTRIES; first += 7) {
            int64_t n = ENTRIES - first < 7 ? ENTRIES - first : 7;
            assert_int_equal(root_read(o.tree, b, first, n, &piece, &e), STATUS_OK);
            uint64_t from = o.column.offsets[first];
            for (int64_t i = 0; i <= n; i++)
                assert_int_equal(piece.offsets[i], o.column.offsets[first + i] - from);
            assert_memory_equal(piece.values, (uint32_t *)o.column.values + from, (size_t)piece.offsets[n] * 4);
        }
        root_column_fini(&piece);
    }
    close_variant(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_of_every_variant_equals_what_root_prints),
        cmocka_unit_test(test_cycles_of_one_tree_are_told_apart),
        cmocka_unit_test(test_reading_in_pieces_gives_what_reading_at_once_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
