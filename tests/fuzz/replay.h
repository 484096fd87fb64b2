/* tests/fuzz/replay.h
 *
 * The end of every fuzz target.  Under FUZZ_REPLAY it supplies main(): each file of tests/fuzz/corpus/FUZZ_NAME is
 * given to LLVMFuzzerTestOneInput, as it is and in a few hundred damaged versions from a fixed seed, so that an
 * ordinary test run, also under sanitizers and without a fuzzer, walks the same code each time.
 *
 *     #define FUZZ_NAME "root"
 *     #include "tests/fuzz/replay.h"
 */
#ifdef FUZZ_REPLAY

#include "core/base.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { REPLAY_MUTANTS = 300, REPLAY_FILE_BYTES_MAX = 1 << 20 };

/* In memory of exactly this size, so that AddressSanitizer sees the first byte beyond. */
static void replay_one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    check(copy);
    if (size > 0)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One piece of damage: flipped bits, a telling number, a repeated piece, or a cut end. */
static size_t replay_damage(struct rng *r, uint8_t *data, size_t size)
{
    static const uint64_t numbers[] = {0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                       0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF};
    if (size == 0)
        return 0;
    size_t at = (size_t)rng_below(r, size), width = (size_t)1 << rng_below(r, 4);
    uint64_t number = numbers[rng_below(r, ARRAY_LEN(numbers))];
    switch (rng_below(r, 4)) {
    case 0: data[at] ^= (uint8_t)(1u << rng_below(r, 8)); break;
    case 1:                                  /* in either byte order */
        if (rng_below(r, 2))
            number = __builtin_bswap64(number << (64 - 8 * width));
        memcpy(data + at, &number, width < size - at ? width : size - at);
        break;
    case 2: memmove(data + at, data + rng_below(r, at + 1), width < size - at ? width : size - at); break;
    default: return at;
    }
    return size;
}

static size_t replay_file(const char *path, uint64_t seed)
{
    struct buf file, mutant;
    struct error e;
    struct rng r = rng_stream(seed, 0);
    buf_init(&file, REPLAY_FILE_BYTES_MAX);
    buf_init(&mutant, REPLAY_FILE_BYTES_MAX);
    if (file_read(path, &file, &e) != STATUS_OK) {
        fprintf(stderr, "fuzz %s: %s\n", FUZZ_NAME, e.text);
        exit(1);
    }
    replay_one(file.data, file.len);
    for (size_t i = 0; i < REPLAY_MUTANTS; i++) {
        mutant.len = 0;
        check(buf_append(&mutant, file.data, file.len, &e) == STATUS_OK);
        for (uint64_t n = 1 + rng_below(&r, 4); n > 0; n--)
            mutant.len = replay_damage(&r, mutant.data, mutant.len);
        replay_one(mutant.data, mutant.len);
    }
    buf_fini(&mutant);
    buf_fini(&file);
    return 1 + REPLAY_MUTANTS;
}

static int replay_is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(void)
{
    static const char folder[] = "tests/fuzz/corpus/" FUZZ_NAME;
    struct dirent **entries;
    int n_entries = scandir(folder, &entries, replay_is_input, alphasort);
    size_t n_inputs = 0;
    for (int i = 0; i < n_entries; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        n_inputs += replay_file(path, hash64(entries[i]->d_name, strlen(entries[i]->d_name), 0));
        free(entries[i]);
    }
    if (n_entries >= 0)
        free(entries);
    printf("fuzz %s: %zu inputs\n", FUZZ_NAME, n_inputs);
    if (n_inputs == 0)
        fprintf(stderr, "fuzz %s: no corpus in %s (run from the project root)\n", FUZZ_NAME, folder);
    return n_inputs > 0 ? 0 : 1;
}

#endif
