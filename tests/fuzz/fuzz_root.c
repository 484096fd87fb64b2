/* tests/fuzz/fuzz_root.c
 *
 * A ROOT file from anywhere: never a crash or a loop; what is read is consistent, what is refused has clean words. */
#include "core/root.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TREES = 4, BRANCHES = 200, ENTRIES = 500, TEXT_MAX = 8 << 20 };

static void refused(enum status s, const struct error *e)
{
    check(s == e->status && s != STATUS_OK && s != STATUS_BUG && s != STATUS_IO);
    check(e->text[0] && text_is_clean(e->text, strlen(e->text)));
}

static void read_branch(struct root_tree *t, const struct root_branch *b, struct root_column *c)
{
    struct error e = {0};
    struct root_branch_info info = root_branch_describe(t, b);
    check((info.type == ROOT_OTHER) == (info.why_not != NULL));
    int64_t n = info.entries < ENTRIES ? info.entries : ENTRIES;
    enum status s = root_read(t, b, 0, n, c, &e);
    if (s != STATUS_OK) {
        refused(s, &e);
        return;
    }
    check(c->n_entries == (size_t)n && c->offsets[0] == 0 && c->type == info.type);
    for (size_t i = 0; i < c->n_entries; i++)
        check(c->offsets[i + 1] >= c->offsets[i]);
    uint64_t bytes = c->offsets[n] * (c->type == ROOT_STRING ? 1 : root_type_size(c->type));
    check(bytes <= c->cap_values);
    if (bytes > 0)
        check(hash64(c->values, (size_t)bytes, 0) != 1);
}

static void read_tree(struct root_file *f, const char *path)
{
    struct error e = {0};
    struct root_tree *t;
    enum status s = root_tree_get(f, path, &t, &e);
    if (s != STATUS_OK) {
        refused(s, &e);
        return;
    }
    struct root_column c = {0};
    for (size_t i = 0; i < root_tree_branches(t) && i < BRANCHES; i++) {
        const struct root_branch *b = root_branch_find(t, root_branch_info(t, i).name);
        if (b)
            read_branch(t, b, &c);
    }
    for (int64_t at = 0, k = 0; at < root_tree_entries(t) && k < 10; k++) {
        int64_t end = root_tree_cluster_end(t, at);
        check(end > at && end <= root_tree_entries(t));
        at = end;
    }
    root_column_fini(&c);
}

static void read_file(struct source *src)
{
    struct error e = {0};
    struct root_file *f;
    enum status s = root_open(src, &f, &e);
    if (s != STATUS_OK) {
        refused(s, &e);
        return;
    }
    size_t n, n_trees = 0;
    const struct root_key *k = root_keys(f, &n);
    for (size_t i = 0; i < n && n_trees < TREES; i++)
        if (strcmp(k[i].class_name, "TTree") == 0 && strlen(k[i].path) < 200) {
            read_tree(f, k[i].path);
            n_trees++;
        }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (int json = 0; json < 2 && n < 100; json++) {
        text.len = 0;
        s = root_describe(f, json, &text, &e);
        check(s == STATUS_OK || s == STATUS_NOMEM);
    }
    buf_fini(&text);
    root_close(f);
}

static void read_events(struct source *src)
{
    struct error e = {0};
    struct delphes *d;
    enum status s = delphes_open(src, NULL, NULL, &d, &e);
    if (s != STATUS_OK) {
        refused(s, &e);
        return;
    }
    struct event_batch b;
    event_batch_init(&b);
    int64_t at = 0;
    for (int k = 0; k < 4 && at < delphes_entries(d); k++) {
        int64_t end = delphes_batch_end(d, at, 64);
        check(end > at && end <= delphes_entries(d));
        s = delphes_read(d, at, end - at, &b, &e);
        if (s != STATUS_OK) {
            refused(s, &e);
            break;
        }
        check(b.n_events == (size_t)(end - at));
        at = end;
    }
    event_batch_fini(&b);
    delphes_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e;
    struct source *src;
    if (source_open_memory(data, size, "fuzz.root", &src, &e) != STATUS_OK)
        return 0;
    read_file(src);
    read_events(src);
    source_close(src);
    return 0;
}

#define FUZZ_NAME "root"
#include "tests/fuzz/replay.h"
