/* core/model/keras_hdf5.c
 *
 * The library is loaded when it is needed and only then: with it come OpenSSL, curl and Kerberos, which a service that
 * imports no Keras model should not carry.  Its functions are declared here as version 1.10 (soname 103) has them. */
#include "core/model/keras_hdf5.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

/* Values of its headers. */
enum {
    OPEN_READ_ONLY = 0,
    LINK_HARD = 0,
    OBJECT_GROUP = 2,
    OBJECT_DATASET = 5,
    LAYOUT_CHUNKED = 2,
    LAYOUT_VIRTUAL = 3,
    CLASS_INTEGER = 0,
    CLASS_FLOAT = 1,
    CLASS_STRING = 3,
    FILTER_DEFLATE = 1,
    FILTER_SHUFFLE = 2,
    FILTER_FLETCHER32 = 3,
    RANK_MOST = 32,
    CHUNK_BYTES_MAX = 256 << 20
};

struct link_info { /* the library writes 40 bytes; only the first member is looked at */
    int type;
    char rest[124];
};

static struct {
    int (*open_library)(void);
    int (*be_silent)(hdf5_id stack, void *function, void *ctx);
    hdf5_id (*property_create)(hdf5_id kind);
    int (*set_core_driver)(hdf5_id list, size_t increment, bool backing_store);
    int (*set_image)(hdf5_id list, void *image, size_t n);
    hdf5_id (*file_open)(const char *name, unsigned flags, hdf5_id list);
    hdf5_id (*object_open)(hdf5_id at, const char *name, hdf5_id list);
    int (*link_exists)(hdf5_id at, const char *name, hdf5_id list);
    int (*link_info)(hdf5_id at, const char *name, struct link_info *out, hdf5_id list);
    int (*id_type)(hdf5_id id);
    int (*attribute_exists)(hdf5_id object, const char *name);
    hdf5_id (*attribute_open)(hdf5_id object, const char *name, hdf5_id list);
    hdf5_id (*attribute_type)(hdf5_id attribute);
    hdf5_id (*attribute_space)(hdf5_id attribute);
    int (*attribute_read)(hdf5_id attribute, hdf5_id type, void *out);
    hdf5_id (*dataset_space)(hdf5_id dataset);
    hdf5_id (*dataset_type)(hdf5_id dataset);
    hdf5_id (*dataset_properties)(hdf5_id dataset);
    int (*dataset_read)(hdf5_id dataset, hdf5_id type, hdf5_id memory, hdf5_id file, hdf5_id list, void *out);
    int (*space_rank)(hdf5_id space);
    int (*space_dims)(hdf5_id space, unsigned long long *dims, unsigned long long *most);
    int (*type_class)(hdf5_id type);
    size_t (*type_size)(hdf5_id type);
    int (*type_is_variable)(hdf5_id type);
    int (*layout)(hdf5_id list);
    int (*chunk)(hdf5_id list, int n, unsigned long long *dims);
    int (*n_external)(hdf5_id list);
    int (*n_filters)(hdf5_id list);
    int (*filter)(hdf5_id list, unsigned i, unsigned *flags, size_t *n_values, unsigned *values, size_t n_name,
                  char *name, unsigned *config);
    const hdf5_id *native_float, *file_access;
} h5;

static char why_not[400] = "HDF5 has not been loaded";

static bool find_symbol(void *library, const char *name, void *to)
{
    void *found = dlsym(library, name);
    if (found)
        memcpy(to, &found, sizeof found); /* ISO C has no cast from an object to a function pointer */
    else
        snprintf(why_not, sizeof why_not, "the HDF5 library that is installed lacks %s: version 1.10 is needed", name);
    return found != NULL;
}

