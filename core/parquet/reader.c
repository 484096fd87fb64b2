/* core/parquet/reader.c
 *
 * Opening a file and reading its columns.  The footer is read once and held against the schema and the file's size;
 * what is wrong with a single column is said when that column is asked for. */
#include "core/parquet/page_read.h"
#include "core/parquet/statistics.h"

#include <inttypes.h>

/* One column of the reader: its values are the caller's until the next read of the same column. */
struct column_slot {
    bool used;
    struct column_values values, dictionary;
};

struct pq_reader {
    struct source *source; /* borrowed */
    struct arena arena;
    struct meta_file file;
    uint64_t footer_at;
    struct schema_column *columns;
    size_t n_columns, n_leaves;
    struct column_slot *slots;
    struct page_buffers buffers;
    size_t column_bytes;
};

/* ---- opening --------------------------------------------------------------------------------------------- */

/* The footer's bytes, in the arena. */
static enum status read_footer(struct pq_reader *r, struct span *footer, struct error *e)
{
    uint64_t size = source_size(r->source);
    uint8_t head[PARQUET_MAGIC_LEN], tail[PARQUET_TAIL_LEN];
    if (size < PARQUET_MAGIC_LEN + PARQUET_TAIL_LEN)
        return error_set(e, STATUS_FORMAT, "%" PRIu64 " bytes are too few for a Parquet file", size);
    TRY(source_read(r->source, 0, head, sizeof head, e));
    TRY(source_read(r->source, size - sizeof tail, tail, sizeof tail, e));
    if (memcmp(tail + 4, PARQUET_MAGIC_ENCRYPTED, PARQUET_MAGIC_LEN) == 0)
        return error_set(e, STATUS_UNSUPPORTED, "its footer is encrypted");
    if (memcmp(head, PARQUET_MAGIC, sizeof head) != 0 || memcmp(tail + 4, PARQUET_MAGIC, PARQUET_MAGIC_LEN) != 0)
        return error_set(e, STATUS_FORMAT, "not a Parquet file, or one that was not finished (no PAR1 at both ends)");
    uint32_t n = load_le32(tail);
    if (n > PARQUET_FOOTER_BYTES_MAX)
        return error_set(e, STATUS_RANGE, "a footer of %u bytes; at most %d are read", (unsigned)n,
                         PARQUET_FOOTER_BYTES_MAX);
    if (n > size - PARQUET_MAGIC_LEN - sizeof tail)
        return error_set(e, STATUS_FORMAT, "a footer of %u bytes in a file of %" PRIu64, (unsigned)n, size);
    /* Structs in memory are larger than their bytes, by a bounded factor. */
    size_t memory = ((size_t)1 << 20) + 64 * (size_t)n;
    arena_init(&r->arena, memory < PARQUET_FOOTER_MEMORY_MAX ? memory : PARQUET_FOOTER_MEMORY_MAX);
    uint8_t *p = arena_alloc(&r->arena, n, 1);
    if (!p)
        return error_set(e, STATUS_NOMEM, "a footer of %u bytes", (unsigned)n);
    r->footer_at = size - sizeof tail - n;
    *footer = (struct span){p, n};
    return source_read(r->source, r->footer_at, p, n, e);
}

static enum status check_row_groups(const struct pq_reader *r, struct error *e)
{
    int64_t n_rows = 0;
    for (size_t i = 0; i < r->file.n_row_groups; i++) {
        const struct meta_row_group *g = &r->file.row_groups[i];
        if (g->n_chunks != r->n_leaves)
            return error_set(e, STATUS_FORMAT, "row group %zu has %zu columns, the schema %zu", i, g->n_chunks,
                             r->n_leaves);
        if (__builtin_add_overflow(n_rows, g->n_rows, &n_rows))
            return error_set(e, STATUS_FORMAT, "row group %zu: more rows than can be counted", i);
    }
    if (n_rows != r->file.n_rows)
        return error_set(e, STATUS_FORMAT, "row groups of %" PRId64 " rows together, the footer says %" PRId64, n_rows,
                         r->file.n_rows);
    return STATUS_OK;
}

static enum status open_reader(struct pq_reader *r, struct error *e)
{
    struct span footer = {0};
    TRY(read_footer(r, &footer, e));
    TRY(meta_read_file(&r->arena, footer.data, footer.len, &r->file, e));
    TRY(schema_columns(&r->arena, r->file.elements, r->file.n_elements, &r->columns, &r->n_columns, &r->n_leaves, e));
    TRY(check_row_groups(r, e));
    r->slots = ARENA_NEW(&r->arena, struct column_slot, r->n_columns);
    return r->slots ? STATUS_OK : error_set(e, STATUS_NOMEM, "reader of %zu columns", r->n_columns);
}

