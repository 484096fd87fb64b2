/* core/parquet/page_write.h
 *
 * Rows to data pages: levels, plain values, compression, checksum, header.  A page ends at a row's end. */
#ifndef DLT_CORE_PARQUET_PAGE_WRITE_H
#define DLT_CORE_PARQUET_PAGE_WRITE_H

#include "core/parquet/dictionary.h"
#include "core/parquet/meta.h"

/* Settings and buffers of one file; the buffers are reused from page to page. */
struct page_writer {
    const struct parquet_codec *codec, *file_codec;    /* of the present column of a row group; as asked for */
    bool adapt;
    bool by_dictionary;                /* the present column of a row group goes through `dictionary` */
    struct dictionary dictionary;
    size_t dictionary_from;            /* the value that its first index stands for */
    int level;
    size_t page_bytes;
    bool v2;
    struct buf rep, def, body, packed, header;
};

void page_writer_init(struct page_writer *w, const struct parquet_codec *codec, const struct pq_write_options *options);
void page_writer_init_like(struct page_writer *w, const struct page_writer *other);        /* its settings */
void page_writer_fini(struct page_writer *w);

/* Chooses how a column of a row group is stored: through the dictionary, compressed or as it is. */
enum status page_writer_begin(struct page_writer *w, const struct pq_column *c, const struct pq_values *v,
                              struct error *e) MUST_USE;
/* Values of the rows [first, last) of a column: [*value, *end). */
void page_value_range(const struct pq_column *c, const struct pq_values *v, size_t first, size_t last, size_t *value,
                      size_t *end);
/* Where the page that begins at row `first` ends.  Fails: RANGE (a row that no page can hold). */
enum status page_last_row(const struct page_writer *w, const struct pq_column *c, const struct pq_values *v,
                          size_t first, size_t *last, struct error *e) MUST_USE;

enum { PAGE_PARTS = 5 };
/* One page as it goes into the file, in order; the spans are good until the next page. */
struct page_bytes {
    struct span parts[PAGE_PARTS];
    size_t stored, uncompressed;       /* bytes with the header; the latter as if nothing were compressed */
    size_t n_entries, n_gaps;          /* gaps: entries without value (empty lists) */
};
enum status page_encode(struct page_writer *w, const struct pq_column *c, const struct pq_values *v, size_t first,
                        size_t last, struct page_bytes *out, struct error *e) MUST_USE;

/* The dictionary's own page, not compressed. */
enum status page_encode_dictionary(struct page_writer *w, struct page_bytes *out, struct error *e) MUST_USE;

#endif
