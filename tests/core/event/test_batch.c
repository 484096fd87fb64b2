/* tests/core/event/test_batch.c
 *
 * The column table, growth of the columns under failing allocations, and the object cuts. */
#include "core/event.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* One more object at the end of the batch's last event. */
static void add(struct event_batch *b, enum object_kind kind, float pt, float eta, int32_t mark)
{
    struct error e;
    struct object_columns *o = &b->objects[kind];
    uint32_t n = o->first[b->n_events];
    assert_int_equal(event_batch_reserve_objects(b, kind, n + 1, &e), STATUS_OK);
    size_t n_cols;
    const struct event_column *cols = event_columns(&n_cols);
    for (size_t i = 0; i < n_cols; i++)
        if (cols[i].kind == kind)
            ((int32_t *)*event_column_data(o, &cols[i]))[n] = mark;
    o->pt[n] = pt;
    if (o->eta)
        o->eta[n] = eta;
    o->first[b->n_events] = n + 1;
}

static void begin_event(struct event_batch *b, int64_t number, float weight)
{
    struct error e;
    size_t i = b->n_events++;
    assert_int_equal(event_batch_reserve_events(b, b->n_events, &e), STATUS_OK);
    b->number[i] = number;
    b->weight[i] = weight;
    b->label[i] = -1;
    b->entry[i] = (int64_t)i;
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        b->objects[k].first[i + 1] = b->objects[k].first[i];
}

static void test_every_column_has_its_own_name_and_place(void **state)
{
    (void)state;
    size_t n;
    const struct event_column *c = event_columns(&n);
    assert_int_equal(n, 29);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(c[i].column, c[j].column);
            assert_false(c[i].kind == c[j].kind && c[i].offset == c[j].offset);
            assert_true(c[i].kind >= c[j].kind);
        }
    assert_string_equal(event_objects()[OBJECT_NEUTRAL].branch, "EFlowNeutralHadron");
}

static void test_every_kind_has_a_pt_for_the_cuts(void **state)
{
    (void)state;
    size_t n, with_pt = 0;
    const struct event_column *c = event_columns(&n);
    for (size_t i = 0; i < n; i++)
        with_pt += c[i].offset == offsetof(struct object_columns, pt);
    assert_int_equal(with_pt, OBJECT_KINDS);
}

static void test_growth_keeps_values_and_counts_bytes(void **state)
{
    (void)state;
    struct event_batch b;
    event_batch_init(&b);
    for (int i = 0; i < 1000; i++) {
        begin_event(&b, i, 1);
        add(&b, OBJECT_TRACK, (float)i, 0, i);
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(b.number[i], i);
        assert_int_equal(b.objects[OBJECT_TRACK].first[i], i);
        assert_int_equal(b.objects[OBJECT_TRACK].charge[i], i);
    }
    size_t events = b.cap_events * (8 + 4 + 4 + 8) + OBJECT_KINDS * (b.cap_events + 1) * 4;
    assert_int_equal(b.bytes, events + b.objects[OBJECT_TRACK].cap * 8 * 4);
    event_batch_clear(&b);
    assert_int_equal(b.n_events, 0);
    assert_int_equal(b.objects[OBJECT_TRACK].first[0], 0);
    event_batch_fini(&b);
    assert_int_equal(b.bytes, 0);
}

static size_t fail_at, allocations;

static bool fail_nth(size_t bytes)
{
    (void)bytes;
    return allocations++ == fail_at;
}

static void test_growth_survives_every_failing_allocation(void **state)
{
    (void)state;
    for (fail_at = 0; fail_at < 20; fail_at++) {
        struct event_batch b;
        struct error e = {0};
        event_batch_init(&b);
        allocations = 0;
        mem_fail_hook = fail_nth;
        enum status first = event_batch_reserve_events(&b, 10, &e);
        enum status second = event_batch_reserve_objects(&b, OBJECT_TRACK, 10, &e);
        mem_fail_hook = NULL;
        assert_true((first == STATUS_NOMEM) + (second == STATUS_NOMEM) == (fail_at < 19));
        assert_int_equal(event_batch_reserve_events(&b, 10, &e), STATUS_OK);
        assert_int_equal(event_batch_reserve_objects(&b, OBJECT_TRACK, 10, &e), STATUS_OK);
        b.objects[OBJECT_TRACK].charge[9] = 1;
        b.entry[9] = 1;
        event_batch_fini(&b);
    }
}

