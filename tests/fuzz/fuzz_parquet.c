/* tests/fuzz/fuzz_parquet.c
 *
 * Any bytes as a Parquet file: opening it and reading every column ends in an error or in columns that hold together.
 */
#include "core/parquet/parquet.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMN_BYTES = 4 << 20 }; /* small, so that a claim beyond it is refused quickly */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lists(const struct pq_values *v)
{
    check(v->list_offsets[0] == 0 && v->list_offsets[v->n_rows] == v->n_lists);
    check(v->inner_offsets[0] == 0 && v->inner_offsets[v->n_lists] == v->n_values);
    for (size_t i = 0; i < v->n_rows; i++)
        check(v->list_offsets[i] <= v->list_offsets[i + 1]);
    for (size_t k = 0; k < v->n_lists; k++)
        check(v->inner_offsets[k] <= v->inner_offsets[k + 1]);
    for (size_t i = 0; i <= v->n_rows; i++)
        check(v->offsets[i] == v->inner_offsets[v->list_offsets[i]]);
}

/* Touches all that the reader handed out: a pointer or offset that is wrong is seen here. */
static void check_column(const struct pq_column *c, const struct pq_values *v, int64_t n_rows)
{
    uint64_t sum = 0;
    check(v->n_rows == (size_t)n_rows && v->data);
    check((c->list != 0) == (v->offsets != NULL) && (c->type == PQ_STRING) == (v->string_offsets != NULL));
    if (!c->list)
        check(v->n_values == v->n_rows);
    for (size_t i = 0; c->list && i < v->n_rows; i++)
        check(v->offsets[i] <= v->offsets[i + 1]);
    if (c->list)
        check(v->offsets[0] == 0 && v->offsets[v->n_rows] == v->n_values);
    check(c->list == (c->depth > 0) && (c->depth == 2) == (v->list_offsets != NULL));
    if (c->depth == 2)
        check_lists(v);
    for (size_t i = 0; v->string_offsets && i < v->n_values; i++)
        check(v->string_offsets[i] <= v->string_offsets[i + 1]);
    size_t bytes = v->string_offsets ? (size_t)v->string_offsets[v->n_values] : v->n_values * pq_type_size(c->type);
    for (size_t i = 0; i < bytes; i++)
        sum += ((const uint8_t *)v->data)[i];
    for (size_t i = 0; v->null && i < v->n_rows; i++)
        sum += v->null[i];
    for (size_t i = 0; v->value_null && i < v->n_values; i++)
        sum += v->value_null[i];
    volatile uint64_t sink = sum;
    (void)sink;
}

static void read_everything(struct pq_reader *r)
{
    struct error e;
    size_t n_groups = pq_n_row_groups(r), n_columns = pq_n_columns(r);
    check(pq_created_by(r) && pq_column_find(r, "\x01") == -1);
    (void)pq_meta(r, "key");
    for (size_t g = 0; g < n_groups && g < 8; g++)
        for (size_t i = 0; i < n_columns && i < 32; i++) {
            struct pq_values v;
            struct pq_statistics s = pq_stats(r, g, i);
            check(!s.present || (s.min <= s.max && pq_group_may_contain(r, g, i, s.min, s.min)));
            if (pq_read(r, g, i, &v, &e) == STATUS_OK)
                check_column(pq_column_at(r, i), &v, pq_row_group_rows(r, g));
            else
                check(e.status != STATUS_BUG && v.data == NULL);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e;
    struct source *source;
    struct pq_reader *r;
    check(source_open_memory(data, size, "input", &source, &e) == STATUS_OK);
    if (pq_open(source, &r, &e) == STATUS_OK) {
        pq_limit(r, COLUMN_BYTES);
        read_everything(r);
    }
    pq_close(r);
    source_close(source);
    return 0;
}

#define FUZZ_NAME "parquet"
#include "tests/fuzz/replay.h"
