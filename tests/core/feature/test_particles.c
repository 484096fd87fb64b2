/* tests/core/feature/test_particles.c
 *
 * Particle rows: which objects become rows, in which order, and the 19 columns made of them. */
#include "tests/core/feature/events.h"

struct fixture {
    struct event_batch events;
    struct feature_batch features;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    event_batch_init(&f->events);
    feature_batch_init(&f->features);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_batch_fini(&f->events);
    feature_batch_fini(&f->features);
    free(f);
    return 0;
}

static const struct object electron = {.pt = 30, .eta = 1, .phi = 0.5f, .charge = -1};
static const struct object far_away = {.pt = 2, .eta = -3, .phi = -2, .charge = 1};

/* An electron and `n` objects a list with pT 1, 2, ... in increasing order, spread over phi. */
static void add_ladder_event(struct event_batch *b, size_t n)
{
    static const enum object_kind lists[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL};
    add_event(b);
    add_object(b, OBJECT_ELECTRON, electron);
    for (size_t l = 0; l < 3; l++)
        for (size_t j = 0; j < n; j++)
            add_object(b, lists[l],
                       (struct object){.pt = (float)(j + 1), .eta = -3, .phi = -3 + 0.001f * (float)j, .charge = 1});
}

static const struct particle_columns *rows_of(struct fixture *f, const char *recipe, size_t n_expected)
{
    compute(recipe, &f->events, true, &f->features);
    assert_int_equal(f->features.reject[0], REJECT_NONE);
    assert_int_equal(f->features.row_first[1], n_expected);
    return &f->features.rows;
}

/* Rows [first, first + n) are of `kind`, with pT starting at `pt` and changing by `step`. */
static void assert_ladder(const struct particle_columns *rows, size_t first, size_t n, enum particle_kind kind,
                          double pt, double step)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows->kind[first + i], kind);
        assert_true((double)rows->pt[first + i] == pt + step * (double)i);
    }
}

static void test_caps_keep_the_hardest_under_topology(void **state)
{
    struct fixture *f = *state;
    add_ladder_event(&f->events, 5000);
    const struct particle_columns *rows = rows_of(f, "topology-1", PARTICLE_ROWS_MAX);
    assert_int_equal(rows->kind[0], PARTICLE_ELECTRON);
    assert_ladder(rows, 1, 450, PARTICLE_CHARGED, 5000, -1);
    assert_ladder(rows, 451, 150, PARTICLE_PHOTON, 5000, -1);
    assert_ladder(rows, 601, 200, PARTICLE_NEUTRAL, 5000, -1);
}

static void test_caps_keep_the_first_under_the_published_recipe(void **state)
{
    struct fixture *f = *state;
    add_ladder_event(&f->events, 5000);
    const struct particle_columns *rows = rows_of(f, "sparkdltrigger-1", PARTICLE_ROWS_MAX);
    assert_ladder(rows, 1, 450, PARTICLE_CHARGED, 1, 1);
    assert_ladder(rows, 451, 150, PARTICLE_PHOTON, 1, 1);
    assert_ladder(rows, 601, 200, PARTICLE_NEUTRAL, 1, 1);
}

/* Isolation sees what the caps drop: all 5,000 photons lie in a phi range of 5 rad. */
static void test_isolation_counts_objects_beyond_the_caps(void **state)
{
    struct fixture *f = *state;
    add_ladder_event(&f->events, 5000);
    const struct particle_columns *rows = rows_of(f, "sparkdltrigger-1", PARTICLE_ROWS_MAX);
    double phi = (double)rows->phi[200], sum = 0;      /* pT 200, phi -2.801 */
    for (size_t j = 0; j < 5000; j++)
        sum += fabs((double)(-3 + 0.001f * (float)j) - phi) < 0.3 ? (double)(j + 1) : 0;
    assert_true(rows->iso_gamma[200] == (float)(sum / 200));
    assert_true(rows->iso_ch[200] == (float)(sum / 200 - 1));
}

static void test_equal_pt_keeps_file_order(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, electron);
    for (size_t j = 0; j < 100; j++)
        add_object(&f->events, OBJECT_PHOTON,
                   (struct object){.pt = (float)(j % 3), .eta = -3, .phi = 0.01f * (float)j});
    const struct particle_columns *rows = rows_of(f, "topology-1", 101);
    for (size_t i = 2; i < 101; i++) {
        assert_true(rows->pt[i] <= rows->pt[i - 1]);
        assert_true(rows->pt[i] < rows->pt[i - 1] || rows->phi[i] > rows->phi[i - 1]);
    }
}

