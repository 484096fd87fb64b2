/* core/model/keras_zip.h
 *
 * Members of a .keras file, which is a ZIP archive.  Of ZIP only what Python's zipfile writes by itself: stored or
 * deflated members, no encryption, no ZIP64, one disk.  So little that it is our own code: libzip would bring four more
 * libraries into every process to find two names. */
#ifndef DLT_CORE_MODEL_KERAS_ZIP_H
#define DLT_CORE_MODEL_KERAS_ZIP_H

#include "core/base.h"

enum { ZIP_MEMBERS_MAX = 256 };

/* The member's bytes, in `file` or in `a`.  Takes bytes from anywhere.  Fails: NOTFOUND, FORMAT, UNSUPPORTED
 * (compression, encryption), RANGE (more than `most` bytes), NOMEM. */
enum status zip_member(struct arena *a, struct span file, const char *name, size_t most, struct span *out,
                       struct error *e) MUST_USE;

#endif
