/* tests/core/feature/test_isolation.c
 *
 * Cone sums: geometry at the seams, equality with a sum over all pairs, and equality of the vector paths. */
#include "tests/core/feature/events.h"

#include "core/feature/internal.h"

enum { MOST = 3000 };

/* Three lists and candidates in memory of their own. */
struct cones {
    struct cone_lists lists;
    struct cone_list candidates;
    float pt[CONE_KINDS + 1][MOST], eta[CONE_KINDS + 1][MOST], phi[CONE_KINDS + 1][MOST];
    size_t n[CONE_KINDS + 1];
    double columns[CONE_KINDS + 1][3][MOST];
    uint32_t index[CONE_KINDS + 1][MOST];
};

static struct cone_list *list_of(struct cones *c, size_t l)
{
    return l < CONE_KINDS ? &c->lists.list[l] : &c->candidates;
}

static struct cones *cones_create(double wrap_above)
{
    struct cones *c = calloc(1, sizeof *c);
    c->lists.sum = cone_sum_for(cpu_level());
    c->lists.wrap_above = wrap_above;
    for (size_t l = 0; l <= CONE_KINDS; l++) {
        list_of(c, l)->eta = c->columns[l][0];
        list_of(c, l)->phi = c->columns[l][1];
        list_of(c, l)->pt = c->columns[l][2];
        list_of(c, l)->index = c->index[l];
    }
    return c;
}

static void put(struct cones *c, size_t l, float pt, float eta, float phi)
{
    c->pt[l][c->n[l]] = pt;
    c->eta[l][c->n[l]] = eta;
    c->phi[l][c->n[l]++] = phi;
}

static void fill(struct cones *c)
{
    for (size_t l = 0; l <= CONE_KINDS; l++)
        cone_list_fill(list_of(c, l), c->pt[l], c->eta[l], c->phi[l], c->n[l]);
}

/* Whole-number pT, so that a sum is exact in any order. */
static void put_random(struct cones *c, struct rng *r, size_t l, size_t n, double eta_max)
{
    for (size_t i = 0; i < n; i++) {
        struct object o = random_object(r, 0.5, eta_max);
        put(c, l, (float)(1 + rng_below(r, 100)), o.eta, o.phi);
    }
}

static void test_cone_crossing_pi_counts_neighbours_on_both_sides(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    put(c, CONE_PHOTONS, 5, 0, 3.13f);
    put(c, CONE_PHOTONS, 7, 0, -3.13f);
    fill(c);
    assert_true(isolation_of(&c->lists, 1, 0, 3.14).gamma == 12);
    assert_true(isolation_of(&c->lists, 1, 0, -3.14).gamma == 12);
    assert_true(isolation_of(&c->lists, 1, 0, 3.14159274101257324).gamma == 12);       /* float32(pi) > pi */
    free(c);
}

static void test_published_cone_ends_at_pi(void **state)
{
    (void)state;
    struct cones *c = cones_create(TWO_PI);
    put(c, CONE_PHOTONS, 5, 0, 3.13f);
    put(c, CONE_PHOTONS, 7, 0, -3.13f);
    fill(c);
    assert_true(isolation_of(&c->lists, 1, 0, 3.14).gamma == 5);
    assert_true(isolation_of(&c->lists, 1, 0, -3.14).gamma == 7);
    free(c);
}

static void test_cone_is_open_at_its_radius(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    put(c, CONE_NEUTRALS, 1, nextafterf(0.3f, 0), 0);  /* 0.29999998 */
    put(c, CONE_NEUTRALS, 2, 0.3f, 0);                 /* 0.30000001 */
    put(c, CONE_NEUTRALS, 4, 0, nextafterf(0.3f, 0));
    put(c, CONE_NEUTRALS, 8, 0, -0.3f);
    put(c, CONE_NEUTRALS, 16, 0.25f, 0.25f);
    fill(c);
    assert_true(isolation_of(&c->lists, 1, 0, 0).neu == 5);
    free(c);
}

static void test_only_charged_isolation_subtracts_the_own_track(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    for (size_t l = 0; l < CONE_KINDS; l++)
        put(c, l, 10, 1, 1);
    fill(c);
    struct isolation iso = isolation_of(&c->lists, 10, 1, 1);
    assert_true(iso.ch == 0 && iso.gamma == 1 && iso.neu == 1);
    free(c);
}

static void test_candidate_without_pt_has_no_isolation(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    put(c, CONE_TRACKS, 10, 1, 1);
    fill(c);
    struct isolation none = isolation_of(&c->lists, 0, 1, 1), negative = isolation_of(&c->lists, -1, 1, 1);
    assert_true(none.ch == 0 && none.gamma == 0 && none.neu == 0);
    assert_true(negative.ch == 0);
    free(c);
}

static void test_empty_lists_give_empty_cones(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    fill(c);
    struct isolation iso = isolation_of(&c->lists, 10, 1, 1);
    assert_true(iso.ch == -1 && iso.gamma == 0 && iso.neu == 0);
    isolation_of_all(&c->lists, &c->candidates, 0, NULL, NULL, NULL);
    free(c);
}

