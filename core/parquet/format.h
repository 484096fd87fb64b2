/* core/parquet/format.h
 *
 * The numbers of the Parquet format (parquet-format's parquet.thrift and Encodings.md) and the maxima that the reader
 * states for untrusted bytes.  Private to core/parquet. */
#ifndef DLT_CORE_PARQUET_FORMAT_H
#define DLT_CORE_PARQUET_FORMAT_H

#include "core/codec/codec.h"

#define PARQUET_MAGIC "PAR1"
#define PARQUET_MAGIC_ENCRYPTED "PARE"
enum { PARQUET_MAGIC_LEN = 4, PARQUET_TAIL_LEN = 8 };        /* tail: footer length, magic */

enum parquet_type {
    PARQUET_BOOLEAN, PARQUET_INT32, PARQUET_INT64, PARQUET_INT96, PARQUET_FLOAT, PARQUET_DOUBLE, PARQUET_BYTE_ARRAY,
    PARQUET_FIXED_LEN_BYTE_ARRAY, PARQUET_TYPE_COUNT
};

enum parquet_repetition { PARQUET_REQUIRED, PARQUET_OPTIONAL, PARQUET_REPEATED };

enum parquet_converted {
    PARQUET_CONVERTED_NONE = -1,
    PARQUET_UTF8 = 0, PARQUET_MAP = 1, PARQUET_MAP_KEY_VALUE = 2, PARQUET_LIST = 3, PARQUET_DECIMAL = 5,
    PARQUET_UINT_8 = 11, PARQUET_UINT_16 = 12, PARQUET_UINT_32 = 13, PARQUET_UINT_64 = 14,
    PARQUET_INT_8 = 15, PARQUET_INT_16 = 16, PARQUET_INT_32 = 17, PARQUET_INT_64 = 18
};

/* Field numbers of the union LogicalType. */
enum parquet_logical {
    PARQUET_LOGICAL_NONE = 0, PARQUET_LOGICAL_STRING = 1, PARQUET_LOGICAL_MAP = 2, PARQUET_LOGICAL_LIST = 3,
    PARQUET_LOGICAL_DECIMAL = 5, PARQUET_LOGICAL_INTEGER = 10
};

enum parquet_encoding {
    PARQUET_PLAIN = 0, PARQUET_PLAIN_DICTIONARY = 2, PARQUET_RLE = 3, PARQUET_BIT_PACKED = 4, PARQUET_DELTA = 5,
    PARQUET_DELTA_LENGTHS = 6, PARQUET_DELTA_STRINGS = 7, PARQUET_RLE_DICTIONARY = 8, PARQUET_SPLIT = 9
};

enum parquet_page_type { PARQUET_DATA_PAGE, PARQUET_INDEX_PAGE, PARQUET_DICTIONARY_PAGE, PARQUET_DATA_PAGE_V2 };

/* Field numbers of the union ColumnOrder. */
enum parquet_order { PARQUET_ORDER_NONE = 0, PARQUET_ORDER_TYPE = 1, PARQUET_ORDER_IEEE754 = 2 };

/* A compression of the format, and ours for it. */
struct parquet_codec {
    int id;                            /* CompressionCodec */
    const char *name;
    bool readable;
    enum codec_id codec;
    size_t most_ratio;                 /* a block of n bytes never holds more than n * most_ratio + 64 bytes */
};
const struct parquet_codec *parquet_codec_find(int id);                 /* by the format's number; NULL: unknown */
const struct parquet_codec *parquet_codec_of(enum codec_id codec);      /* by ours; NULL: not in the format */

/* Stated maxima for untrusted files. */
enum {
    PARQUET_FOOTER_BYTES_MAX = 16 << 20,
    PARQUET_FOOTER_MEMORY_MAX = 256 << 20,       /* of what is read from it */
    PARQUET_PAGE_BYTES_MAX = 256 << 20,          /* one page, uncompressed; the writer keeps to it as well */
    PARQUET_PAGE_ENTRIES_MAX = 256 << 20,        /* values and empty lists of one page: its levels take a byte each */
    PARQUET_PAGE_HEADER_BYTES_MAX = 1 << 20,     /* statistics of long strings may sit in a page header */
    PARQUET_SCHEMA_DEPTH_MAX = 64
};
#define PARQUET_COLUMN_BYTES_MAX ((size_t)1 << 30)               /* decoded values of a column of a row group */

#endif
