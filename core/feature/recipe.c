/* core/feature/recipe.c
 *
 * The frozen recipes, and the names, units and ranges of what they produce.  A recipe never changes once data or
 * models were made with it: a new idea is a new row. */
#include "core/feature.h"

#include <string.h>

static const struct recipe recipes[] = {
    {
        .name = "topology-1",
        .doc = "The published selection and features with their oddities mended; ragged sequences, scalers fitted on "
               "the train part.",
        .allow_empty_lists = true,
        .wrap_isolation_dphi = true,
        .lepton_by_eta = false,
        .order_by_pt = true,
        .mt_sqrt = true,
        .btag_mask = 1,
        .scaling = HLF_SCALE_STANDARD,
        .scale_log = true,
        .scale_train_only = true,
        .sequence_dense = false,
        .iso_max = 0.45,
    },
    {
        .name = "sparkdltrigger-1",
        .doc = "The published notebooks (arXiv:1909.10389), number for number: for parity with their datasets and "
               "models.",
        .allow_empty_lists = false,
        .wrap_isolation_dphi = false,
        .lepton_by_eta = true,
        .order_by_pt = false,
        .mt_sqrt = false,
        .btag_mask = 0,
        .scaling = HLF_SCALE_MINMAX,
        .scale_log = false,
        .scale_train_only = false,
        .sequence_dense = true,
        .iso_max = 0.45,
    },
};

const struct recipe *recipe_all(size_t *n)
{
    *n = ARRAY_LEN(recipes);
    return recipes;
}

const struct recipe *recipe_find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(recipes); i++)
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
    return NULL;
}

const char *reject_name(enum reject r)
{
    static const char *const names[REJECT_COUNT] = {
#define X(name, text) [REJECT_##name] = text,
        REJECT_TABLE(X)
#undef X
    };
    check((unsigned)r < REJECT_COUNT);
    return names[r];
}

/* Bounds that no collider event leaves, with room for machines to come; they catch posted nonsense (wrong unit, wrong
 * order), not rare physics.  Energies: 100 TeV, as in the object cuts.  phi: pi with room for four printed decimals.
 * |eta| 10: beyond any calorimeter.  isoCh counts the lepton's own track and subtracts 1, so -1 means "no track". */
#define GEV_MAX 1e5
#define PHI_MAX 3.1417
#define ETA_MAX 10.0
#define ISO_MAX 1e4
#define COUNT_MAX 1e4

const struct feature_info hlf_info[HLF_COUNT] = {
    [HLF_HT]            = {"HT", "GeV", "scalar sum of the jets' pT", 0, GEV_MAX, false},
    [HLF_MET]           = {"MET", "GeV", "missing transverse energy", 0, GEV_MAX, false},
    [HLF_MET_PHI]       = {"MET_phi", "rad", "azimuth of the missing transverse energy", -PHI_MAX, PHI_MAX, false},
    [HLF_MT]            = {"MT", "GeV", "transverse mass: sqrt(2 MET lepPt (1 - cos(lepPhi - MET_phi))); "
                           "sparkdltrigger-1 leaves out the root (GeV^2)", 0, 4 * GEV_MAX * GEV_MAX, false},
    [HLF_N_JETS]        = {"nJets", "", "number of jets", 0, COUNT_MAX, true},
    [HLF_N_BJETS]       = {"nBJets", "", "number of b-tagged jets", 0, COUNT_MAX, true},
    [HLF_LEP_PT]        = {"lepPt", "GeV", "pT of the isolated lepton", 0, GEV_MAX, false},
    [HLF_LEP_ETA]       = {"lepEta", "", "pseudorapidity of the isolated lepton", -ETA_MAX, ETA_MAX, false},
    [HLF_LEP_PHI]       = {"lepPhi", "rad", "azimuth of the isolated lepton", -PHI_MAX, PHI_MAX, false},
    [HLF_LEP_ISO_CH]    = {"lepIsoCh", "", "pT of tracks with dR < 0.3 around the lepton, over lepPt, less 1",
                           -1, ISO_MAX, false},
    [HLF_LEP_ISO_GAMMA] = {"lepIsoGamma", "", "ET of photons with dR < 0.3 around the lepton, over lepPt",
                           0, ISO_MAX, false},
    [HLF_LEP_ISO_NEU]   = {"lepIsoNeu", "", "ET of neutral hadrons with dR < 0.3 around the lepton, over lepPt",
                           0, ISO_MAX, false},
    [HLF_LEP_CHARGE]    = {"lepCharge", "e", "charge of the lepton", -1, 1, true},
    [HLF_LEP_IS_ELE]    = {"lepIsEle", "", "1: the lepton is an electron, 0: a muon", 0, 1, true},
};

const char *hlf_unit(const struct recipe *r, enum hlf_index i)
{
    check((unsigned)i < HLF_COUNT);
    return i == HLF_MT && !r->mt_sqrt ? "GeV^2" : hlf_info[i].unit;
}

const char *const particle_column_names[PARTICLE_COLUMNS] = {
    "E", "Px", "Py", "Pz", "Pt", "Eta", "Phi", "vtxX", "vtxY", "vtxZ", "ChPFIso", "GammaPFIso", "NeuPFIso",
    "isChHad", "isNeuHad", "isGamma", "isEle", "isMu", "Charge",
};
