/* tests/fuzz/fuzz_model.c
 *
 * Model files (with networks of hostile layers) and training checkpoints from hostile bytes, as they are and with a checksum made right, so that what
 * lies behind it is reached too.  What is accepted must score, and must encode to a file that decodes to the same
 * bytes. */
#include "core/model.h"

#include <math.h>
#include <string.h>

enum { CHECKSUM = 64, ROWS = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Events of 1, 3, 40, 0 and 2 particles. */
static void predict_particles(const struct model *m, const float *hlf, float *out)
{
    enum { PARTICLES = 46 };
    static const uint32_t first[ROWS + 1] = {0, 1, 4, 44, 44, PARTICLES};
    static float numbers[PARTICLES];
    static int8_t kind[PARTICLES], charge[PARTICLES];
    for (size_t i = 0; i < PARTICLES; i++) {
        numbers[i] = 1 + (float)i / 8;
        kind[i] = (int8_t)(i % 3);
    }
    struct particle_columns c = {.pt = numbers, .eta = numbers, .phi = numbers, .x = numbers, .y = numbers, .z = numbers,
                                 .iso_ch = numbers, .iso_gamma = numbers, .iso_neu = numbers, .kind = kind,
                                 .charge = charge};
    model_predict(m, &(struct model_rows){hlf, &c, first}, ROWS, out);
    model_predict(m, &(struct model_rows){hlf, &c, first}, 1, out);
}

static void use_model(struct model *m)
{
    struct error e;
    struct buf once, twice;
    struct model *back;
    float hlf[ROWS * HLF_COUNT], out[ROWS * 64];
    for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
        hlf[i] = (float)i;
    model_predict_hlf(m, hlf, ROWS, out);
    model_predict_hlf(m, hlf, 1, out);
    predict_particles(m, hlf, out);
    buf_init(&once, 1 << 28);
    buf_init(&twice, 1 << 28);
    check(model_encode(m, &once, &e) == STATUS_OK);
    check(model_decode((struct span){once.data, once.len}, "again", &back, &e) == STATUS_OK);
    check(model_encode(back, &twice, &e) == STATUS_OK);
    check(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    model_release(back);
    buf_fini(&once);
    buf_fini(&twice);
}

/* A trainer of eight rows and one hidden number, made at the first call. */
static struct trainer *small_trainer(void)
{
    static struct arena a;
    static struct trainer *t;
    static float hlf[8 * HLF_COUNT];
    static int32_t label[8] = {0, 1, 0, 1, 0, 1, 0, 1};
    static const char *const classes[] = {"a", "b"};
    static int64_t hidden[] = {1};
    struct error e;
    struct model_header h;
    struct hlf_scaler scaler = {{false}, {0}, {0}};
    if (t)
        return t;
    arena_init(&a, 1 << 20);
    field_defaults(model_header_fields, &h);
    h.recipe = "topology-1";
    h.classes = (struct field_list){(void *)(uintptr_t)classes, 2};
    h.params.hidden = (struct field_list){hidden, 1};
    h.params.validation_fraction = 0;
    for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
        hlf[i] = (float)(i % 7);
    for (size_t f = 0; f < HLF_COUNT; f++)
        scaler.factor[f] = 1;
    check(scaler_record_make(&a, &scaler, NULL, &h.scaler, &e) == STATUS_OK);
    struct train_data data = {.n = 8, .hlf = hlf, .label = label};
    check(trainer_create(&h, &data, &t, &e) == STATUS_OK);
    return t;
}

static void try_bytes(const uint8_t *data, size_t size)
{
    struct error e;
    struct model *m;
    struct epoch_report report;
    struct span bytes = {data, size};
    if (model_decode(bytes, "fuzz", &m, &e) == STATUS_OK) {
        use_model(m);
        model_release(m);
    } else {
        check(m == NULL && e.text[0] != '\0');
    }
    if (size < 8 || memcmp(data, "DLTMODEL", 8) == 0)
        return;
    struct trainer *t = small_trainer();
    if (trainer_restore(t, bytes, &e) == STATUS_OK && trainer_epoch(t, NULL, &report, &e) != STATUS_OK)
        check(e.status == STATUS_RANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_bytes(data, size);
    if (size < CHECKSUM)
        return 0;
    uint8_t *sealed = mem_alloc(size);
    char sum[65];
    check(sealed);
    memcpy(sealed, data, size);
    sha256_hex(sealed, size - CHECKSUM, sum);
    memcpy(sealed + size - CHECKSUM, sum, CHECKSUM);
    try_bytes(sealed, size);
    mem_free(sealed);
    return 0;
}

#define FUZZ_NAME "model"
#include "tests/fuzz/replay.h"
