/* tests/core/root/test_real.c
 *
 * Files that other people wrote, with ROOT 5 to 6.35 and other writers: structure and values as JSROOT reports them. */
#include "core/root.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct opened {
    struct source *src;
    struct root_file *file;
    struct root_column column;
    struct error e;
};

static void open_real(struct opened *o, const char *name)
{
    char rel[128];
    snprintf(rel, sizeof rel, "root-real/%s.root", name);
    *o = (struct opened){0};
    if (source_open(shared_path(rel), &o->src, &o->e) != STATUS_OK || root_open(o->src, &o->file, &o->e) != STATUS_OK)
        fail_msg("%s", o->e.text);
}

static void close_real(struct opened *o)
{
    root_column_fini(&o->column);
    root_close(o->file);
    source_close(o->src);
}

static struct root_tree *tree_of(struct opened *o, const char *path)
{
    struct root_tree *t;
    if (root_tree_get(o->file, path, &t, &o->e) != STATUS_OK)
        fail_msg("%s", o->e.text);
    return t;
}

static const struct root_column *read_all(struct opened *o, struct root_tree *t, const char *name)
{
    const struct root_branch *b = root_branch_find(t, name);
    if (!b)
        fail_msg("no branch %s", name);
    if (root_read(t, b, 0, root_tree_entries(t), &o->column, &o->e) != STATUS_OK)
        fail_msg("%s", o->e.text);
    return &o->column;
}

/* ---- structure ------------------------------------------------------------------------------------------------------
 */

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void compare_keys(struct opened *o, const json_t *keys)
{
    size_t n, i, at = 0;
    const struct root_key *k = root_keys(o->file, &n);
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        if (strcmp(text(key, "name"), "StreamerInfo") == 0) /* JSROOT lists it, directories do not */
            continue;
        assert_true(at < n);
        assert_string_equal(k[at].path, text(key, "name"));
        assert_string_equal(k[at].class_name, text(key, "cls"));
        assert_string_equal(k[at].title, text(key, "title"));
        assert_int_equal(k[at].cycle, (int)number(key, "cycle"));
        assert_int_equal(k[at].n_bytes, (int)number(key, "nbytes"));
        assert_int_equal(k[at].object_bytes, (int)number(key, "objlen"));
        at++;
    }
    assert_int_equal(at, n);
}

static void compare_branch(const struct root_branch_info *b, const json_t *want)
{
    const json_t *tags = json_object_get(want, "tags");
    if (strcmp(b->name, text(want, "name")) != 0)
        fail_msg("branch %s, JSROOT has %s", b->name, text(want, "name"));
    assert_int_equal(b->depth, (int)number(want, "depth"));
    assert_true((double)b->entries == number(want, "entries"));
    assert_int_equal(b->baskets, (int)number(want, "baskets"));
    assert_int_equal(b->embedded, (int)number(want, "embedded"));
    assert_true((double)b->stored_bytes == number(want, "zip"));
    assert_true((double)b->raw_bytes == number(want, "tot"));
    if (json_object_size(tags) == 0) {
        assert_string_equal(b->codec, "-");
        return;
    }
    const char *tag;
    json_t *unused;
    bool found = false;
    json_object_foreach((json_t *)(uintptr_t)tags, tag, unused) found |= strncmp(tag, b->codec, strlen(b->codec)) == 0;
    (void)unused;
    if (!found)
        fail_msg("branch %s: codec %s", b->name, b->codec);
}

static void compare_tree(struct opened *o, const json_t *want)
{
    struct root_tree *t = tree_of(o, text(want, "path"));
    const json_t *branches = json_object_get(want, "branches");
    size_t at = 0;
    assert_true((double)root_tree_entries(t) == number(want, "entries"));
    for (size_t i = 0; i < root_tree_branches(t); i++) {
        struct root_branch_info b = root_branch_info(t, i);
        assert_true((b.type == ROOT_OTHER) == (b.why_not != NULL));
        if (!b.is_part)
            compare_branch(&b, json_array_get(branches, at++));
    }
    assert_int_equal(at, json_array_size(branches));
}

