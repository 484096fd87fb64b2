/* core/model/model.c
 *
 * A trained model in memory: counted, immutable, and scoring rows from any thread without allocating. */
#include "core/model/graph.h"
#include "core/model/sequence.h"
#include "core/model/tree_fit.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    HEADER_BYTES_MAX = 16 << 20,       /* its copy in memory */
    CHUNK = 64,                        /* rows scored at once */
    ROW_WORK_MAX = GRAPH_FLAT_NUMBERS_MAX,    /* floats on the stack for one row */
    ROWS_ALONE_MAX = 3,                /* up to so many rows are faster one by one than as lanes (bench_nn) */
    SEQUENCES_ALONE_MAX = 6,           /* the same for sequences */
    WINDOW = 512,                      /* events that are put in order of length together */
    SLOTS_MAX = 32
};

/* Working memory for one thread's chunks.  When all are taken, rows are scored one by one on the stack: slower, the
 * same bits, and nobody waits.  Sequences do not fit on a stack: their slots are locked. */
struct slot {
    _Alignas(64) atomic_bool busy;
    pthread_mutex_t lock;
    float *work;                       /* of sequences: also SEQUENCE_SCRATCH floats behind it */
};

struct model {
    atomic_int references;
    struct arena arena;
    struct model_header header;
    enum model_input input;
    const struct recipe *recipe;
    struct scalers scaler;
    struct net *net;                   /* or */
    struct forest *trees;
    size_t chunk, work_size;           /* rows that are scored at once; floats of working memory for them */
    size_t n_classes;
    float *params;
    char sha256[65];
    size_t n_slots;
    struct slot *slots;
};

/* ---- lifetime -------------------------------------------------------------------------------------------------- */

static void destroy(struct model *m)
{
    for (size_t i = 0; m->slots && i < m->n_slots; i++) {
        mem_free(m->slots[i].work);
        pthread_mutex_destroy(&m->slots[i].lock);
    }
    mem_free(m->slots);
    mem_free(m->params);
    net_destroy(m->net);
    forest_destroy(m->trees);
    arena_fini(&m->arena);
    mem_free(m);
}

static enum status make_slots(struct model *m, struct error *e)
{
    size_t n = par_cores() < SLOTS_MAX ? par_cores() : SLOTS_MAX;
    bool sequences = m->input != INPUT_HLF;
    m->chunk = sequences ? SEQUENCE_ROWS : CHUNK;
    m->work_size = pass_work_size(m->net, m->chunk, false);
    m->slots = mem_aligned(n * sizeof *m->slots);
    if (!m->slots)
        return error_set(e, STATUS_NOMEM, "no memory to score with");
    for (size_t i = 0; i < n; i++, m->n_slots++) {
        struct slot *s = &m->slots[i];
        s->work = mem_aligned((m->work_size + (sequences ? SEQUENCE_SCRATCH : 0)) * sizeof *s->work);
        if (!s->work)
            return error_set(e, STATUS_NOMEM, "no memory to score with");
        atomic_init(&s->busy, false);
        check(pthread_mutex_init(&s->lock, NULL) == 0);
    }
    check(sequences || pass_work_size(m->net, 1, false) <= ROW_WORK_MAX);
    return STATUS_OK;
}

static enum status hash_own_bytes(struct model *m, struct error *e)
{
    struct buf bytes;
    buf_init(&bytes, CONTAINER_BYTES_MAX);
    enum status s = model_encode(m, &bytes, e);
    if (s == STATUS_OK)
        sha256_hex(bytes.data, bytes.len, m->sha256);
    buf_fini(&bytes);
    return s;
}

static enum status fill(struct model *m, const struct model_header *header, const float *params, size_t n_params,
                        const char *sha256, struct error *e)
{
    TRY(header_check(header, &m->scaler, e));
    TRY(field_copy(&m->arena, model_header_fields, header, &m->header, e));
    m->input = estimator_input(&header->params);
    m->recipe = recipe_find(header->recipe);
    m->n_classes = header->classes.n_items;
    TRY(estimator_resolve(&m->arena, &m->header.params, m->n_classes, e));
    bool trees = tree_estimator(&header->params);
    if (trees)
        TRY(forest_create(params, n_params, m->n_classes, tree_averaged(&header->params), &m->trees, e));
    else
        TRY(estimator_network(&m->header.params, m->n_classes, &m->net, e));
    if (!trees && n_params != net_n_params(m->net))
        return error_set(e, STATUS_ARGUMENT, "%zu parameters, its network has %zu", n_params, net_n_params(m->net));
    m->header.estimator = estimator_get(&header->params)->name;
    m->header.format_version = MODEL_FORMAT_VERSION;
    m->header.n_params = (int64_t)n_params;
    m->params = mem_aligned(n_params * sizeof *params + 1);
    if (!m->params)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", n_params);
    if (n_params > 0)
        memcpy(m->params, params, n_params * sizeof *params);
    if (!trees)
        TRY(make_slots(m, e));
    if (!sha256)
        return hash_own_bytes(m, e);
    memcpy(m->sha256, sha256, sizeof m->sha256);
    return STATUS_OK;
}

