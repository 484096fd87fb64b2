/* tests/peers/peer_onnx.c
 *
 * Targets 5 and 6: scoring in process, against ONNX Runtime through its C interface, so that no interpreter is measured.
 * The same networks (golden A and B), the same values in, and the answers must agree before anything is timed.
 *
 *   peer_onnx LIBRARY GOLDEN_FOLDER
 *
 * Ours is model_predict() and model_predict_hlf(), which also scale the features; theirs is Run() on tensors that lie
 * ready, with all optimisations and as many threads as ours.  Two cores: ours is two threads with a batch each; theirs
 * the faster of a session with two threads and two threads with a batch each. */
#include "core/model/private.h"
#include "tests/peers/peers.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>

enum { EVENTS = 64, STEPS = PARTICLE_ROWS_MAX, CLASSES = 3, RUNS = 5, INPUTS_MAX = 2, WINDOW = 8192 };

/* ---- their interface ------------------------------------------------------------------------------------------- */

/* OrtGetApiBase() gives a struct of two functions, the first of which gives a table of functions whose places never
 * change (onnxruntime_c_api.h); those wanted here, by place.  A function's answer is NULL, or what went wrong. */
enum place {
    ERROR_TEXT = 2, CREATE_ENVIRONMENT = 3, CREATE_SESSION = 7, RUN = 9, CREATE_OPTIONS = 10, SET_OPTIMIZATION = 23,
    SET_INTRA_THREADS = 24, CREATE_TENSOR = 49, TENSOR_DATA = 51, CREATE_CPU_MEMORY = 69
};
enum { API_VERSION = 11, ELEMENT_FLOAT = 1, LOG_ERRORS = 3, OPTIMIZE_ALL = 99, ARENA = 1, MEMORY_DEFAULT = 0 };

typedef void (*any_function)(void);
struct api_base {
    const any_function *(*get)(uint32_t version);
    const char *(*version)(void);
};

typedef void *(*create_environment)(int log_level, const char *name, void **out);
typedef void *(*create_session)(void *environment, const char *path, const void *options, void **out);
typedef void *(*run_session)(void *session, const void *options, const char *const *in_names, void *const *in, size_t n_in,
                             const char *const *out_names, size_t n_out, void **out);
typedef void *(*create_options)(void **out);
typedef void *(*set_number)(void *options, int value);
typedef void *(*create_tensor)(const void *memory, void *data, size_t bytes, const int64_t *shape, size_t rank, int type,
                               void **out);
typedef void *(*create_memory)(int allocator, int kind, void **out);
typedef const char *(*error_text)(const void *status);

static const any_function *api;
static void *environment, *memory;

static void sound(void *status)
{
    if (!status)
        return;
    fprintf(stderr, "peer_onnx: %s\n", ((error_text)api[ERROR_TEXT])(status));
    exit(1);
}

static const char *open_library(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL), *found = handle ? dlsym(handle, "OrtGetApiBase") : NULL;
    const struct api_base *(*base)(void);
    if (!found) {
        fprintf(stderr, "peer_onnx: %s\n", dlerror());
        exit(1);
    }
    memcpy(&base, &found, sizeof found);
    api = base()->get(API_VERSION);
    check(api);
    sound(((create_environment)api[CREATE_ENVIRONMENT])(LOG_ERRORS, "peer", &environment));
    sound(((create_memory)api[CREATE_CPU_MEMORY])(ARENA, MEMORY_DEFAULT, &memory));
    return base()->version();
}

static void *session(const char *path, int threads)
{
    void *options, *out;
    sound(((create_options)api[CREATE_OPTIONS])(&options));
    sound(((set_number)api[SET_OPTIMIZATION])(options, OPTIMIZE_ALL));
    sound(((set_number)api[SET_INTRA_THREADS])(options, threads));
    sound(((create_session)api[CREATE_SESSION])(environment, path, options, &out));
    return out;
}

static void *tensor(float *data, const int64_t *shape, size_t rank)
{
    void *out;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++)
        n *= (size_t)shape[i];
    sound(((create_tensor)api[CREATE_TENSOR])(memory, data, n * sizeof *data, shape, rank, ELEMENT_FLOAT, &out));
    return out;
}

/* ---- both sides -------------------------------------------------------------------------------------------------- */

struct network {
    bool inclusive;
    struct arena arena;
    struct model *model;
    struct particle_columns rows;
    uint32_t row_first[EVENTS + 1];
    size_t n_rows;                     /* of features, made of the golden ones */
    float *hlf, *particles;
    char path[512];
};

static struct npy golden(const char *folder, const char *name)
{
    struct npy a;
    struct error e;
    char path[512];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    must(npy_load(path, &a, &e), &e);
    return a;
}