static void test_track_of_the_lepton_is_no_row_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct object near = electron, apart = electron, wrapped = electron;
    near.eta += 0.00009f;
    apart.eta += 0.00011f;
    wrapped.phi += 0.00009f;
    add_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, (struct object){.pt = 300, .eta = 1, .phi = 0.5f, .charge = -1});
    add_object(&f->events, OBJECT_TRACK, electron);
    add_object(&f->events, OBJECT_TRACK, near);
    add_object(&f->events, OBJECT_TRACK, apart);
    add_object(&f->events, OBJECT_TRACK, wrapped);
    add_object(&f->events, OBJECT_PHOTON, electron);   /* photons and neutral hadrons are never the lepton's track */
    add_object(&f->events, OBJECT_NEUTRAL, far_away);
    for (size_t r = 0; r < 2; r++) {
        const struct particle_columns *rows = rows_of(f, r ? "topology-1" : "sparkdltrigger-1", 4);
        assert_int_equal(rows->kind[1], PARTICLE_CHARGED);
        assert_true(rows->eta[1] == apart.eta);
        assert_int_equal(rows->kind[2], PARTICLE_PHOTON);
    }
}

static void test_track_of_a_lepton_at_pi_is_found_across_the_seam(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    add_object(&f->events, OBJECT_MUON, (struct object){.pt = 30, .eta = 1, .phi = 3.14158f, .charge = 1});
    add_object(&f->events, OBJECT_TRACK, (struct object){.pt = 1, .eta = 1, .phi = -3.14158f, .charge = 1});
    rows_of(f, "topology-1", 1);
}

static void test_only_tracks_have_vertex_and_charge(void **state)
{
    struct fixture *f = *state;
    struct object negative = far_away;
    negative.charge = -1;
    add_event(&f->events);
    add_object(&f->events, OBJECT_MUON, electron);
    add_object(&f->events, OBJECT_TRACK, far_away);
    add_object(&f->events, OBJECT_TRACK, negative);
    add_object(&f->events, OBJECT_PHOTON, far_away);
    add_object(&f->events, OBJECT_NEUTRAL, far_away);
    const struct particle_columns *rows = rows_of(f, "topology-1", 5);
    static const int charge[] = {-1, 1, -1, 0, 0};
    for (size_t i = 0; i < 5; i++) {
        bool track = i == 1 || i == 2;
        assert_int_equal(rows->charge[i], charge[i]);
        assert_true(rows->x[i] == (track ? 2 : 0) && rows->y[i] == (track ? -3 : 0) && rows->z[i] == (track ? -2 : 0));
    }
    assert_int_equal(rows->kind[0], PARTICLE_MUON);
}

/* ---- the 19 columns ------------------------------------------------------------------------------------ */

enum { MANY = 4096 };
struct table {
    float v[9][MANY];
    int8_t kind[MANY], charge[MANY];
    struct particle_columns columns;
    float out[MANY * PARTICLE_COLUMNS], again[MANY * PARTICLE_COLUMNS];
};

static struct table *table_create(void)
{
    struct table *t = calloc(1, sizeof *t);
    t->columns = (struct particle_columns){t->v[0], t->v[1], t->v[2], t->v[3], t->v[4], t->v[5],
                                           t->v[6], t->v[7], t->v[8], t->kind, t->charge, NULL};
    return t;
}

static void fill_table(struct table *t)
{
    static const float special[] = {0, -0.0f, 1e-30f, -1e-12f, 1e-6f, 0.25f, -0.25f, 0.7853982f, 1.5707964f,
                                    -1.5707964f, 2.3561945f, 3.1415925f, 3.1415927f, -3.1415927f, 2.9999f};
    struct rng r = rng_stream(3, 0);
    for (size_t i = 0; i < MANY; i++) {
        struct object o = random_object(&r, 0.1, 6);
        t->v[0][i] = o.pt;
        t->v[1][i] = i < 225 ? special[i / 15] : o.eta;
        t->v[2][i] = i < 225 ? special[i % 15] : o.phi;
        for (size_t c = 3; c < 9; c++)
            t->v[c][i] = (float)(100 * c) + (float)(i % 50);
        t->kind[i] = (int8_t)(i % 5);
        t->charge[i] = (int8_t)(i % 3) - 1;
    }
}

