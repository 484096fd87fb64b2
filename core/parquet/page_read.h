/* core/parquet/page_read.h
 *
 * One column chunk, page by page: header, checksum, decompression, levels, values.  The chunk is never in memory as a
 * whole; a window over the file and two page buffers are, and the reader keeps them from chunk to chunk. */
#ifndef DLT_CORE_PARQUET_PAGE_READ_H
#define DLT_CORE_PARQUET_PAGE_READ_H

#include "core/parquet/column.h"
#include "core/parquet/meta.h"

/* Buffers shared by all columns of a reader. */
struct page_buffers {
    struct buf window, body, rep, def;
};
void page_buffers_init(struct page_buffers *b);
void page_buffers_fini(struct page_buffers *b);

struct chunk_reader {
    struct source *source;
    struct page_buffers *buffers;
    const struct schema_column *column;
    const struct parquet_codec *codec;
    uint64_t offset, end;              /* next byte of the file that is not in the window; end of the chunk */
    size_t window_at;                  /* first unread byte of the window */
    size_t budget;                     /* bytes that may still be decompressed */
    struct column_values *dictionary;  /* the caller's; filled by a dictionary page */
    bool has_dictionary;
};

/* Appends the `n_values` entries of the chunk [offset, end) to `out`, which the caller has begun.
 * Fails: FORMAT, UNSUPPORTED, NOMEM, IO; the error names the page by its place in the file. */
enum status chunk_read(struct chunk_reader *r, int64_t n_values, struct column_values *out, struct error *e) MUST_USE;

#endif
