/* tests/peers/peers.h: what our sides of the comparisons share. */
#ifndef DLT_TESTS_PEERS_H
#define DLT_TESTS_PEERS_H

#include "core/model.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "peers: %s\n", e->text);
    exit(1);
}

static inline double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A header for `estimator` whose features and particles are taken as they are; `dense`: of the recipe with 801 rows. */
static inline void header_init(struct arena *a, struct model_header *h, const char *estimator, bool dense)
{
    static const char *const classes[] = {"qcd", "tt", "wjets"};
    struct error e;
    struct hlf_scaler hlf = {{false}, {0}, {0}};
    struct sequence_scaler sequence = {{0}, {0}};
    for (size_t f = 0; f < HLF_COUNT; f++)
        hlf.factor[f] = 1;
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        sequence.factor[c] = 1;
    field_defaults(model_header_fields, h);
    while (estimator_names[h->params.model] && strcmp(estimator_names[h->params.model], estimator) != 0)
        h->params.model++;
    check(estimator_names[h->params.model]);
    h->recipe = dense ? "sparkdltrigger-1" : "topology-1";
    h->classes = (struct field_list){(void *)(uintptr_t)classes, 3};
    h->params.validation_fraction = 0;
    must(scaler_record_make(a, &hlf, dense ? NULL : &sequence, &h->scaler, &e), &e);
}

#endif
