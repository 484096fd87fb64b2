/* core/parquet/writer.c
 *
 * A file from front to back: magic, the pages of each row group column by column, footer.  Of the rows nothing is kept
 * but their footer entries, so memory does not grow with the file but by some hundred bytes a column and row group. */
#include "core/parquet/page_write.h"
#include "core/parquet/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_BYTES = 256 << 10, PAGE_BYTES_MOST = 64 << 20, WRITEBACK_BYTES = 2 << 20 };

struct pq_writer {
    struct arena arena; /* names, metadata, per-column state */
    struct pq_column *columns;
    size_t n_columns;
    struct pq_key_value *meta;
    size_t n_meta;
    char *path;
    const char *name; /* last component of path, for messages */
    int fd;
    bool regular; /* a regular file: on failure it is removed */
    bool failed;
    uint64_t offset; /* of the next byte, pending ones included */
    uint64_t written, writeback; /* given to the system; of these, on their way to the disk */
    struct buf pending;
    struct page_writer *pages; /* one a thread */
    size_t n_threads;
    struct buf *encoded; /* with several threads, one a column: it in the present row group */
    bool describe;
    struct sha256 hash; /* of the bytes before `offset` */
    struct statistics *statistics; /* one a column */
    struct meta_chunk *chunks;
    struct buf row_groups; /* RowGroup structs, encoded */
    size_t n_row_groups;
    int64_t n_rows;
};

/* ---- file ------------------------------------------------------------------------------------------------ */

static enum status write_all(struct pq_writer *w, const uint8_t *p, size_t n, struct error *e)
{
    while (n > 0) {
        ssize_t k = write(w->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_errno(e, "write");
        p += k;
        n -= (size_t)k;
        w->written += (uint64_t)k;
    }
    return STATUS_OK;
}

/* Begins to write to the disk what the final sync would otherwise wait for.  Only that sync tells of errors. */
static void start_writeback(struct pq_writer *w)
{
    if (w->regular && w->written - w->writeback >= WRITEBACK_BYTES) {
        (void)sync_file_range(w->fd, (off_t)w->writeback, (off_t)(w->written - w->writeback), SYNC_FILE_RANGE_WRITE);
        w->writeback = w->written;
    }
}

static enum status flush_pending(struct pq_writer *w, struct error *e)
{
    size_t n = w->pending.len;
    w->pending.len = 0;
    return write_all(w, w->pending.data, n, e);
}

/* Small pieces gather, large ones go out as they are. */
static enum status put_unhashed(struct pq_writer *w, const void *p, size_t n, struct error *e)
{
    if (n > PENDING_BYTES - w->pending.len)
        TRY(flush_pending(w, e));
    w->offset += n;
    return n > PENDING_BYTES ? write_all(w, p, n, e) : buf_append(&w->pending, p, n, e);
}

static enum status put(struct pq_writer *w, const void *p, size_t n, struct error *e)
{
    if (w->describe)
        sha256_update(&w->hash, p, n);
    return put_unhashed(w, p, n, e);
}

static enum status open_file(struct pq_writer *w, struct error *e)
{
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0)
        return error_errno(e, "create");
    struct stat st;
    if (fstat(w->fd, &st) != 0)
        return error_errno(e, "fstat");
    w->regular = S_ISREG(st.st_mode);
    return put(w, PARQUET_MAGIC, PARQUET_MAGIC_LEN, e);
}

/* ---- lifetime -------------------------------------------------------------------------------------------- */

static void destroy(struct pq_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    for (size_t i = 0; i < w->n_threads; i++)
        page_writer_fini(&w->pages[i]);
    mem_free(w->pages);
    for (size_t i = 0; w->encoded && i < w->n_columns; i++)
        buf_fini(&w->encoded[i]);
    mem_free(w->encoded);
    buf_fini(&w->pending);
    buf_fini(&w->row_groups);
    arena_fini(&w->arena);
    mem_free(w);
}

void pq_writer_abort(struct pq_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0 && w->regular)
        (void)unlink(w->path);
    destroy(w);
}

