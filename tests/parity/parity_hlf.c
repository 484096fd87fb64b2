/* tests/parity/parity_hlf.c
 *
 * Our side of the comparison with PyTorch (tests/parity/torch_hlf.sh): makes the topology-1 dataset of the large sample,
 * trains `hlf` with five seeds, prints the AUCs on the test part as JSON, and leaves the rows as NumPy files.
 *
 *     parity_hlf INPUT_FOLDER OUT_FOLDER EPOCHS */
#include "core/work.h"
#include "tests/parity/parity.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

enum { SEEDS = 5 };

static struct arena arena;

static void npy_write(const char *folder, const char *name, const char *descr, size_t n, size_t columns,
                      const void *data, size_t size)
{
    FILE *f = npy_open(path_in(folder, name), descr, n, columns);
    size_t n_values = n * (columns ? columns : 1);
    check(fwrite(data, size, n_values, f) == n_values);
    fclose(f);
}

static void export_side(struct test_host *h, const char *id, const char *folder, const char *side)
{
    struct error e;
    struct dataset *d;
    struct feature_rows rows;
    feature_rows_init(&rows);
    check(dataset_open(test_host_artifact(h, id), &d, &e) == STATUS_OK);
    check(dataset_read_features(d, false, &rows, &e) == STATUS_OK);
    int64_t *labels = malloc(rows.n * sizeof *labels);
    check(labels);
    for (size_t i = 0; i < rows.n; i++)
        labels[i] = rows.label[i];
    npy_write(folder, arena_printf(&arena, "%s_x.npy", side), "<f4", rows.n, HLF_COUNT, rows.hlf, sizeof(float));
    npy_write(folder, arena_printf(&arena, "%s_y.npy", side), "<i8", rows.n, 0, labels, sizeof *labels);
    free(labels);

    struct hlf_scaler scaler;
    struct sequence_scaler sequence;
    bool has_sequence;
    int64_t log[HLF_COUNT];
    check(scaler_record_read(&dataset_manifest(d)->scaler, &scaler, &sequence, &has_sequence, &e) == STATUS_OK);
    for (size_t i = 0; i < HLF_COUNT; i++)
        log[i] = scaler.log[i];
    npy_write(folder, "scaler_log.npy", "<i8", HLF_COUNT, 0, log, sizeof *log);
    npy_write(folder, "scaler_shift.npy", "<f8", HLF_COUNT, 0, scaler.shift, sizeof(double));
    npy_write(folder, "scaler_factor.npy", "<f8", HLF_COUNT, 0, scaler.factor, sizeof(double));
    feature_rows_fini(&rows);
    dataset_close(d);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: parity_hlf INPUT_FOLDER OUT_FOLDER EPOCHS\n");
        return 2;
    }
    struct test_host h;
    arena_init(&arena, (size_t)1 << 30);
    test_host_init(&h, par_cores());
    struct buf spec;
    struct error e;
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
    struct features_result *ft = parity_run(&h, &arena, "features", arena_printf(&arena, "dataset = \"%s\"\nsequences = false\n"
                                                                  "split.seed = 42\n", in->dataset_id));
    export_side(&h, ft->dataset_id, argv[2], "train");
    export_side(&h, ft->test_dataset_id, argv[2], "test");

    double sum = 0;
    printf("{\"train_events\": %lld, \"test_events\": %lld, \"runs\": [", (long long)ft->train_events,
           (long long)ft->test_events);
    for (int seed = 1; seed <= SEEDS; seed++) {
        parity_run(&h, &arena, "train", arena_printf(&arena, "dataset = \"%s\"\nregister_as = \"s%d\"\nparams.epochs = %s\nparams.seed = %d\n",
                                      ft->dataset_id, seed, argv[3], seed));
        struct evaluate_result *ev = parity_run(&h, &arena, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"s%d\"\n",
                                                                      ft->test_dataset_id, seed));
        const struct field_pair *auc = ev->auc.items;
        printf("%s{\"seed\": %d, \"auc\": [%.5f, %.5f, %.5f], \"macro_auc\": %.5f, \"accuracy\": %.4f}",
               seed > 1 ? ", " : "", seed, auc[0].value, auc[1].value, auc[2].value, ev->auc_macro, ev->accuracy);
        sum += ev->auc_macro;
    }
    printf("], \"mean_macro_auc\": %.5f}\n", sum / SEEDS);
    buf_fini(&spec);
    test_host_fini(&h);
    arena_fini(&arena);
    return 0;
}