enum status model_create(const struct model_header *header, const float *params, size_t n_params, const char *sha256,
                         struct model **out, struct error *e)
{
    *out = NULL;
    struct model *m = mem_calloc(1, sizeof *m);
    if (!m)
        return error_set(e, STATUS_NOMEM, "no memory for a model");
    atomic_init(&m->references, 1);
    arena_init(&m->arena, HEADER_BYTES_MAX);
    enum status s = fill(m, header, params, n_params, sha256, e);
    if (s != STATUS_OK)
        destroy(m);
    else
        *out = m;
    return s;
}

void model_acquire(struct model *m)
{
    check(atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed) > 0);
}

void model_release(struct model *m)
{
    if (m && atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) == 1)
        destroy(m);
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

const struct model_header *model_header(const struct model *m) { return &m->header; }
size_t model_n_classes(const struct model *m) { return m->n_classes; }
enum model_input model_input(const struct model *m) { return m->input; }
const struct recipe *model_recipe(const struct model *m) { return m->recipe; }
const char *model_sha256(const struct model *m) { return m->sha256; }
const float *model_params(const struct model *m) { return m->params; }

const char *model_class(const struct model *m, size_t i)
{
    check(i < m->n_classes);
    return ((const char *const *)m->header.classes.items)[i];
}

/* ---- scoring --------------------------------------------------------------------------------------------------- */

static void predict_alone(const struct model *m, const float *hlf, size_t n, float *out)
{
    _Alignas(64) float work[ROW_WORK_MAX];
    struct pass p;
    pass_init(&p, m->net, 1, false, work);
    for (size_t i = 0; i < n; i++) {
        hlf_scale(&m->scaler.hlf, hlf + i * HLF_COUNT, 1, pass_input(&p, 0));
        pass_forward(&p, m->params, 1, NULL);
        pass_softmax(&p, 1);
        memcpy(out + i * m->n_classes, pass_output(&p), m->n_classes * sizeof *out);
    }
}

static void predict_chunks(const struct model *m, const float *hlf, size_t n, float *work, float *out)
{
    struct pass p;
    pass_init(&p, m->net, CHUNK, false, work);
    for (size_t done = 0; done < n; done += CHUNK) {
        size_t rows = n - done < CHUNK ? n - done : CHUNK;
        p.k->rows_to_lanes(hlf + done * HLF_COUNT, HLF_COUNT, NULL, rows, HLF_COUNT, p.ld, pass_input(&p, 0));
        hlf_scale_lanes(&m->scaler.hlf, (rows + NN_LANES - 1) / NN_LANES * NN_LANES, p.ld, pass_input(&p, 0));
        pass_forward(&p, m->params, rows, NULL);
        pass_softmax(&p, rows);
        const float *scores = pass_output(&p);
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < m->n_classes; c++)
                out[(done + i) * m->n_classes + c] = scores[c * p.ld + i];
    }
}

/* A free slot, or NULL.  Threads start looking at different places: their stacks differ. */
static struct slot *slot_acquire(const struct model *m)
{
    int here;
    size_t start = ((uintptr_t)&here >> 16) % m->n_slots;
    for (size_t i = 0; i < m->n_slots; i++) {
        struct slot *s = &m->slots[(start + i) % m->n_slots];
        if (!atomic_exchange_explicit(&s->busy, true, memory_order_acquire))
            return s;
    }
    return NULL;
}

static void not_a_number(const struct model *m, size_t n, float *out)
{
    for (size_t i = 0; i < n * m->n_classes; i++)
        out[i] = NAN;
}

void model_predict_hlf(const struct model *m, const float *hlf, size_t n, float *out)
{
    if (m->input != INPUT_HLF) {
        not_a_number(m, n, out);
        return;
    }
    if (m->trees) {
        forest_predict(m->trees, hlf, n, out);
        return;
    }
    struct slot *s = n > ROWS_ALONE_MAX ? slot_acquire(m) : NULL;
    if (!s) {
        predict_alone(m, hlf, n, out);
        return;
    }
    predict_chunks(m, hlf, n, s->work, out);
    atomic_store_explicit(&s->busy, false, memory_order_release);
}

