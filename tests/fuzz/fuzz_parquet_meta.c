/* tests/fuzz/fuzz_parquet_meta.c
 *
 * The Thrift parsers alone: the bytes as a footer and its schema, and as a page header.  A file's length field and
 * magic do not stand in the way of mutations here. */
#include "core/parquet/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_footer(const uint8_t *data, size_t size)
{
    struct error e;
    struct arena a;
    struct meta_file m;
    struct schema_column *columns;
    size_t n_columns, n_leaves;
    arena_init(&a, 8 << 20);
    if (meta_read_file(&a, data, size, &m, &e) == STATUS_OK &&
        schema_columns(&a, m.elements, m.n_elements, &columns, &n_columns, &n_leaves, &e) == STATUS_OK)
        for (size_t i = 0; i < n_columns; i++)
            check(columns[i].first_leaf + columns[i].n_leaves <= n_leaves &&
                  (columns[i].column.unsupported || columns[i].n_leaves == 1));
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e;
    struct meta_page page;
    size_t header_bytes;
    read_footer(data, size);
    if (meta_read_page(data, size, &page, &header_bytes, &e) == STATUS_OK)
        check(header_bytes <= size);
    return 0;
}

#define FUZZ_NAME "parquet_meta"
#include "tests/fuzz/replay.h"
