/* core/model/tree_xgboost.c
 *
 * The few functions of XGBoost's C interface (1.6 and later, https://xgboost.readthedocs.io/en/stable/c.html) that
 * growing takes.  Each tree has a booster of its own, made of nothing but rows, derivatives and settings: no state of
 * the library outlives a tree, so a fit can stop behind any of them and go on in another process with the same bits. */
#include "core/model/tree_xgboost.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tree_library {
    int (*matrix_create)(const float *rows, uint64_t n_rows, uint64_t n_columns, float missing, void **out, int threads);
    int (*matrix_free)(void *matrix);
    int (*booster_create)(void *const matrices[], uint64_t n, void **out);
    int (*booster_free)(void *booster);
    int (*booster_set)(void *booster, const char *name, const char *value);
    int (*booster_grow)(void *booster, void *matrix, float *gradient, float *hessian, uint64_t n);
    int (*booster_save)(void *booster, const char *config, uint64_t *n_bytes, const char **bytes);
    const char *(*last_error)(void);
};

struct tree_grower {
    void *matrix;
    size_t n, threads;
};

static struct tree_library library;
static char why_not[512];

static bool find_function(void *handle, const char *name, void *function)
{
    void *found = dlsym(handle, name);
    if (found)
        memcpy(function, &found, sizeof found);          /* ISO C has no cast from an object to a function pointer */
    else
        snprintf(why_not, sizeof why_not, "the XGBoost library that is installed lacks %s: 1.6 or later is needed", name);
    return found != NULL;
}

static void load(void)
{
    static const char *const names[] = {"libxgboost.so.0", "libxgboost.so"};
    const char *chosen = getenv("DLT_XGBOOST_LIBRARY");
    void *handle = NULL;
    if (chosen && *chosen)
        handle = dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; !(chosen && *chosen) && !handle && i < ARRAY_LEN(names); i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(why_not, sizeof why_not, "training trees needs XGBoost's library (libxgboost.so), which cannot be loaded: "
                 "install it (Debian: apt-get install libxgboost0)%s",
                 chosen && *chosen ? " or correct DLT_XGBOOST_LIBRARY" : "");
        return;
    }
    if (!find_function(handle, "XGDMatrixCreateFromMat_omp", &library.matrix_create) ||
        !find_function(handle, "XGDMatrixFree", &library.matrix_free) ||
        !find_function(handle, "XGBoosterCreate", &library.booster_create) ||
        !find_function(handle, "XGBoosterFree", &library.booster_free) ||
        !find_function(handle, "XGBoosterSetParam", &library.booster_set) ||
        !find_function(handle, "XGBoosterBoostOneIter", &library.booster_grow) ||
        !find_function(handle, "XGBoosterSaveModelToBuffer", &library.booster_save) ||
        !find_function(handle, "XGBGetLastError", &library.last_error))
        library.matrix_create = NULL;
}

enum status tree_library_check(struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return library.matrix_create ? STATUS_OK : error_set(e, STATUS_UNSUPPORTED, "%s", why_not);
}

static enum status failed(const char *doing, struct error *e)
{
    return error_set(e, STATUS_ARGUMENT, "XGBoost: %s: %s", doing, library.last_error());
}

enum status tree_grower_create(const float *rows, size_t n, size_t threads, struct tree_grower **out, struct error *e)
{
    *out = NULL;
    TRY(tree_library_check(e));
    struct tree_grower *g = mem_calloc(1, sizeof *g);
    if (!g)
        return error_set(e, STATUS_NOMEM, "no memory to grow trees");
    g->n = n;
    g->threads = threads;
    if (library.matrix_create(rows, n, HLF_COUNT, NAN, &g->matrix, (int)threads) != 0) {
        mem_free(g);
        return failed("taking the rows", e);
    }
    *out = g;
    return STATUS_OK;
}

void tree_grower_destroy(struct tree_grower *g)
{
    if (!g)
        return;
    (void)library.matrix_free(g->matrix);
    mem_free(g);
}

static enum status set_number(void *booster, const char *name, double value, struct error *e)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    return library.booster_set(booster, name, text) == 0 ? STATUS_OK : failed(name, e);
}

static enum status settle(void *booster, const struct tree_grower *g, const struct tree_settings *s, struct error *e)
{
    /* The objective only tells how many trees there are, and that nothing is silently transformed. */
    static const char *const fixed[][2] = {
        {"verbosity", "0"}, {"objective", "reg:squarederror"}, {"base_score", "0"}, {"tree_method", "hist"}};
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"nthread", (double)g->threads}, {"seed", s->seed}, {"max_depth", (double)s->max_depth},
        {"max_bin", (double)s->max_bin}, {"eta", s->eta}, {"colsample_bynode", s->colsample_bynode},
        {"min_child_weight", s->min_child_weight}, {"lambda", s->lambda}, {"gamma", s->gamma},
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (library.booster_set(booster, fixed[i][0], fixed[i][1]) != 0)
            return failed(fixed[i][0], e);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        TRY(set_number(booster, numbers[i].name, numbers[i].value, e));
    return STATUS_OK;
}

static enum status grow(void *booster, struct tree_grower *g, const struct tree_settings *s, float *gradient,
                        float *hessian, struct buf *stored, struct error *e)
{
    uint64_t n_bytes;
    const char *bytes;
    TRY(settle(booster, g, s, e));
    if (library.booster_grow(booster, g->matrix, gradient, hessian, g->n) != 0)
        return failed("growing a tree", e);
    if (library.booster_save(booster, "{\"format\": \"ubj\"}", &n_bytes, &bytes) != 0)
        return failed("writing a tree", e);
    return tree_read_ubjson((struct span){(const uint8_t *)bytes, (size_t)n_bytes}, stored, e);
}

enum status tree_grow(struct tree_grower *g, const struct tree_settings *s, float *gradient, float *hessian,
                      struct buf *stored, struct error *e)
{
    void *booster;
    if (library.booster_create(&g->matrix, 1, &booster) != 0)
        return failed("beginning a tree", e);
    enum status status = grow(booster, g, s, gradient, hessian, stored, e);
    (void)library.booster_free(booster);
    return status;
}