static bool find_all(void *library)
{
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"H5open", &h5.open_library},
        {"H5Eset_auto2", &h5.be_silent},
        {"H5Pcreate", &h5.property_create},
        {"H5Pset_fapl_core", &h5.set_core_driver},
        {"H5Pset_file_image", &h5.set_image},
        {"H5Fopen", &h5.file_open},
        {"H5Oopen", &h5.object_open},
        {"H5Lexists", &h5.link_exists},
        {"H5Lget_info", &h5.link_info},
        {"H5Iget_type", &h5.id_type},
        {"H5Aexists", &h5.attribute_exists},
        {"H5Aopen", &h5.attribute_open},
        {"H5Aget_type", &h5.attribute_type},
        {"H5Aget_space", &h5.attribute_space},
        {"H5Aread", &h5.attribute_read},
        {"H5Dget_space", &h5.dataset_space},
        {"H5Dget_type", &h5.dataset_type},
        {"H5Dget_create_plist", &h5.dataset_properties},
        {"H5Dread", &h5.dataset_read},
        {"H5Sget_simple_extent_ndims", &h5.space_rank},
        {"H5Sget_simple_extent_dims", &h5.space_dims},
        {"H5Tget_class", &h5.type_class},
        {"H5Tget_size", &h5.type_size},
        {"H5Tis_variable_str", &h5.type_is_variable},
        {"H5Pget_layout", &h5.layout},
        {"H5Pget_chunk", &h5.chunk},
        {"H5Pget_external_count", &h5.n_external},
        {"H5Pget_nfilters", &h5.n_filters},
        {"H5Pget_filter2", &h5.filter},
        {"H5T_NATIVE_FLOAT_g", &h5.native_float},
        {"H5P_CLS_FILE_ACCESS_ID_g", &h5.file_access},
    };
    for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
        if (!find_symbol(library, symbols[i].name, symbols[i].to))
            return false;
    return true;
}

