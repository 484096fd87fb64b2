/* core/event/batch.c
 *
 * The columns of a batch of events: the table that names them, their memory, and the object cuts of ingestion.
 * Columns, not structs, because the isolation sums run over eta[], phi[] and pt[] at unit stride. */
#include "core/event.h"

#define COLUMN(kind_, leaf_, column_, type_, member_, optional_)                                                       \
    {                                                                                                                  \
        .kind = OBJECT_##kind_, .leaf = (leaf_), .column = (column_), .type = EVENT_##type_,                           \
        .offset = offsetof(struct object_columns, member_), .optional = (optional_)                                    \
    }

/* Every column is four bytes wide (COLUMN_BYTES). */
static const struct event_column columns[] = {
    COLUMN(TRACK, "PT", "track_pt", F32, pt, false),
    COLUMN(TRACK, "Eta", "track_eta", F32, eta, false),
    COLUMN(TRACK, "Phi", "track_phi", F32, phi, false),
    COLUMN(TRACK, "X", "track_x", F32, x, false),
    COLUMN(TRACK, "Y", "track_y", F32, y, false),
    COLUMN(TRACK, "Z", "track_z", F32, z, false),
    COLUMN(TRACK, "PID", "track_pid", I32, pid, false),
    COLUMN(TRACK, "Charge", "track_charge", I32, charge, true),
    COLUMN(PHOTON, "ET", "photon_et", F32, pt, false),
    COLUMN(PHOTON, "Eta", "photon_eta", F32, eta, false),
    COLUMN(PHOTON, "Phi", "photon_phi", F32, phi, false),
    COLUMN(NEUTRAL, "ET", "neutral_et", F32, pt, false),
    COLUMN(NEUTRAL, "Eta", "neutral_eta", F32, eta, false),
    COLUMN(NEUTRAL, "Phi", "neutral_phi", F32, phi, false),
    COLUMN(ELECTRON, "PT", "electron_pt", F32, pt, false),
    COLUMN(ELECTRON, "Eta", "electron_eta", F32, eta, false),
    COLUMN(ELECTRON, "Phi", "electron_phi", F32, phi, false),
    COLUMN(ELECTRON, "Charge", "electron_charge", I32, charge, false),
    COLUMN(MUON, "PT", "muon_pt", F32, pt, false),
    COLUMN(MUON, "Eta", "muon_eta", F32, eta, false),
    COLUMN(MUON, "Phi", "muon_phi", F32, phi, false),
    COLUMN(MUON, "Charge", "muon_charge", I32, charge, false),
    COLUMN(JET, "PT", "jet_pt", F32, pt, false),
    COLUMN(JET, "Eta", "jet_eta", F32, eta, false),
    COLUMN(JET, "Phi", "jet_phi", F32, phi, false),
    COLUMN(JET, "Mass", "jet_mass", F32, mass, true),
    COLUMN(JET, "BTag", "jet_btag", U32, btag, false),
    COLUMN(MET, "MET", "met", F32, pt, false),
    COLUMN(MET, "Phi", "met_phi", F32, phi, false),
};

enum { COLUMN_BYTES = 4 };
_Static_assert(sizeof(float) == COLUMN_BYTES, "all columns share one element size");

static const struct event_object objects[OBJECT_KINDS] = {
    [OBJECT_TRACK] = {"EFlowTrack", "track"},
    [OBJECT_PHOTON] = {"EFlowPhoton", "photon"},
    [OBJECT_NEUTRAL] = {"EFlowNeutralHadron", "neutral"},
    [OBJECT_ELECTRON] = {"Electron", "electron"},
    [OBJECT_MUON] = {"MuonTight", "muon"},
    [OBJECT_JET] = {"Jet", "jet"},
    [OBJECT_MET] = {"MissingET", "met"},
};

const struct event_column *event_columns(size_t *n)
{
    *n = ARRAY_LEN(columns);
    return columns;
}

const struct event_object *event_objects(void)
{
    return objects;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

void event_batch_init(struct event_batch *b)
{
    *b = (struct event_batch){0};
}

void event_batch_fini(struct event_batch *b)
{
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        mem_free(*event_column_data(&b->objects[columns[i].kind], &columns[i]));
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        mem_free(b->objects[k].first);
    mem_free(b->number);
    mem_free(b->weight);
    mem_free(b->label);
    mem_free(b->entry);
    event_batch_init(b);
}

void event_batch_clear(struct event_batch *b)
{
    b->n_events = 0;
    for (size_t k = 0; k < OBJECT_KINDS; k++)
        if (b->objects[k].first)
            b->objects[k].first[0] = 0;
}

/* Grows one array and counts its bytes; on failure the old array stays. */
static enum status grow(struct event_batch *b, void **array, size_t old_n, size_t new_n, size_t size, struct error *e)
{
    void *p = mem_realloc(*array, new_n * size);
    if (!p)
        return error_set(e, STATUS_NOMEM, "event batch: no memory for %zu x %zu bytes", new_n, size);
    *array = p;
    b->bytes += (new_n - old_n) * size;
    return STATUS_OK;
}

/* Half as much again, so that appending one at a time stays linear. */
static size_t grown(size_t have, size_t want)
{
    size_t more = have + have / 2;
    return want > more ? want : more;
}

enum status event_batch_reserve_events(struct event_batch *b, size_t n_events, struct error *e)
{
    if (n_events <= b->cap_events && b->objects[0].first)
        return STATUS_OK;
    if (n_events >= UINT32_MAX)
        return error_set(e, STATUS_RANGE, "event batch: %zu events, at most %u fit", n_events, UINT32_MAX - 1);
    size_t old = b->cap_events, cap = grown(old, n_events);
    TRY(grow(b, (void **)&b->number, old, cap, sizeof *b->number, e));
    TRY(grow(b, (void **)&b->weight, old, cap, sizeof *b->weight, e));
    TRY(grow(b, (void **)&b->label, old, cap, sizeof *b->label, e));
    TRY(grow(b, (void **)&b->entry, old, cap, sizeof *b->entry, e));
    for (size_t k = 0; k < OBJECT_KINDS; k++) {
        bool is_new = !b->objects[k].first;
        TRY(grow(b, (void **)&b->objects[k].first, is_new ? 0 : old + 1, cap + 1, sizeof(uint32_t), e));
        if (is_new)
            b->objects[k].first[0] = 0;
    }
    b->cap_events = cap;
    return STATUS_OK;
}

enum status event_batch_reserve_objects(struct event_batch *b, enum object_kind kind, size_t n, struct error *e)
{
    struct object_columns *o = &b->objects[kind];
    if (n <= o->cap)
        return STATUS_OK;
    if (n > UINT32_MAX)
        return error_set(e, STATUS_RANGE, "event batch: %zu objects of kind %s, at most %u fit", n,
                         objects[kind].column_prefix, UINT32_MAX);
    size_t cap = grown(o->cap, n);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (columns[i].kind == kind)
            TRY(grow(b, event_column_data(o, &columns[i]), o->cap, cap, COLUMN_BYTES, e));
    o->cap = cap;
    return STATUS_OK;
}
