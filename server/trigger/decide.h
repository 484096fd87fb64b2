/* server/trigger/decide.h
 *
 * One event against one menu, for server/trigger/ only: what was found (struct decision), and its text. */
#ifndef DLT_SERVER_TRIGGER_DECIDE_H
#define DLT_SERVER_TRIGGER_DECIDE_H

#include <stdatomic.h>

#include "server/json/events_in.h"
#include "server/trigger/menu.h"

struct chunk;
struct watch_shard;
/* A thread's workspace, kept from event to event.  `reading` announces which menu it uses: activation frees no menu
 * that somebody announces. */
struct scratch {
    struct scratch *next;
    atomic_bool busy;
    _Atomic(struct menu *) reading;
    struct event_batch batch;
    struct feature_batch features[RECIPES_MAX];   /* by place in the menu's recipes */
    float *posted_pt[2];                          /* of electrons and muons before the cuts */
    size_t cap_posted_pt[2], n_posted_pt[2];
    struct watch_shard *shard;                    /* of the watch with this serial; 0: none */
    uint64_t shard_of;
    struct chunk *chunk;                          /* of batch.c; NULL until a batch came */
};
enum status scratch_create(struct scratch **out, struct error *e) MUST_USE;
void scratch_destroy(struct scratch *s);
void chunk_destroy(struct chunk *c);              /* NULL allowed */

struct path_outcome {
    bool has_score;                               /* false: its recipe rejects the event */
    float score;
    bool raw, prescale_pass, rate_limited, accept;
    int64_t prescale;                             /* in force: the path's own, or what its budget made of it */
};

struct decision {
    char id[40];
    const struct posted_event *event;
    const struct menu *menu;
    const struct scratch *scratch;
    enum reject reject[RECIPES_MAX];              /* by recipe */
    bool pass;                                    /* some recipe keeps the event */
    size_t i_primary;                             /* model that scores, model and preselection are of */
    const float *hlf[RECIPES_MAX];                /* raw features by recipe, where it keeps the event */
    float *scores;                                /* [menu->n_scores], valid where the recipe keeps the event */
    struct path_outcome *paths;                   /* [menu->n_paths] */
    bool accept, any_raw, any_limited;
    enum trigger_reason reason;
    struct lepton lepton;                         /* of the primary model's recipe, where it passes collections */
    uint32_t lepton_index;                        /* in its collection as posted */
    const char *warning;                          /* or NULL */
    size_t batch_size;                            /* events scored in one call with it */
    int64_t parse_ns, features_ns, compute_ns, total_ns;
};

/* Features: the menu's cuts and every recipe of it.  A recipe that the event does not have is a problem. */
enum status decide_features(struct decision *d, struct scratch *s, struct json_problems *problems,
                            struct error *e) MUST_USE;
/* Scores and paths; memory from `a`. */
enum status decide_paths(struct decision *d, struct arena *a, struct json_problems *problems, struct error *e) MUST_USE;
/* The same in two halves, for events that are scored together: room for what is found, then, when d->scores are there,
 * the paths.  An event that no recipe keeps needs neither scores nor room. */
enum status decide_room(struct decision *d, struct arena *a, struct error *e) MUST_USE;
enum status decide_check_scores(const struct decision *d, size_t i_model, struct json_problems *problems,
                                struct error *e) MUST_USE;
void decide_verdict(struct decision *d, int64_t now_ns);
/* Appends the decision's JSON. */
enum status decision_write(const struct decision *d, struct buf *out, struct error *e) MUST_USE;

#endif
