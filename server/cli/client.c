/* server/cli/client.c
 *
 * The command line as an HTTP client.  One connection is kept from request to request. */
#include "server/cli/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)
enum { CONNECT_SECONDS = 10, URL_MAX = 2048 };

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char server[1024];
};

void answer_init(struct answer *a)
{
    a->status = 0;
    buf_init(&a->body, ANSWER_MAX);
}

void answer_fini(struct answer *a)
{
    buf_fini(&a->body);
}

static size_t receive(char *data, size_t size, size_t n, void *ctx)
{
    struct answer *a = ctx;
    struct error e;
    return buf_append(&a->body, data, size * n, &e) == STATUS_OK ? size * n : 0;
}

/* Of the environment, so that it is in no list of processes. */
static enum status add_key(struct client *c)
{
    const char *key = getenv("DLTRIGGER_KEY");
    char header[200];
    if (!key || !*key)
        return STATUS_OK;
    snprintf(header, sizeof header, "Authorization: Bearer %.120s", key);
    struct curl_slist *more = curl_slist_append(c->headers, header);
    if (!more)
        return STATUS_NOMEM;
    c->headers = more;
    return STATUS_OK;
}

enum status client_create(const char *server, struct client **out, struct error *e)
{
    if (!server)
        server = getenv("DLTRIGGER_SERVER");
    if (!server || !*server)
        server = CLIENT_SERVER;
    *out = NULL;
    if (strncmp(server, "http://", 7) != 0 && strncmp(server, "https://", 8) != 0)
        return error_set(e, STATUS_ARGUMENT, "the server is a URL such as " CLIENT_SERVER ", not %.200s", server);
    struct client *c = mem_calloc(1, sizeof *c);
    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(c->curl = curl_easy_init())) {
        mem_free(c);
        return error_set(e, STATUS_NOMEM, "no memory for the HTTP client");
    }
    text_copy(c->server, sizeof c->server, server);
    for (size_t n = strlen(c->server); n > 0 && c->server[n - 1] == '/'; n--)
        c->server[n - 1] = '\0';
    /* Without "Expect": the service reads bodies at once. */
    c->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *both = c->headers ? curl_slist_append(c->headers, "Expect:") : NULL;
    if (!both) {
        client_destroy(c);
        return error_set(e, STATUS_NOMEM, "no memory for the HTTP client");
    }
    c->headers = both;
    if (add_key(c) != STATUS_OK) {
        client_destroy(c);
        return error_set(e, STATUS_NOMEM, "no memory for the HTTP client");
    }
    *out = c;
    return STATUS_OK;
}

void client_destroy(struct client *c)
{
    if (!c)
        return;
    curl_slist_free_all(c->headers);
    curl_easy_cleanup(c->curl);
    mem_free(c);
}

const char *client_server(const struct client *c)
{
    return c->server;
}

static void set_options(struct client *c, const char *url, const char *method, const void *body, size_t len,
                        struct answer *out, char reason[CURL_ERROR_SIZE])
{
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "dltrigger/" DLT_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, out);
    if (body || strcmp(method, "POST") == 0) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body ? body : "");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    }
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    if (getenv("DLTRIGGER_CA"))
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, getenv("DLTRIGGER_CA"));
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
}

enum status client_request(struct client *c, const char *method, const char *path, const void *body, size_t len,
                           struct answer *out, struct error *e)
{
    char url[URL_MAX], reason[CURL_ERROR_SIZE] = "";
    int n = snprintf(url, sizeof url, "%s%s", c->server, path);
    if (n < 0 || (size_t)n >= sizeof url)
        return error_set(e, STATUS_ARGUMENT, "the URL is too long");
    out->body.len = 0;
    set_options(c, url, method, body, len, out, reason);
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (code == CURLE_OK)
        return STATUS_OK;
    return error_set(e, STATUS_REMOTE, "%s: %s; is dltriggerd running there? (--server URL or DLTRIGGER_SERVER)",
                     c->server, reason[0] ? reason : curl_easy_strerror(code));
}

enum status client_problem(const struct answer *answer, struct error *e)
{
    struct json *v = NULL;
    struct error ignored;
    char text[ERROR_TEXT_MAX];
    size_t len = 0;
    if (json_parse(answer->body.data, answer->body.len, &v, &ignored) != STATUS_OK || !json_get(v, "detail")) {
        json_free(v);
        return error_set(e, STATUS_REMOTE, "the server answered %ld", answer->status);
    }
    const struct json *errors = json_get(v, "errors");
    if (json_count(errors) == 0)
        len += (size_t)snprintf(text, sizeof text, "%s", json_str(json_get(v, "detail"), ""));
    for (size_t i = 0; i < json_count(errors) && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s: %s", i ? "; " : "",
                                json_str(json_get(json_at(errors, i), "pointer"), ""),
                                json_str(json_get(json_at(errors, i), "detail"), ""));
    (void)error_set(e, STATUS_REMOTE, "the server refused (%ld): %s", answer->status, text);
    json_free(v);
    return STATUS_REMOTE;
}

enum status client_json(struct client *c, const char *method, const char *path, const void *body, size_t len,
                        struct answer *answer, struct json **out, struct error *e)
{
    *out = NULL;
    TRY(client_request(c, method, path, body, len, answer, e));
    if (answer->status < 200 || answer->status > 299)
        return client_problem(answer, e);
    if (json_parse(answer->body.data, answer->body.len, out, e) != STATUS_OK)
        return error_wrap(e, "the answer of %s", c->server);
    return STATUS_OK;
}

bool client_is_id(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 64 && id[n] == '\0';
}
