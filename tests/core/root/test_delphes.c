/* tests/core/root/test_delphes.c
 *
 * Delphes trees as event batches: the simulated sample, the same events in every variant, and built trees with what
 * cards leave out or generators get wrong. */
#include "core/root.h"
#include "tests/core/root/build.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct opened {
    struct source *src;
    struct delphes *d;
    struct event_batch b;
    struct error e;
};

static void open_path(struct opened *o, const char *path)
{
    *o = (struct opened){0};
    event_batch_init(&o->b);
    if (source_open(path, &o->src, &o->e) != STATUS_OK || delphes_open(o->src, NULL, NULL, &o->d, &o->e) != STATUS_OK)
        fail_msg("%s", o->e.text);
}

static void close_opened(struct opened *o)
{
    event_batch_fini(&o->b);
    delphes_close(o->d);
    source_close(o->src);
}

static void read_all(struct opened *o)
{
    if (delphes_read(o->d, 0, delphes_entries(o->d), &o->b, &o->e) != STATUS_OK)
        fail_msg("%s", o->e.text);
}

/* Events [first, first + b->n_events) of `all` are those of b. */
static void assert_same_events(const struct event_batch *all, size_t first, const struct event_batch *b)
{
    size_t n_cols;
    const struct event_column *cols = event_columns(&n_cols);
    assert_memory_equal(all->number + first, b->number, b->n_events * sizeof *b->number);
    assert_memory_equal(all->weight + first, b->weight, b->n_events * sizeof *b->weight);
    assert_memory_equal(all->entry + first, b->entry, b->n_events * sizeof *b->entry);
    for (size_t i = 0; i < n_cols; i++) {
        const struct object_columns *x = &all->objects[cols[i].kind], *y = &b->objects[cols[i].kind];
        size_t from = x->first[first], n = y->first[b->n_events];
        assert_int_equal(x->first[first + b->n_events] - from, n);
        const uint32_t *v = *event_column_data(x, &cols[i]);
        if (n > 0)
            assert_memory_equal(v + from, *event_column_data(y, &cols[i]), n * 4);
    }
}

/* ---- the sample ---------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *path;
    int64_t events;
} sample[] = {{"tests/fixtures/sample/qcd_1.root", 327},
              {"tests/fixtures/sample/qcd_2.root", 327},
              {"tests/fixtures/sample/ttbar.root", 500},
              {"tests/fixtures/sample/wlnu.root", 450}};

static bool has_lepton(const struct object_columns *o, size_t ev)
{
    for (uint32_t i = o->first[ev]; i < o->first[ev + 1]; i++)
        if (o->pt[i] > 22 && fabsf(o->eta[i]) < 2.6f)
            return true;
    return false;
}

/* The generator filter asks for an electron or muon with pT > 22 GeV and |eta| < 2.6, which the detector mostly sees;
 * there is one missing ET an event. */
static void test_sample_events_are_what_the_simulation_promises(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sample); k++) {
        struct opened o;
        open_path(&o, sample[k].path);
        assert_int_equal(delphes_entries(o.d), sample[k].events);
        read_all(&o);
        assert_int_equal(o.b.n_events, sample[k].events);
        int64_t n_seen = 0;
        for (size_t i = 0; i < o.b.n_events; i++) {
            assert_int_equal(o.b.entry[i], i);
            assert_int_equal(o.b.label[i], -1);
            assert_true(o.b.weight[i] > 0);
            n_seen += has_lepton(&o.b.objects[OBJECT_ELECTRON], i) || has_lepton(&o.b.objects[OBJECT_MUON], i);
            assert_int_equal(o.b.objects[OBJECT_MET].first[i + 1], i + 1);
        }
        assert_true(n_seen > sample[k].events / 2);
        const struct object_columns *t = &o.b.objects[OBJECT_TRACK];
        for (uint32_t i = 0; i < t->first[o.b.n_events]; i++) {
            assert_true(t->pt[i] > 0 && fabsf(t->phi[i]) <= 3.1415928f);
            assert_true(abs(t->charge[i]) == 1 && t->pid[i] != 0);
        }
        close_opened(&o);
    }
}

