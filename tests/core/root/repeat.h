/* tests/core/root/repeat.h
 *
 * Writes a Delphes file in which the entries of another one follow each other several times, basket by basket, so that
 * the size of a file can be chosen; behind a hole of some gigabytes, if asked, which costs no disk and moves all keys
 * beyond 32 bits.  The branches are plain leaves by the names of the members that the pipeline reads. */
#ifndef DLT_TESTS_CORE_ROOT_REPEAT_H
#define DLT_TESTS_CORE_ROOT_REPEAT_H

#include "tests/core/root/build.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { REPEAT_BASKET = 100, REPEAT_BRANCHES = 40 };

/* A basket as it is stored behind its key; the same in each repetition. */
struct repeat_basket {
    uint32_t n_entries, n_bytes, object_bytes;     /* n_bytes: of the values, without offsets */
    struct buf stored;
};
struct repeat_branch {
    char name[64];
    enum root_type type;
    bool jagged;
    struct repeat_basket *baskets;
    size_t n_baskets, n_written;
    int64_t *bytes, *first, *seek;                 /* [times * n_baskets + 1] */
};
struct repeat_file {
    int fd;
    uint64_t at;
    bool big;
    struct repeat_branch branches[REPEAT_BRANCHES];
    size_t n_branches, n_entries;                  /* n_entries: of the original */
};

static inline uint16_t repeat_key_bytes(const struct repeat_branch *b, bool big)
{
    return (uint16_t)(key_length("TBasket", b->name, "", big) + BASKET_HEADER_BYTES);
}

static inline void repeat_write(struct repeat_file *f, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(f->fd, (const uint8_t *)p + done, n - done, (off_t)(f->at + done));
        check(k > 0);
        done += (size_t)k;
    }
    f->at += n;
}

/* Entries [first, first + n) of a column. */
static inline void repeat_pack(const struct repeat_branch *b, const struct root_column *c, size_t first, size_t n,
                               bool big, struct repeat_basket *out)
{
    struct buf object;
    size_t size = root_type_size(b->type);
    buf_init(&object, 64 << 20);
    buf_init(&out->stored, 64 << 20);
    for (uint64_t i = c->offsets[first]; i < c->offsets[first + n]; i++)
        for (size_t k = size; k-- > 0;)
            put8(&object, ((const uint8_t *)c->values)[i * size + k]);
    *out = (struct repeat_basket){.n_entries = (uint32_t)n, .n_bytes = (uint32_t)object.len, .stored = out->stored};
    uint32_t key_bytes = repeat_key_bytes(b, big);
    if (b->jagged) {
        put32(&object, (uint32_t)n + 1);
        for (size_t i = 0; i < n; i++)
            put32(&object, key_bytes + (uint32_t)((c->offsets[first + i] - c->offsets[first]) * size));
        put32(&object, 0);
    }
    out->object_bytes = (uint32_t)object.len;
    put_packed(&out->stored, &object, true);
    buf_fini(&object);
}

static inline void repeat_add(struct repeat_file *f, struct root_tree *t, const char *name, size_t times)
{
    const struct root_branch *found = root_branch_find(t, name);
    struct root_column c = {0};
    struct error e;
    if (!found)
        return;
    check(f->n_branches < REPEAT_BRANCHES && strlen(name) < sizeof f->branches[0].name);
    struct repeat_branch *b = &f->branches[f->n_branches++];
    size_t n = f->n_entries, n_baskets = (n + REPEAT_BASKET - 1) / REPEAT_BASKET;
    check(root_read(t, found, 0, (int64_t)n, &c, &e) == STATUS_OK);
    strcpy(b->name, name);
    b->type = c.type;
    b->jagged = strncmp(name, "Event.", 6) != 0;
    b->baskets = calloc(n_baskets, sizeof *b->baskets);
    b->bytes = calloc(times * n_baskets + 1, sizeof *b->bytes);
    b->first = calloc(times * n_baskets + 1, sizeof *b->first);
    b->seek = calloc(times * n_baskets + 1, sizeof *b->seek);
    check(b->baskets && b->bytes && b->first && b->seek);
    for (; b->n_baskets < n_baskets; b->n_baskets++) {
        size_t first = b->n_baskets * REPEAT_BASKET, left = n - first;
        repeat_pack(b, &c, first, left < REPEAT_BASKET ? left : REPEAT_BASKET, f->big, &b->baskets[b->n_baskets]);
    }
    root_column_fini(&c);
}

