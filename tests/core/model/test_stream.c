/* tests/core/model/test_stream.c
 *
 * Training from disk: the same as from memory where a window holds all rows; else an order of its own that repeats, in
 * memory that does not grow with the rows. */
#include "core/model/train_pack.h"

#include "tests/core/model/toy.h"
#include "tests/support/support.h"

#include <unistd.h>

/* A toy's rows, some at a time, as a dataset's row groups would come. */
struct slices {
    const struct train_data *data;
    size_t at, each, fail_at;
};

static enum status next_slice(void *ctx, struct train_data *out, struct error *e)
{
    struct slices *s = ctx;
    size_t n = s->data->n - s->at < s->each ? s->data->n - s->at : s->each;
    if (s->fail_at && s->at >= s->fail_at)
        return error_set(e, STATUS_IO, "the disk is gone");
    *out = *s->data;
    out->n = n;
    out->hlf += s->at * HLF_COUNT;
    out->label += s->at;
    out->weight = out->weight ? out->weight + s->at : NULL;
    out->row_first = out->row_first ? out->row_first + s->at : NULL;
    s->at += n;
    if (n == 0)
        s->at = 0;
    return STATUS_OK;
}

static struct trainer *streamed(const struct toy *t, const char *folder, size_t memory_bytes)
{
    struct error e;
    struct trainer *trainer;
    struct slices s = {&t->data, 0, 333, 0};
    const struct train_stream stream = {next_slice, &s};
    const struct train_input input = {.stream = &stream, .folder = folder, .memory_bytes = memory_bytes};
    assert_ok(trainer_create_from(&t->header, &input, &trainer, &e), &e);
    return trainer;
}

/* Particles for a toy's events: 1 to `most` an event. */
static void add_particles(struct toy *t, size_t most, struct particle_columns *c)
{
    struct error e;
    struct rng r = rng_stream(4, 4);
    struct hlf_scaler hlf = {{false}, {0}, {0}};
    struct sequence_scaler scaler = {{0}, {0}};
    size_t n = t->data.n, at = 0;
    float **columns[] = {&c->pt, &c->eta, &c->phi, &c->x, &c->y, &c->z, &c->iso_ch, &c->iso_gamma, &c->iso_neu};
    uint32_t *first = ARENA_NEW(&t->arena, uint32_t, n + 1);
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        *columns[i] = ARENA_NEW(&t->arena, float, n * most);
    c->kind = ARENA_NEW(&t->arena, int8_t, n * most);
    c->charge = ARENA_NEW(&t->arena, int8_t, n * most);
    for (size_t i = 0; i < n; i++) {
        size_t length = 1 + rng_below(&r, most);
        first[i] = (uint32_t)at;
        for (size_t k = 0; k < length; k++, at++) {
            for (size_t j = 0; j < ARRAY_LEN(columns); j++)
                (*columns[j])[at] = (float)rng_f64(&r) + (j == 0 ? (float)t->label[i] : 0);
            c->charge[at] = (int8_t)rng_below(&r, 2);
        }
    }
    first[n] = (uint32_t)at;
    for (size_t f = 0; f < HLF_COUNT; f++)
        hlf.factor[f] = 1;
    for (size_t f = 0; f < PARTICLE_COLUMNS; f++)
        scaler.factor[f] = 0.5;
    assert_ok(scaler_record_make(&t->arena, &hlf, &scaler, &t->header.scaler, &e), &e);
    t->data.rows = c;
    t->data.row_first = first;
    t->header.params.model = 2;
    t->header.params.units = 6;
    t->header.params.batch_size = 64;
}

static void same_report(const struct epoch_report *a, const struct epoch_report *b)
{
    assert_true(a->loss == b->loss && a->accuracy == b->accuracy && a->gradient_norm == b->gradient_norm);
    assert_true(a->val_loss == b->val_loss && a->val_accuracy == b->val_accuracy && a->val_auc == b->val_auc);
}

