/* tests/support/npy.c
 *
 * NumPy's array files, as far as the reference data uses them: little-endian numbers in C order.
 * Format: a magic, two version bytes, the length of the header, the header (a Python literal), the elements. */
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 30 };

/* Text behind `'key':` in the header, or NULL. */
static const char *value_of(const char *header, const char *key)
{
    const char *p = strstr(header, key);
    p = p ? strchr(p, ':') : NULL;
    return p ? p + 1 + strspn(p + 1, " ") : NULL;
}

static enum status parse_shape(const char *p, struct npy *out, struct error *e)
{
    out->rank = 0;
    out->n = 1;
    if (!p || *p++ != '(')
        return error_set(e, STATUS_FORMAT, "no shape in the header");
    while (*p && *p != ')') {
        char *stop;
        unsigned long long size = strtoull(p, &stop, 10);
        if (stop == p || out->rank == NPY_RANK_MAX || __builtin_mul_overflow(out->n, size, &out->n))
            return error_set(e, STATUS_FORMAT, "shape of more than %d dimensions or no numbers", NPY_RANK_MAX);
        out->shape[out->rank++] = (size_t)size;
        p = stop + strspn(stop, ", ");
    }
    return STATUS_OK;
}

static enum status take_elements(const char *descr, const uint8_t *p, size_t n_bytes, struct npy *out,
                                 struct error *e)
{
    size_t size = strncmp(descr, "'<f4'", 5) == 0 ? 4 : 8;
    if (size == 8 && strncmp(descr, "'<f8'", 5) != 0 && strncmp(descr, "'<i8'", 5) != 0)
        return error_set(e, STATUS_UNSUPPORTED, "elements of type %.8s, only <f4, <f8 and <i8 are read", descr);
    if (n_bytes / size != out->n || n_bytes % size != 0)
        return error_set(e, STATUS_FORMAT, "%zu bytes of elements, the shape says %zu of %zu bytes each", n_bytes,
                         out->n, size);
    void *copy = malloc(n_bytes ? n_bytes : 1);
    if (!copy)
        return error_set(e, STATUS_NOMEM, "no memory for %zu bytes", n_bytes);
    memcpy(copy, p, n_bytes);
    if (size == 4)
        out->f4 = copy;
    else if (descr[2] == 'f')
        out->f8 = copy;
    else
        out->i8 = copy;
    return STATUS_OK;
}

static enum status parse(const uint8_t *p, size_t n, struct npy *out, struct error *e)
{
    char header[1024];
    if (n < 10 || memcmp(p, "\x93NUMPY\x01", 7) != 0)
        return error_set(e, STATUS_FORMAT, "not a NumPy file of version 1");
    size_t len = (size_t)p[8] + 256 * (size_t)p[9];
    if (len > n - 10 || len >= sizeof header)
        return error_set(e, STATUS_FORMAT, "header of %zu bytes", len);
    memcpy(header, p + 10, len);
    header[len] = '\0';
    const char *descr = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    if (!descr || !order || strncmp(order, "False", 5) != 0)
        return error_set(e, STATUS_UNSUPPORTED, "not in C order");
    TRY(parse_shape(value_of(header, "'shape'"), out, e));
    return take_elements(descr, p + 10 + len, n - 10 - len, out, e);
}

enum status npy_load(const char *path, struct npy *out, struct error *e)
{
    struct buf file;
    *out = (struct npy){.n = 0};
    buf_init(&file, FILE_BYTES_MAX);
    enum status s = file_read(path, &file, e);
    if (s == STATUS_OK && parse(file.data, file.len, out, e) != STATUS_OK)
        s = error_wrap(e, "%s", path);
    buf_fini(&file);
    return s;
}

void npy_free(struct npy *a)
{
    free(a->f4);
    free(a->f8);
    free(a->i8);
    *a = (struct npy){.n = 0};
}

double npy_value(const struct npy *a, size_t i)
{
    check(i < a->n);
    return a->f4 ? (double)a->f4[i] : a->f8 ? a->f8[i] : (double)a->i8[i];
}