enum status pq_open(struct source *src, struct pq_reader **out, struct error *e)
{
    *out = NULL;
    struct pq_reader *r = mem_calloc(1, sizeof *r);
    if (!r)
        return error_set(e, STATUS_NOMEM, "%s: reader", source_name(src));
    r->source = src;
    r->column_bytes = PARQUET_COLUMN_BYTES_MAX;
    page_buffers_init(&r->buffers);
    if (open_reader(r, e) != STATUS_OK) {
        pq_close(r);
        return error_wrap(e, "%s", source_name(src));
    }
    *out = r;
    return STATUS_OK;
}

void pq_close(struct pq_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->slots && i < r->n_columns; i++) {
        column_fini(&r->slots[i].values);
        column_fini(&r->slots[i].dictionary);
    }
    page_buffers_fini(&r->buffers);
    arena_fini(&r->arena);
    mem_free(r);
}

/* ---- what the footer says -------------------------------------------------------------------------------- */

size_t pq_n_columns(const struct pq_reader *r)
{
    return r->n_columns;
}
size_t pq_n_row_groups(const struct pq_reader *r)
{
    return r->file.n_row_groups;
}
int64_t pq_n_rows(const struct pq_reader *r)
{
    return r->file.n_rows;
}
const char *pq_created_by(const struct pq_reader *r)
{
    return r->file.created_by;
}

const struct pq_column *pq_column_at(const struct pq_reader *r, size_t i)
{
    check(i < r->n_columns);
    return &r->columns[i].column;
}

int pq_column_find(const struct pq_reader *r, const char *name)
{
    for (size_t i = 0; i < r->n_columns; i++)
        if (strcmp(r->columns[i].column.name, name) == 0)
            return (int)i;
    return -1;
}

int64_t pq_row_group_rows(const struct pq_reader *r, size_t group)
{
    check(group < r->file.n_row_groups);
    return r->file.row_groups[group].n_rows;
}

const char *pq_meta(const struct pq_reader *r, const char *key)
{
    for (size_t i = 0; i < r->file.n_meta; i++)
        if (strcmp(r->file.meta[i].key, key) == 0)
            return r->file.meta[i].value;
    return NULL;
}

static const struct meta_chunk *chunk_of(const struct pq_reader *r, size_t group, size_t column)
{
    check(group < r->file.n_row_groups && column < r->n_columns);
    return &r->file.row_groups[group].chunks[r->columns[column].first_leaf];
}

struct pq_statistics pq_stats(const struct pq_reader *r, size_t group, size_t column)
{
    check(group < r->file.n_row_groups && column < r->n_columns);
    const struct schema_column *c = &r->columns[column];
    if (c->column.unsupported)
        return (struct pq_statistics){.nulls = -1};
    bool ordered = r->file.n_orders == r->n_leaves && r->file.orders[c->first_leaf] != PARQUET_ORDER_NONE;
    return statistics_read(&chunk_of(r, group, column)->statistics, &c->column, ordered);
}

bool pq_group_may_contain(const struct pq_reader *r, size_t group, size_t column, double lo, double hi)
{
    struct pq_statistics s = pq_stats(r, group, column);
    return !s.present || !(s.max < lo || s.min > hi);
}

/* ---- reading a column ------------------------------------------------------------------------------------ */

void pq_limit(struct pq_reader *r, size_t bytes)
{
    r->column_bytes = bytes < PARQUET_COLUMN_BYTES_MAX ? bytes : PARQUET_COLUMN_BYTES_MAX;
}

