/* tests/core/root/test_hostile.c
 *
 * Damaged files: each ends in an error that says what and where, or in the right numbers; never in other numbers or in
 * fewer events. */
#include "core/root.h"
#include "tests/core/root/build.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Twelve simulated events; the size of one basket's record is wrong in it. */
static const char DAMAGED_PATH[] = "tests/fuzz/corpus/root/m14_basket_nbytes_2G.root";
enum { DAMAGED_AT = 9651, DAMAGED_WAS = 17617, EVENTS = 12 };

/* Everything that the pipeline reads, as one hash; 0 when it is refused. */
static uint64_t digest(struct source *src, struct error *e)
{
    struct delphes *d;
    struct event_batch b;
    uint64_t h = 0;
    event_batch_init(&b);
    if (delphes_open(src, NULL, NULL, &d, e) != STATUS_OK)
        return 0;
    if (delphes_read(d, 0, delphes_entries(d), &b, e) == STATUS_OK) {
        size_t n;
        const struct event_column *cols = event_columns(&n);
        h = b.n_events ? hash64(b.number, b.n_events * sizeof *b.number, 1) : 1;
        if (b.n_events)
            h = hash64(b.weight, b.n_events * sizeof *b.weight, h);
        for (size_t i = 0; i < n; i++) {
            const struct object_columns *o = &b.objects[cols[i].kind];
            h = hash64(o->first, (b.n_events + 1) * sizeof *o->first, h);
            if (o->first[b.n_events])
                h = hash64(*event_column_data(o, &cols[i]), (size_t)o->first[b.n_events] * 4, h);
        }
        h |= 1;
    }
    event_batch_fini(&b);
    delphes_close(d);
    return h;
}

static uint64_t digest_of(const char *path, struct error *e)
{
    struct source *src;
    *e = (struct error){0};
    if (source_open(path, &src, e) != STATUS_OK)
        return 0;
    uint64_t h = digest(src, e);
    source_close(src);
    return h;
}

static void load(struct buf *b, const char *path)
{
    struct error e;
    buf_init(b, 1 << 20);
    if (file_read(path, b, &e) != STATUS_OK)
        fail_msg("%s", e.text);
}

/* The file as it was before its damage. */
static uint64_t load_repaired(struct buf *b)
{
    struct source *src;
    struct error e = {0};
    load(b, DAMAGED_PATH);
    assert_int_equal(load_be32(b->data + DAMAGED_AT), 0x7fffffff);
    patch32(b, DAMAGED_AT, DAMAGED_WAS);
    assert_int_equal(source_open_memory(b->data, b->len, "m.root", &src, &e), STATUS_OK);
    uint64_t h = digest(src, &e);
    source_close(src);
    if (h == 0)
        fail_msg("%s", e.text);
    return h;
}

static void test_each_damaged_file_has_its_own_error(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const struct {
        const char *file;
        enum status status;
        const char *says;
    } files[] = {
        {"c01_seek_past_eof", STATUS_FORMAT,
         "tree Delphes: branch EFlowTrack.PT: basket 0: 17617 bytes at byte 1000200313, "
         "the file ends at byte 236942"},
        {"c05_class_bogus", STATUS_FORMAT, "tree Delphes: branch 0 is a TBogusClassXYZ"},
        {"c07_tree_body_truncated", STATUS_FORMAT, "tree Delphes: TTree: object is cut off"},
        {"m01_bad_magic", STATUS_FORMAT, "not a ROOT file: it does not begin with \"root\""},
        {"m03_seekinfo_past_eof", STATUS_FORMAT,
         "list of class layouts (TStreamerInfo): key says 8679 bytes at byte 201313, "
         "the file ends at byte 200313"},
        {"m05_tree_objlen_2G", STATUS_FORMAT, "tree Delphes: object of 2147483647 bytes"},
        {"m07_tree_nbytes_neg", STATUS_FORMAT, "key with negative size (-5 bytes"},
        {"m09_tree_tag_QQ", STATUS_UNSUPPORTED, "tree Delphes: block 0: unknown codec tag \"QQ\""},
        {"m11_tree_csize_0", STATUS_FORMAT, "tree Delphes: block 0: ZL header says 0 compressed bytes"},
        {"m12_basket_payload_flip", STATUS_FORMAT, "branch EFlowTrack.PT: basket 0: block 0: zlib: damaged stream"},
        {"m14_basket_nbytes_2G", STATUS_FORMAT,
         "branch EFlowTrack.PT: basket 0: key says 2147483647 bytes at byte 9651"},
        {"t00_empty", STATUS_FORMAT, "not a ROOT file: it is empty (0 bytes)"},
        {"t02_header_only", STATUS_FORMAT, "truncated: the header says 200313 bytes, 100 are here"},
        {"t03_trunc_half", STATUS_FORMAT, "truncated: the header says 200313 bytes, 100156 are here"},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char rel[128], name[128];
        struct error e;
        snprintf(rel, sizeof rel, "hostile/%s.root", files[i].file);
        snprintf(name, sizeof name, "%s.root: ", files[i].file);
        assert_true(digest_of(shared_path(rel), &e) == 0);
        if (e.status != files[i].status || strncmp(e.text, name, strlen(name)) != 0 || !strstr(e.text, files[i].says))
            fail_msg("%s: %s", status_name(e.status), e.text);
    }
}