static void test_structure_is_what_jsroot_sees(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const names[] = {"clusters",
                                        "cycles",
                                        "double32_float16",
                                        "empty_tree_0entries",
                                        "histos_only",
                                        "hzz_lz4",
                                        "hzz_lzma",
                                        "hzz_raw",
                                        "hzz_zlib",
                                        "hzz_zstd",
                                        "nested_dirs",
                                        "rntuple_muons_1000",
                                        "sample_v62004_lz4",
                                        "skhep_issue513_delphes",
                                        "stl_containers",
                                        "tclones_bypass_key",
                                        "tclones_nobypass_key"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct opened o;
        char rel[128];
        size_t k;
        json_error_t why;
        json_t *tree;
        snprintf(rel, sizeof rel, "root-real/%s.list.json", names[i]);
        json_t *list = json_load_file(shared_path(rel), 0, &why);
        assert_non_null(list);
        open_real(&o, names[i]);
        assert_int_equal(root_version(o.file), (int)number(json_object_get(list, "header"), "version"));
        assert_int_equal(root_compression(o.file), (int)number(json_object_get(list, "header"), "compress"));
        compare_keys(&o, json_object_get(list, "keys"));
        json_array_foreach(json_object_get(list, "trees"), k, tree) compare_tree(&o, tree);
        close_real(&o);
        json_decref(list);
    }
}

/* ---- values ---------------------------------------------------------------------------------------------------------
 */

static double value(const struct root_column *c, size_t i)
{
    switch (c->type) {
    case ROOT_BOOL:
    case ROOT_U8:
        return ((uint8_t *)c->values)[i];
    case ROOT_I8:
        return ((int8_t *)c->values)[i];
    case ROOT_I16:
        return ((int16_t *)c->values)[i];
    case ROOT_U16:
        return ((uint16_t *)c->values)[i];
    case ROOT_I32:
        return ((int32_t *)c->values)[i];
    case ROOT_U32:
        return ((uint32_t *)c->values)[i];
    case ROOT_I64:
        return (double)((int64_t *)c->values)[i];
    case ROOT_U64:
        return (double)((uint64_t *)c->values)[i];
    case ROOT_F32:
        return (double)((float *)c->values)[i];
    case ROOT_F64:
        return ((double *)c->values)[i];
    default:
        fail();
        return 0;
    }
}

static void test_delphes_values_equal_jsroots(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const lists[] = {"EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron", "Jet"};
    struct opened o;
    open_real(&o, "skhep_issue513_delphes");
    struct root_tree *t = tree_of(&o, "Delphes");
    size_t n_compared = 0;
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        char rel[128], *line = NULL;
        size_t cap = 0;
        snprintf(rel, sizeof rel, "root-real/skhep_issue513_delphes.%s.jsonl", lists[k]);
        FILE *file = fopen(shared_path(rel), "r");
        assert_non_null(file);
        for (int64_t entry = 0; getline(&line, &cap, file) > 0; entry++) {
            const char *name;
            json_t *want, *dump = json_loads(line, JSON_DECODE_INT_AS_REAL, NULL);
            assert_non_null(dump);
            json_object_foreach(dump, name, want)
            {
                if (strcmp(name, "entry") == 0)
                    continue;
                const struct root_branch *b = root_branch_find(t, name);
                assert_non_null(b);
                assert_int_equal(root_read(t, b, entry, 1, &o.column, &o.e), STATUS_OK);
                assert_int_equal(o.column.offsets[1], json_array_size(want));
                for (size_t i = 0; i < json_array_size(want); i++, n_compared++)
                    assert_true(value(&o.column, i) == json_number_value(json_array_get(want, i)));
            }
            json_decref(dump);
        }
        free(line);
        fclose(file);
    }
    assert_int_equal(n_compared, 13004);
    close_real(&o);
}

static void test_two_branches_with_one_name_are_both_listed_and_the_first_is_found(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened o;
    open_real(&o, "skhep_issue513_delphes");
    struct root_tree *t = tree_of(&o, "Delphes");
    const char *class_name[2] = {0};
    size_t n = 0;
    for (size_t i = 0; i < root_tree_branches(t); i++) {
        struct root_branch_info b = root_branch_info(t, i);
        if (strcmp(b.name, "Particle") == 0)
            class_name[n++ % 2] = b.class_name;
    }
    assert_int_equal(n, 2);
    assert_string_equal(root_branch_describe(t, root_branch_find(t, "Particle")).class_name, class_name[0]);
    assert_string_not_equal(class_name[0], class_name[1]);
    assert_int_equal(read_all(&o, t, "Particle")->offsets[10], 10);
    close_real(&o);
}

