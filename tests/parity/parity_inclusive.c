/* tests/parity/parity_inclusive.c
 *
 * Our side of the comparison of `inclusive` and `hlf` with PyTorch (tests/parity/torch_inclusive.sh): makes the topology-1
 * dataset of the large sample, trains both with three seeds each and the same settings, prints the AUCs on the test part
 * as JSON, and leaves the rows as the networks see them in NumPy files, and the settings, for PyTorch.
 *
 * The settings are the same for both networks and were searched for with `inclusive` on two folds of the train part (4,800
 * events), with more epochs than the 20 here: so few events want a high rate, a short clipped gradient and much weight
 * decay; without, `inclusive` learns the events by heart.
 *
 *     parity_inclusive INPUT_FOLDER OUT_FOLDER */
#include "core/work.h"
#include "tests/parity/parity.h"
#include "tests/support/support.h"

#include <string.h>

enum { SEEDS = 3 };

static const struct {
    int epochs, batch, warmup;
    double rate, decay, clip, dropout;
} settings = {.epochs = 20, .batch = 32, .warmup = 2, .rate = 0.01, .decay = 0.5, .clip = 0.5, .dropout = 0.2};

static struct arena arena;

static FILE *side_open(const char *folder, const char *side, const char *name, const char *descr, size_t n,
                       size_t columns)
{
    return npy_open(path_in(folder, arena_printf(&arena, "%s_%s.npy", side, name)), descr, n, columns);
}

static void put(FILE *f, const void *data, size_t bytes) { check(fwrite(data, 1, bytes, f) == bytes); }

static void export_side(struct test_host *h, const char *id, const char *folder, const char *side)
{
    static float expanded[PARTICLE_ROWS_MAX * PARTICLE_COLUMNS], prepared[PARTICLE_ROWS_MAX * PARTICLE_COLUMNS];
    struct error e;
    struct dataset *d;
    struct feature_rows rows;
    struct hlf_scaler hlf;
    struct sequence_scaler sequence;
    bool has_sequence;
    feature_rows_init(&rows);
    check(dataset_open(test_host_artifact(h, id), &d, &e) == STATUS_OK);
    check(dataset_read_features(d, true, &rows, &e) == STATUS_OK);
    check(scaler_record_read(&dataset_manifest(d)->scaler, &hlf, &sequence, &has_sequence, &e) == STATUS_OK);
    check(has_sequence);
    FILE *x = side_open(folder, side, "hlf", "<f4", rows.n, HLF_COUNT);
    FILE *y = side_open(folder, side, "y", "<i8", rows.n, 0);
    FILE *length = side_open(folder, side, "length", "<i8", rows.n, 0);
    FILE *s = side_open(folder, side, "rows", "<f4", rows.n_rows, PARTICLE_COLUMNS);
    for (size_t i = 0; i < rows.n; i++) {
        float scaled[HLF_COUNT];
        size_t n = rows.row_first[i + 1] - rows.row_first[i];
        int64_t steps = (int64_t)n, label = rows.label[i];
        hlf_scale(&hlf, rows.hlf + i * HLF_COUNT, 1, scaled);
        particle_expand(&rows.rows, rows.row_first[i], n, expanded);
        check(sequence_prepare(recipe_find("topology-1"), &sequence, expanded, n, prepared) == n);
        put(x, scaled, sizeof scaled);
        put(y, &label, sizeof label);
        put(length, &steps, sizeof steps);
        put(s, prepared, n * PARTICLE_COLUMNS * sizeof *prepared);
    }
    check(fclose(x) == 0 && fclose(y) == 0 && fclose(length) == 0 && fclose(s) == 0);
    feature_rows_fini(&rows);
    dataset_close(d);
}

static void write_settings(const char *folder)
{
    FILE *f = fopen(path_in(folder, "settings.json"), "w");
    check(f);
    fprintf(f, "{\"epochs\": %d, \"batch\": %d, \"warmup\": %d, \"rate\": %g, \"decay\": %g, \"clip\": %g, \"dropout\": %g}\n",
            settings.epochs, settings.batch, settings.warmup, settings.rate, settings.decay, settings.clip,
            settings.dropout);
    check(fclose(f) == 0);
}

