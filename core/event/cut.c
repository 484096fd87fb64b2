/* core/event/cut.c
 *
 * The object cuts of ingestion, in place and in order: what a stored data set never needs again is dropped before
 * it is written.  Comparisons are in double, as the published notebooks make them. */
#include "core/event.h"

#include <math.h>
#include <string.h>

#define CUT_GEV(member, default_, what)                                                                                \
    FIELD_F64(struct object_cuts, member, .min = 0, .max = 1e5, .def = (default_), .unit = "GeV", .doc = what)

const struct field object_cuts_fields[] = {
    CUT_GEV(track_pt, 0.5, "tracks are kept above this pT"),
    CUT_GEV(photon_et, 1, "photons are kept above this ET"),
    CUT_GEV(neutral_et, 1, "neutral hadrons are kept above this ET"),
    CUT_GEV(electron_pt, 23, "electrons are kept above this pT"),
    CUT_GEV(muon_pt, 23, "muons are kept above this pT"),
    CUT_GEV(jet_pt, 30, "jets are kept above this pT"),
    FIELD_F64(struct object_cuts, jet_abs_eta, .min = 0, .max = 100, .def = 2.6,
              .doc = "jets are kept below this |eta|; 0: no limit"),
    FIELD_BOOL(struct object_cuts, need_lepton, .def = true,
               .doc = "drop events that have no electron and no muon left"),
    FIELD_END,
};

struct kind_cut {
    double pt_min, abs_eta_max; /* abs_eta_max 0: no cut */
};

enum { CHUNK = 1024 };

/* The objects of [begin, end) that pass, in order; end - begin <= CHUNK. */
static size_t passing(const struct object_columns *o, struct kind_cut cut, size_t begin, size_t end,
                      uint32_t index[CHUNK])
{
    size_t n = 0;
    for (size_t j = begin; j < end; j++) {
        bool pass = (double)o->pt[j] > cut.pt_min;
        if (cut.abs_eta_max > 0)
            pass &= fabs((double)o->eta[j]) < cut.abs_eta_max;
        index[n] = (uint32_t)j;        /* stays when it passes, else the next one takes its place */
        n += pass;
    }
    return n;
}

/* Moves elements index[0..n) of every column of a kind to `to`, which is not behind them. */
static void move_objects(struct object_columns *o, const struct event_column *const *cols, size_t n_cols, size_t to,
                         const uint32_t *index, size_t n)
{
    if (n == 0 || (index[0] == to && index[n - 1] == to + n - 1))
        return;                        /* they are there */
    for (size_t i = 0; i < n_cols; i++) {
        uint32_t *v = *event_column_data(o, cols[i]);
        for (size_t k = 0; k < n; k++)
            v[to + k] = v[index[k]];
    }
}

/* Keeps the objects of one kind that pass; rewrites first[]. */
static void cut_kind(struct event_batch *b, enum object_kind kind, struct kind_cut cut)
{
    const struct event_column *mine[16];
    size_t n, n_mine = 0, kept = 0;
    const struct event_column *all = event_columns(&n);
    for (size_t i = 0; i < n; i++)
        if (all[i].kind == kind) {
            check(n_mine < ARRAY_LEN(mine));
            mine[n_mine++] = &all[i];
        }
    struct object_columns *o = &b->objects[kind];
    for (size_t ev = 0; ev < b->n_events; ev++) {
        size_t begin = o->first[ev], end = o->first[ev + 1];
        o->first[ev] = (uint32_t)kept; /* read above, before it is overwritten */
        for (size_t next; begin < end; begin = next) {
            uint32_t index[CHUNK];
            next = end - begin < CHUNK ? end : begin + CHUNK;
            size_t n_pass = passing(o, cut, begin, next, index);
            move_objects(o, mine, n_mine, kept, index, n_pass);
            kept += n_pass;
        }
    }
    o->first[b->n_events] = (uint32_t)kept;
}

static uint32_t count(const struct event_batch *b, enum object_kind kind, size_t ev)
{
    return b->objects[kind].first[ev + 1] - b->objects[kind].first[ev];
}

/* Drops the events without a lepton: the objects of the others close the gap. */
static void drop_events(struct event_batch *b, struct cut_counts *counts)
{
    size_t n_cols, to = 0;
    const struct event_column *cols = event_columns(&n_cols);
    uint32_t next[OBJECT_KINDS] = {0};
    for (size_t ev = 0; ev < b->n_events; ev++) {
        if (count(b, OBJECT_ELECTRON, ev) + count(b, OBJECT_MUON, ev) == 0) {
            counts->no_lepton_above_pt++;
            counts->no_lepton_above_pt_weight += (double)b->weight[ev];
            continue;
        }
        for (size_t i = 0; i < n_cols; i++) {
            enum object_kind k = cols[i].kind;
            uint32_t *v = *event_column_data(&b->objects[k], &cols[i]);
            if (v)
                memmove(v + next[k], v + b->objects[k].first[ev], count(b, k, ev) * sizeof *v);
        }
        /* first[ev] and first[ev + 1] are still as they were: to <= ev, and only first[to] is written. */
        for (size_t k = 0; k < OBJECT_KINDS; k++) {
            uint32_t n = count(b, (enum object_kind)k, ev);
            b->objects[k].first[to] = next[k];
            next[k] += n;
        }
        b->number[to] = b->number[ev];
        b->weight[to] = b->weight[ev];
        b->label[to] = b->label[ev];
        b->entry[to] = b->entry[ev];
        to++;
    }
    b->n_events = to;
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        b->objects[k].first[to] = next[k];
}

void event_batch_cut(struct event_batch *b, const struct object_cuts *cuts, struct cut_counts *counts)
{
    if (b->n_events == 0)
        return;
    const struct {
        enum object_kind kind;
        struct kind_cut cut;
    } table[] = {
        {OBJECT_TRACK, {cuts->track_pt, 0}},     {OBJECT_PHOTON, {cuts->photon_et, 0}},
        {OBJECT_NEUTRAL, {cuts->neutral_et, 0}}, {OBJECT_ELECTRON, {cuts->electron_pt, 0}},
        {OBJECT_MUON, {cuts->muon_pt, 0}},       {OBJECT_JET, {cuts->jet_pt, cuts->jet_abs_eta}},
    };
    counts->read += (int64_t)b->n_events;
    for (size_t ev = 0; ev < b->n_events; ev++)
        counts->read_weight += (double)b->weight[ev];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        cut_kind(b, table[i].kind, table[i].cut);
    if (cuts->need_lepton)
        drop_events(b, counts);
    counts->kept += (int64_t)b->n_events;
    for (size_t ev = 0; ev < b->n_events; ev++)
        counts->kept_weight += (double)b->weight[ev];
}

bool object_cuts_equal(const struct object_cuts *a, const struct object_cuts *b)
{
    return a->track_pt == b->track_pt && a->photon_et == b->photon_et && a->neutral_et == b->neutral_et &&
           a->electron_pt == b->electron_pt && a->muon_pt == b->muon_pt && a->jet_pt == b->jet_pt &&
           a->jet_abs_eta == b->jet_abs_eta && a->need_lepton == b->need_lepton;
}
