/* core/feature/hlf.c
 *
 * The 14 high-level features of a selected event.  Computed in float64 from the float32 inputs, stored float32. */
#include "core/feature/internal.h"

struct jet_sums {
    double ht;
    size_t n, n_b;
};

static struct jet_sums sum_jets(const struct feature_event *ev)
{
    const struct object_columns *jets = &ev->batch->objects[OBJECT_JET];
    struct jet_sums s = {.n = event_count(ev, OBJECT_JET)};
    for (size_t i = 0; i < s.n; i++) {
        size_t at = jets->first[ev->i] + i;
        uint32_t tag = jets->btag[at];
        s.ht += (double)jets->pt[at];
        s.n_b += ev->recipe->btag_mask ? (tag & ev->recipe->btag_mask) != 0 : tag > 0;
    }
    return s;
}

void event_hlf(const struct feature_event *ev, const struct lepton *lep, float hlf[HLF_COUNT])
{
    const struct object_columns *missing = &ev->batch->objects[OBJECT_MET];
    float met = 0, met_phi = 0;
    if (event_count(ev, OBJECT_MET) > 0) {
        met = missing->pt[missing->first[ev->i]];
        met_phi = missing->phi[missing->first[ev->i]];
    }
    double mt2 = 2 * (double)met * (double)lep->pt * (1 - cos((double)lep->phi - (double)met_phi));
    struct jet_sums jets = sum_jets(ev);

    hlf[HLF_HT] = (float)jets.ht;
    hlf[HLF_MET] = met;
    hlf[HLF_MET_PHI] = met_phi;
    hlf[HLF_MT] = (float)(ev->recipe->mt_sqrt && mt2 > 0 ? sqrt(mt2) : mt2);
    hlf[HLF_N_JETS] = (float)jets.n;
    hlf[HLF_N_BJETS] = (float)jets.n_b;
    hlf[HLF_LEP_PT] = lep->pt;
    hlf[HLF_LEP_ETA] = lep->eta;
    hlf[HLF_LEP_PHI] = lep->phi;
    hlf[HLF_LEP_ISO_CH] = (float)lep->iso_ch;
    hlf[HLF_LEP_ISO_GAMMA] = (float)lep->iso_gamma;
    hlf[HLF_LEP_ISO_NEU] = (float)lep->iso_neu;
    hlf[HLF_LEP_CHARGE] = (float)lep->charge;
    hlf[HLF_LEP_IS_ELE] = lep->kind == PARTICLE_ELECTRON ? 1 : 0;
}
