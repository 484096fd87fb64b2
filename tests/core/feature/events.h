/* tests/core/feature/events.h
 *
 * What the tests of core/feature share: events built by hand, events at random, and events of the sample
 * files.  Everything aborts on failure: a test has no use for a half-built input. */
#ifndef DLT_TESTS_FEATURE_EVENTS_H
#define DLT_TESTS_FEATURE_EVENTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/feature.h"
#include "core/root.h"
#include "tests/support/support.h"

#define UNUSED_FN __attribute__((unused))

static inline void must(enum status s, const struct error *e)
{
    if (s != STATUS_OK)
        fail_msg("%s: %s", status_name(s), e->text);
}

/* ---- events by hand ------------------------------------------------------------------------------------- */

struct object {
    float pt, eta, phi;
    int32_t charge;
    uint32_t btag;
};

/* Appends an event without objects. */
static UNUSED_FN void add_event(struct event_batch *b)
{
    struct error e;
    size_t i = b->n_events;
    must(event_batch_reserve_events(b, i + 1, &e), &e);
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        b->objects[k].first[i + 1] = b->objects[k].first[i];
    b->number[i] = b->entry[i] = (int64_t)i;
    b->weight[i] = 1;
    b->label[i] = -1;
    b->n_events = i + 1;
}

/* Appends an object to the last event.  A track's PID has the sign of `charge`, its vertex is (pt, eta, phi). */
static UNUSED_FN void add_object(struct event_batch *b, enum object_kind kind, struct object o)
{
    struct error e;
    struct object_columns *c = &b->objects[kind];
    uint32_t at = c->first[b->n_events]++;
    must(event_batch_reserve_objects(b, kind, at + 1, &e), &e);
    c->pt[at] = o.pt;
    if (kind != OBJECT_MET)
        c->eta[at] = o.eta;
    c->phi[at] = o.phi;
    if (kind == OBJECT_TRACK) {
        c->x[at] = o.pt;
        c->y[at] = o.eta;
        c->z[at] = o.phi;
        c->pid[at] = 211 * o.charge;
    }
    if (kind == OBJECT_TRACK || kind == OBJECT_ELECTRON || kind == OBJECT_MUON)
        c->charge[at] = o.charge;
    if (kind == OBJECT_JET) {
        c->mass[at] = 0;
        c->btag[at] = o.btag;
    }
}

static UNUSED_FN struct object random_object(struct rng *r, double pt_min, double eta_max)
{
    return (struct object){
        .pt = (float)(pt_min - 3 * log(1 - rng_f64(r))),
        .eta = (float)((2 * rng_f64(r) - 1) * eta_max),
        .phi = (float)((2 * rng_f64(r) - 1) * 3.14159265),
        .charge = rng_below(r, 2) ? 1 : -1,
        .btag = (uint32_t)rng_below(r, 8),
    };
}

/* A random event of up to `most` objects a list, with a lepton that has a track of its own. */
static UNUSED_FN void add_random_event(struct event_batch *b, struct rng *r, size_t most)
{
    static const enum object_kind lists[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL};
    add_event(b);
    struct object lepton = random_object(r, 30, 2.5);
    add_object(b, rng_below(r, 2) ? OBJECT_ELECTRON : OBJECT_MUON, lepton);
    if (rng_below(r, 4) == 0)
        add_object(b, rng_below(r, 2) ? OBJECT_ELECTRON : OBJECT_MUON, random_object(r, 25, 2.5));
    for (size_t l = 0; l < 3; l++) {
        size_t n = 1 + rng_below(r, most);
        for (size_t j = 0; j < n; j++)
            add_object(b, lists[l], random_object(r, 0.5, 5));
    }
    add_object(b, OBJECT_TRACK, lepton);
    for (size_t j = rng_below(r, 8); j > 0; j--)
        add_object(b, OBJECT_JET, random_object(r, 30, 2.6));
    add_object(b, OBJECT_MET, random_object(r, 1, 0));
}

