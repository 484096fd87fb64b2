/* core/feature/select.c
 *
 * Which events are kept: those with an isolated electron or muon.  Runs before anything else is computed, since it
 * drops most of what a trigger sees. */
#include "core/feature/internal.h"

size_t event_count(const struct feature_event *ev, enum object_kind kind)
{
    const uint32_t *first = ev->batch->objects[kind].first;
    return first[ev->i + 1] - first[ev->i];
}

static void fill_cone_list(const struct feature_event *ev, enum object_kind kind, struct cone_list *out)
{
    const struct object_columns *o = &ev->batch->objects[kind];
    size_t n = event_count(ev, kind), first = n ? o->first[ev->i] : 0;
    if (n)
        cone_list_fill(out, o->pt + first, o->eta + first, o->phi + first, n);
    else
        cone_list_fill(out, NULL, NULL, NULL, 0);
}

/* The first isolated lepton of `kind` in file order. */
static bool find_isolated(const struct feature_event *ev, enum object_kind kind, struct lepton *out)
{
    const struct object_columns *o = &ev->batch->objects[kind];
    size_t n = event_count(ev, kind);
    for (size_t i = 0; i < n; i++) {
        size_t at = o->first[ev->i] + i;
        double phi = phi_normal((double)o->phi[at]);
        struct isolation iso = isolation_of(&ev->scratch->cones, (double)o->pt[at], (double)o->eta[at], phi);
        if (!(iso.ch + iso.neu + iso.gamma < ev->recipe->iso_max))
            continue;
        *out = (struct lepton){
            .kind = kind == OBJECT_ELECTRON ? PARTICLE_ELECTRON : PARTICLE_MUON,
            .index = (uint32_t)i,
            .pt = o->pt[at], .eta = o->eta[at], .phi = (float)phi,
            .charge = o->charge[at],
            .iso_ch = iso.ch, .iso_gamma = iso.gamma, .iso_neu = iso.neu,
        };
        return true;
    }
    return false;
}

static enum reject empty_list(const struct feature_event *ev)
{
    if (event_count(ev, OBJECT_TRACK) == 0)
        return REJECT_NO_TRACKS;
    if (event_count(ev, OBJECT_PHOTON) == 0)
        return REJECT_NO_PHOTONS;
    if (event_count(ev, OBJECT_NEUTRAL) == 0)
        return REJECT_NO_NEUTRAL_HADRONS;
    return REJECT_NONE;
}

enum reject event_select(const struct feature_event *ev, struct lepton *out)
{
    if (event_count(ev, OBJECT_ELECTRON) + event_count(ev, OBJECT_MUON) == 0)
        return REJECT_NO_LEPTON;
    if (!ev->recipe->allow_empty_lists && empty_list(ev) != REJECT_NONE)
        return empty_list(ev);

    struct cone_lists *cones = &ev->scratch->cones;
    cones->wrap_above = ev->recipe->wrap_isolation_dphi ? PI : TWO_PI;
    fill_cone_list(ev, OBJECT_TRACK, &cones->list[CONE_TRACKS]);
    fill_cone_list(ev, OBJECT_PHOTON, &cones->list[CONE_PHOTONS]);
    fill_cone_list(ev, OBJECT_NEUTRAL, &cones->list[CONE_NEUTRALS]);

    struct lepton electron, muon;
    bool has_electron = find_isolated(ev, OBJECT_ELECTRON, &electron);
    bool has_muon = find_isolated(ev, OBJECT_MUON, &muon);
    if (!has_electron && !has_muon)
        return REJECT_NO_ISOLATED_LEPTON;
    if (has_electron && has_muon)      /* eta: the notebooks compare column 5, meant to be pT.  Ties: the muon. */
        has_electron = ev->recipe->lepton_by_eta ? electron.eta > muon.eta : electron.pt > muon.pt;
    *out = has_electron ? electron : muon;
    return REJECT_NONE;
}