static void test_objects_beyond_the_bins_are_counted(void **state)
{
    (void)state;
    struct cones *c = cones_create(PI);
    put(c, CONE_PHOTONS, 1, 6.3f, 0);
    put(c, CONE_PHOTONS, 2, 6.45f, 0);
    put(c, CONE_PHOTONS, 4, 50, 0);
    put(c, CONE_PHOTONS, 8, -50, 0);
    put(c, CONE_PHOTONS, 16, 50.2f, 6.4f);             /* 6.4 rad is 0.117 rad */
    fill(c);
    assert_true(isolation_of(&c->lists, 1, 6.4, 0).gamma == 3);
    assert_true(isolation_of(&c->lists, 1, 50, 0).gamma == 20);
    assert_true(isolation_of(&c->lists, 1, -50, 0).gamma == 8);
    free(c);
}

/* The sum over all pairs, in list order. */
static double plain_sum(const struct cones *c, size_t l, double eta, double phi)
{
    double sum = 0;
    for (size_t j = 0; j < c->n[l]; j++) {
        double d_eta = (double)c->eta[l][j] - eta, d_phi = (double)c->phi[l][j] - phi;
        if (c->lists.wrap_above < 4) {
            if (d_phi > PI)
                d_phi -= TWO_PI;
            if (d_phi < -PI)
                d_phi += TWO_PI;
        }
        sum += d_eta * d_eta + d_phi * d_phi < 0.3 * 0.3 ? (double)c->pt[l][j] : 0;
    }
    return sum;
}

static void check_against_plain_sums(struct rng *r, size_t n, double eta_max, double wrap_above)
{
    struct cones *c = cones_create(wrap_above);
    float *ch = calloc(3 * MOST, sizeof *ch), *gamma = ch + MOST, *neu = gamma + MOST;
    for (size_t l = 0; l <= CONE_KINDS; l++)
        put_random(c, r, l, n + l, eta_max);
    fill(c);
    isolation_of_all(&c->lists, &c->candidates, c->n[CONE_KINDS], ch, gamma, neu);
    for (size_t i = 0; i < c->n[CONE_KINDS]; i++) {
        double pt = (double)c->pt[CONE_KINDS][i], eta = (double)c->eta[CONE_KINDS][i];
        double phi = (double)c->phi[CONE_KINDS][i];
        assert_true(ch[i] == (float)(plain_sum(c, CONE_TRACKS, eta, phi) / pt - 1));
        assert_true(gamma[i] == (float)(plain_sum(c, CONE_PHOTONS, eta, phi) / pt));
        assert_true(neu[i] == (float)(plain_sum(c, CONE_NEUTRALS, eta, phi) / pt));
        struct isolation one = isolation_of(&c->lists, pt, eta, phi);
        assert_true((float)one.ch == ch[i] && (float)one.gamma == gamma[i] && (float)one.neu == neu[i]);
    }
    free(ch);
    free(c);
}

static void test_binned_sums_equal_sums_over_all_pairs_on_every_path(void **state)
{
    (void)state;
    struct rng r = rng_stream(1, 0);
    for (int level = CPU_PORTABLE; level <= CPU_AVX512; level++) {
        cpu_level_set((enum cpu_level)level);
        for (size_t n = 0; n < 40; n++)
            check_against_plain_sums(&r, n, n % 2 ? 0.5 : 5, n % 3 ? PI : TWO_PI);
        check_against_plain_sums(&r, 800, 5, PI);
        check_against_plain_sums(&r, 800, 5, TWO_PI);
        check_against_plain_sums(&r, 300, 0.2, PI);
        check_against_plain_sums(&r, 300, 100, PI);
    }
}

/* pT as measured: sums round, and rounding shows the order of the additions. */
static void test_every_path_and_grouping_gives_the_same_bits(void **state)
{
    (void)state;
    enum { N = 700 };
    struct rng r = rng_stream(2, 0);
    struct cones *c = cones_create(PI);
    float(*iso)[3][N] = calloc(3, sizeof *iso);
    for (size_t l = 0; l <= CONE_KINDS; l++)
        for (size_t i = 0; i < N; i++) {
            struct object o = random_object(&r, 0.5, 2);
            put(c, l, o.pt, o.eta, o.phi);
        }
    fill(c);
    for (int level = CPU_PORTABLE; level <= CPU_AVX512; level++) {
        c->lists.sum = cone_sum_for((enum cpu_level)level <= cpu_level() ? (enum cpu_level)level : CPU_PORTABLE);
        isolation_of_all(&c->lists, &c->candidates, N, iso[level][0], iso[level][1], iso[level][2]);
        assert_same_bits(iso[0][0], iso[level][0], 3 * N);
    }
    for (size_t i = 0; i < N; i++) {
        struct isolation one = isolation_of(&c->lists, (double)c->pt[CONE_KINDS][i], (double)c->eta[CONE_KINDS][i],
                                            (double)c->phi[CONE_KINDS][i]);
        assert_true((float)one.ch == iso[0][0][i] && (float)one.gamma == iso[0][1][i]);
    }
    free(iso);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cone_crossing_pi_counts_neighbours_on_both_sides),
        cmocka_unit_test(test_published_cone_ends_at_pi),
        cmocka_unit_test(test_cone_is_open_at_its_radius),
        cmocka_unit_test(test_only_charged_isolation_subtracts_the_own_track),
        cmocka_unit_test(test_candidate_without_pt_has_no_isolation),
        cmocka_unit_test(test_empty_lists_give_empty_cones),
        cmocka_unit_test(test_objects_beyond_the_bins_are_counted),
        cmocka_unit_test(test_binned_sums_equal_sums_over_all_pairs_on_every_path),
        cmocka_unit_test(test_every_path_and_grouping_gives_the_same_bits),
    };
    return cmocka_run_group_tests_name("feature_isolation", tests, NULL, NULL);
}
