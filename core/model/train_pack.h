/* core/model/train_pack.h
 *
 * Rows that do not fit into memory, in a file of blocks as training wants them: checked and scaled once, then read in
 * any order of blocks by plain reads, so that an epoch costs hardly more than from memory. */
#ifndef DLT_CORE_MODEL_TRAIN_PACK_H
#define DLT_CORE_MODEL_TRAIN_PACK_H

#include "core/model/train_rows.h"

/* Blocks in memory, one behind the other. */
struct window {
    struct row_set set;
    size_t n, n_particles;
    uint32_t *number, *row_first;
    struct particle_columns rows;
    size_t cap, cap_particles, bytes;
    void *block;                       /* what the pointers point into */
};

struct pack_block {
    uint64_t offset;
    uint32_t rows, particles;
};

struct pack {
    int fd;
    bool sequences, prepared;          /* prepared: particle_columns.prepared instead of the other columns */
    struct pack_block *blocks;
    size_t n_blocks, cap, n;           /* n: rows */
    uint64_t bytes;
    uint32_t most_rows, most_particles;                       /* of a block */
    struct window open;                /* the block that is being filled; made for the first row */
};

/* An empty file in `folder`, unlinked already.  Fails: IO, NOSPACE, NOMEM.  A zeroed pack may be closed. */
enum status pack_open(struct pack *p, const char *folder, const struct row_maker *maker, struct error *e) MUST_USE;
void pack_close(struct pack *p);
/* Appends event i of `d`, whose row is made and whose number is given. */
enum status pack_add(struct pack *p, const struct train_data *d, size_t i, const float *row, uint32_t number,
                     struct error *e) MUST_USE;
/* Writes the last block; then windows can be read. */
enum status pack_finish(struct pack *p, struct error *e) MUST_USE;

/* Memory of a window of n blocks. */
size_t pack_window_bytes(const struct pack *p, size_t n_blocks);
enum status window_init(struct window *w, const struct pack *p, size_t n_blocks, const struct sequence_source *as,
                        struct error *e) MUST_USE;
void window_fini(struct window *w);                           /* zeroed allowed */
/* Replaces what the window holds by blocks block[0..n).  IO. */
enum status window_read(struct window *w, const struct pack *p, const uint32_t *block, size_t n,
                        struct error *e) MUST_USE;

#endif