static inline void repeat_put_basket(struct repeat_file *f, struct repeat_branch *b, const struct repeat_basket *k)
{
    struct buf key;
    buf_init(&key, 4096);
    uint16_t key_bytes = repeat_key_bytes(b, f->big);
    const struct build_basket shown = {.n_entries = k->n_entries, .n_bytes = k->n_bytes};
    put_key(&key, "TBasket", b->name, "", key_bytes + (uint32_t)k->stored.len, k->object_bytes, key_bytes, 1, f->at,
            f->big);
    put_basket_header(&key, &shown, key_bytes, 0);
    check(key.len == key_bytes);
    size_t i = b->n_written++;
    b->seek[i] = (int64_t)f->at;
    b->bytes[i] = (int64_t)(key.len + k->stored.len);
    b->first[i + 1] = b->first[i] + k->n_entries;
    repeat_write(f, key.data, key.len);
    repeat_write(f, k->stored.data, k->stored.len);
    buf_fini(&key);
}

static inline void repeat_put_branch(struct build_state *s, const struct repeat_branch *b, int i_branch)
{
    struct buf *out = &s->tree;
    size_t pointer = pointer_begin(out, "TBranch"), object = object_begin(out, 1);
    put_named(out, b->name, b->name);
    put32(out, b->jagged ? 1000 : 0);
    put32(out, (uint32_t)b->n_written);
    put64(out, (uint64_t)b->first[b->n_written]);
    put32(out, (uint32_t)b->n_written + 1);
    object_end(out, array_begin(out, 0));
    size_t leaves = array_begin(out, 1);
    const struct build_leaf leaf = {.class_name = b->type == ROOT_F32   ? "TLeafF"
                                                  : b->type == ROOT_I64 ? "TLeafL"
                                                                        : "TLeafI",
                                    .name = strchr(b->name, '.') ? strchr(b->name, '.') + 1 : b->name,
                                    .length = 1,
                                    .type_bytes = (uint32_t)root_type_size(b->type),
                                    .is_unsigned = b->type == ROOT_U32,
                                    .counter = b->jagged ? 0 : -1};
    put_leaf(s, &leaf, i_branch, true);
    object_end(out, leaves);
    object_end(out, array_begin(out, 0));
    put_i64s(out, b->bytes, b->n_written + 1, true);
    put_i64s(out, b->first, b->n_written + 1, false);
    put_i64s(out, b->seek, b->n_written + 1, false);
    object_end(out, object);
    object_end(out, pointer);
}