/* Copies event i of `src` to the end of `dst`; `order` (or NULL) permutes the objects of `kind`. */
static UNUSED_FN void copy_event(struct event_batch *dst, const struct event_batch *src, size_t i,
                                 enum object_kind kind, const uint32_t *order)
{
    struct error e;
    size_t n_columns, ev = dst->n_events;
    const struct event_column *c = event_columns(&n_columns);
    add_event(dst);
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        uint32_t begin = src->objects[k].first[i], n = src->objects[k].first[i + 1] - begin;
        uint32_t to = dst->objects[k].first[ev];
        dst->objects[k].first[ev + 1] = to + n;
        must(event_batch_reserve_objects(dst, (enum object_kind)k, to + n, &e), &e);
        for (size_t j = 0; j < n_columns; j++) {
            if (c[j].kind != (enum object_kind)k)
                continue;
            uint32_t *out = *event_column_data(&dst->objects[k], &c[j]);
            const uint32_t *in = *event_column_data(&src->objects[k], &c[j]);
            for (uint32_t o = 0; o < n; o++)
                out[to + o] = in[begin + (order && k == (size_t)kind ? order[o] : o)];
        }
    }
}

/* ---- events of the sample files ---------------------------------------------------------------------------- */

static const char *const sample_files[] = {"qcd_1", "qcd_2", "ttbar", "wlnu"};
enum { SAMPLE_FILES = 4 };

/* All events of a sample file, before the object cuts. */
static UNUSED_FN void load_sample(const char *name, struct event_batch *out)
{
    char path[256];
    struct error e;
    struct source *src;
    struct delphes *d;
    snprintf(path, sizeof path, "tests/fixtures/sample/%s.root", name);
    must(source_open(path, &src, &e), &e);
    must(delphes_open(src, "Delphes", &(struct delphes_branches){0}, &d, &e), &e);
    must(delphes_read(d, 0, delphes_entries(d), out, &e), &e);
    delphes_close(d);
    source_close(src);
}

static UNUSED_FN void cut_default(struct event_batch *b)
{
    struct object_cuts cuts;
    struct cut_counts counts = {0};
    field_defaults(object_cuts_fields, &cuts);
    event_batch_cut(b, &cuts, &counts);
}

/* The bits of two runs of memory. */
#define assert_same_bits(a, b, n) assert_memory_equal((a), (b), (n) * sizeof *(a))

/* Event ia of `a` and event ib of `b` are the same bits, rows too when both have them. */
static UNUSED_FN void assert_same_event(const struct feature_batch *a, size_t ia, const struct feature_batch *b,
                                        size_t ib, bool rows)
{
    assert_int_equal(a->reject[ia], b->reject[ib]);
    assert_same_bits(&a->lepton[ia], &b->lepton[ib], 1);
    assert_same_bits(a->hlf + ia * HLF_COUNT, b->hlf + ib * HLF_COUNT, HLF_COUNT);
    if (!rows)
        return;
    size_t fa = a->row_first[ia], fb = b->row_first[ib], n = a->row_first[ia + 1] - fa;
    assert_int_equal(n, b->row_first[ib + 1] - fb);
    assert_same_bits(a->rows.pt + fa, b->rows.pt + fb, n);
    assert_same_bits(a->rows.eta + fa, b->rows.eta + fb, n);
    assert_same_bits(a->rows.phi + fa, b->rows.phi + fb, n);
    assert_same_bits(a->rows.x + fa, b->rows.x + fb, n);
    assert_same_bits(a->rows.y + fa, b->rows.y + fb, n);
    assert_same_bits(a->rows.z + fa, b->rows.z + fb, n);
    assert_same_bits(a->rows.iso_ch + fa, b->rows.iso_ch + fb, n);
    assert_same_bits(a->rows.iso_gamma + fa, b->rows.iso_gamma + fb, n);
    assert_same_bits(a->rows.iso_neu + fa, b->rows.iso_neu + fb, n);
    assert_same_bits(a->rows.kind + fa, b->rows.kind + fb, n);
    assert_same_bits(a->rows.charge + fa, b->rows.charge + fb, n);
}

/* Computes the features of all events or fails the test. */
static UNUSED_FN void compute(const char *recipe, const struct event_batch *b, bool want_rows,
                              struct feature_batch *out)
{
    struct error e;
    must(features_compute(recipe_find(recipe), b, want_rows, out, &e), &e);
}

#endif
