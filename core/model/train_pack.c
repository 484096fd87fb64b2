/* core/model/train_pack.c
 *
 * The file of packed rows.  A block is, without gaps: rows, their numbers, where the particles of each row end, and the
 * particle columns.  It never outlives the process, so it has neither header nor checksum. */
#include "core/model/train_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BLOCK_ROWS = 4096,
    BLOCK_PARTICLES = 24 * 1024,       /* about a megabyte */
    FLOAT_COLUMNS = 9,
    PIECES = 3 + FLOAT_COLUMNS + 2 + 1
};

/* ---- windows ----------------------------------------------------------------------------------------------------- */

static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t window_bytes(size_t rows, size_t particles, bool prepared)
{
    size_t each = prepared ? rounded(particles * PARTICLE_COLUMNS * sizeof(float))
                           : FLOAT_COLUMNS * rounded(particles * sizeof(float)) + 2 * rounded(particles);
    return rounded(rows * ROW_STRIDE * sizeof(float)) + rounded(rows * sizeof(uint32_t)) +
           rounded((rows + 1) * sizeof(uint32_t)) + each;
}

static enum status window_alloc(struct window *w, size_t rows, size_t particles, bool prepared, struct error *e)
{
    *w = (struct window){.cap = rows, .cap_particles = particles, .bytes = window_bytes(rows, particles, prepared)};
    uint8_t *at = w->block = mem_aligned(w->bytes);
    if (!at)
        return error_set(e, STATUS_NOMEM, "no memory for a window of %zu rows with %zu particles", rows, particles);
    w->set.row = (float *)(void *)at;
    at += rounded(rows * ROW_STRIDE * sizeof(float));
    w->number = (uint32_t *)(void *)at;
    at += rounded(rows * sizeof(uint32_t));
    w->row_first = (uint32_t *)(void *)at;
    at += rounded((rows + 1) * sizeof(uint32_t));
    w->set.number = w->number;
    if (prepared) {
        w->rows.prepared = (float *)(void *)at;
        return STATUS_OK;
    }
    float **column[] = {&w->rows.pt, &w->rows.eta, &w->rows.phi, &w->rows.x, &w->rows.y, &w->rows.z,
                        &w->rows.iso_ch, &w->rows.iso_gamma, &w->rows.iso_neu};
    for (size_t c = 0; c < FLOAT_COLUMNS; c++, at += rounded(particles * sizeof(float)))
        *column[c] = (float *)(void *)at;
    w->rows.kind = (int8_t *)at;
    w->rows.charge = (int8_t *)at + rounded(particles);
    return STATUS_OK;
}

size_t pack_window_bytes(const struct pack *p, size_t n_blocks)
{
    return window_bytes(n_blocks * p->most_rows, n_blocks * p->most_particles, p->prepared);
}

enum status window_init(struct window *w, const struct pack *p, size_t n_blocks, const struct sequence_source *as,
                        struct error *e)
{
    TRY(window_alloc(w, n_blocks * p->most_rows, n_blocks * p->most_particles, p->prepared, e));
    w->set.sequences = (struct sequence_source){as->recipe, as->scaler, &w->rows, w->row_first};
    return STATUS_OK;
}

void window_fini(struct window *w)
{
    mem_free(w->block);
    *w = (struct window){0};
}

/* Where the parts of a block with so many rows and particles are, behind what the window holds. */
static void pieces(const struct window *w, size_t rows, size_t particles, struct iovec out[PIECES])
{
    float *const column[] = {w->rows.pt, w->rows.eta, w->rows.phi, w->rows.x, w->rows.y, w->rows.z,
                             w->rows.iso_ch, w->rows.iso_gamma, w->rows.iso_neu};
    bool prepared = w->rows.prepared != NULL;
    size_t n = 0, measured = prepared ? 0 : particles, made = prepared ? particles * PARTICLE_COLUMNS : 0;
    out[n++] = (struct iovec){w->set.row + w->n * ROW_STRIDE, rows * ROW_STRIDE * sizeof(float)};
    out[n++] = (struct iovec){w->number + w->n, rows * sizeof(uint32_t)};
    out[n++] = (struct iovec){w->row_first + w->n + 1, rows * sizeof(uint32_t)};
    for (size_t c = 0; c < FLOAT_COLUMNS; c++)
        out[n++] = (struct iovec){measured ? column[c] + w->n_particles : NULL, measured * sizeof(float)};
    out[n++] = (struct iovec){measured ? w->rows.kind + w->n_particles : NULL, measured};
    out[n++] = (struct iovec){measured ? w->rows.charge + w->n_particles : NULL, measured};
    out[n] = (struct iovec){made ? w->rows.prepared + w->n_particles * PARTICLE_COLUMNS : NULL, made * sizeof(float)};
}