static void test_the_undamaged_files_give_the_same_events(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    uint64_t h = load_repaired(&b);
    assert_true(digest_of("tests/fuzz/corpus/root/c00_control_uncompressed_tree.root", &e) == h);
    buf_fini(&b);
}

/* Whether a byte is a value that is stored as it is: small baskets are not compressed, and have no checksum. */
static bool is_bare_value(const struct buf *b, size_t at)
{
    for (const uint8_t *p = b->data; (p = memmem(p, (size_t)(b->data + b->len - p), "\7TBasket", 8)); p += 8) {
        const uint8_t *key = p - 34; /* ROOT gives baskets 64-bit seeks in every file */
        uint32_t n_bytes = load_be32(key), object_bytes = load_be32(key + 6);
        uint16_t key_bytes = load_be16(key + 14);
        size_t begin = (size_t)(key - b->data) + key_bytes;
        if (object_bytes == n_bytes - key_bytes && at >= begin && at < begin + object_bytes)
            return true;
    }
    return false;
}

/* Bytes of the file that no reading of events looks at may change without harm; all else must be noticed. */
static void test_no_damage_gives_other_numbers(void **state)
{
    (void)state;
    struct buf b;
    uint64_t right = load_repaired(&b);
    struct rng r = rng_stream(11, 0);
    size_t n_noticed = 0, n_harmless = 0;
    for (int i = 0; i < 2000; i++) {
        struct error e = {0};
        struct source *src;
        size_t at = (size_t)rng_below(&r, i % 3 ? b.len : 10000);
        if (is_bare_value(&b, at))
            continue;
        uint8_t was = b.data[at];
        b.data[at] ^= (uint8_t)(1 + rng_below(&r, 255));
        assert_int_equal(source_open_memory(b.data, b.len, "m.root", &src, &e), STATUS_OK);
        uint64_t h = digest(src, &e);
        source_close(src);
        if (h != 0 && h != right)
            fail_msg("byte %zu, %02x instead of %02x: other numbers", at, b.data[at], was);
        n_noticed += h == 0;
        n_harmless += h == right;
        b.data[at] = was;
    }
    print_message("%zu damages noticed, %zu harmless\n", n_noticed, n_harmless);
    assert_true(n_noticed > 500);
    buf_fini(&b);
}

static void test_every_length_of_a_cut_file_is_an_error(void **state)
{
    (void)state;
    struct buf b;
    (void)load_repaired(&b);
    for (size_t n = 0; n < b.len; n += n < 500 ? 1 : 997) {
        struct error e = {0};
        struct source *src;
        assert_int_equal(source_open_memory(b.data, n, "m.root", &src, &e), STATUS_OK);
        assert_true(digest(src, &e) == 0);
        assert_int_equal(e.status, STATUS_FORMAT);
        source_close(src);
    }
    buf_fini(&b);
}

static long peak_kilobytes(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

/* A tree that claims 2^40 entries costs what it holds. */
static void test_claims_cost_no_memory(void **state)
{
    (void)state;
    struct buf b;
    static const uint8_t one[4] = {0, 0, 0, 1};
    const struct build_branch branch = {.name = "x",
                                        .leaves = {{"TLeafI", "x", 1, 4, false, -1}},
                                        .baskets = {{1, one, 4, NULL, ON_DISK}},
                                        .entries = (int64_t)1 << 40};
    long before = peak_kilobytes();
    struct error e = {0};
    struct source *src;
    struct root_file *f;
    struct root_tree *t;
    struct root_column c = {0};
    buf_init(&b, 1 << 20);
    build_file(&b, &(struct build_file){.branches = &branch, .n_branches = 1});
    assert_int_equal(source_open_memory(b.data, b.len, "t.root", &src, &e), STATUS_OK);
    assert_int_equal(root_open(src, &f, &e), STATUS_OK);
    assert_int_equal(root_tree_get(f, "T", &t, &e), STATUS_OK);
    assert_int_equal(root_read(t, root_branch_find(t, "x"), 0, root_tree_entries(t), &c, &e), STATUS_FORMAT);
    root_column_fini(&c);
    root_close(f);
    source_close(src);
    buf_fini(&b);
    assert_true(peak_kilobytes() - before < 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_cost_no_memory),
        cmocka_unit_test(test_each_damaged_file_has_its_own_error),
        cmocka_unit_test(test_the_undamaged_files_give_the_same_events),
        cmocka_unit_test(test_no_damage_gives_other_numbers),
        cmocka_unit_test(test_every_length_of_a_cut_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
