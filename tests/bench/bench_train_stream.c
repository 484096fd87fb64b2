/* tests/bench/bench_train_stream.c
 *
 * Training from disk next to training from memory: the same rows, epochs in turn.
 *
 *   bench  NAME  N  NS_PER_ITEM  ITEMS_PER_S  LIMIT_SHARE  NOTE      tab separated; medians of RUNS epochs
 *
 * An item is a row of an epoch, a tenth of the rows being held out.  LIMIT_SHARE: time from memory / time from disk,
 * for wall and for CPU time; 0.9 is asked (core/model/README.md). */
#include "core/model.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { RUNS = 7, MEAN_PARTICLES = 565, PLAIN_ROWS = 1 << 20, SEQUENCE_ROWS = 1024 };

static void must(enum status s, const struct error *e)
{
    if (s == STATUS_OK)
        return;
    fprintf(stderr, "bench_train_stream: %s\n", e->text);
    exit(1);
}

struct problem {
    struct arena arena;
    struct model_header header;
    struct train_data data;
    struct particle_columns columns;
    size_t at;                         /* of the stream */
};

/* Noise: what is learned does not matter here. */
static void make(struct problem *p, size_t n, bool particles)
{
    struct error e;
    struct rng r = rng_stream(1, 1);
    struct hlf_scaler hlf = {{false}, {0}, {0}};
    struct sequence_scaler sequence = {{0}, {0}};
    static const char *const classes[] = {"qcd", "tt", "wjets"};
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, (size_t)1 << 32);
    field_defaults(model_header_fields, &p->header);
    for (size_t f = 0; f < HLF_COUNT; f++)
        hlf.factor[f] = 1;
    for (size_t f = 0; f < PARTICLE_COLUMNS; f++)
        sequence.factor[f] = 0.2;
    must(scaler_record_make(&p->arena, &hlf, &sequence, &p->header.scaler, &e), &e);
    p->header.recipe = "topology-1";
    p->header.classes = (struct field_list){(void *)(uintptr_t)classes, 3};
    float *x = ARENA_NEW(&p->arena, float, n * HLF_COUNT);
    int32_t *label = ARENA_NEW(&p->arena, int32_t, n);
    uint32_t *first = ARENA_NEW(&p->arena, uint32_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t f = 0; f < HLF_COUNT; f++)
            x[i * HLF_COUNT + f] = (float)rng_f64(&r);
        label[i] = (int32_t)(i % 3);
        first[i + 1] = first[i] + (particles ? (uint32_t)(MEAN_PARTICLES - 200 + rng_below(&r, 401)) : 0);
    }
    struct particle_columns *c = &p->columns;
    float **columns[] = {&c->pt, &c->eta, &c->phi, &c->x, &c->y, &c->z, &c->iso_ch, &c->iso_gamma, &c->iso_neu};
    for (size_t k = 0; particles && k < ARRAY_LEN(columns); k++) {
        *columns[k] = ARENA_NEW(&p->arena, float, first[n]);
        for (size_t i = 0; i < first[n]; i++)
            (*columns[k])[i] = (float)rng_f64(&r);
    }
    c->kind = ARENA_NEW(&p->arena, int8_t, first[n] + 1);
    c->charge = ARENA_NEW(&p->arena, int8_t, first[n] + 1);
    p->data = (struct train_data){.n = n, .hlf = x, .label = label};
    if (particles) {
        p->data.rows = c;
        p->data.row_first = first;
        p->header.params.model = 2;
    }
}

static enum status next_rows(void *ctx, struct train_data *out, struct error *e)
{
    (void)e;
    struct problem *p = ctx;
    size_t left = p->data.n - p->at, n = left < 4096 ? left : 4096;
    *out = p->data;
    out->n = n;
    out->hlf += p->at * HLF_COUNT;
    out->label += p->at;
    out->row_first = out->row_first ? out->row_first + p->at : NULL;
    p->at += n;
    return STATUS_OK;
}

struct cost {
    double wall, cpu;
};

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static struct cost epoch(struct trainer *t)
{
    struct error e;
    struct epoch_report r;
    double cpu = cpu_seconds();
    int64_t start = time_mono_ns();
    must(trainer_epoch(t, NULL, &r, &e), &e);
    return (struct cost){(double)(time_mono_ns() - start) * 1e-9, cpu_seconds() - cpu};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, RUNS, sizeof *v, by_value);
    return v[RUNS / 2];
}

static void line(const char *name, const char *place, size_t n, double seconds, double limit, const char *note)
{
    char share[32] = "-";
    if (limit > 0)
        snprintf(share, sizeof share, "%.2f", limit / seconds);
    printf("bench\ttrain %s, %s\t%zu\t%.4g\t%.4g\t%s\t%s\n", name, place, n, seconds * 1e9 / (double)n,
           (double)n / seconds, share, note);
    fflush(stdout);
}

static void compare(const char *name, size_t n, bool particles, size_t memory_bytes)
{
    struct error e;
    struct problem p;
    struct trainer *memory, *disk;
    char *folder = temp_folder_create(), note[96];
    double wall[2][RUNS], cpu[2][RUNS];
    make(&p, n, particles);
    p.header.params.threads = (int64_t)par_cores();
    const struct train_stream stream = {next_rows, &p};
    const struct train_input input = {.stream = &stream, .folder = folder, .memory_bytes = memory_bytes};
    must(trainer_create(&p.header, &p.data, &memory, &e), &e);
    must(trainer_create_from(&p.header, &input, &disk, &e), &e);
    for (int run = -1; run < RUNS; run++) {
        struct cost m = epoch(memory), d = epoch(disk);
        if (run < 0)
            continue;
        wall[0][run] = m.wall;
        wall[1][run] = d.wall;
        cpu[0][run] = m.cpu;
        cpu[1][run] = d.cpu;
    }
    const struct train_memory use = trainer_memory(disk);
    double m_wall = median(wall[0]), d_wall = median(wall[1]), m_cpu = median(cpu[0]), d_cpu = median(cpu[1]);
    line(name, "from memory", n, m_wall, 0, "wall");
    snprintf(note, sizeof note, "wall; %.1f MB in memory, %.1f MB on disk", (double)use.rows * 1e-6,
             (double)use.packed * 1e-6);
    line(name, "from disk", n, d_wall, m_wall, note);
    line(name, "from memory, CPU", n, m_cpu, 0, "all threads");
    line(name, "from disk, CPU", n, d_cpu, m_cpu, "all threads");
    trainer_destroy(memory);
    trainer_destroy(disk);
    arena_fini(&p.arena);
    temp_folder_remove(folder);
}

int main(void)
{
    compare("hlf", PLAIN_ROWS, false, 16 << 20);
    compare("inclusive", SEQUENCE_ROWS, true, 8 << 20);
    return 0;
}