static const char *train_spec(const char *dataset, const char *model, int seed)
{
    return arena_printf(&arena,
                        "dataset = \"%s\"\nmodel = \"%s\"\nregister_as = \"%s%d\"\nparams.seed = %d\n"
                        "params.epochs = %d\nparams.batch_size = %d\nparams.warmup_epochs = %d\n"
                        "params.learning_rate = %g\nparams.weight_decay = %g\nparams.clip_norm = %g\n"
                        "params.dropout = %g\nparams.schedule = cosine\nparams.validation_fraction = 0\n",
                        dataset, model, model, seed, seed, settings.epochs, settings.batch, settings.warmup,
                        settings.rate, settings.decay, settings.clip, settings.dropout);
}

/* Trains and evaluates with each seed; prints runs and the mean of their macro AUCs. */
static void compete(struct test_host *h, const struct features_result *ft, const char *model)
{
    double sum = 0;
    printf("\"%s\": {\"runs\": [", model);
    for (int seed = 1; seed <= SEEDS; seed++) {
        struct train_result *tr = parity_run(h, &arena, "train", train_spec(ft->dataset_id, model, seed));
        struct evaluate_result *ev = parity_run(h, &arena, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"%s%d\"\n",
                                                                      ft->test_dataset_id, model, seed));
        const struct field_pair *auc = ev->auc.items;
        printf("%s{\"seed\": %d, \"auc\": [%.5f, %.5f, %.5f], \"macro_auc\": %.5f, \"accuracy\": %.4f, "
               "\"train_seconds\": %.1f}", seed > 1 ? ", " : "", seed, auc[0].value, auc[1].value, auc[2].value,
               ev->auc_macro, ev->accuracy, tr->seconds);
        sum += ev->auc_macro;
        fflush(stdout);
    }
    printf("], \"mean_macro_auc\": %.5f}", sum / SEEDS);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: parity_inclusive INPUT_FOLDER OUT_FOLDER\n");
        return 2;
    }
    struct test_host h;
    struct buf spec;
    struct error e;
    arena_init(&arena, (size_t)1 << 30);
    test_host_init(&h, par_cores());
    buf_init(&spec, 64 << 10);
    const struct {
        const char *file, *label;
    } inputs[] = {{"qcd_1", "qcd"}, {"qcd_2", "qcd"}, {"qcd_3", "qcd"}, {"qcd_4", "qcd"}, {"qcd_5", "qcd"},
                  {"ttbar_1", "tt"}, {"ttbar_2", "tt"}, {"wlnu_1", "wjets"}, {"wlnu_2", "wjets"}};
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++)
        check(buf_printf(&spec, &e, "inputs[%zu].path = \"%s/%s.root\"\ninputs[%zu].label = \"%s\"\n", i, argv[1],
                         inputs[i].file, i, inputs[i].label) == STATUS_OK);
    check(buf_append(&spec, "", 1, &e) == STATUS_OK);
    struct ingest_result *in = parity_run(&h, &arena, "ingest", (char *)spec.data);
    struct features_result *ft = parity_run(&h, &arena, "features", arena_printf(&arena, "dataset = \"%s\"\nsequences = true\n"
                                                                  "split.seed = 42\n", in->dataset_id));
    export_side(&h, ft->dataset_id, argv[2], "train");
    export_side(&h, ft->test_dataset_id, argv[2], "test");
    write_settings(argv[2]);                                  /* last of what PyTorch waits for */
    printf("{\"train_events\": %lld, \"test_events\": %lld, ", (long long)ft->train_events, (long long)ft->test_events);
    fflush(stdout);
    compete(&h, ft, "hlf");
    printf(", ");
    compete(&h, ft, "inclusive");
    printf("}\n");
    buf_fini(&spec);
    test_host_fini(&h);
    arena_fini(&arena);
    return 0;
}