void hdf5_load(void)
{
    static const char *const names[] = {"libhdf5_serial.so.103", "libhdf5.so.103"};
    void *library = NULL;
    for (size_t i = 0; !library && i < ARRAY_LEN(names); i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        snprintf(why_not, sizeof why_not,
                 "Keras models need the HDF5 library, which cannot be loaded: install it "
                 "(Debian: apt-get install libhdf5-103-1)");
    else if (find_all(library) && (h5.open_library() < 0 || h5.be_silent(0, NULL, NULL) < 0))
        snprintf(why_not, sizeof why_not, "the HDF5 library does not start");
    else if (h5.file_access)
        why_not[0] = '\0';
}

static enum status unreadable(struct error *e, const char *what)
{
    return error_set(e, STATUS_FORMAT, "HDF5: %s cannot be read: damaged, or larger than can be", what);
}

/* ---- files and links --------------------------------------------------------------------------------------------- */

enum status hdf5_open(struct span image, hdf5_id *root, struct error *e)
{
    if (why_not[0])
        return error_set(e, STATUS_UNSUPPORTED, "%s", why_not);
    hdf5_id list = h5.property_create(*h5.file_access);
    if (list < 0 || h5.set_core_driver(list, 1 << 20, false) < 0 ||
        h5.set_image(list, (void *)(uintptr_t)image.data, image.len) < 0)
        return error_set(e, STATUS_NOMEM, "HDF5: no memory for a file of %zu bytes", image.len);
    *root = h5.file_open("/image", OPEN_READ_ONLY, list);
    return *root >= 0 ? STATUS_OK : unreadable(e, "the file");
}

/* One name, of a hard link. */
static enum status step(hdf5_id group, const char *name, hdf5_id *out, bool *found, struct error *e)
{
    struct link_info info = {.type = -1};
    int exists = h5.link_exists(group, name, 0);
    *found = exists > 0;
    if (exists == 0)
        return STATUS_OK;
    if (exists < 0 || h5.link_info(group, name, &info, 0) < 0)
        return unreadable(e, name);
    if (info.type != LINK_HARD)
        return error_set(e, STATUS_FORMAT, "HDF5: '%.80s' is a soft or external link: refused, it could lead anywhere",
                         name);
    *out = h5.object_open(group, name, 0);
    return *out >= 0 ? STATUS_OK : unreadable(e, name);
}

enum status hdf5_find(hdf5_id group, const char *path, hdf5_id *object, bool *found, struct error *e)
{
    char name[256];
    *object = group;
    *found = true;
    for (size_t len; *found && *path; path += len + (path[len] == '/')) {
        len = strcspn(path, "/");
        if (len == 0)
            continue;
        if (len >= sizeof name || strcmp(path, ".") == 0)
            return error_set(e, STATUS_FORMAT, "HDF5: '%.80s' is no sound path", path);
        memcpy(name, path, len);
        name[len] = '\0';
        TRY(step(*object, name, object, found, e));
    }
    return STATUS_OK;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

/* Number of elements; dims may be NULL. */
static bool extent(hdf5_id space, size_t rank_max, size_t n_max, size_t *rank, uint64_t *dims, size_t *n)
{
    unsigned long long size[RANK_MOST] = {0};
    int r = space >= 0 ? h5.space_rank(space) : -1;
    if (r < 0 || (size_t)r > rank_max || h5.space_dims(space, size, NULL) != r)
        return false;
    *rank = (size_t)r;
    *n = 1;
    for (int i = 0; i < r; i++) {
        if (size[i] > n_max || __builtin_mul_overflow(*n, (size_t)size[i], n) || *n > n_max)
            return false;
        dims[i] = size[i];
    }
    return true;
}

static enum status read_texts(struct arena *a, hdf5_id attribute, const char *name, size_t n, const char **out,
                              struct error *e)
{
    hdf5_id type = h5.attribute_type(attribute);
    size_t size = type >= 0 ? h5.type_size(type) : 0;
    if (type < 0 || size == 0 || h5.type_class(type) != CLASS_STRING)
        return error_set(e, STATUS_FORMAT, "HDF5: attribute %s is not a text", name);
    bool variable = h5.type_is_variable(type) > 0;
    if (variable)
        size = sizeof(char *);
    if (size > HDF5_TEXT_MAX || n > HDF5_TEXT_MAX / size)
        return error_set(e, STATUS_FORMAT, "HDF5: attribute %s has %zu texts of %zu bytes", name, n, size);
    char *block = arena_alloc(a, n ? n * size : 1, 1);
    if (!block)
        return error_set(e, STATUS_NOMEM, "HDF5: no memory for attribute %s", name);
    if (n > 0 && h5.attribute_read(attribute, type, block) < 0)
        return unreadable(e, name);
    for (size_t i = 0; i < n; i++) {
        const char *text = block + i * size;
        if (variable)
            memcpy(&text, block + i * size, sizeof text);
        size_t len = !text ? 0 : variable ? strlen(text) : strnlen(text, size);
        if (len > HDF5_TEXT_MAX)
            return error_set(e, STATUS_FORMAT, "HDF5: attribute %s has %zu bytes", name, len);
        out[i] = arena_strndup(a, text ? text : "", len);
        if (!out[i])
            return error_set(e, STATUS_NOMEM, "HDF5: no memory for attribute %s", name);
    }
    return STATUS_OK;
}

static enum status open_attribute(hdf5_id object, const char *name, size_t n_max, hdf5_id *attribute, size_t *n,
                                  bool *found, struct error *e)
{
    size_t rank;
    uint64_t dims[RANK_MOST];
    int exists = h5.attribute_exists(object, name);
    *found = exists > 0;
    *n = 0;
    if (exists == 0)
        return STATUS_OK;
    *attribute = exists > 0 ? h5.attribute_open(object, name, 0) : -1;
    if (*attribute < 0)
        return unreadable(e, name);
    return extent(h5.attribute_space(*attribute), 1, n_max, &rank, dims, n)
               ? STATUS_OK
               : error_set(e, STATUS_FORMAT, "HDF5: attribute %s has an absurd shape", name);
}

enum status hdf5_text(struct arena *a, hdf5_id object, const char *attribute, const char **out, bool *found,
                      struct error *e)
{
    hdf5_id id = -1;
    size_t n;
    TRY(open_attribute(object, attribute, 1, &id, &n, found, e));
    if (!*found)
        return STATUS_OK;
    return n == 1 ? read_texts(a, id, attribute, 1, out, e)
                  : error_set(e, STATUS_FORMAT, "HDF5: attribute %s is empty", attribute);
}

enum status hdf5_names(struct arena *a, hdf5_id object, const char *attribute, const char **names, size_t *n,
                       struct error *e)
{
    hdf5_id id = -1;
    bool found;
    TRY(open_attribute(object, attribute, HDF5_NAMES_MAX, &id, n, &found, e));
    return *n > 0 ? read_texts(a, id, attribute, *n, names, e) : STATUS_OK;
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

/* Whatever the properties allow is inside the file and bounded. */
static enum status check_storage(hdf5_id dataset, size_t element_bytes, struct error *e)
{
    hdf5_id list = h5.dataset_properties(dataset);
    int layout = list >= 0 ? h5.layout(list) : -1, n_external = list >= 0 ? h5.n_external(list) : -1;
    int n_filters = list >= 0 ? h5.n_filters(list) : -1;
    if (layout < 0 || n_external < 0 || n_filters < 0)
        return unreadable(e, "a dataset's properties");
    if (n_external > 0)
        return error_set(e, STATUS_FORMAT, "HDF5: a dataset keeps its data in other files (external storage): refused");
    if (layout == LAYOUT_VIRTUAL)
        return error_set(e, STATUS_FORMAT, "HDF5: a dataset is made of others (virtual layout): refused");
    for (int i = 0; i < n_filters; i++) {
        unsigned flags, values[16], config;
        size_t n_values = ARRAY_LEN(values);
        int filter = h5.filter(list, (unsigned)i, &flags, &n_values, values, 0, NULL, &config);
        if (filter != FILTER_DEFLATE && filter != FILTER_SHUFFLE && filter != FILTER_FLETCHER32)
            return error_set(e, STATUS_FORMAT,
                             "HDF5: a dataset has filter %d: only deflate, shuffle and fletcher32 are read", filter);
    }
    unsigned long long chunk[RANK_MOST];
    int rank = layout == LAYOUT_CHUNKED ? h5.chunk(list, RANK_MOST, chunk) : 0;
    uint64_t bytes = element_bytes;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bytes, chunk[i], &bytes) || bytes > CHUNK_BYTES_MAX)
            return error_set(e, STATUS_FORMAT, "HDF5: a dataset has chunks of more than %d MB", CHUNK_BYTES_MAX >> 20);
    return rank < 0 ? unreadable(e, "a dataset's chunks") : STATUS_OK;
}

enum status hdf5_array(struct arena *a, hdf5_id dataset, struct hdf5_array *out, struct error *e)
{
    *out = (struct hdf5_array){0};
    if (h5.id_type(dataset) != OBJECT_DATASET)
        return error_set(e, STATUS_FORMAT, "HDF5: not a dataset");
    hdf5_id type = h5.dataset_type(dataset);
    if (type < 0 || (h5.type_class(type) != CLASS_FLOAT && h5.type_class(type) != CLASS_INTEGER) ||
        h5.type_size(type) > 16)
        return error_set(e, STATUS_FORMAT, "HDF5: not a dataset of numbers");
    if (!extent(h5.dataset_space(dataset), HDF5_RANK_MAX, HDF5_NUMBERS_MAX, &out->rank, out->dims, &out->n))
        return error_set(e, STATUS_FORMAT, "HDF5: a dataset has an absurd shape: at most %d axes and %d numbers",
                         HDF5_RANK_MAX, HDF5_NUMBERS_MAX);
    TRY(check_storage(dataset, h5.type_size(type), e));
    out->v = arena_alloc(a, out->n ? out->n : 1, sizeof *out->v);
    if (!out->v)
        return error_set(e, STATUS_NOMEM, "HDF5: no memory for %zu numbers", out->n);
    if (h5.dataset_read(dataset, *h5.native_float, 0, 0, 0, out->v) < 0)
        return unreadable(e, "a dataset");
    for (size_t i = 0; i < out->n; i++)
        if (!isfinite(out->v[i]))
            return error_set(e, STATUS_FORMAT, "number %zu is not finite", i);
    return STATUS_OK;
}
