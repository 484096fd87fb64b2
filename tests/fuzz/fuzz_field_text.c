/* tests/fuzz/fuzz_field_text.c
 *
 * Field text from anywhere: never a crash, and what is accepted is written and read again without loss. */
#include "core/base.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct leaf {
    const char *name;
    double value;
    struct field_list parts;
};

struct root {
    bool on;
    int64_t count;
    int mode;
    const char *title;
    struct leaf first;
    struct field_list names, numbers, leaves, shares;
};

static const char *const modes[] = {"slow", "fast", NULL};
static const struct field part_fields[] = {FIELD_STRING(struct leaf, name), FIELD_F64(struct leaf, value), FIELD_END};
static const struct field leaf_fields[] = {
    FIELD_STRING(struct leaf, name, .def_text = "none"), FIELD_F64(struct leaf, value, .def = 0.5),
    FIELD_LIST_OBJECT(struct leaf, parts, struct leaf, part_fields), FIELD_END};
static const struct field root_fields[] = {
    FIELD_BOOL(struct root, on, .def = 1),
    FIELD_I64(struct root, count, .min = -5, .max = 100),
    FIELD_ENUM(struct root, mode, modes),
    FIELD_STRING(struct root, title),
    FIELD_OBJECT(struct root, first, leaf_fields),
    FIELD_LIST_STRING(struct root, names),
    FIELD_LIST_F64(struct root, numbers),
    FIELD_LIST_OBJECT(struct root, leaves, struct leaf, leaf_fields),
    FIELD_MAP(struct root, shares),
    FIELD_END};

static void write_text(const struct root *object, struct buf *out)
{
    struct error e;
    buf_init(out, 64 << 20);
    enum status s = field_write_text(root_fields, object, out, &e);
    check(s == STATUS_OK || s == STATUS_NOMEM || s == STATUS_RANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct root object, again, copy;
    struct error e;
    struct buf first, second, third;
    arena_init(&a, 64 << 20);
    enum status s = field_read_text(&a, root_fields, (struct span){data, size}, &object, &e);
    check(s == STATUS_OK || s == STATUS_FORMAT || s == STATUS_NOMEM);
    if (s == STATUS_OK) {
        (void)!field_validate(root_fields, &object, "", &e);
        write_text(&object, &first);
        if (field_read_text(&a, root_fields, (struct span){first.data, first.len}, &again, &e) == STATUS_OK) {
            write_text(&again, &second);
            check(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
            memset(&copy, 0, sizeof copy);
            if (field_copy(&a, root_fields, &object, &copy, &e) == STATUS_OK) {
                write_text(&copy, &third);
                check(first.len == third.len && memcmp(first.data, third.data, first.len) == 0);
                buf_fini(&third);
            }
            buf_fini(&second);
        } else {
            check(e.status == STATUS_NOMEM);
        }
        buf_fini(&first);
    } else {
        check(text_is_clean(e.text, strlen(e.text)));
    }
    arena_fini(&a);
    return 0;
}

#define FUZZ_NAME "field_text"
#include "tests/fuzz/replay.h"