/* What the footer says of the chunk must be possible before its first byte is read. */
static enum status check_chunk(const struct pq_reader *r, const struct schema_column *c, const struct meta_row_group *g,
                               const struct meta_chunk *chunk, struct error *e)
{
    if (chunk->encrypted)
        return error_set(e, STATUS_UNSUPPORTED, "encrypted columns are not read");
    if (chunk->elsewhere)
        return error_set(e, STATUS_UNSUPPORTED, "its data is in another file");
    if (!chunk->present || chunk->type != (int)c->type)
        return error_set(e, STATUS_FORMAT, "the row group says physical type %d, the schema %d", chunk->type,
                         (int)c->type);
    const struct parquet_codec *codec = parquet_codec_find(chunk->codec);
    if (!codec || !codec->readable)
        return error_set(e, STATUS_UNSUPPORTED, "compression %s (%d)", codec ? codec->name : "unknown", chunk->codec);
    if (chunk->n_values < 0 || chunk->compressed_bytes < 0 || (!c->column.list && chunk->n_values != g->n_rows) ||
        chunk->n_values < g->n_rows)
        return error_set(e, STATUS_FORMAT, "%" PRId64 " values in %" PRId64 " bytes for %" PRId64 " rows",
                         chunk->n_values, chunk->compressed_bytes, g->n_rows);
    size_t item = c->column.list ? 1 : pq_type_size(c->column.type);
    if ((uint64_t)chunk->n_values > r->column_bytes / item)
        return error_set(e, STATUS_RANGE, "%" PRId64 " values; at most %zu bytes are read at once", chunk->n_values,
                         r->column_bytes);
    return STATUS_OK;
}

/* The bytes of a chunk: from its dictionary, when it has one, over the stated size. */
static enum status chunk_extent(const struct pq_reader *r, const struct meta_chunk *chunk, struct chunk_reader *out,
                                struct error *e)
{
    int64_t first = chunk->data_page_offset;
    if (chunk->dictionary_page_offset > 0 && chunk->dictionary_page_offset < first)
        first = chunk->dictionary_page_offset;
    if (first < PARQUET_MAGIC_LEN || (uint64_t)first > r->footer_at ||
        (uint64_t)chunk->compressed_bytes > r->footer_at - (uint64_t)first)
        return error_set(e, STATUS_FORMAT,
                         "%" PRId64 " bytes at %" PRId64 " lie outside the file's data (4 to %" PRIu64 ")",
                         chunk->compressed_bytes, first, r->footer_at);
    out->offset = (uint64_t)first;
    out->end = out->offset + (uint64_t)chunk->compressed_bytes;
    return STATUS_OK;
}

static struct column_slot *slot_of(struct pq_reader *r, size_t column)
{
    struct column_slot *s = &r->slots[column];
    if (!s->used) {
        column_init(&s->values, r->columns[column].column.type, 0);
        column_init(&s->dictionary, r->columns[column].column.type, 0);
        s->used = true;
    }
    column_limit(&s->values, r->column_bytes);
    column_limit(&s->dictionary, r->column_bytes);
    return s;
}

/* Room at the start for what the stored bytes can plausibly hold, so that large columns are not copied while growing.
 */
static enum status reserve(struct column_slot *s, const struct meta_chunk *chunk, struct error *e)
{
    size_t size = pq_type_size(s->values.type), n = (size_t)chunk->n_values,
           likely = (size_t)chunk->compressed_bytes / size * 2;
    return column_slot_reserve(&s->values, n < likely ? n : likely, e);
}

static enum status read_column(struct pq_reader *r, size_t group, size_t column, struct pq_values *out, struct error *e)
{
    const struct schema_column *c = &r->columns[column];
    if (c->column.unsupported)
        return error_set(e, STATUS_UNSUPPORTED, "%s are not read", c->column.unsupported);
    const struct meta_row_group *g = &r->file.row_groups[group];
    const struct meta_chunk *chunk = chunk_of(r, group, column);
    TRY(check_chunk(r, c, g, chunk, e));
    struct column_slot *s = slot_of(r, column);
    struct chunk_reader reader = {.source = r->source,
                                  .buffers = &r->buffers,
                                  .column = c,
                                  .codec = parquet_codec_find(chunk->codec),
                                  .budget = 2 * r->column_bytes,
                                  .dictionary = &s->dictionary};
    TRY(chunk_extent(r, chunk, &reader, e));
    TRY(column_begin(&s->values, e));
    TRY(reserve(s, chunk, e));
    TRY(chunk_read(&reader, chunk->n_values, &s->values, e));
    if (s->values.n_rows != (size_t)g->n_rows)
        return error_set(e, STATUS_FORMAT, "%zu rows, the row group has %" PRId64, s->values.n_rows, g->n_rows);
    return column_finish(&s->values, c->column.depth, out, e);
}

enum status pq_read(struct pq_reader *r, size_t group, size_t column, struct pq_values *out, struct error *e)
{
    check(group < r->file.n_row_groups && column < r->n_columns);
    *out = (struct pq_values){0};
    if (read_column(r, group, column, out, e) == STATUS_OK)
        return STATUS_OK;
    *out = (struct pq_values){0};
    return error_wrap(e, "%s: row group %zu: column %s", source_name(r->source), group, r->columns[column].column.name);
}
