/* server/models/models.h
 *
 * Models into and out of the registry as files: what the API and the command line share. */
#ifndef DLT_SERVER_MODELS_H
#define DLT_SERVER_MODELS_H

#include "core/interchange.h"
#include "server/store/store.h"

/* What the importer says, as text; NULL: not said. */
struct model_import_request {
    const char *name; /* that it is registered under */
    const char *recipe;
    const char *classes;     /* "qcd,tt,wjets" */
    const char *scaler_from; /* id of a features dataset */
};

struct model_imported {
    const char *id, *name, *sha256, *format;
    int64_t version;
};

/* Reads the file (core/interchange.h), puts models/ID/model.dltm into place and registers the next version of the name;
 * OK means durable.  Strings are in `a`.  Fails: as model_import, ARGUMENT (name, classes, a dataset that does not
 * fit), NOTFOUND (the dataset), NOSPACE, IO. */
enum status model_import_publish(struct store *s, struct arena *a, const struct model_import_request *request,
                                 struct span file, const char *file_name, struct model_imported *out,
                                 struct error *e) MUST_USE;

/* What the importer says as core wants it; scaler and histograms of a dataset are copied into `a`.  `folder` is the
 * data folder. */
enum status model_import_parameters(struct arena *a, const char *folder, const struct model_import_request *request,
                                    struct model_import *out, struct error *e) MUST_USE;

#endif