static void same_parameters(const struct trainer *a, const struct trainer *b)
{
    struct error e;
    struct model *ma = toy_model(a), *mb = toy_model(b);
    struct buf x = toy_encode(ma), y = toy_encode(mb);
    size_t n = 4 * (size_t)model_header(ma)->n_params;
    (void)e;
    assert_memory_equal(x.data + x.len - 64 - n, y.data + y.len - 64 - n, n);
    assert_int_equal(model_header(ma)->n_train, model_header(mb)->n_train);
    buf_fini(&x);
    buf_fini(&y);
    model_release(ma);
    model_release(mb);
}

static void test_one_window_of_all_rows_trains_the_same_bits_as_memory(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    for (int with_particles = 0; with_particles < 2; with_particles++) {
        struct toy t;
        struct particle_columns columns;
        toy_init(&t, 1000, 3);
        t.data.weight = t.weight;
        t.header.params.class_weights = CLASS_WEIGHTS_BALANCED;
        t.header.params.validation_fraction = 0.2;
        if (with_particles)
            add_particles(&t, 20, &columns);
        struct trainer *memory = toy_trainer(&t), *disk = streamed(&t, folder, (size_t)1 << 30);
        for (size_t i = 0; i < 3; i++) {
            struct epoch_report a = toy_epochs(memory, 1), b = toy_epochs(disk, 1);
            same_report(&a, &b);
        }
        same_parameters(memory, disk);
        assert_int_equal(trainer_memory(memory).packed, 0);
        assert_true(trainer_memory(disk).packed > 64 * 1000);
        trainer_destroy(memory);
        trainer_destroy(disk);
        toy_fini(&t);
    }
    temp_folder_remove(folder);
}

enum { MANY = 60000 };

static void test_small_windows_repeat_learn_and_take_the_rows_that_memory_takes(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct toy t;
    toy_init(&t, MANY, 3);
    t.header.params.validation_fraction = 0.1;
    t.header.params.shuffle_rows = 9000;
    struct trainer *memory = toy_trainer(&t), *a = streamed(&t, folder, 1);
    t.header.params.threads = 3;
    struct trainer *b = streamed(&t, folder, (size_t)1 << 30);
    assert_int_equal(trainer_memory(a).window_rows, 8192);    /* two blocks */
    struct epoch_report in_memory = toy_epochs(memory, 2), ra = toy_epochs(a, 2), rb = toy_epochs(b, 2);
    same_report(&ra, &rb);
    same_parameters(a, b);
    assert_true(ra.loss != in_memory.loss && fabs(ra.val_loss - in_memory.val_loss) < 0.05);
    assert_true(fabs(ra.val_auc - in_memory.val_auc) < 0.01);
    struct model *ma = toy_model(a), *mm = toy_model(memory);
    assert_int_equal(model_header(ma)->n_train, model_header(mm)->n_train);
    assert_int_equal(model_header(ma)->params.shuffle_rows, 8192);
    assert_int_equal(model_header(mm)->params.shuffle_rows, 0);
    model_release(ma);
    model_release(mm);
    trainer_destroy(memory);
    trainer_destroy(a);
    trainer_destroy(b);
    toy_fini(&t);
    temp_folder_remove(folder);
}

static void test_a_streamed_fit_goes_on_from_a_checkpoint_with_the_same_bits(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct toy t;
    struct error e;
    struct buf saved;
    struct particle_columns columns;
    toy_init(&t, 3000, 3);
    add_particles(&t, 60, &columns);
    t.header.params.shuffle_rows = 1;                         /* one block a window */
    struct trainer *whole = streamed(&t, folder, 0), *before = streamed(&t, folder, 0), *after = streamed(&t, folder, 0);
    buf_init(&saved, 1 << 24);
    toy_epochs(whole, 3);
    toy_epochs(before, 1);
    assert_ok(trainer_checkpoint(before, &saved, &e), &e);
    assert_ok(trainer_restore(after, (struct span){saved.data, saved.len}, &e), &e);
    toy_epochs(after, 2);
    same_parameters(whole, after);
    struct trainer *memory = toy_trainer(&t);                 /* another order of rows */
    assert_status(trainer_restore(memory, (struct span){saved.data, saved.len}, &e), STATUS_CONFLICT, &e);
    buf_fini(&saved);
    trainer_destroy(memory);
    trainer_destroy(whole);
    trainer_destroy(before);
    trainer_destroy(after);
    toy_fini(&t);
    temp_folder_remove(folder);
}