static void test_batches_of_any_size_give_the_same_events_and_read_each_byte_once(void **state)
{
    (void)state;
    struct opened all, o;
    open_path(&all, sample[2].path);
    read_all(&all);
    struct delphes_stats whole = delphes_stats(all.d);
    assert_true(whole.stored_bytes > 0 && whole.raw_bytes > whole.stored_bytes && whole.decompress_ns > 0);
    for (int64_t want = 7; want < 600; want *= 4) {
        open_path(&o, sample[2].path);
        for (int64_t at = 0, end; at < delphes_entries(o.d); at = end) {
            end = delphes_batch_end(o.d, at, want);
            assert_true(end > at && end - at <= 4 * want);
            assert_int_equal(delphes_read(o.d, at, end - at, &o.b, &o.e), STATUS_OK);
            assert_same_events(&all.b, (size_t)at, &o.b);
        }
        assert_int_equal(delphes_stats(o.d).stored_bytes, whole.stored_bytes);
        close_opened(&o);
    }
    assert_int_equal(delphes_read(all.d, 499, 2, &all.b, &all.e), STATUS_RANGE);
    assert_int_equal(all.b.n_events, 0);
    close_opened(&all);
}

static void test_every_variant_gives_the_same_batch(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    static const char *const files[] = {"tt60_L4", "tt60_XZ", "tt60_ZL",    "tt60_ZS",  "v_basket4k", "v_cycles",
                                        "v_lzma5", "v_none",  "v_oldroot3", "v_split0", "v_split1",   "v_zlib1"};
    struct opened first, o;
    char rel[64];
    open_path(&first, shared_path("variants/v_zlib1.root"));
    read_all(&first);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(rel, sizeof rel, "variants/%s.root", files[i]);
        open_path(&o, shared_path(rel));
        read_all(&o);
        assert_int_equal(o.b.n_events, 60);
        assert_same_events(&first.b, 0, &o.b);
        close_opened(&o);
    }
    close_opened(&first);
}

/* ---- built trees ----------------------------------------------------------------------------------------------------
 */

enum { MAX_LEAVES = 40 };

/* Two events with 2 and 1 objects in every collection (1 and 1 for single ones). */
struct card {
    struct build_branch branches[MAX_LEAVES];
    uint8_t data[MAX_LEAVES][12];
    size_t n;
};

static const uint32_t two_one[] = {0, 8}, one_one[] = {0, 4};

static void add_leaf(struct card *c, const char *name, int32_t type, bool single)
{
    check(c->n < MAX_LEAVES);
    struct build_branch *b = &c->branches[c->n];
    struct buf v;
    buf_init(&v, 64);
    for (int i = 0; i < 3; i++) {
        if (type == 5)
            putf(&v, (float)(c->n + 1) + 0.25f * (float)i);
        else
            put32(&v, (uint32_t)(c->n + 1) + (uint32_t)i);
    }
    memcpy(c->data[c->n], v.data, 12);
    buf_fini(&v);
    *b = (struct build_branch){.name = name,
                               .leaves = {{"TLeafElement", name, 1, 0, false, -1}},
                               .class_name = "X",
                               .id = 1,
                               .type = 31,
                               .streamer_type = type};
    b->baskets[0] = (struct build_basket){2, c->data[c->n], single ? 8 : 12, single ? one_one : two_one, ON_DISK};
    c->n++;
}

/* Every leaf but the optional ones. */
static void full_card(struct card *c, const char *muon)
{
    static const char *const floats[] = {"EFlowTrack.PT",
                                         "EFlowTrack.Eta",
                                         "EFlowTrack.Phi",
                                         "EFlowTrack.X",
                                         "EFlowTrack.Y",
                                         "EFlowTrack.Z",
                                         "EFlowPhoton.ET",
                                         "EFlowPhoton.Eta",
                                         "EFlowPhoton.Phi",
                                         "EFlowNeutralHadron.ET",
                                         "EFlowNeutralHadron.Eta",
                                         "EFlowNeutralHadron.Phi",
                                         "Electron.PT",
                                         "Electron.Eta",
                                         "Electron.Phi",
                                         "Jet.PT",
                                         "Jet.Eta",
                                         "Jet.Phi"};
    static char muons[4][32];
    static const char *const muon_leaves[] = {"PT", "Eta", "Phi", "Charge"};
    c->n = 0;
    for (size_t i = 0; i < ARRAY_LEN(floats); i++)
        add_leaf(c, floats[i], 5, false);
    add_leaf(c, "EFlowTrack.PID", 3, false);
    add_leaf(c, "Electron.Charge", 3, false);
    add_leaf(c, "Jet.BTag", 13, false);
    add_leaf(c, "MissingET.MET", 5, true);
    add_leaf(c, "MissingET.Phi", 5, true);
    for (size_t i = 0; muon && i < 4; i++) {
        snprintf(muons[i], sizeof muons[i], "%s.%s", muon, muon_leaves[i]);
        add_leaf(c, muons[i], i < 3 ? 5 : 3, false);
    }
}

