/* server/handlers/oip.h
 *
 * What the two files of the Open Inference Protocol share. */
#ifndef DLT_SERVER_HANDLERS_OIP_H
#define DLT_SERVER_HANDLERS_OIP_H

#include "server/handlers/handlers.h"

/* A model by the route's parameters: {m} and perhaps {v}, a number or an alias; without it the newest. */
struct oip_model {
    struct model *model;               /* a reference */
    const char *ref, *name, *version;  /* "topology-hlf@7", its parts */
};
/* False: already answered.  On true the caller's: model_release(out->model). */
bool oip_find(struct app *app, struct request *q, struct response *r, struct oip_model *out) MUST_USE;

#endif