static int64_t allocated;
static bool count(size_t bytes)
{
    allocated += (int64_t)bytes;
    return false;
}

static void test_memory_does_not_grow_with_the_rows(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    int64_t taken[2], rows[2];
    for (size_t i = 0; i < 2; i++) {
        struct toy t;
        toy_init(&t, MANY << (2 * i), 3);
        t.header.params.batch_size = 4096;
        allocated = 0;
        mem_fail_hook = count;
        struct trainer *trainer = streamed(&t, folder, 1);    /* the least: 4 MB a window */
        toy_epochs(trainer, 1);
        mem_fail_hook = NULL;
        taken[i] = allocated;
        rows[i] = trainer_memory(trainer).rows;
        assert_true(trainer_memory(trainer).packed >= (int64_t)(MANY << (2 * i)) * 68);
        trainer_destroy(trainer);
        toy_fini(&t);
    }
    assert_true(rows[1] < 9 << 20);                           /* of 16 MB that are on disk */
    assert_true(taken[1] < taken[0] + (6 << 20));             /* a window more; packed, the rows grew by 12 MB */
    temp_folder_remove(folder);
}

static void test_nothing_is_left_in_the_folder(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct toy t;
    struct error e;
    toy_init(&t, 500, 3);
    struct trainer *trainer = streamed(&t, folder, 0);
    assert_int_equal(rmdir(folder), 0);                       /* empty although the fit goes on */
    toy_epochs(trainer, 2);
    trainer_destroy(trainer);
    assert_ok(file_make_folder(folder, &e), &e);
    toy_fini(&t);
    temp_folder_remove(folder);
}

static void refused(struct toy *t, const char *folder, size_t fail_at, enum status expected, const char *why)
{
    struct error e;
    struct trainer *trainer;
    struct slices s = {&t->data, 0, 100, fail_at};
    const struct train_stream stream = {next_slice, &s};
    const struct train_input input = {.stream = &stream, .folder = folder};
    assert_status(trainer_create_from(&t->header, &input, &trainer, &e), expected, &e);
    assert_null(trainer);
    assert_contains(e.text, why);
}

static void test_bad_rows_and_a_bad_disk_are_named(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct toy t;
    toy_init(&t, 1000, 3);
    t.hlf[777 * HLF_COUNT] = NAN;
    refused(&t, folder, 0, STATUS_ARGUMENT, "row 777");
    t.hlf[777 * HLF_COUNT] = 0;
    refused(&t, folder, 500, STATUS_IO, "the disk is gone");
    refused(&t, "/nowhere/at/all", 0, STATUS_NOTFOUND, "packed rows");
    t.data.n = 0;
    refused(&t, folder, 0, STATUS_ARGUMENT, "no events");
    t.data.n = 1000;
    memset(t.label, 0, 1000 * sizeof *t.label);
    refused(&t, folder, 0, STATUS_ARGUMENT, "1 classes");
    t.header.params.model = 2;
    refused(&t, folder, 0, STATUS_ARGUMENT, "sequences: true");
    toy_fini(&t);
    temp_folder_remove(folder);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct toy t;
    toy_init(&t, 300, 3);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct trainer *trainer;
        struct epoch_report r;
        struct slices slices = {&t.data, 0, 100, 0};
        const struct train_stream stream = {next_slice, &slices};
        const struct train_input input = {.stream = &stream, .folder = folder};
        enum status s = trainer_create_from(&t.header, &input, &trainer, &e);
        if (s == STATUS_OK)
            s = trainer_epoch(trainer, NULL, &r, &e);
        assert_int_equal(s, alloc_fail_end() ? STATUS_NOMEM : STATUS_OK);
        trainer_destroy(trainer);
    }
    toy_fini(&t);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_window_of_all_rows_trains_the_same_bits_as_memory),
        cmocka_unit_test(test_small_windows_repeat_learn_and_take_the_rows_that_memory_takes),
        cmocka_unit_test(test_a_streamed_fit_goes_on_from_a_checkpoint_with_the_same_bits),
        cmocka_unit_test(test_memory_does_not_grow_with_the_rows),
        cmocka_unit_test(test_nothing_is_left_in_the_folder),
        cmocka_unit_test(test_bad_rows_and_a_bad_disk_are_named),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
