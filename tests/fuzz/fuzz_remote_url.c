/* tests/fuzz/fuzz_remote_url.c
 *
 * A URL from anywhere: what is accepted has a host that stands in the text in front of the path, and no way to name
 * another one. */
#include "core/io/remote_url.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct remote_url u, again;
    struct error e;
    char text[REMOTE_HOST_BYTES_MAX + 64];
    if (remote_url_parse(data, size, &u, &e) != STATUS_OK) {
        check(e.status == STATUS_ARGUMENT || e.status == STATUS_UNSUPPORTED);
        check(text_is_clean(e.text, strlen(e.text)));
        return 0;
    }
    size_t host = strlen(u.host), front = strlen(u.scheme) + 3;
    bool brackets = strchr(u.host, ':') != NULL;
    check(host > 0 && host <= REMOTE_HOST_BYTES_MAX && u.port > 0 && u.path_at <= size);
    check(u.path_at == size || data[u.path_at] == '/' || data[u.path_at] == '?' || data[u.path_at] == '#');
    check(front + brackets + host <= u.path_at);
    check(strncasecmp((const char *)data + front + brackets, u.host, host) == 0);
    check(!strpbrk(u.host, "@/\\?#%[] \t\r\n"));
    check(!memchr(data, '\n', size) && !memchr(data, '\r', size));
    int n = snprintf(text, sizeof text, "%s://%s%s%s:%u", u.scheme, brackets ? "[" : "", u.host, brackets ? "]" : "",
                     (unsigned)u.port);
    check(remote_url_parse((const uint8_t *)text, (size_t)n, &again, &e) == STATUS_OK);
    check(strcmp(again.host, u.host) == 0 && again.port == u.port && strcmp(again.scheme, u.scheme) == 0);
    return 0;
}

#define FUZZ_NAME "remote_url"
#include "tests/fuzz/replay.h"