static enum status copy_columns(struct pq_writer *w, const struct pq_column *columns, size_t n, struct error *e)
{
    w->n_columns = n;
    w->columns = ARENA_NEW(&w->arena, struct pq_column, n);
    w->statistics = ARENA_NEW(&w->arena, struct statistics, n);
    w->chunks = ARENA_NEW(&w->arena, struct meta_chunk, n);
    if (!w->columns || !w->statistics || !w->chunks)
        return error_set(e, STATUS_NOMEM, "writer of %zu columns", n);
    for (size_t i = 0; i < n; i++) {
        w->columns[i] = columns[i];
        w->columns[i].name = arena_strdup(&w->arena, columns[i].name);
        if (!w->columns[i].name)
            return error_set(e, STATUS_NOMEM, "writer of %zu columns", n);
    }
    return STATUS_OK;
}

static enum status copy_meta(struct pq_writer *w, const struct pq_key_value *meta, size_t n, struct error *e)
{
    w->n_meta = n;
    w->meta = ARENA_NEW(&w->arena, struct pq_key_value, n);
    if (!w->meta)
        return error_set(e, STATUS_NOMEM, "%zu metadata entries", n);
    for (size_t i = 0; i < n; i++) {
        if (!meta[i].key)
            return error_set(e, STATUS_ARGUMENT, "metadata entry %zu has no key", i);
        w->meta[i].key = arena_strdup(&w->arena, meta[i].key);
        w->meta[i].value = meta[i].value ? arena_strdup(&w->arena, meta[i].value) : NULL;
        if (!w->meta[i].key || (meta[i].value && !w->meta[i].value))
            return error_set(e, STATUS_NOMEM, "%zu metadata entries", n);
    }
    return STATUS_OK;
}