static void test_impossible_numbers_are_refused_without_allocating(void **state)
{
    (void)state;
    struct event_batch b;
    struct error e = {0};
    event_batch_init(&b);
    assert_int_equal(event_batch_reserve_events(&b, (size_t)1 << 40, &e), STATUS_RANGE);
    assert_int_equal(event_batch_reserve_objects(&b, OBJECT_JET, (size_t)1 << 33, &e), STATUS_RANGE);
    assert_int_equal(b.bytes, 0);
    event_batch_fini(&b);
}

static void test_cuts_keep_what_is_above_and_inside_in_order(void **state)
{
    (void)state;
    struct object_cuts cuts;
    field_defaults(object_cuts_fields, &cuts);
    assert_float_equal(cuts.jet_abs_eta, 2.6, 0);
    assert_true(cuts.need_lepton);
    struct event_batch b;
    event_batch_init(&b);
    begin_event(&b, 100, 2.0f); /* muon exactly at the cut: not above it */
    add(&b, OBJECT_MUON, 23.0f, 0, 1);
    add(&b, OBJECT_TRACK, 5, 0, 2);
    begin_event(&b, 101, 3.0f);
    add(&b, OBJECT_ELECTRON, 22, 0, 3);
    add(&b, OBJECT_ELECTRON, 24, 0, 4);
    add(&b, OBJECT_TRACK, 0.5f, 0, 5);
    add(&b, OBJECT_TRACK, 0.6f, 0, 6);
    add(&b, OBJECT_TRACK, 0.4f, 0, 7);
    add(&b, OBJECT_TRACK, 9, 0, 8);
    add(&b, OBJECT_JET, 31, -2.7f, 9);
    add(&b, OBJECT_JET, 31, 2.5f, 10);
    add(&b, OBJECT_MET, 0.1f, 0, 11);
    begin_event(&b, 102, 4.0f);
    add(&b, OBJECT_MUON, 30, 0, 12);
    struct cut_counts counts = {0};
    event_batch_cut(&b, &cuts, &counts);
    assert_int_equal(b.n_events, 2);
    assert_int_equal(b.number[0], 101);
    assert_int_equal(b.entry[1], 2);
    const uint32_t *t = b.objects[OBJECT_TRACK].first;
    assert_int_equal(t[0], 0);
    assert_int_equal(t[1], 2);
    assert_int_equal(t[2], 2);
    assert_int_equal(b.objects[OBJECT_TRACK].pid[0], 6);
    assert_int_equal(b.objects[OBJECT_TRACK].pid[1], 8);
    assert_float_equal(b.objects[OBJECT_TRACK].pt[1], 9, 0);
    assert_int_equal(b.objects[OBJECT_ELECTRON].charge[0], 4);
    assert_int_equal(b.objects[OBJECT_JET].first[1], 1);
    assert_int_equal(b.objects[OBJECT_JET].btag[0], 10);
    assert_int_equal(b.objects[OBJECT_MET].first[1], 1);
    assert_int_equal(b.objects[OBJECT_MUON].charge[0], 12);
    assert_int_equal(counts.read, 3);
    assert_int_equal(counts.no_lepton_above_pt, 1);
    assert_int_equal(counts.kept, 2);
    assert_float_equal(counts.read_weight, 9, 0);
    assert_float_equal(counts.no_lepton_above_pt_weight, 2, 0);
    assert_float_equal(counts.kept_weight, 7, 0);
    event_batch_fini(&b);
}

static void test_without_need_of_a_lepton_no_event_is_dropped(void **state)
{
    (void)state;
    struct object_cuts cuts = {.jet_pt = 30};
    struct event_batch b;
    struct cut_counts counts = {0};
    event_batch_init(&b);
    event_batch_cut(&b, &cuts, &counts); /* an empty batch without room */
    begin_event(&b, 1, 1);
    add(&b, OBJECT_JET, 40, 5, 1);
    begin_event(&b, 2, 1);
    event_batch_cut(&b, &cuts, &counts);
    assert_int_equal(b.n_events, 2);
    assert_int_equal(b.objects[OBJECT_JET].first[2], 1);
    event_batch_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_column_has_its_own_name_and_place),
        cmocka_unit_test(test_every_kind_has_a_pt_for_the_cuts),
        cmocka_unit_test(test_growth_keeps_values_and_counts_bytes),
        cmocka_unit_test(test_growth_survives_every_failing_allocation),
        cmocka_unit_test(test_impossible_numbers_are_refused_without_allocating),
        cmocka_unit_test(test_cuts_keep_what_is_above_and_inside_in_order),
        cmocka_unit_test(test_without_need_of_a_lepton_no_event_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
