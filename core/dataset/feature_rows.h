/* core/dataset/feature_rows.h: the column tables of struct feature_rows. */
#ifndef DLT_CORE_DATASET_FEATURE_ROWS_H
#define DLT_CORE_DATASET_FEATURE_ROWS_H

#include "core/dataset/private.h"

enum { FEATURE_EVENT_COLUMNS = 5, FEATURE_PARTICLE_COLUMNS = 11 };

struct feature_column {
    const char *name;                  /* Parquet column */
    enum pq_type type;                 /* as stored */
    size_t offset;                     /* of the pointer in struct feature_rows */
    size_t size;                       /* bytes an element in memory; 1: stored as a 32-bit INT_8 */
};
extern const struct feature_column feature_event_columns[FEATURE_EVENT_COLUMNS];
extern const struct feature_column feature_particle_columns[FEATURE_PARTICLE_COLUMNS];
/* Rows to come are prepared ones or measured ones.  FORMAT when there are some of the other sort. */
enum status feature_rows_be_prepared(struct feature_rows *f, bool prepared, struct error *e) MUST_USE;
void **feature_column_data(const struct feature_rows *f, const struct feature_column *c);

#endif