static void assert_close(double ours, double exact, double scale)
{
    if (!(fabs(ours - exact) <= 6e-8 * fabs(exact) + 1e-15 * scale + 1e-45))
        fail_msg("%.10g, should be %.10g", ours, exact);
}

static void test_four_vectors_are_massless_and_accurate_to_a_float(void **state)
{
    (void)state;
    struct table *t = table_create();
    fill_table(t);
    particle_expand(&t->columns, 0, MANY, t->out);
    for (size_t i = 0; i < MANY; i++) {
        const float *row = t->out + i * PARTICLE_COLUMNS;
        double pt = (double)t->v[0][i], eta = (double)t->v[1][i], phi = (double)t->v[2][i];
        assert_close((double)row[0], pt * cosh(eta), pt);
        assert_close((double)row[1], pt * cos(phi), pt);
        assert_close((double)row[2], pt * sin(phi), pt);
        assert_close((double)row[3], pt * sinh(eta), 0);
    }
    free(t);
}

static void test_measured_columns_and_flags_are_copied(void **state)
{
    (void)state;
    static const size_t flag[] = {13, 14, 15, 16, 17};  /* in the order of enum particle_kind */
    struct table *t = table_create();
    fill_table(t);
    particle_expand(&t->columns, 0, MANY, t->out);
    for (size_t i = 0; i < MANY; i++) {
        const float *row = t->out + i * PARTICLE_COLUMNS;
        for (size_t c = 0; c < 9; c++)
            assert_true(row[4 + c] == t->v[c][i]);
        for (size_t k = 0; k < 5; k++)
            assert_true(row[flag[k]] == (t->kind[i] == (int)k ? 1 : 0));
        assert_true(row[18] == (float)t->charge[i]);
    }
    free(t);
}

static void test_every_path_and_every_cut_expands_to_the_same_bits(void **state)
{
    (void)state;
    struct table *t = table_create();
    fill_table(t);
    cpu_level_set(CPU_PORTABLE);
    particle_expand(&t->columns, 0, MANY, t->out);
    for (int level = CPU_PORTABLE; level <= CPU_AVX512; level++) {
        cpu_level_set((enum cpu_level)level);
        for (size_t step = 1; step < 300; step = 2 * step + 5) {
            memset(t->again, 0xff, sizeof t->again);
            for (size_t first = 0; first < MANY; first += step) {
                size_t n = MANY - first < step ? MANY - first : step;
                particle_expand(&t->columns, first, n, t->again + first * PARTICLE_COLUMNS);
            }
            assert_same_bits(t->out, t->again, MANY * PARTICLE_COLUMNS);
        }
    }
    free(t);
}

static void test_angles_that_cannot_be_stay_finite(void **state)
{
    (void)state;
    static const float far[] = {1e30f, -1e30f, 3.4e38f, 100, -100, 7};
    struct table *t = table_create();
    for (size_t i = 0; i < 36; i++) {
        t->v[0][i] = 1000;
        t->v[1][i] = far[i / 6];
        t->v[2][i] = far[i % 6];
        t->kind[i] = (int8_t)(i % 2 ? 100 : -1);       /* no such kind: no flag */
    }
    particle_expand(&t->columns, 0, 36, t->out);
    for (size_t i = 0; i < 36 * PARTICLE_COLUMNS; i++)
        assert_true(isfinite(t->out[i]));
    for (size_t c = 13; c < 18; c++)
        assert_true(t->out[c] == 0 && t->out[PARTICLE_COLUMNS + c] == 0);
    assert_float_equal(t->out[5 * PARTICLE_COLUMNS + 1], 1000 * cos(7), 1e-3);
    free(t);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_caps_keep_the_hardest_under_topology),
        T(test_caps_keep_the_first_under_the_published_recipe),
        T(test_isolation_counts_objects_beyond_the_caps),
        T(test_equal_pt_keeps_file_order),
        T(test_track_of_the_lepton_is_no_row_of_its_own),
        T(test_track_of_a_lepton_at_pi_is_found_across_the_seam),
        T(test_only_tracks_have_vertex_and_charge),
        cmocka_unit_test(test_four_vectors_are_massless_and_accurate_to_a_float),
        cmocka_unit_test(test_measured_columns_and_flags_are_copied),
        cmocka_unit_test(test_every_path_and_every_cut_expands_to_the_same_bits),
        cmocka_unit_test(test_angles_that_cannot_be_stay_finite),
    };
    return cmocka_run_group_tests_name("feature_particles", tests, NULL, NULL);
}
