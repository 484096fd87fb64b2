/* tests/fuzz/fuzz_codec_root.c
 *
 * Compressed bytes from anywhere, by every codec and in ROOT's framing.  The first byte chooses the codec, the next
 * three are the size that is claimed. */
#include "core/codec/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 4, SIZE_MASK = 0x3ffff };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    if (size < HEAD)
        return 0;
    unsigned codec = data[0] % (CODEC_COUNT + 1);
    size_t n = ((size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) & SIZE_MASK, declared;
    const uint8_t *src = data + HEAD;
    uint8_t *out = malloc(n + 1); /* the byte behind must stay */
    check(out);
    out[n] = 0xa5;
    enum status s;
    if (codec == CODEC_COUNT) {
        char tag[3];
        codec_root_tag(src, size - HEAD, tag);
        check(strlen(tag) == 2);
        s = codec_root_decompress(src, size - HEAD, out, n, &e);
        if (s == STATUS_OK)
            check(codec_root_size(src, size - HEAD, &declared, &e) == STATUS_OK && declared == n);
    } else {
        s = codec_decompress((enum codec_id)codec, src, size - HEAD, out, n, &e);
    }
    check(s == STATUS_OK || s == STATUS_FORMAT || s == STATUS_UNSUPPORTED);
    check(out[n] == 0xa5);
    free(out);
    return 0;
}

#define FUZZ_NAME "codec_root"
#include "tests/fuzz/replay.h"