static struct build_branch *leaf_named(struct card *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->branches[i].name, name) == 0)
            return &c->branches[i];
    fail_msg("no leaf %s", name);
    return NULL;
}

struct built {
    struct buf bytes;
    struct opened o;
};

static enum status open_card(struct built *x, const struct card *c, const struct delphes_branches *names)
{
    *x = (struct built){0};
    event_batch_init(&x->o.b);
    buf_init(&x->bytes, 4 << 20);
    build_file(&x->bytes, &(struct build_file){.branches = c->branches, .n_branches = c->n, .tree_name = "Delphes"});
    assert_int_equal(source_open_memory(x->bytes.data, x->bytes.len, "card.root", &x->o.src, &x->o.e), STATUS_OK);
    return delphes_open(x->o.src, "", names, &x->o.d, &x->o.e);
}

static void close_card(struct built *x)
{
    close_opened(&x->o);
    buf_fini(&x->bytes);
}

static void test_what_cards_leave_out_is_filled_in(void **state)
{
    (void)state;
    struct card c;
    struct built x;
    full_card(&c, "MuonTight");
    const int32_t ids[] = {-211, 11, 0};
    for (int i = 0; i < 3; i++) {
        uint32_t big = __builtin_bswap32((uint32_t)ids[i]);
        memcpy(c.data[leaf_named(&c, "EFlowTrack.PID") - c.branches] + 4 * i, &big, 4);
    }
    if (open_card(&x, &c, NULL) != STATUS_OK)
        fail_msg("%s", x.o.e.text);
    read_all(&x.o);
    const struct event_batch *b = &x.o.b;
    assert_int_equal(b->n_events, 2);
    assert_int_equal(b->number[1], 1);
    assert_float_equal(b->weight[0], 1, 0);
    assert_int_equal(b->objects[OBJECT_TRACK].first[1], 2);
    assert_int_equal(b->objects[OBJECT_TRACK].charge[0], -1);
    assert_int_equal(b->objects[OBJECT_TRACK].charge[1], 1);
    assert_int_equal(b->objects[OBJECT_TRACK].charge[2], 0);
    assert_float_equal(b->objects[OBJECT_TRACK].pt[2], 1.5, 0);
    assert_float_equal(b->objects[OBJECT_JET].mass[2], 0, 0);
    assert_int_equal(b->objects[OBJECT_MUON].charge[2], 29);
    assert_int_equal(b->objects[OBJECT_MET].first[2], 2);
    close_card(&x);
}

static void test_muons_come_from_the_first_collection_that_exists(void **state)
{
    (void)state;
    static const char *const muons[] = {"MuonTight", "Muon", "MuonLoose"};
    for (size_t i = 0; i < 3; i++) {
        struct card c;
        struct built x;
        full_card(&c, muons[i]);
        if (open_card(&x, &c, NULL) != STATUS_OK)
            fail_msg("%s", x.o.e.text);
        close_card(&x);
        assert_int_equal(open_card(&x, &c, &(struct delphes_branches){.muon = "Muon"}),
                         i == 1 ? STATUS_OK : STATUS_NOTFOUND);
        close_card(&x);
    }
}

static void test_all_that_is_missing_is_reported_at_once_with_what_there_is(void **state)
{
    (void)state;
    struct card c;
    struct built x;
    full_card(&c, NULL);
    leaf_named(&c, "Jet.BTag")->name = "Jet.BTagOld";
    leaf_named(&c, "Electron.Eta")->name = "Electron.EtaOld";
    assert_int_equal(open_card(&x, &c, &(struct delphes_branches){.photon = "Photon"}), STATUS_NOTFOUND);
    assert_true(strncmp(x.o.e.text,
                        "card.root: tree Delphes has no branch Photon, MuonTight, Electron.Eta, Jet.BTag; "
                        "it has: EFlowTrack.PT, EFlowTrack.Eta,",
                        119) == 0);
    close_card(&x);
}

static void test_branch_that_cannot_serve_is_named_with_the_reason(void **state)
{
    (void)state;
    struct card c;
    struct built x;
    full_card(&c, "Muon");
    leaf_named(&c, "Jet.PT")->streamer_type = 61;
    assert_int_equal(open_card(&x, &c, NULL), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x.o.e.text, "unfit: Jet.PT: member of class X, which the file does not describe"));
    close_card(&x);
}