/* The rule by which this file was made; JSROOT's dump of it agrees. */
static double sample_value(char kind, int64_t entry, size_t i, bool in_list)
{
    double start = kind == 'u' ? 0 : -15;
    if (in_list)
        return start + (double)(entry - entry % 5) + (kind == 'f' ? 1.1 : 2) * (double)i;
    return start + (double)entry + (double)i + (kind == 'f' ? 0.1 : 0);
}

static bool is_close(double a, double b, bool narrow)
{
    return a == b || (narrow ? (float)a == (float)b : a - b < 1e-12 && b - a < 1e-12);
}

static void test_every_basic_leaf_type_alone_in_arrays_and_in_lists(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const kinds[] = {"i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"};
    struct opened o;
    open_real(&o, "sample_v62004_lz4");
    struct root_tree *t = tree_of(&o, "sample");
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        bool narrow = strcmp(kinds[k], "f4") == 0;
        char name[8];
        for (int form = 0; form < 3; form++) { /* x, ax[3], Ax[n] */
            snprintf(name, sizeof name, "%s%s", form == 0 ? "" : form == 1 ? "a" : "A", kinds[k]);
            const struct root_column *c = read_all(&o, t, name);
            for (int64_t entry = 0; entry < 30; entry++) {
                size_t n = (size_t)(c->offsets[entry + 1] - c->offsets[entry]);
                assert_int_equal(n, form == 0 ? 1 : form == 1 ? 3 : entry % 5);
                for (size_t i = 0; i < n; i++) {
                    double want = sample_value(kinds[k][0], entry, i + (form == 1), form == 2);
                    double got = value(c, (size_t)c->offsets[entry] + i);
                    if (!is_close(got, want, narrow))
                        fail_msg("%s, entry %d, value %d: %.17g, %.17g wanted", name, (int)entry, (int)i, got, want);
                }
            }
        }
    }
    const struct root_column *s = read_all(&o, t, "str");
    assert_memory_equal((char *)s->values + s->offsets[27], "hey-27", 6);
    close_real(&o);
}

static void test_five_codecs_of_one_tree_give_the_same_columns(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const names[] = {"hzz_zlib", "hzz_lzma", "hzz_lz4", "hzz_zstd"};
    struct opened raw, o;
    open_real(&raw, "hzz_raw");
    struct root_tree *want = tree_of(&raw, "events");
    size_t n_columns = 0;
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        open_real(&o, names[k]);
        struct root_tree *t = tree_of(&o, "events");
        for (size_t i = 0; i < root_tree_branches(want); i++, n_columns++) {
            const char *name = root_branch_info(want, i).name;
            const struct root_column *a = read_all(&raw, want, name), *b = read_all(&o, t, name);
            assert_int_equal(a->type, b->type);
            assert_memory_equal(a->offsets, b->offsets, 2422 * sizeof *a->offsets);
            assert_memory_equal(a->values, b->values, (size_t)a->offsets[2421] * root_type_size(a->type));
        }
        close_real(&o);
    }
    assert_int_equal(n_columns, 4 * 51);
    /* Number, sum and extremes as JSROOT computes them. */
    const struct root_column *px = read_all(&raw, want, "Jet_Px");
    double sum = 0, least = 0, most = 0;
    assert_int_equal(px->offsets[2421], 2773);
    for (size_t i = 0; i < 2773; i++) {
        double v = value(px, i);
        sum += v;
        least = v < least ? v : least;
        most = v > most ? v : most;
    }
    assert_true(least == -440.31866455078125 && most == 503.4055480957031);
    assert_float_equal(sum / 2773, 1.2387010141491106, 1e-6);
    close_real(&raw);
}