static void network_init(struct network *w, const char *folder, bool inclusive)
{
    static const char *const names_a[] = {"A_dense_0_kernel", "A_dense_0_bias", "A_dense_1_kernel", "A_dense_1_bias",
                                          "A_dense_2_kernel", "A_dense_2_bias", "A_dense_3_kernel", "A_dense_3_bias"};
    static const char *const names_b[] = {"B_gru_kernel", "B_gru_recurrent", "B_gru_bias", "B_dense_0_kernel",
                                          "B_dense_0_bias", "B_dense_1_kernel", "B_dense_1_bias"};
    struct model_header h;
    struct error e;
    struct buf params;
    *w = (struct network){.inclusive = inclusive, .n_rows = WINDOW};
    arena_init(&w->arena, (size_t)1 << 30);
    buf_init(&params, 1 << 20);
    for (size_t i = 0; i < (inclusive ? ARRAY_LEN(names_b) : ARRAY_LEN(names_a)); i++) {
        char name[64];
        snprintf(name, sizeof name, "weight_%s", inclusive ? names_b[i] : names_a[i]);
        struct npy a = golden(folder, name);
        for (size_t j = 0; j < a.n; j++) {
            const float v = (float)npy_value(&a, j);
            must(buf_append(&params, &v, sizeof v, &e), &e);
        }
        npy_free(&a);
    }
    header_init(&w->arena, &h, inclusive ? "inclusive" : "hlf", true);
    must(model_create(&h, (const float *)(void *)params.data, params.len / sizeof(float), NULL, &w->model, &e), &e);
    buf_fini(&params);
    struct npy hlf = golden(folder, "in_hlf");
    w->hlf = ARENA_NEW(&w->arena, float, w->n_rows * HLF_COUNT);
    check(w->hlf && hlf.n == EVENTS * HLF_COUNT);
    for (size_t i = 0; i < w->n_rows * HLF_COUNT; i++)
        w->hlf[i] = (float)npy_value(&hlf, i % hlf.n);
    npy_free(&hlf);
    snprintf(w->path, sizeof w->path, "%s/%s.onnx", folder, inclusive ? "B" : "A");
    if (!inclusive)
        return;
    struct npy sequences = golden(folder, "in_seq");
    w->particles = ARENA_NEW(&w->arena, float, sequences.n);
    check(w->particles && sequences.n == EVENTS * STEPS * PARTICLE_COLUMNS);
    for (size_t i = 0; i < sequences.n; i++)
        w->particles[i] = (float)npy_value(&sequences, i);
    npy_free(&sequences);
    w->rows.prepared = w->particles;
    for (uint32_t i = 0; i <= EVENTS; i++)
        w->row_first[i] = i * STEPS;
}

/* One thread's calls of one side, over the events in turn. */
struct caller {
    const struct network *w;
    bool theirs;
    void *session;
    void **in;                         /* tensors of each place: [n / batch][INPUTS_MAX] */
    size_t batch, n, at;
    float *out;
    void *out_tensor;
};

static struct caller caller_of(struct network *w, size_t batch, void *their_session)
{
    struct caller c = {.w = w, .theirs = their_session != NULL, .session = their_session, .batch = batch};
    c.n = (w->inclusive ? EVENTS : w->n_rows) / batch * batch;
    c.out = mem_aligned(batch * CLASSES * sizeof *c.out);
    c.in = mem_calloc(c.n / batch * INPUTS_MAX, sizeof *c.in);
    check(c.out && c.in);
    const int64_t particles[] = {(int64_t)batch, STEPS, PARTICLE_COLUMNS}, hlf[] = {(int64_t)batch, HLF_COUNT},
                  out[] = {(int64_t)batch, CLASSES};
    for (size_t at = 0; c.theirs && at < c.n; at += batch) {
        void **in = c.in + at / batch * INPUTS_MAX;
        if (w->inclusive)
            *in++ = tensor(w->particles + at * STEPS * PARTICLE_COLUMNS, particles, 3);
        *in = tensor(w->hlf + at * HLF_COUNT, hlf, 2);
    }
    if (c.theirs)
        c.out_tensor = tensor(c.out, out, 2);
    return c;
}

static void caller_call(struct caller *c)
{
    static const char *const in_names[] = {"sequence", "hlf"}, *const out_names[] = {"probabilities"};
    const struct network *w = c->w;
    if (c->theirs) {
        sound(((run_session)api[RUN])(c->session, NULL, in_names + !w->inclusive, c->in + c->at / c->batch * INPUTS_MAX,
                                      w->inclusive ? 2 : 1, out_names, 1, &c->out_tensor));
    } else if (w->inclusive) {
        const struct model_rows rows = {w->hlf + c->at * HLF_COUNT, &w->rows, w->row_first + c->at};
        model_predict(w->model, &rows, c->batch, c->out);
    } else {
        model_predict_hlf(w->model, w->hlf + c->at * HLF_COUNT, c->batch, c->out);
    }
    c->at = c->at + c->batch < c->n ? c->at + c->batch : 0;
}

