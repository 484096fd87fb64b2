/* server/live/webhook.h
 *
 * Tells those who want to be told of a job, over http(s), signed, again and again until they take it. */
#ifndef DLT_SERVER_LIVE_WEBHOOK_H
#define DLT_SERVER_LIVE_WEBHOOK_H

#include "server/jobs/jobs.h"

struct webhooks;
struct webhooks_options {
    const char *const *hosts;          /* patterns that a URL's host must match: "host", "host:port", "*.domain" */
    size_t n_hosts;
    const char *secret_dir;            /* has a file NAME for each secret_ref; NULL: no secrets */
    int64_t first_wait_us;             /* before the second attempt, doubled each time; 0: 10 s */
    int64_t look_ms;                   /* how often there may be something new; 0: 1000 */
};
/* Starts the thread that delivers; store and jobs outlive it. */
enum status webhooks_start(struct store *store, struct jobs *jobs, const struct webhooks_options *o, struct webhooks **out,
                           struct error *e) MUST_USE;
void webhooks_stop(struct webhooks *w);           /* NULL allowed; a delivery under way is given up and repeated later */

/* "sha256=" and the hex of HMAC-SHA256 (RFC 2104) of a body. */
void webhook_signature(const void *secret, size_t n_secret, const void *body, size_t n_body, char out[72]);

#endif
