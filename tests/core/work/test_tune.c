/* Searches over parameters: folds, trials, fits shared by trials, halving, resuming. */
#include "core/work/tune.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;
static struct test_host host;
static const char *dataset_id;

/* ---- support ----------------------------------------------------------------------------------------------------- */

static void *run_ok(const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    if (test_host_run(&host, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static int make_dataset(void **state)
{
    (void)state;
    test_host_init(&host, 2);
    struct ingest_result *in = run_ok("ingest", "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                      "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n"
                                      "inputs[2].path = \"" SAMPLE "wlnu.root\"\ninputs[2].label = \"wjets\"\n");
    test_host_new_job(&host);
    struct features_result *ft = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\n", in->dataset_id));
    dataset_id = ft->dataset_id;
    test_host_new_job(&host);
    return 0;
}

static int forget_dataset(void **state)
{
    (void)state;
    test_host_fini(&host);
    return 0;
}

static const char *spec_text(const char *more)
{
    return arena_printf(&arena, "dataset = \"%s\"\n%s", dataset_id, more);
}

/* A finished search with the table that it published. */
struct outcome {
    struct tune_result *result;
    struct study_record study;
    int64_t units;
};

static struct outcome read_outcome(struct tune_result *result)
{
    struct outcome o = {.result = result, .units = host.units_run};
    struct error e;
    if (study_read(&arena, test_host_artifact(&host, result->study_id), &o.study, &e) != STATUS_OK)
        fail_msg("study: %s", e.text);
    return o;
}

static struct outcome search(size_t threads, const char *more)
{
    test_host_new_job(&host);
    host.threads = threads;
    return read_outcome(run_ok("tune", spec_text(more)));
}

static void check_refused(const char *more, const char *says)
{
    struct error e = {0};
    void *result;
    test_host_new_job(&host);
    enum status s = test_host_run(&host, &arena, "tune", spec_text(more), &result, &e);
    if ((s != STATUS_ARGUMENT && s != STATUS_RANGE) || !strstr(e.text, says))
        fail_msg("%s: %s, \"%s\" expected", more, e.text, says);
    assert_int_equal(host.units_run, 0);
}

/* All but ids and times. */
static const char *text_of(struct outcome o)
{
    struct study_record s = o.study;
    struct study_trial *t = s.trials.items;
    struct buf text;
    struct error e;
    s.id = s.job_id = NULL;
    s.seconds = 0;
    for (size_t i = 0; i < s.trials.n_items; i++)
        t[i].seconds = 0;
    buf_init(&text, 16 << 20);
    assert_int_equal(field_write_text(study_record_fields, &s, &text, &e), STATUS_OK);
    struct tune_result r = *o.result;
    r.study_id = NULL;
    assert_int_equal(field_write_text(tune_result_fields, &r, &text, &e), STATUS_OK);
    const char *copy = arena_strndup(&arena, (const char *)text.data, text.len);
    buf_fini(&text);
    return copy;
}

static const struct study_trial *trial_of(const struct outcome *o, size_t i)
{
    assert_true(i < o->study.trials.n_items);
    return (const struct study_trial *)o->study.trials.items + i;
}

static const char *value_text(const struct study_trial *t, size_t axis)
{
    const struct field_axis *point = t->point.items;
    return *(const char *const *)point[axis].values.items;
}

static const double *fold_values(const struct study_trial *t, size_t objective)
{
    return ((const struct study_value *)t->objectives.items)[objective].folds.items;
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

struct by_hand {
    struct tune_spec spec;
    struct dataset *dataset;
    struct folds folds;
    struct trials trials;
};

static void hand_init(struct by_hand *h, const char *more)
{
    struct error e;
    struct feature_rows rows;
    const char *text = spec_text(more);
    feature_rows_init(&rows);
    assert_int_equal(field_read_text(&arena, tune_spec_fields, (struct span){(const uint8_t *)text, strlen(text)}, &h->spec,
                                     &e), STATUS_OK);
    assert_int_equal(tune_trials(&arena, &h->spec, &h->trials, &e), STATUS_OK);
    assert_int_equal(dataset_open(test_host_artifact(&host, dataset_id), &h->dataset, &e), STATUS_OK);
    assert_int_equal(dataset_read_features(h->dataset, true, &rows, &e), STATUS_OK);
    if (folds_make(&h->folds, &arena, &h->spec, dataset_manifest(h->dataset), &rows, true, 1, &e) != STATUS_OK)
        fail_msg("folds: %s", e.text);
    feature_rows_fini(&rows);
}

static void hand_fini(struct by_hand *h)
{
    folds_fini(&h->folds);
    dataset_close(h->dataset);
}

/* Fits one trial on one fold with nothing but the trainer, and evaluates the rows held out. */
static struct evaluation fit_by_hand(const struct by_hand *h, size_t trial, size_t fold)
{
    const struct manifest *m = dataset_manifest(h->dataset);
    struct train_data learn = folds_learn(&h->folds, fold, false), out = folds_held_out(&h->folds, fold, false);
    struct model_header header;
    struct trainer *t;
    struct model *model;
    struct evaluation ev;
    struct error e;
    field_defaults(model_header_fields, &header);
    header.recipe = m->recipe;
    header.cuts = m->cuts;
    header.classes = m->classes;
    header.scaler = h->folds.scaler[fold];
    header.params = h->trials.items[trial].params;
    if (trainer_create(&header, &learn, &t, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    for (int64_t i = 0; i < header.params.epochs && !trainer_outcome(t).stopped; i++) {
        struct epoch_report report;
        assert_int_equal(trainer_epoch(t, NULL, &report, &e), STATUS_OK);
    }
    assert_int_equal(trainer_model(t, &model, &e), STATUS_OK);
    float *scores = ARENA_NEW(&arena, float, out.n * m->classes.n_items);
    struct model_rows rows = {out.hlf, out.rows, out.row_first};
    model_predict(model, &rows, out.n, scores);
    assert_int_equal(metrics_evaluate(&arena, scores, out.label, NULL, out.n, m->classes.n_items, m->classes.items, &ev, &e),
                     STATUS_OK);
    model_release(model);
    trainer_destroy(t);
    return ev;
}

/* ---- tests: folds ------------------------------------------------------------------------------------------------ */

static void test_each_event_is_held_out_once_and_classes_are_spread_evenly(void **state)
{
    (void)state;
    for (int by = 0; by < 2; by++) {
        struct by_hand h;
        hand_init(&h, by == 0 ? "space[0].path = \"epochs\"\nspace[0].values[0] = \"1\"\nfolds = 4\n"
                              : "space[0].path = \"epochs\"\nspace[0].values[0] = \"1\"\nfolds = 4\nfold_by = shuffle\n");
        const struct folds *f = &h.folds;
        size_t held = 0, least[3] = {SIZE_MAX, SIZE_MAX, SIZE_MAX}, most[3] = {0, 0, 0};
        double all = 0, sum = 0;
        for (size_t i = 0; i < f->n; i++)
            all += (double)f->rows.hlf[i * HLF_COUNT];
        for (size_t i = 0; i < 4; i++) {
            struct train_data learn = folds_learn(f, i, false), out = folds_held_out(f, i, false);
            size_t count[3] = {0, 0, 0};
            double rest = 0;
            assert_int_equal(learn.n + out.n, f->n);
            assert_int_equal(folds_n_learn(f, i), learn.n);
            for (size_t j = 0; j < learn.n; j++)
                rest += (double)learn.hlf[j * HLF_COUNT];
            for (size_t j = 0; j < out.n; j++) {
                count[out.label[j]]++;
                rest += (double)out.hlf[j * HLF_COUNT];
                sum += (double)out.hlf[j * HLF_COUNT];
            }
            assert_float_equal(rest, all, 1e-6 * fabs(all));
            held += out.n;
            for (size_t c = 0; c < 3; c++) {
                least[c] = least[c] < count[c] ? least[c] : count[c];
                most[c] = most[c] > count[c] ? most[c] : count[c];
            }
            assert_true(learn.row_first[learn.n] - learn.row_first[0] > learn.n);      /* particles went with them */
        }
        assert_int_equal(held, f->n);
        assert_float_equal(sum, all, 1e-6 * fabs(all));
        for (size_t c = 0; c < 3; c++)
            assert_true(most[c] - least[c] <= 1 && least[c] > 10);
        hand_fini(&h);
    }
}

static void test_scalers_of_a_fold_do_not_see_the_rows_held_out(void **state)
{
    (void)state;
    struct by_hand h;
    hand_init(&h, "space[0].path = \"epochs\"\nspace[0].values[0] = \"1\"\nfolds = 3\n");
    const struct recipe *r = recipe_find(dataset_manifest(h.dataset)->recipe);
    for (size_t i = 0; i < 3; i++) {
        struct scaler_fit fit = {.n = {0}};
        struct train_data learn = folds_learn(&h.folds, i, false);
        scaler_fit_hlf(&fit, r, learn.hlf, learn.n);
        struct hlf_scaler s = scaler_hlf(&fit, r);
        assert_memory_equal(h.folds.scaler[i].hlf_shift.items, s.shift, sizeof s.shift);
        assert_memory_equal(h.folds.scaler[i].hlf_factor.items, s.factor, sizeof s.factor);
        assert_int_equal(h.folds.scaler[i].sequence_mean.n_items, PARTICLE_COLUMNS);
    }
    assert_true(memcmp(h.folds.scaler[0].hlf_shift.items, h.folds.scaler[1].hlf_shift.items, 8 * HLF_COUNT) != 0);
    hand_fini(&h);
}

/* ---- tests: trials ----------------------------------------------------------------------------------------------- */

static const char small_grid[] =
    "params.validation_fraction = 0\nfolds = 3\n"
    "space[0].path = \"batch_size\"\nspace[0].values[0] = \"32\"\nspace[0].values[1] = \"64\"\n"
    "space[1].path = \"epochs\"\nspace[1].values[0] = \"4\"\nspace[1].values[1] = \"1\"\nspace[1].values[2] = \"2\"\n"
    "space[2].path = \"hidden/0\"\nspace[2].values[0] = \"8\"\nspace[2].values[1] = \"5\"\n"
    "report[0].metric = loss\nreport[1].metric = accuracy\n"
    "report[2].metric = background_rejection\nreport[2].class = \"tt\"\nreport[2].at_signal_efficiency = 0.9\n"
    "report[3].metric = background_efficiency\nreport[3].class = \"tt\"\nreport[3].at_signal_efficiency = 0.9\n";

static void test_a_search_gives_the_bits_of_fits_of_their_own(void **state)
{
    (void)state;
    struct outcome o = search(2, small_grid);
    struct by_hand h;
    hand_init(&h, small_grid);
    assert_int_equal(o.study.n_trials, 12);
    assert_int_equal(o.study.n_ok, 12);
    assert_int_equal(o.units, 4 * 3);             /* three numbers of epochs are one fit */
    for (size_t i = 0; i < 12; i++) {
        const struct study_trial *t = trial_of(&o, i);
        const struct train_params *p = &h.trials.items[i].params;
        assert_int_equal(t->epochs, p->epochs);
        assert_int_equal(p->hidden.n_items, 1);
        double sum = 0;
        for (size_t f = 0; f < 3; f++) {
            struct evaluation ev = fit_by_hand(&h, i, f);
            const struct class_metrics *tt = (const struct class_metrics *)ev.classes.items + 1;
            const struct working_point *at = tt->working_points.items;
            assert_string_equal(tt->name, "tt");
            assert_true(fold_values(t, 0)[f] == ev.auc_macro);
            assert_true(fold_values(t, 1)[f] == ev.loss);
            assert_true(fold_values(t, 2)[f] == ev.accuracy);
            assert_true(at[0].target_signal_efficiency == 0.9);
            assert_true(fold_values(t, 4)[f] == at[0].background_total.value);
            if (at[0].background_total.value > 0)
                assert_true(fold_values(t, 3)[f] == 1 / at[0].background_total.value);
            else
                assert_true(fold_values(t, 3)[f] == 1 / at[0].background_total.hi);
            sum += ev.auc_macro;
        }
        assert_true(t->value == sum / 3);
    }
    /* The points of the grid, the last axis fastest. */
    assert_string_equal(value_text(trial_of(&o, 0), 0), "32");
    assert_string_equal(value_text(trial_of(&o, 1), 2), "5");
    assert_string_equal(value_text(trial_of(&o, 2), 1), "1");
    assert_string_equal(value_text(trial_of(&o, 6), 0), "64");
    /* The best is the best, and its parameters are complete. */
    const struct study_trial *best = trial_of(&o, (size_t)o.result->best_trial);
    for (size_t i = 0; i < 12; i++)
        assert_true(trial_of(&o, i)->value <= best->value);
    assert_int_equal(best->rank, 1);
    assert_true(o.result->best_value == best->value && o.result->best_error == best->error);
    assert_int_equal(o.result->best_params.epochs, best->epochs);
    assert_int_equal(o.result->top.n_items, 10);
    /* Part of the variance that the batch size explains: between the means of its two halves of the grid. */
    double half[2] = {0, 0}, all = 0;
    for (size_t i = 0; i < 12; i++)
        half[i / 6] += trial_of(&o, i)->value / 6;
    double mean = (half[0] + half[1]) / 2;
    for (size_t i = 0; i < 12; i++)
        all += (trial_of(&o, i)->value - mean) * (trial_of(&o, i)->value - mean);
    const struct field_pair *importance = o.result->importance.items;
    assert_int_equal(o.result->importance.n_items, 3);
    assert_string_equal(importance[0].name, "batch_size");
    assert_float_equal(importance[0].value, 12 * (half[0] - mean) * (half[0] - mean) / all, 1e-9);
    assert_true(importance[0].value + importance[1].value + importance[2].value < 1 + 1e-9);      /* they are orthogonal */
    hand_fini(&h);
}

static void test_one_thread_and_eight_find_the_same_bytes(void **state)
{
    (void)state;
    const char *one = text_of(search(1, small_grid)), *eight = text_of(search(8, small_grid));
    assert_string_equal(one, eight);
    const char *two_at_most = text_of(search(8, arena_printf(&arena, "%smax_parallel = 2\n", small_grid)));
    assert_string_equal(one, two_at_most);
}

static void test_a_stopped_search_goes_on_without_repeating_a_fit(void **state)
{
    (void)state;
    const char *whole = text_of(search(1, small_grid));
    struct error e;
    void *result;
    int64_t units = 0, attempts = 0;
    test_host_new_job(&host);
    host.threads = 2;
    host.stop_after = 5;
    while (test_host_run(&host, &arena, "tune", spec_text(small_grid), &result, &e) != STATUS_OK) {
        assert_int_equal(e.status, STATUS_CANCELLED);
        units += host.units_run;
        assert_true(++attempts < 10);
    }
    assert_int_equal(units + host.units_run, 12);
    assert_true(attempts >= 2);
    assert_string_equal(text_of(read_outcome(result)), whole);
    assert_int_equal(host.last_done, host.last_total);
}

static void test_what_a_running_search_knows_is_told(void **state)
{
    (void)state;
    struct error e;
    void *result;
    test_host_new_job(&host);
    host.threads = 1;
    host.stop_after = 4;
    assert_int_equal(test_host_run(&host, &arena, "tune", spec_text(small_grid), &result, &e), STATUS_CANCELLED);
    struct by_hand h;
    struct study_record s;
    hand_init(&h, small_grid);
    if (study_so_far(&arena, &h.spec, test_host_callbacks(), &host, &s, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    const struct study_trial *t = s.trials.items;
    size_t waiting = 0, running = 0, ok = 0;
    for (size_t i = 0; i < s.trials.n_items; i++) {
        waiting += strcmp(t[i].state, "waiting") == 0;
        running += strcmp(t[i].state, "running") == 0 && t[i].folds_done == 1 && isnan(t[i].value);
        ok += strcmp(t[i].state, "ok") == 0 && isfinite(t[i].value);
    }
    assert_int_equal(ok, 3);                      /* one fit with all folds serves three trials */
    assert_int_equal(running, 3);
    assert_int_equal(waiting, 6);
    assert_true(s.best_trial >= 0);
    hand_fini(&h);
}

static void test_planning_and_telling_without_memory_is_nomem(void **state)
{
    (void)state;
    struct by_hand h;
    struct feature_rows rows;
    struct error e;
    search(1, small_grid);                        /* leaves its units */
    hand_init(&h, small_grid);
    feature_rows_init(&rows);
    assert_int_equal(dataset_read_features(h.dataset, true, &rows, &e), STATUS_OK);
    for (size_t n = 1; alloc_fail_begin(n); n += 1 + n / 16) {
        struct arena a;
        struct study_record s;
        struct folds f = {.k = 0};
        arena_init(&a, (size_t)1 << 28);
        enum status st = folds_make(&f, &a, &h.spec, dataset_manifest(h.dataset), &rows, true, 1, &e);
        if (st == STATUS_OK)
            st = study_so_far(&a, &h.spec, test_host_callbacks(), &host, &s, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(st, failed ? STATUS_NOMEM : STATUS_OK);
        if (f.k > 0)
            folds_fini(&f);
        arena_fini(&a);
    }
    feature_rows_fini(&rows);
    hand_fini(&h);
}

static void test_a_fit_without_memory_ends_the_attempt_and_not_the_trial(void **state)
{
    (void)state;
    struct by_hand h;
    struct error e;
    hand_init(&h, small_grid);
    const struct manifest *m = dataset_manifest(h.dataset);
    struct tune_state *t = mem_calloc(1, sizeof *t);
    assert_non_null(t);
    field_defaults(model_header_fields, &t->header);
    t->header.recipe = m->recipe;
    t->header.cuts = m->cuts;
    t->header.classes = m->classes;
    t->folds = h.folds;
    t->trials = h.trials;
    tune_rungs(&h.spec, &h.trials, &t->rungs);
    t->tally = (struct tally){.n_trials = h.trials.n, .k = 3, .value = ARENA_NEW(&arena, double, 3 * h.trials.n),
                              .folds_done = ARENA_NEW(&arena, _Atomic int, h.trials.n), .rows_total = INT64_MAX};
    t->tally.best = -1;
    for (size_t n = 1; alloc_fail_begin(n); n += 1 + n / 16) {
        struct unit_record record;
        struct arena a;
        uint32_t trial = 2;
        const struct fit fit = {&trial, 1, 0};
        arena_init(&a, (size_t)1 << 28);
        struct job_ctx ctx = {.host = test_host_callbacks(), .host_ctx = &host, .arena = &a, .work_dir = host.work_dir,
                              .threads = 1, .state = t};
        enum status st = tune_fit_run(&ctx, &h.spec, t, &fit, 0, &record, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(st, failed ? STATUS_NOMEM : STATUS_OK);
        arena_fini(&a);
    }
    mem_free(t);
    hand_fini(&h);
}

static void test_cancel_is_seen_between_two_steps(void **state)
{
    (void)state;
    struct error e;
    void *result;
    test_host_new_job(&host);
    host.threads = 2;
    host.cancel_after_polls = 40;
    assert_int_equal(test_host_run(&host, &arena, "tune", spec_text(small_grid), &result, &e), STATUS_CANCELLED);
    assert_true(host.polls_after_cancel <= 4);
}

static void test_a_random_search_is_repeated_by_its_seed(void **state)
{
    (void)state;
    static const char space[] = "search = random\nn_trials = 6\nfolds = 2\nparams.epochs = 1\n"
                                "space[0].path = \"learning_rate\"\nspace[0].low = 0.0001\nspace[0].high = 0.1\n"
                                "space[0].log = true\n"
                                "space[1].path = \"batch_size\"\nspace[1].low = 16\nspace[1].high = 64\nspace[1].step = 16\n"
                                "space[2].path = \"class_weights\"\nspace[2].values[0] = \"natural\"\n"
                                "space[2].values[1] = \"balanced\"\n";
    struct outcome first = search(2, space);
    assert_string_equal(text_of(first), text_of(search(1, space)));
    struct outcome other = search(2, arena_printf(&arena, "%sseed = 2\n", space));
    assert_true(strcmp(value_text(trial_of(&first, 0), 0), value_text(trial_of(&other, 0), 0)) != 0);
    for (size_t i = 0; i < 6; i++) {
        const struct study_trial *t = trial_of(&first, i);
        double rate = strtod(value_text(t, 0), NULL);
        long batch = strtol(value_text(t, 1), NULL, 10);
        assert_true(rate >= 0.0001 && rate <= 0.1);
        assert_true(batch % 16 == 0 && batch >= 16 && batch <= 64);
    }
    /* A space of three points has no six. */
    struct outcome few = search(1, "search = random\nn_trials = 6\nfolds = 2\nparams.epochs = 1\n"
                                "space[0].path = \"batch_size\"\nspace[0].low = 20\nspace[0].high = 22\n");
    assert_int_equal(few.study.n_trials, 3);
}

static void test_halving_keeps_the_best_of_each_rung(void **state)
{
    (void)state;
    static const char space[] = "folds = 2\nparams.validation_fraction = 0\nobjective.metric = loss\n"
                                "space[0].path = \"learning_rate\"\n"
                                "space[0].values[0] = \"0.0001\"\nspace[0].values[1] = \"0.01\"\nspace[0].values[2] = \"0.001\"\n"
                                "space[1].path = \"batch_size\"\n"
                                "space[1].values[0] = \"16\"\nspace[1].values[1] = \"64\"\nspace[1].values[2] = \"256\"\n";
    struct outcome one = search(2, arena_printf(&arena, "%sparams.epochs = 1\n", space));
    struct outcome three = search(2, arena_printf(&arena, "%sparams.epochs = 3\n", space));
    struct outcome nine = search(2, arena_printf(&arena, "%sparams.epochs = 9\n", space));
    struct outcome halved = search(2, arena_printf(&arena, "%sparams.epochs = 9\nsearch = halving\nhalving.factor = 3\n", space));
    assert_int_equal(halved.units, 2 * (9 + 3 + 1));
    assert_int_equal(halved.study.rungs.n_items, 3);
    const struct study_rung *rungs = halved.study.rungs.items;
    assert_true(rungs[0].epochs == 1 && rungs[0].trials == 9 && rungs[0].kept == 3);
    assert_true(rungs[1].epochs == 3 && rungs[1].trials == 3 && rungs[1].kept == 1);
    assert_true(rungs[2].epochs == 9 && rungs[2].trials == 1 && rungs[2].kept == 0);
    /* By hand: the three of least loss after one epoch, of them the one of least loss after three. */
    int64_t best = -1;
    for (size_t i = 0; i < 9; i++) {
        const struct study_trial *t = trial_of(&halved, i);
        bool in_second = trial_of(&one, i)->rank <= 3;
        assert_int_equal(t->rung >= 1, in_second);
        if (in_second && (best < 0 || trial_of(&three, i)->value < trial_of(&three, (size_t)best)->value))
            best = (int64_t)i;
        if (!in_second) {
            assert_string_equal(t->state, "stopped");
            assert_true(t->value == trial_of(&one, i)->value);
        }
    }
    assert_int_equal(halved.result->best_trial, best);
    assert_true(halved.result->best_value == trial_of(&nine, (size_t)best)->value);     /* as trained in one go */
    assert_int_equal(trial_of(&halved, (size_t)best)->epochs, 9);
    assert_int_equal(halved.study.n_stopped, 8);
    assert_int_equal(halved.result->best_params.epochs, 9);

    /* Stopped after each few units, it ends in the same. */
    struct error e;
    void *result;
    test_host_new_job(&host);
    host.threads = 1;
    host.stop_after = 7;
    while (test_host_run(&host, &arena, "tune", spec_text(arena_printf(&arena,
           "%sparams.epochs = 9\nsearch = halving\nhalving.factor = 3\n", space)), &result, &e) != STATUS_OK)
        assert_int_equal(e.status, STATUS_CANCELLED);
    assert_string_equal(text_of(read_outcome(result)), text_of(halved));
}

static void test_any_member_of_the_parameters_can_be_searched_over(void **state)
{
    (void)state;
    struct outcome o = search(2, "folds = 2\nparams.epochs = 2\nparams.units = 4\n"
                              "space[0].path = \"model\"\nspace[0].values[0] = \"hlf\"\nspace[0].values[1] = \"inclusive\"\n"
                              "space[1].path = \"schedule\"\nspace[1].values[0] = \"constant\"\n"
                              "space[1].values[1] = \"cosine\"\n"
                              "space[2].path = \"keep_best\"\nspace[2].values[0] = \"true\"\n");
    assert_int_equal(o.study.n_ok, 4);
    assert_true(trial_of(&o, 0)->value != trial_of(&o, 2)->value);
    /* A whole network as a value, and one of its layers' members. */
    o = search(2, "folds = 2\nparams.epochs = 1\n"
               "params.layers[0].name = \"a\"\nparams.layers[0].kind = dense\nparams.layers[0].units = 6\n"
               "params.layers[0].activation = relu\nparams.layers[0].inputs[0] = \"hlf\"\n"
               "params.layers[1].name = \"b\"\nparams.layers[1].kind = dense\nparams.layers[1].units = 3\n"
               "space[0].path = \"layers/0/units\"\nspace[0].values[0] = \"4\"\nspace[0].values[1] = \"9\"\n");
    assert_int_equal(o.study.n_ok, 2);
    assert_true(trial_of(&o, 0)->value != trial_of(&o, 1)->value);
    const struct layer_spec *layers = o.result->best_params.layers.items;
    assert_int_equal(layers[0].units, o.result->best_trial == 0 ? 4 : 9);
}

static void test_a_trial_whose_epochs_shape_its_steps_has_a_fit_of_its_own(void **state)
{
    (void)state;
    static const char space[] = "folds = 2\nparams.schedule = cosine\nparams.validation_fraction = 0.2\n"
                                "space[0].path = \"epochs\"\nspace[0].values[0] = \"2\"\nspace[0].values[1] = \"4\"\n";
    struct outcome o = search(2, space);
    assert_int_equal(o.units, 4);
    struct by_hand h;
    hand_init(&h, space);
    for (size_t i = 0; i < 2; i++)
        for (size_t f = 0; f < 2; f++)
            assert_true(fold_values(trial_of(&o, i), 0)[f] == fit_by_hand(&h, i, f).auc_macro);
    hand_fini(&h);
    /* Early stopping does not: the shorter is the beginning of the longer, wherever that ends. */
    static const char early[] = "folds = 2\nparams.patience = 1\nparams.learning_rate = 0.05\nparams.batch_size = 16\n"
                                "space[0].path = \"epochs\"\nspace[0].values[0] = \"2\"\nspace[0].values[1] = \"40\"\n";
    o = search(2, early);
    assert_int_equal(o.units, 2);
    hand_init(&h, early);
    assert_true(trial_of(&o, 1)->epochs < 40);
    for (size_t i = 0; i < 2; i++)
        for (size_t f = 0; f < 2; f++)
            assert_true(fold_values(trial_of(&o, i), 0)[f] == fit_by_hand(&h, i, f).auc_macro);
    hand_fini(&h);
}

static void test_a_diverging_trial_fails_alone(void **state)
{
    (void)state;
    struct outcome o = search(2, "folds = 2\nparams.epochs = 3\nparams.optimizer = sgd\nparams.momentum = 0.99\n"
                              "params.hidden[0] = 512\nparams.hidden[1] = 512\nparams.hidden[2] = 512\nparams.hidden[3] = 512\n"
                              "params.batch_size = 8\nspace[0].path = \"learning_rate\"\n"
                              "space[0].values[0] = \"1\"\nspace[0].values[1] = \"0.0001\"\n");
    assert_string_equal(trial_of(&o, 0)->state, "diverged");
    assert_non_null(strstr(trial_of(&o, 0)->message, "finite"));
    assert_string_equal(trial_of(&o, 1)->state, "ok");
    assert_int_equal(o.result->best_trial, 1);
    assert_int_equal(o.result->n_diverged, 1);
    assert_int_equal(trial_of(&o, 0)->rank, 0);
}

static void test_spaces_that_make_no_sense_are_refused_before_anything_runs(void **state)
{
    (void)state;
#define EPOCHS "space[0].path = \"epochs\"\nspace[0].values[0] = \"1\"\n"
    check_refused("space[0].path = \"epoch\"\nspace[0].values[0] = \"1\"\n", "/space/epoch: there is no member");
    check_refused("space[0].path = \"epochs\"\nspace[0].values[0] = \"many\"\n", "/space/epochs");
    check_refused("space[0].path = \"epochs\"\nspace[0].values[0] = \"0\"\n", "/space/epochs");
    check_refused("space[0].path = \"hidden/0\"\nspace[0].values[0] = \"5000\"\n", "/space/hidden~10");
    check_refused("space[0].path = \"hidden/1\"\nspace[0].values[0] = \"5\"\n", "/space/hidden~11");
    check_refused("space[0].path = \"model\"\nspace[0].low = 1\nspace[0].high = 2\n", "/space/model");
    check_refused("space[0].path = \"epochs\"\nspace[0].low = 1\nspace[0].high = 2\n", "a grid needs values");
    check_refused("space[0].path = \"epochs\"\nspace[0].low = 3\nspace[0].high = 2\nspace[0].step = 1\n", "makes no sense");
    check_refused("space[0].path = \"epochs\"\nspace[0].low = 1\nspace[0].high = 6000\nspace[0].step = 1\n",
                  "more than 5000 points");
    check_refused(EPOCHS "search = random\n", "/n_trials");
    check_refused(EPOCHS "n_trials = 3\n", "/n_trials");
    check_refused(EPOCHS "search = halving\n", "halving decides itself");
    check_refused(EPOCHS "objective.metric = background_rejection\n", "/objective/class");
    check_refused(EPOCHS "report[0].metric = background_efficiency\n", "/report/0/class");
    check_refused(EPOCHS "objective.class = \"higgs\"\n", "has no class higgs");
    check_refused(EPOCHS "model = \"hfl\"\n", "/model");
    check_refused("", "space");
}

int main(void)
{
    arena_init(&arena, (size_t)1 << 30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_is_held_out_once_and_classes_are_spread_evenly),
        cmocka_unit_test(test_scalers_of_a_fold_do_not_see_the_rows_held_out),
        cmocka_unit_test(test_a_search_gives_the_bits_of_fits_of_their_own),
        cmocka_unit_test(test_one_thread_and_eight_find_the_same_bytes),
        cmocka_unit_test(test_a_stopped_search_goes_on_without_repeating_a_fit),
        cmocka_unit_test(test_what_a_running_search_knows_is_told),
        cmocka_unit_test(test_planning_and_telling_without_memory_is_nomem),
        cmocka_unit_test(test_a_fit_without_memory_ends_the_attempt_and_not_the_trial),
        cmocka_unit_test(test_cancel_is_seen_between_two_steps),
        cmocka_unit_test(test_a_random_search_is_repeated_by_its_seed),
        cmocka_unit_test(test_halving_keeps_the_best_of_each_rung),
        cmocka_unit_test(test_any_member_of_the_parameters_can_be_searched_over),
        cmocka_unit_test(test_a_trial_whose_epochs_shape_its_steps_has_a_fit_of_its_own),
        cmocka_unit_test(test_a_diverging_trial_fails_alone),
        cmocka_unit_test(test_spaces_that_make_no_sense_are_refused_before_anything_runs),
    };
    int failed = cmocka_run_group_tests(tests, make_dataset, forget_dataset);
    arena_fini(&arena);
    return failed;
}
