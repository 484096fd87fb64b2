/* core/model/model.c
 *
 * A trained model in memory: counted, immutable, and scoring rows from any thread without allocating. */
#include "core/model/private.h"

#include <stdatomic.h>
#include <string.h>

enum {
    HEADER_BYTES_MAX = 16 << 20,       /* its copy in memory */
    CHUNK = 64,                        /* rows scored at once */
    ROW_WORK_MAX = 3 * HIDDEN_WIDTH_MAX,      /* floats on the stack for one row: what a chain of layers can need */
    ROWS_ALONE_MAX = 3,                /* up to so many rows are faster one by one than as lanes (bench_nn) */
    SLOTS_MAX = 32
};

/* Working memory for one thread's chunks.  When all are taken, rows are scored one by one on the stack: slower, the
 * same bits, and nobody waits. */
struct slot {
    _Alignas(64) atomic_bool busy;
    float *work;
};

struct model {
    atomic_int references;
    struct arena arena;
    struct model_header header;
    const struct estimator *estimator;
    const struct recipe *recipe;
    struct hlf_scaler scaler;
    struct net *net;
    size_t n_classes;
    float *params;
    char sha256[65];
    size_t n_slots;
    struct slot *slots;
};

/* ---- lifetime -------------------------------------------------------------------------------------------------- */

static void destroy(struct model *m)
{
    for (size_t i = 0; m->slots && i < m->n_slots; i++)
        mem_free(m->slots[i].work);
    mem_free(m->slots);
    mem_free(m->params);
    net_destroy(m->net);
    arena_fini(&m->arena);
    mem_free(m);
}

static enum status make_slots(struct model *m, struct error *e)
{
    size_t n = par_cores() < SLOTS_MAX ? par_cores() : SLOTS_MAX;
    m->slots = mem_aligned(n * sizeof *m->slots);
    if (!m->slots)
        return error_set(e, STATUS_NOMEM, "no memory to score with");
    for (; m->n_slots < n; m->n_slots++) {
        struct slot *s = &m->slots[m->n_slots];
        atomic_init(&s->busy, false);
        s->work = mem_aligned(pass_work_size(m->net, CHUNK, false) * sizeof *s->work);
        if (!s->work)
            return error_set(e, STATUS_NOMEM, "no memory to score with");
    }
    check(pass_work_size(m->net, 1, false) <= ROW_WORK_MAX);
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
    m->estimator = estimator_get(&header->params);
    m->recipe = recipe_find(header->recipe);
    m->n_classes = header->classes.n_items;
    TRY(m->estimator->network(&m->header.params, m->n_classes, &m->net, e));
    if (n_params != net_n_params(m->net))
        return error_set(e, STATUS_ARGUMENT, "%zu parameters, its network has %zu", n_params, net_n_params(m->net));
    m->header.estimator = m->estimator->name;
    m->header.format_version = MODEL_FORMAT_VERSION;
    m->header.n_params = (int64_t)n_params;
    m->params = mem_aligned(n_params * sizeof *params);
    if (!m->params)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", n_params);
    memcpy(m->params, params, n_params * sizeof *params);
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
enum model_input model_input(const struct model *m) { return m->estimator->input; }
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
        hlf_scale(&m->scaler, hlf + i * HLF_COUNT, 1, pass_input(&p, 0));
        pass_forward(&p, m->params, 1, NULL);
        pass_softmax(&p, 1);
        memcpy(out + i * m->n_classes, pass_output(&p), m->n_classes * sizeof *out);
    }
}

static void predict_chunks(const struct model *m, const float *hlf, size_t n, float *work, float *out)
{
    _Alignas(64) float scaled[CHUNK * HLF_COUNT];
    struct pass p;
    pass_init(&p, m->net, CHUNK, false, work);
    for (size_t done = 0; done < n; done += CHUNK) {
        size_t rows = n - done < CHUNK ? n - done : CHUNK;
        hlf_scale(&m->scaler, hlf + done * HLF_COUNT, rows, scaled);
        p.k->rows_to_lanes(scaled, HLF_COUNT, NULL, rows, HLF_COUNT, p.ld, pass_input(&p, 0));
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

void model_predict_hlf(const struct model *m, const float *hlf, size_t n, float *out)
{
    struct slot *s = n > ROWS_ALONE_MAX ? slot_acquire(m) : NULL;
    if (!s) {
        predict_alone(m, hlf, n, out);
        return;
    }
    predict_chunks(m, hlf, n, s->work, out);
    atomic_store_explicit(&s->busy, false, memory_order_release);
}