static void test_vectors_strings_and_members_of_split_objects(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened o;
    open_real(&o, "nested_dirs");
    struct root_tree *t = tree_of(&o, "three/tree");
    const struct root_column *c = read_all(&o, t, "StlVecI16");
    assert_int_equal(c->type, ROOT_I16);
    for (int64_t i = 0; i < 100; i++) {
        assert_int_equal(c->offsets[i + 1] - c->offsets[i], i % 10);
        for (uint64_t k = c->offsets[i]; k < c->offsets[i + 1]; k++)
            assert_int_equal((int)value(c, (size_t)k), i);
    }
    c = read_all(&o, t, "SliceF64");
    assert_int_equal(c->offsets[100], 450);
    assert_true(value(c, (size_t)c->offsets[99]) == 99);
    c = read_all(&o, t, "ArrayI32");
    assert_true(c->offsets[100] == 1000 && value(c, 999) == 99);
    c = read_all(&o, t, "P3.Py");
    assert_true(c->type == ROOT_F64 && value(c, 42) == 42);
    c = read_all(&o, t, "StdStr");
    assert_memory_equal((char *)c->values + c->offsets[3], "std-003", 7);
    c = read_all(&o, t, "Beg");
    assert_memory_equal((char *)c->values + c->offsets[3], "beg-003", 7);
    close_real(&o);
}

static void test_what_is_not_read_is_refused_by_name(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const struct {
        const char *file, *tree, *branch, *says;
    } refused[] = {{"double32_float16", "tree", "double32_32", "TLeafD32 d[-2.71,10,32] is not read"},
                   {"double32_float16", "tree", "float16_3", "TLeafF16 f[-2.71,10,3] is not read"},
                   {"stl_containers", "tree", "vector_vector_int32", "vector<vector<int> > is not read"},
                   {"stl_containers", "tree", "map_int32_int16", "map<int,short> is not read"},
                   {"stl_containers", "tree", "vector_string", "vector<string> is not read"}};
    struct opened o;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        open_real(&o, refused[i].file);
        struct root_tree *t = tree_of(&o, refused[i].tree);
        assert_int_equal(root_read(t, root_branch_find(t, refused[i].branch), 0, 1, &o.column, &o.e),
                         STATUS_UNSUPPORTED);
        if (!strstr(o.e.text, refused[i].says))
            fail_msg("%s", o.e.text);
        close_real(&o);
    }
    struct root_tree *t;
    open_real(&o, "rntuple_muons_1000");
    assert_int_equal(root_tree_get(o.file, "Events", &t, &o.e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(o.e.text, "Events is a ROOT::RNTuple, not a TTree"));
    close_real(&o);
}

static void test_empty_tree_has_columns_without_values(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened o;
    open_real(&o, "empty_tree_0entries");
    struct root_tree *t = tree_of(&o, "tree");
    const struct root_column *c = read_all(&o, t, "y");
    assert_int_equal(c->type, ROOT_F64);
    assert_int_equal(c->n_entries, 0);
    assert_int_equal(c->offsets[0], 0);
    close_real(&o);
}

static void test_clusters_are_where_all_branches_begin_a_basket(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct opened o;
    open_real(&o, "clusters");
    struct root_tree *t = tree_of(&o, "t1");
    int n = 0;
    for (int64_t at = 0; at < 2500; at = root_tree_cluster_end(t, at), n++)
        assert_true(root_tree_cluster_end(t, at) > at);
    assert_true(n > 1);
    assert_int_equal(root_tree_cluster_end(t, 2499), 2500);
    close_real(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure_is_what_jsroot_sees),
        cmocka_unit_test(test_delphes_values_equal_jsroots),
        cmocka_unit_test(test_two_branches_with_one_name_are_both_listed_and_the_first_is_found),
        cmocka_unit_test(test_every_basic_leaf_type_alone_in_arrays_and_in_lists),
        cmocka_unit_test(test_five_codecs_of_one_tree_give_the_same_columns),
        cmocka_unit_test(test_vectors_strings_and_members_of_split_objects),
        cmocka_unit_test(test_what_is_not_read_is_refused_by_name),
        cmocka_unit_test(test_empty_tree_has_columns_without_values),
        cmocka_unit_test(test_clusters_are_where_all_branches_begin_a_basket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