static void agree(struct network *w, void *their_session)
{
    size_t batch = w->inclusive ? 32 : 64;
    struct caller ours = caller_of(w, batch, NULL), theirs = caller_of(w, batch, their_session);
    caller_call(&ours);
    caller_call(&theirs);
    double worst = 0;
    for (size_t i = 0; i < batch * CLASSES; i++)
        worst = fmax(worst, fabs((double)ours.out[i] - (double)theirs.out[i]));
    fprintf(stderr, "%s: answers agree within %.2g\n", w->inclusive ? "inclusive" : "hlf", worst);
    check(worst < 1e-4);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

struct timing {
    struct caller *c;
    double seconds;
    size_t items;
};

static void *call_for(void *ctx)
{
    struct timing *t = ctx;
    size_t calls = 1;
    for (double start = seconds_of(CLOCK_MONOTONIC); seconds_of(CLOCK_MONOTONIC) - start < t->seconds; calls *= calls < 256 ? 2 : 1)
        for (size_t i = 0; i < calls; i++, t->items += t->c->batch)
            caller_call(t->c);
    return NULL;
}

/* Events a second of callers side by side. */
static double rate(struct caller *c, size_t n, double seconds, double *per_core)
{
    pthread_t thread[2];
    struct timing t[2];
    size_t items = 0;
    check(n <= ARRAY_LEN(thread));
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < n; i++)
        t[i] = (struct timing){&c[i], seconds, 0};
    for (size_t i = 1; i < n; i++)
        check(pthread_create(&thread[i], NULL, call_for, &t[i]) == 0);
    call_for(&t[0]);
    for (size_t i = 1; i < n; i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < n; i++)
        items += t[i].items;
    *per_core = (double)items / (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return (double)items / (seconds_of(CLOCK_MONOTONIC) - wall);
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double v[RUNS])
{
    qsort(v, RUNS, sizeof *v, rising);
    return v[RUNS / 2];
}

struct side {
    struct caller c[2];
    size_t n;
    double rates[RUNS], cores[RUNS];
};

static void compare(const char *target, const char *name, struct side *ours, struct side *theirs, size_t n_theirs)
{
    const char *text = getenv("PEERS_SECONDS");
    double seconds = text ? strtod(text, NULL) : 1, best = 0, best_cores = 0;
    for (int run = 0; run < RUNS; run++) {
        ours->rates[run] = rate(ours->c, ours->n, seconds, &ours->cores[run]);
        for (size_t i = 0; i < n_theirs; i++)
            theirs[i].rates[run] = rate(theirs[i].c, theirs[i].n, seconds, &theirs[i].cores[run]);
    }
    double mine = median(ours->rates), mine_cores = median(ours->cores);
    for (size_t i = 0; i < n_theirs; i++) {
        double its = median(theirs[i].rates), cores = median(theirs[i].cores);
        best_cores = its > best ? cores : best_cores;
        best = its > best ? its : best;
    }
    printf("peer\t%s\t%s\t%.4g\tONNX Runtime\t%.4g\t%.2f\n", target, name, mine, best, mine / best);
    fflush(stdout);
    fprintf(stderr, "target %s %s: %.2f x ONNX Runtime; per core-second %.2f x (%.4g and %.4g)\n", target, name, mine / best,
            mine_cores / best_cores, mine_cores, best_cores);
}

int main(int argc, char **argv)
{
    static const size_t batches[] = {1, 32, 1024};
    if (argc != 3) {
        fprintf(stderr, "usage: peer_onnx LIBRARY GOLDEN_FOLDER\n");
        return 2;
    }
    fprintf(stderr, "ONNX Runtime %s\n", open_library(argv[1]));
    for (int inclusive = 0; inclusive < 2; inclusive++) {
        struct network w;
        network_init(&w, argv[2], inclusive);
        void *one = session(w.path, 1);
        agree(&w, one);
        for (size_t i = 0; i < ARRAY_LEN(batches) - (size_t)inclusive; i++) {
            struct side ours = {.c = {caller_of(&w, batches[i], NULL)}, .n = 1};
            struct side theirs = {.c = {caller_of(&w, batches[i], one)}, .n = 1};
            char name[64];
            snprintf(name, sizeof name, "score_%s_%zu", inclusive ? "inclusive" : "hlf", batches[i]);
            compare(inclusive ? "6" : "5", name, &ours, &theirs, 1);
        }
        if (inclusive && par_cores() >= 2) {
            struct side ours = {.c = {caller_of(&w, 32, NULL), caller_of(&w, 32, NULL)}, .n = 2};
            struct side theirs[2] = {{.c = {caller_of(&w, 32, session(w.path, 2))}, .n = 1},
                                     {.c = {caller_of(&w, 32, one), caller_of(&w, 32, one)}, .n = 2}};
            compare("6", "score_inclusive_32_two_cores", &ours, theirs, 2);
        }
    }
    return 0;
}
