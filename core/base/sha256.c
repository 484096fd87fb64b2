/* core/base/sha256.c
 *
 * SHA-256 by nettle, the only file that knows it.  Identifies model files and datasets, and hashes API keys. */
#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

/* nettle renames its functions by macros of the names that are ours here. */
#undef sha256_init
#undef sha256_update
#undef sha256_digest

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct sha256), "nettle's state fits into ours");
_Static_assert(_Alignof(struct sha256_ctx) <= _Alignof(struct sha256), "nettle's state may lie in ours");

static struct sha256_ctx *ctx_of(struct sha256 *h)
{
    return (struct sha256_ctx *)(void *)h->state;
}

void sha256_init(struct sha256 *h)
{
    nettle_sha256_init(ctx_of(h));
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
    if (n > 0)
        nettle_sha256_update(ctx_of(h), n, p);
}

void sha256_final_hex(struct sha256 *h, char out[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    nettle_sha256_digest(ctx_of(h), sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = '\0';
}

void sha256_hex(const void *p, size_t n, char out[65])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, p, n);
    sha256_final_hex(&h, out);
}

static enum status hash_stream(int fd, uint8_t *block, size_t block_bytes, struct sha256 *h, int64_t *bytes,
                               struct error *e)
{
    for (;;) {
        ssize_t got = read(fd, block, block_bytes);
        if (got == 0)
            return STATUS_OK;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(e, "reading");
        sha256_update(h, block, (size_t)got);
        *bytes += got;
    }
}

enum status sha256_file_hex(const char *path, char out[65], int64_t *bytes, struct error *e)
{
    enum { BLOCK_BYTES = 1 << 18 };
    const char *slash = strrchr(path, '/');
    int64_t total = 0;
    struct sha256 h;
    sha256_init(&h);
    uint8_t *block = mem_alloc(BLOCK_BYTES);
    if (!block)
        return error_set(e, STATUS_NOMEM, "no memory to read a file");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status s = fd < 0 ? error_errno(e, "opening") : hash_stream(fd, block, BLOCK_BYTES, &h, &total, e);
    if (fd >= 0)
        close(fd);
    mem_free(block);
    if (s != STATUS_OK)
        return error_wrap(e, "%s", slash ? slash + 1 : path);
    sha256_final_hex(&h, out);
    if (bytes)
        *bytes = total;
    return STATUS_OK;
}
