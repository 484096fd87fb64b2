/* tests/fuzz/fuzz_manifest.c
 *
 * Manifests from hostile bytes, as they are and with a checksum made right, so that what lies behind it is reached too.
 * What is accepted is written and read again without loss. */
#include "core/dataset/private.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 64 << 20, TEXT_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_checksum(struct buf *text)
{
    char sha[65];
    struct error e;
    sha256_hex(text->data, text->len, sha);
    check(buf_printf(text, &e, "sha256 %s\n", sha) == STATUS_OK);
}

static void parse(struct span text)
{
    struct arena a;
    struct manifest m, again;
    struct buf once, twice;
    struct error e;
    arena_init(&a, ARENA_MAX);
    buf_init(&once, TEXT_MAX);
    buf_init(&twice, TEXT_MAX);
    if (manifest_parse(&a, text, &m, &e) == STATUS_OK) {
        check(field_write_text(manifest_fields, &m, &once, &e) == STATUS_OK);
        append_checksum(&once);
        check(manifest_parse(&a, (struct span){once.data, once.len}, &again, &e) == STATUS_OK);
        check(field_write_text(manifest_fields, &again, &twice, &e) == STATUS_OK);
        append_checksum(&twice);
        check(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
    buf_fini(&twice);
    buf_fini(&once);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text;
    struct error e;
    parse((struct span){data, size});
    buf_init(&text, TEXT_MAX);
    check(buf_append(&text, data, size, &e) == STATUS_OK && buf_reserve(&text, 128, &e) == STATUS_OK);
    append_checksum(&text);
    parse((struct span){text.data, text.len});
    buf_fini(&text);
    return 0;
}

#define FUZZ_NAME "manifest"
#include "tests/fuzz/replay.h"