/* The tree, the list of keys, the directory and the header; `head` holds the file's beginning. */
static inline void repeat_finish(struct repeat_file *f, struct buf *head, size_t directory, uint64_t seek_info,
                                 uint32_t info_bytes, int64_t entries)
{
    struct build_state s = {.displacement = key_length("TTree", "Delphes", "", f->big)};
    struct buf record;
    buf_init(&s.tree, 64 << 20);
    buf_init(&record, 64 << 20);
    size_t tree = object_begin(&s.tree, 1);
    put_named(&s.tree, "Delphes", "");
    put64(&s.tree, (uint64_t)entries);
    size_t array = array_begin(&s.tree, (uint32_t)f->n_branches);
    for (size_t i = 0; i < f->n_branches; i++)
        repeat_put_branch(&s, &f->branches[i], (int)i);
    object_end(&s.tree, array);
    object_end(&s.tree, tree);
    uint16_t key_bytes = key_length("TTree", "Delphes", "", f->big), own = key_length("TFile", "t.root", "", f->big);
    uint64_t tree_at = f->at;
    put_key(&record, "TTree", "Delphes", "", key_bytes + (uint32_t)s.tree.len, (uint32_t)s.tree.len, key_bytes, 1,
            f->at, f->big);
    put(&record, s.tree.data, s.tree.len);
    repeat_write(f, record.data, record.len);
    uint64_t keys_at = f->at;
    record.len = 0;
    put_key(&record, "TFile", "t.root", "", 0, 0, own, 1, keys_at, f->big);
    put32(&record, 1);
    put_key(&record, "TTree", "Delphes", "", key_bytes + (uint32_t)s.tree.len, (uint32_t)s.tree.len, key_bytes, 1,
            tree_at, f->big);
    patch32(&record, 0, (uint32_t)record.len);
    repeat_write(f, record.data, record.len);
    write_directory(head, directory, keys_at, (uint32_t)record.len, f->big);
    uint64_t end = f->at;
    write_header(head, directory, seek_info, info_bytes, f->big);
    if (f->big)                        /* the file ends here, not with its head */
        for (size_t i = 0; i < 8; i++)
            head->data[12 + i] = head->data[20 + i] = (uint8_t)(end >> (56 - 8 * i));
    else
        for (size_t i = 0; i < 4; i++)
            head->data[12 + i] = head->data[16 + i] = (uint8_t)(end >> (24 - 8 * i));
    f->at = 0;
    repeat_write(f, head->data, head->len);
    buf_fini(&s.tree);
    buf_fini(&record);
}

/* Returns the entries of the new file. */
static inline int64_t repeat_root(const char *from, const char *to, size_t times, uint64_t hole)
{
    static const struct build_class more[] = {{"TLeafL", 1, {{"Base", "TLeaf", "BASE", 0, 0, "", 1}}}};
    struct repeat_file f = {.big = hole > 0};
    struct source *src;
    struct root_file *root;
    struct root_tree *tree;
    struct error e;
    struct buf head;
    char name[80];
    size_t n;
    const struct event_column *columns = event_columns(&n);
    check(source_open(from, &src, &e) == STATUS_OK && root_open(src, &root, &e) == STATUS_OK &&
          root_tree_get(root, "Delphes", &tree, &e) == STATUS_OK);
    f.n_entries = (size_t)root_tree_entries(tree);
    repeat_add(&f, tree, "Event.Number", times);
    repeat_add(&f, tree, "Event.Weight", times);
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s.%s", event_objects()[columns[i].kind].branch, columns[i].leaf);
        repeat_add(&f, tree, name, times);
    }
    root_close(root);
    source_close(src);
    buf_init(&head, 1 << 20);
    size_t directory = build_begin(&head, f.big);
    uint64_t seek_info = put_classes(&head, more, 1, f.big);
    uint32_t info_bytes = (uint32_t)(head.len - seek_info);
    f.fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(f.fd >= 0);
    f.at = head.len + hole;
    for (size_t t = 0; t < times; t++)
        for (size_t k = 0; k < f.branches[0].n_baskets; k++)
            for (size_t i = 0; i < f.n_branches; i++)
                repeat_put_basket(&f, &f.branches[i], &f.branches[i].baskets[k]);
    int64_t entries = (int64_t)(f.n_entries * times);
    repeat_finish(&f, &head, directory, seek_info, info_bytes, entries);
    check(close(f.fd) == 0);
    for (size_t i = 0; i < f.n_branches; i++) {
        struct repeat_branch *b = &f.branches[i];
        for (size_t k = 0; k < b->n_baskets; k++)
            buf_fini(&b->baskets[k].stored);
        free(b->baskets);
        free(b->bytes);
        free(b->first);
        free(b->seek);
    }
    buf_fini(&head);
    return entries;
}

#endif