static enum status set_up(struct pq_writer *w, const char *path, const struct pq_column *columns, size_t n_columns,
                          const struct pq_write_options *options, struct error *e)
{
    const struct parquet_codec *codec = parquet_codec_of(options->codec);
    if (!codec || (codec->codec != CODEC_NONE && codec_bound(codec->codec, 1) == 0))
        return error_set(e, STATUS_ARGUMENT, "codec %s: a Parquet file is written with none, snappy, zstd or gzip",
                         codec_name(options->codec));
    if (options->page_bytes > PAGE_BYTES_MOST || options->page_version < 0 || options->page_version > 2)
        return error_set(e, STATUS_ARGUMENT, "pages of %zu bytes, version %d: at most %d, versions 1 and 2",
                         options->page_bytes, options->page_version, PAGE_BYTES_MOST);
    w->pages = mem_calloc(1, sizeof *w->pages);
    if (!w->pages)
        return error_set(e, STATUS_NOMEM, "writer");
    w->n_threads = 1;
    page_writer_init(&w->pages[0], codec, options);
    w->describe = options->describe;
    sha256_init(&w->hash);
    TRY(schema_check(columns, n_columns, e));
    TRY(copy_columns(w, columns, n_columns, e));
    TRY(copy_meta(w, options->meta, options->n_meta, e));
    w->path = arena_strdup(&w->arena, path);
    if (!w->path)
        return error_set(e, STATUS_NOMEM, "writer");
    return open_file(w, e);
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum status pq_writer_create(const char *path, const struct pq_column *columns, size_t n_columns,
                             const struct pq_write_options *options, struct pq_writer **out, struct error *e)
{
    *out = NULL;
    struct pq_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set(e, STATUS_NOMEM, "%s: writer", last_component(path));
    w->fd = -1;
    arena_init(&w->arena, PARQUET_FOOTER_MEMORY_MAX);
    buf_init(&w->pending, PENDING_BYTES);
    buf_init(&w->row_groups, PARQUET_FOOTER_BYTES_MAX);
    if (set_up(w, path, columns, n_columns, options, e) != STATUS_OK) {
        pq_writer_abort(w);
        return error_wrap(e, "%s", last_component(path));
    }
    w->name = last_component(w->path);
    *out = w;
    return STATUS_OK;
}

/* ---- row groups ------------------------------------------------------------------------------------------ */

static bool ascending(const uint64_t *v, size_t n, uint64_t most)
{
    bool ok = v[n - 1] <= most;
    for (size_t i = 1; i < n; i++)
        ok &= v[i - 1] <= v[i];
    return ok;
}

static enum status check_values(const struct pq_column *c, const struct pq_values *v, size_t n_rows, struct error *e)
{
    if (v->n_rows != n_rows || n_rows == 0)
        return error_set(e, STATUS_ARGUMENT, "%zu rows in a row group of %zu", v->n_rows, n_rows);
    if (schema_depth_of(c) == 2 && (!v->list_offsets || !ascending(v->list_offsets, n_rows + 1, v->n_lists) ||
                                    !v->inner_offsets || !ascending(v->inner_offsets, v->n_lists + 1, v->n_values)))
        return error_set(e, STATUS_ARGUMENT, "its offsets do not ascend within its %zu lists of %zu values", v->n_lists,
                         v->n_values);
    bool rows = schema_depth_of(c) == 1;
    if (rows ? !v->offsets || !ascending(v->offsets, n_rows + 1, v->n_values) : !c->list && v->n_values != n_rows)
        return error_set(e, STATUS_ARGUMENT, "its offsets do not ascend within its %zu values", v->n_values);
    if (v->n_values > 0 && !v->data)
        return error_set(e, STATUS_ARGUMENT, "no values");
    if (c->type == PQ_STRING && (!v->string_offsets || !ascending(v->string_offsets, v->n_values + 1, SIZE_MAX)))
        return error_set(e, STATUS_ARGUMENT, "its string offsets do not ascend");
    size_t bytes = v->n_values * pq_type_size(c->type);
    if (v->n_values > PARQUET_COLUMN_BYTES_MAX || bytes > PARQUET_COLUMN_BYTES_MAX ||
        (c->type == PQ_STRING && v->string_offsets[v->n_values] > PARQUET_COLUMN_BYTES_MAX))
        return error_set(e, STATUS_RANGE,
                         "%zu values are more than a reader takes at once (%zu bytes); write smaller row groups",
                         v->n_values, PARQUET_COLUMN_BYTES_MAX);
    if (v->null && memchr(v->null, 1, n_rows))
        return error_set(e, STATUS_UNSUPPORTED, "nulls are read, not written");
    return STATUS_OK;
}

/* Where the pages of a column go: into the file, or into the buffer of a column that other threads' go before. */
struct page_sink {
    struct pq_writer *file;
    struct buf *buffer; /* NULL: the file */
};

static enum status put_page(const struct page_sink *sink, const struct page_bytes *page, struct meta_chunk *chunk,
                            struct error *e)
{
    for (size_t i = 0; i < ARRAY_LEN(page->parts); i++) {
        const struct span *part = &page->parts[i];
        TRY(sink->buffer ? buf_append(sink->buffer, part->data, part->len, e)
                         : put(sink->file, part->data, part->len, e));
    }
    chunk->compressed_bytes += (int64_t)page->stored;
    chunk->uncompressed_bytes += (int64_t)page->uncompressed;
    return STATUS_OK;
}

static enum status encode_pages(struct pq_writer *w, size_t i, struct page_writer *pages, const struct pq_values *v,
                                const struct page_sink *sink, struct error *e)
{
    const struct pq_column *c = &w->columns[i];
    struct meta_chunk *chunk = &w->chunks[i];
    struct page_bytes page;
    statistics_begin(&w->statistics[i], c);
    int64_t n_bounded = 0;
    for (size_t first = 0, last; first < v->n_rows; first = last) {
        size_t value, end;
        TRY(page_last_row(pages, c, v, first, &last, e));
        page_value_range(c, v, first, last, &value, &end);
        statistics_add(&w->statistics[i], v, value, end);
        n_bounded += (int64_t)(end - value);
        TRY(page_encode(pages, c, v, first, last, &page, e));
        TRY(put_page(sink, &page, chunk, e));
        chunk->n_values += (int64_t)page.n_entries;
        chunk->n_data_pages++;
    }
    chunk->statistics = statistics_finish(&w->statistics[i], chunk->n_values - n_bounded);
    return STATUS_OK;
}

/* Column i of a row group; its offsets count from its own first byte. */
static enum status encode_chunk(struct pq_writer *w, size_t i, struct page_writer *pages, const struct pq_values *v,
                                const struct page_sink *sink, struct error *e)
{
    const struct pq_column *c = &w->columns[i];
    struct meta_chunk *chunk = &w->chunks[i];
    enum status s = page_writer_begin(pages, c, v, e);
    *chunk = (struct meta_chunk){.type = (int)schema_type_of(c->type),
                                 .codec = pages->codec->id,
                                 .data_page_type = pages->v2 ? PARQUET_DATA_PAGE_V2 : PARQUET_DATA_PAGE};
    if (s == STATUS_OK && pages->by_dictionary) {
        struct page_bytes page;
        s = page_encode_dictionary(pages, &page, e);
        if (s == STATUS_OK)
            s = put_page(sink, &page, chunk, e);
        chunk->data_page_offset = chunk->compressed_bytes;
    }
    if (s == STATUS_OK)
        s = encode_pages(w, i, pages, v, sink, e);
    return s == STATUS_OK ? s : error_wrap(e, "column %s", c->name);
}

static void place_chunk(struct meta_chunk *chunk, uint64_t at)
{
    chunk->dictionary_page_offset = chunk->data_page_offset > 0 ? (int64_t)at : 0;
    chunk->data_page_offset += (int64_t)at;
}

/* ---- the columns of a row group on several threads ------------------------------------------------------- */

struct group_run {
    struct pq_writer *w;
    const struct pq_values *columns;
};

static enum status encode_one(void *ctx, size_t i, size_t thread, struct error *e)
{
    const struct group_run *r = ctx;
    struct buf *buffer = &r->w->encoded[i];
    buffer->len = 0;
    return encode_chunk(r->w, i, &r->w->pages[thread], &r->columns[i], &(struct page_sink){r->w, buffer}, e);
}

/* Task 0 writes what is encoded, task 1 hashes it. */
static enum status emit_one(void *ctx, size_t task, size_t thread, struct error *e)
{
    (void)thread;
    struct pq_writer *w = ((const struct group_run *)ctx)->w;
    for (size_t i = 0; i < w->n_columns; i++) {
        if (task == 1) {
            sha256_update(&w->hash, w->encoded[i].data, w->encoded[i].len);
            continue;
        }
        place_chunk(&w->chunks[i], w->offset);
        TRY(put_unhashed(w, w->encoded[i].data, w->encoded[i].len, e));
    }
    return STATUS_OK;
}

static enum status write_chunks(struct pq_writer *w, const struct pq_values *columns, struct error *e)
{
    struct group_run r = {w, columns};
    if (w->n_threads > 1) {
        TRY(par_for(w->n_threads, w->n_columns, encode_one, &r, e));
        return par_for(2, w->describe ? 2 : 1, emit_one, &r, e);
    }
    for (size_t i = 0; i < w->n_columns; i++) {
        uint64_t at = w->offset;
        TRY(encode_chunk(w, i, &w->pages[0], &columns[i], &(struct page_sink){.file = w}, e));
        place_chunk(&w->chunks[i], at);
    }
    return STATUS_OK;
}

enum status pq_writer_threads(struct pq_writer *w, size_t threads, struct error *e)
{
    threads = threads < w->n_columns ? threads : w->n_columns;
    if (threads <= w->n_threads)
        return STATUS_OK;
    struct page_writer *pages = mem_realloc(w->pages, threads * sizeof *pages);
    if (!pages)
        return error_set(e, STATUS_NOMEM, "writer on %zu threads", threads);
    w->pages = pages;
    if (!w->encoded) {
        w->encoded = mem_calloc(w->n_columns, sizeof *w->encoded);
        if (!w->encoded)
            return error_set(e, STATUS_NOMEM, "writer on %zu threads", threads);
        for (size_t i = 0; i < w->n_columns; i++)
            buf_init(&w->encoded[i], 2 * PARQUET_COLUMN_BYTES_MAX);
    }
    for (; w->n_threads < threads; w->n_threads++)
        page_writer_init_like(&w->pages[w->n_threads], &w->pages[0]);
    return STATUS_OK;
}

static enum status write_row_group(struct pq_writer *w, const struct pq_values *columns, struct error *e)
{
    size_t n_rows = columns[0].n_rows;
    for (size_t i = 0; i < w->n_columns; i++)
        if (check_values(&w->columns[i], &columns[i], n_rows, e) != STATUS_OK)
            return error_wrap(e, "column %s", w->columns[i].name);
    w->failed = true; /* until all of it is written */
    TRY(write_chunks(w, columns, e));
    TRY(meta_put_row_group(&w->row_groups, w->columns, w->chunks, w->n_columns, (int64_t)n_rows, w->n_row_groups, e));
    w->n_row_groups++;
    w->n_rows += (int64_t)n_rows;
    w->failed = false;
    start_writeback(w);
    return STATUS_OK;
}

enum status pq_write_row_group(struct pq_writer *w, const struct pq_values *columns, struct error *e)
{
    if (w->failed)
        return error_set(e, STATUS_ARGUMENT, "%s: an earlier row group failed, the file cannot go on", w->name);
    if (write_row_group(w, columns, e) != STATUS_OK)
        return error_wrap(e, "%s: row group %zu", w->name, w->n_row_groups);
    return STATUS_OK;
}

/* ---- footer ---------------------------------------------------------------------------------------------- */

static enum status put_footer(struct pq_writer *w, struct buf *footer, struct error *e)
{
    struct meta_footer parts = {.columns = w->columns,
                                .n_columns = w->n_columns,
                                .row_groups = {w->row_groups.data, w->row_groups.len},
                                .n_row_groups = w->n_row_groups,
                                .n_rows = w->n_rows,
                                .meta = w->meta,
                                .n_meta = w->n_meta};
    uint8_t tail[PARQUET_TAIL_LEN];
    memcpy(tail + 4, PARQUET_MAGIC, PARQUET_MAGIC_LEN);
    TRY(meta_put_footer(footer, &parts, e));
    store_le32(tail, (uint32_t)footer->len);
    TRY(put(w, footer->data, footer->len, e));
    TRY(put(w, tail, sizeof tail, e));
    return flush_pending(w, e);
}

static enum status finish(struct pq_writer *w, struct error *e)
{
    if (w->failed)
        return error_set(e, STATUS_ARGUMENT, "an earlier row group failed, the file cannot be finished");
    struct buf footer;
    buf_init(&footer, PARQUET_FOOTER_BYTES_MAX);
    enum status s = put_footer(w, &footer, e);
    buf_fini(&footer);
    TRY(s);
    return fdatasync(w->fd) == 0 ? STATUS_OK : error_errno(e, "sync");
}

enum status pq_writer_finish(struct pq_writer *w, struct error *e)
{
    return pq_writer_finish_described(w, NULL, e);
}

enum status pq_writer_finish_described(struct pq_writer *w, struct pq_written *out, struct error *e)
{
    check(!out || w->describe);
    if (finish(w, e) != STATUS_OK) {
        (void)error_wrap(e, "%s", w->name);
        pq_writer_abort(w);
        return e->status;
    }
    if (out) {
        *out = (struct pq_written){.n_rows = w->n_rows, .bytes = (int64_t)w->offset};
        sha256_final_hex(&w->hash, out->sha256);
    }
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) {
        (void)error_errno(e, "%s: close", w->name);
        if (w->regular)
            (void)unlink(w->path);
        destroy(w);
        return e->status;
    }
    destroy(w);
    return STATUS_OK;
}