/* All bytes of the pieces, which it changes. */
static enum status transfer(const struct pack *p, bool write, struct iovec *piece, uint64_t offset, struct error *e)
{
    for (size_t i = 0; i < PIECES;) {
        if (piece[i].iov_len == 0) {
            i++;
            continue;
        }
        ssize_t n = write ? pwritev(p->fd, piece + i, (int)(PIECES - i), (off_t)offset)
                          : preadv(p->fd, piece + i, (int)(PIECES - i), (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, "packed rows");
        if (n == 0)
            return error_set(e, STATUS_IO, "packed rows: the file ends at byte %llu", (unsigned long long)offset);
        offset += (uint64_t)n;
        for (size_t left = (size_t)n; left > 0;) {
            size_t taken = left < piece[i].iov_len ? left : piece[i].iov_len;
            piece[i].iov_base = (uint8_t *)piece[i].iov_base + taken;
            piece[i].iov_len -= taken;
            left -= taken;
            i += piece[i].iov_len == 0;
        }
    }
    return STATUS_OK;
}

enum status window_read(struct window *w, const struct pack *p, const uint32_t *block, size_t n, struct error *e)
{
    struct iovec piece[PIECES];
    w->n = w->n_particles = 0;
    w->row_first[0] = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pack_block *b = &p->blocks[block[i]];
        check(w->n + b->rows <= w->cap && w->n_particles + b->particles <= w->cap_particles);
        pieces(w, b->rows, b->particles, piece);
        TRY(transfer(p, false, piece, b->offset, e));
        for (size_t r = 0; p->sequences && r < b->rows; r++)
            w->row_first[w->n + 1 + r] += (uint32_t)w->n_particles;
        w->n += b->rows;
        w->n_particles += b->particles;
    }
    return STATUS_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

enum status pack_open(struct pack *p, const char *folder, const struct row_maker *maker, struct error *e)
{
    char path[4096];
    *p = (struct pack){.fd = -1, .sequences = maker->sequences};
    if (snprintf(path, sizeof path, "%s/rows-XXXXXX", folder) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "packed rows: the folder's name is too long");
    p->fd = mkostemp(path, O_CLOEXEC);
    if (p->fd < 0)
        return error_errno(e, "packed rows");
    if (unlink(path) != 0)
        return error_errno(e, "packed rows");
    return STATUS_OK;
}

void pack_close(struct pack *p)
{
    if (p->fd >= 0)
        close(p->fd);
    window_fini(&p->open);
    mem_free(p->blocks);
    *p = (struct pack){.fd = -1};
}

static enum status flush(struct pack *p, struct error *e)
{
    struct window *w = &p->open;
    struct iovec piece[PIECES];
    size_t rows = w->n, particles = w->n_particles;
    if (rows == 0)
        return STATUS_OK;
    if (p->n_blocks == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 256;
        struct pack_block *more = mem_realloc(p->blocks, cap * sizeof *more);
        if (!more)
            return error_set(e, STATUS_NOMEM, "packed rows: %zu blocks", cap);
        p->blocks = more;
        p->cap = cap;
    }
    w->n = w->n_particles = 0;
    pieces(w, rows, particles, piece);
    uint64_t bytes = 0;
    for (size_t i = 0; i < PIECES; i++)
        bytes += piece[i].iov_len;
    TRY(transfer(p, true, piece, p->bytes, e));
    p->blocks[p->n_blocks++] = (struct pack_block){p->bytes, (uint32_t)rows, (uint32_t)particles};
    p->bytes += bytes;
    return STATUS_OK;
}

static void copy_particles(struct window *w, const struct particle_columns *from, size_t first, size_t n)
{
    const struct particle_columns *to = &w->rows;
    if (to->prepared) {
        memcpy(to->prepared + w->n_particles * PARTICLE_COLUMNS, from->prepared + first * PARTICLE_COLUMNS,
               n * PARTICLE_COLUMNS * sizeof(float));
        w->n_particles += n;
        return;
    }
    float *const dst[] = {to->pt, to->eta, to->phi, to->x, to->y, to->z, to->iso_ch, to->iso_gamma, to->iso_neu};
    float *const src[] = {from->pt, from->eta, from->phi, from->x, from->y, from->z, from->iso_ch, from->iso_gamma,
                          from->iso_neu};
    for (size_t c = 0; c < FLOAT_COLUMNS; c++)
        memcpy(dst[c] + w->n_particles, src[c] + first, n * sizeof(float));
    memcpy(to->kind + w->n_particles, from->kind + first, n);
    memcpy(to->charge + w->n_particles, from->charge + first, n);
    w->n_particles += n;
}

enum status pack_add(struct pack *p, const struct train_data *d, size_t i, const float *row, uint32_t number,
                     struct error *e)
{
    struct window *w = &p->open;
    if (!w->block) {
        p->prepared = p->sequences && d->rows->prepared;
        TRY(window_alloc(w, BLOCK_ROWS, p->sequences ? BLOCK_PARTICLES + PARTICLE_ROWS_MAX : 1, p->prepared, e));
    }
    if (p->sequences && p->prepared != (d->rows->prepared != NULL))
        return error_set(e, STATUS_ARGUMENT, "particle rows as measured and prepared ones in the same fit");
    if (w->n == BLOCK_ROWS || w->n_particles >= BLOCK_PARTICLES)
        TRY(flush(p, e));
    memcpy(w->set.row + w->n * ROW_STRIDE, row, ROW_STRIDE * sizeof *row);
    w->number[w->n] = number;
    if (p->sequences)
        copy_particles(w, d->rows, d->row_first[i], d->row_first[i + 1] - d->row_first[i]);
    w->row_first[++w->n] = (uint32_t)w->n_particles;
    p->n++;
    p->most_rows = w->n > p->most_rows ? (uint32_t)w->n : p->most_rows;
    p->most_particles = w->n_particles > p->most_particles ? (uint32_t)w->n_particles : p->most_particles;
    return STATUS_OK;
}

enum status pack_finish(struct pack *p, struct error *e)
{
    TRY(flush(p, e));
    window_fini(&p->open);
    return STATUS_OK;
}
