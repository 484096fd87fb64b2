/* tests/fuzz/fuzz_http_target.c
 *
 * Request targets from any bytes, matched against templates of each shape.  Whatever is accepted must be plain: clean
 * UTF-8 parameters without separators, query names at most once. */
#include "server/http/router.h"

#include <string.h>

static const struct route table[] = {
    {.method = HTTP_GET, .path = "/"},
    {.method = HTTP_GET, .path = "/a/{x}"},
    {.method = HTTP_GET, .path = "/a/fixed"},
    {.method = HTTP_POST, .path = "/a/{x}:go"},
    {.method = HTTP_POST, .path = "/a:all"},
    {.method = HTTP_GET, .path = "/a/{x}/b/{y}/{z}"},
    {.method = HTTP_PUT, .path = "/{p}/{q}/{r}/{s}:stop"},
};

static void check_match(const struct route_match *m)
{
    check(!m->route || (m->route == &table[m->index] && m->methods != 0));
    for (size_t i = 0; m->route && i < PATH_PARAMS_MAX && m->params[i]; i++) {
        size_t len = strlen(m->params[i]);
        check(len > 0 && len <= PATH_PARAM_BYTES_MAX && text_is_clean(m->params[i], len));
        check(!strpbrk(m->params[i], "/\\:"));
    }
}

static void check_query(const struct target *t)
{
    for (size_t i = 0; i < t->n_query; i++) {
        check(text_is_clean(t->query[i].name, strlen(t->query[i].name)));
        check(text_is_clean(t->query[i].value, strlen(t->query[i].value)));
        for (size_t j = 0; j < i; j++)
            check(strcmp(t->query[i].name, t->query[j].name) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_HEAD, HTTP_OTHER};
    static struct router *router;
    struct error e;
    if (!router)
        check(router_create(table, ARRAY_LEN(table), &router, &e) == STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct arena arena;
        struct target target;
        struct route_match match;
        arena_init(&arena, 1 << 20);
        if (target_parse(&arena, data, size, &target, &e) == STATUS_OK) {
            check_query(&target);
            router_match(router, &target, methods[i], &match);
            check_match(&match);
        }
        arena_fini(&arena);
    }
    return 0;
}

#define FUZZ_NAME "http_target"
#include "tests/fuzz/replay.h"
