/* server/cli/client.h
 *
 * HTTP requests of the command line to a dltriggerd; libcurl is used by client.c only. */
#ifndef DLT_SERVER_CLI_CLIENT_H
#define DLT_SERVER_CLI_CLIENT_H

#include "server/json/json.h"

/* --server, else DLTRIGGER_SERVER, else this.  DLTRIGGER_KEY is sent as the key, DLTRIGGER_CA is a file with the authorities
 * that sign https servers, instead of the system's. */
#define CLIENT_SERVER "http://127.0.0.1:8080"

struct client;
/* `server` may be NULL.  ARGUMENT: no http or https URL. */
enum status client_create(const char *server, struct client **out, struct error *e) MUST_USE;
void client_destroy(struct client *c);            /* NULL allowed */
const char *client_server(const struct client *c);

struct answer {
    long status;                       /* HTTP; 200 and 404 alike are an answer */
    struct buf body;                   /* emptied before each request */
};
void answer_init(struct answer *a);
void answer_fini(struct answer *a);
/* One request; `body` NULL: none.  REMOTE: there was no answer. */
enum status client_request(struct client *c, const char *method, const char *path, const void *body, size_t len,
                           struct answer *out, struct error *e) MUST_USE;
/* The same, where anything but 2xx is an error that says what the server's problem document says, with its pointers. */
enum status client_json(struct client *c, const char *method, const char *path, const void *body, size_t len,
                        struct answer *answer, struct json **out, struct error *e) MUST_USE;
/* REMOTE with the text of the problem document in `answer`. */
enum status client_problem(const struct answer *answer, struct error *e);
/* Whether an id may stand in a path as it is. */
bool client_is_id(const char *id);

#endif