static void test_numbers_that_are_not_finite_name_entry_and_branch(void **state)
{
    (void)state;
    static const struct {
        const char *leaf;
        float value;
        const char *says;
    } bad[] = {{"EFlowTrack.PT", INFINITY, "card.root: tree Delphes: branch EFlowTrack.PT: entry 1: value 0 is inf"},
               {"Jet.Phi", NAN, "card.root: tree Delphes: branch Jet.Phi: entry 1: value 0 is "},
               {"Muon.Eta", -INFINITY, "card.root: tree Delphes: branch Muon.Eta: entry 1: value 0 is -inf"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct card c;
        struct built x;
        uint32_t v;
        full_card(&c, "Muon");
        memcpy(&v, &bad[i].value, 4);
        v = __builtin_bswap32(v);
        memcpy(c.data[leaf_named(&c, bad[i].leaf) - c.branches] + 8, &v, 4);
        assert_int_equal(open_card(&x, &c, NULL), STATUS_OK);
        assert_int_equal(delphes_read(x.o.d, 0, 1, &x.o.b, &x.o.e), STATUS_OK);
        assert_int_equal(delphes_read(x.o.d, 0, 2, &x.o.b, &x.o.e), STATUS_FORMAT);
        assert_int_equal(x.o.b.n_events, 0);
        if (!strstr(x.o.e.text, bad[i].says))
            fail_msg("%s", x.o.e.text);
        close_card(&x);
    }
}

static void test_leaves_that_disagree_on_the_number_of_objects_are_an_error(void **state)
{
    (void)state;
    struct card c;
    struct built x;
    full_card(&c, "Muon");
    leaf_named(&c, "Electron.Phi")->baskets[0].offsets = one_one;
    assert_int_equal(open_card(&x, &c, NULL), STATUS_OK);
    assert_int_equal(delphes_read(x.o.d, 0, 2, &x.o.b, &x.o.e), STATUS_FORMAT);
    assert_non_null(strstr(x.o.e.text, "branch Electron.Phi: entry 0: 1 values, other branches have 2"));
    close_card(&x);
}

static void test_branches_with_fewer_entries_than_the_tree_are_an_error(void **state)
{
    (void)state;
    struct card c;
    struct built x;
    full_card(&c, "Muon");
    leaf_named(&c, "Electron.Phi")->baskets[0].n_entries = 1;
    assert_int_equal(open_card(&x, &c, NULL), STATUS_FORMAT);
    assert_non_null(strstr(x.o.e.text, "branch Electron.Phi has 1 entries, the tree 2"));
    close_card(&x);
}

static void test_every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    struct card c;
    struct buf bytes;
    full_card(&c, "Muon");
    buf_init(&bytes, 4 << 20);
    build_file(&bytes, &(struct build_file){
                           .branches = c.branches, .n_branches = c.n, .tree_name = "Delphes", .zip_tree = true});
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct opened o = {0};
        event_batch_init(&o.b);
        enum status s = source_open_memory(bytes.data, bytes.len, "card.root", &o.src, &o.e);
        if (s == STATUS_OK)
            s = delphes_open(o.src, NULL, NULL, &o.d, &o.e);
        if (s == STATUS_OK)
            s = delphes_read(o.d, 0, 2, &o.b, &o.e);
        bool failed = alloc_fail_end();
        if (s != (failed ? STATUS_NOMEM : STATUS_OK))
            fail_msg("allocation %zu: %s: %s", n, status_name(s), o.e.text);
        close_opened(&o);
    }
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_events_are_what_the_simulation_promises),
        cmocka_unit_test(test_batches_of_any_size_give_the_same_events_and_read_each_byte_once),
        cmocka_unit_test(test_every_variant_gives_the_same_batch),
        cmocka_unit_test(test_what_cards_leave_out_is_filled_in),
        cmocka_unit_test(test_muons_come_from_the_first_collection_that_exists),
        cmocka_unit_test(test_all_that_is_missing_is_reported_at_once_with_what_there_is),
        cmocka_unit_test(test_branch_that_cannot_serve_is_named_with_the_reason),
        cmocka_unit_test(test_numbers_that_are_not_finite_name_entry_and_branch),
        cmocka_unit_test(test_leaves_that_disagree_on_the_number_of_objects_are_an_error),
        cmocka_unit_test(test_branches_with_fewer_entries_than_the_tree_are_an_error),
        cmocka_unit_test(test_every_failing_allocation_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