/* ---- scoring sequences ----------------------------------------------------------------------------------------- */

struct sequence_call {
    const struct model *m;
    struct sequence_source source;
    const float *hlf;
    float *work, *scratch, *out;
};

static void sequence_alone(const struct sequence_call *c, uint32_t i)
{
    const struct model *m = c->m;
    struct pass p;
    pass_init(&p, m->net, 1, false, c->work);
    if (m->input == INPUT_BOTH)
        hlf_scale(&m->scaler.hlf, c->hlf + i * HLF_COUNT, 1, pass_input(&p, 0));
    float *steps = pass_input(&p, m->input == INPUT_BOTH);
    uint32_t length = (uint32_t)sequence_event(&c->source, i, c->scratch, steps);
    pass_forward(&p, m->params, 1, &length);
    pass_softmax(&p, 1);
    memcpy(c->out + i * m->n_classes, pass_output(&p), m->n_classes * sizeof *c->out);
}

static void sequence_chunk(const struct sequence_call *c, const uint32_t *index, size_t n)
{
    const struct model *m = c->m;
    float scaled[SEQUENCE_ROWS * HLF_COUNT];
    uint32_t length[SEQUENCE_ROWS];
    struct pass p;
    pass_init(&p, m->net, SEQUENCE_ROWS, false, c->work);
    for (size_t r = 0; r < n && m->input == INPUT_BOTH; r++)
        hlf_scale(&m->scaler.hlf, c->hlf + index[r] * HLF_COUNT, 1, scaled + r * HLF_COUNT);
    if (m->input == INPUT_BOTH)
        p.k->rows_to_lanes(scaled, HLF_COUNT, NULL, n, HLF_COUNT, p.ld, pass_input(&p, 0));
    sequence_lanes(&c->source, p.k, index, n, c->scratch, p.ld, pass_input(&p, m->input == INPUT_BOTH),
                   length);
    pass_forward(&p, m->params, n, length);
    pass_softmax(&p, n);
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < m->n_classes; k++)
            c->out[index[r] * m->n_classes + k] = pass_output(&p)[k * p.ld + r];
}

/* The first n <= WINDOW events: those with rows, longest first. */
static void sequence_window(const struct sequence_call *c, size_t n)
{
    uint32_t index[WINDOW], order[WINDOW];
    size_t n_sound = 0;
    for (size_t i = 0; i < n; i++) {
        size_t stored = sequence_stored(&c->source, i);
        if (stored >= 1 && stored <= PARTICLE_ROWS_MAX)
            index[n_sound++] = (uint32_t)i;
        else
            not_a_number(c->m, 1, c->out + i * c->m->n_classes);
    }
    if (n_sound == 0)
        return;
    sequence_order(&c->source, index, n_sound, order);
    for (size_t done = 0; done < n_sound; done += SEQUENCE_ROWS) {
        size_t rows = n_sound - done < SEQUENCE_ROWS ? n_sound - done : SEQUENCE_ROWS;
        if (rows > SEQUENCES_ALONE_MAX)
            sequence_chunk(c, order + done, rows);
        else
            for (size_t r = 0; r < rows; r++)
                sequence_alone(c, order[done + r]);
    }
}

/* Locked: a free one, or one that will be. */
static struct slot *slot_lock(const struct model *m)
{
    int here;
    size_t start = ((uintptr_t)&here >> 16) % m->n_slots;
    for (size_t i = 0; i < m->n_slots; i++) {
        struct slot *s = &m->slots[(start + i) % m->n_slots];
        if (pthread_mutex_trylock(&s->lock) == 0)
            return s;
    }
    check(pthread_mutex_lock(&m->slots[start].lock) == 0);
    return &m->slots[start];
}

void model_predict(const struct model *m, const struct model_rows *rows, size_t n, float *out)
{
    if (m->input == INPUT_HLF || n == 0) {
        model_predict_hlf(m, rows->hlf, n, out);
        return;
    }
    struct slot *s = slot_lock(m);
    for (size_t done = 0; done < n; done += WINDOW) {
        struct sequence_call c = {.m = m, .work = s->work, .scratch = s->work + m->work_size};
        c.source = (struct sequence_source){m->recipe, &m->scaler.sequence, rows->rows, rows->row_first + done};
        c.hlf = rows->hlf ? rows->hlf + done * HLF_COUNT : NULL;
        c.out = out + done * m->n_classes;
        sequence_window(&c, n - done < WINDOW ? n - done : WINDOW);
    }
    pthread_mutex_unlock(&s->lock);
}
