/* core/model/keras_hdf5.h
 *
 * HDF5 as Keras uses it: texts in attributes, arrays of floats, reached by hard links only.  Debian's libhdf5 reads it;
 * it can be crashed by crafted files and can be made to read other files, so this is called in the child of
 * core/sandbox and nowhere else.  Nothing is closed or freed: the child ends with its answer. */
#ifndef DLT_CORE_MODEL_KERAS_HDF5_H
#define DLT_CORE_MODEL_KERAS_HDF5_H

#include "core/base.h"

enum { HDF5_RANK_MAX = 4, HDF5_TEXT_MAX = 16 << 20, HDF5_NUMBERS_MAX = 1 << 24, HDF5_NAMES_MAX = 64 };

/* Loads the library; what is missing is told by hdf5_open. */
void hdf5_load(void);

typedef int64_t hdf5_id; /* the library's hid_t */

/* An image of a file in memory; the root group.  UNSUPPORTED without the library, FORMAT. */
enum status hdf5_open(struct span image, hdf5_id *root, struct error *e) MUST_USE;
/* Member of a group, by a path of names.  *found false when it is not there; FORMAT when a link on the way leads out of
 * the file or is not a hard one. */
enum status hdf5_find(hdf5_id group, const char *path, hdf5_id *object, bool *found, struct error *e) MUST_USE;
/* Attribute of an object: one text, or a list of them.  *found false when there is none. */
enum status hdf5_text(struct arena *a, hdf5_id object, const char *attribute, const char **out, bool *found,
                      struct error *e) MUST_USE;
enum status hdf5_names(struct arena *a, hdf5_id object, const char *attribute, const char **names, size_t *n,
                       struct error *e) MUST_USE;

struct hdf5_array {
    size_t rank, n;
    uint64_t dims[HDF5_RANK_MAX];
    float *v;
};
/* A dataset of real numbers inside the file, converted.  Fails: FORMAT (external storage, virtual, filters that are not
 * deflate, shuffle or fletcher32, absurd shapes; what cannot be read). */
enum status hdf5_array(struct arena *a, hdf5_id dataset, struct hdf5_array *out, struct error *e) MUST_USE;

#endif
