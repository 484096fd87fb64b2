/* server/json/document.h
 *
 * JSON for core, which has none (core/interchange.h). */
#ifndef DLT_SERVER_JSON_DOCUMENT_H
#define DLT_SERVER_JSON_DOCUMENT_H

#include "core/interchange.h"

document_parser document_parse;
/* For sandbox_init: what our programs do in children. */
extern const struct sandbox_task *const sandboxed_tasks[];

#endif
