/* server/jobs/message.h
 *
 * What a job's process and the engine tell each other over a socket: frames of a type and a body, the body a sequence of
 * numbers and texts.  All integers are little-endian.  A reader believes nothing: every length is checked against what is
 * there and against a maximum before anything is allocated (tests/fuzz/fuzz_child_message.c).
 *
 *   frame   'D' 'J' type 0 | u32 length of the body | body
 *   text    u32 length | bytes; length 0xFFFFFFFF: none
 *
 * The job's process asks and waits for the REPLY, one question at a time; what is marked "tells" has no reply. */
#ifndef DLT_SERVER_JOBS_MESSAGE_H
#define DLT_SERVER_JOBS_MESSAGE_H

#include "core/base.h"

#define MESSAGE_TYPES(X) \
    X(START)             /* engine: i64 threads, texts kind, job id, work_dir, created_at, spec, hosts setting, u32 n, n hosts */ \
    X(CANCEL)            /* engine tells: stop soon */ \
    X(REPLY)             /* engine: u32 status, text error, what was asked for */ \
    X(PROGRESS)          /* tells: texts phase, unit, message, i64 done, total */ \
    X(METRIC)            /* tells: text key, i64 step, f64 value */ \
    X(LOG)               /* tells: u32 level, text; of the job */ \
    X(LINE)              /* tells: u32 level, text; of the process's own log */ \
    X(CHECKPOINT_SAVE)   /* text bytes */ \
    X(CHECKPOINT_LOAD)   /* -> text bytes, none when there is none */ \
    X(UNITS_COMMITTED)   /* i64 phase, n -> text of n bytes 0 or 1 */ \
    X(UNIT_COMMIT)       /* i64 phase, unit, text result */ \
    X(UNIT_RESULT)       /* i64 phase, unit -> text */ \
    X(RESOLVE_INPUT)     /* text -> u32 n, n texts */ \
    X(RESOLVE_ARTIFACT)  /* texts kind, ref -> texts folder, canonical */ \
    X(ARTIFACT_ID)       /* text prefix, i64 n -> text */ \
    X(MODEL_VERSION)     /* text name -> i64 */ \
    X(PUBLISH)           /* texts kind, id, staged, name, sha256 */ \
    X(END)               /* tells, last: u32 status, text error, u32 partial, text result */
enum message_type {
#define X(name) MESSAGE_##name,
    MESSAGE_TYPES(X)
#undef X
    N_MESSAGE_TYPES
};
const char *message_name(enum message_type t);

enum { JOB_CHILD_FD = 3 };                        /* where a job's process finds its socket */
enum { MESSAGE_HEADER_BYTES = 8, MESSAGE_TEXTS_MAX = 200000 };
#define MESSAGE_BODY_MAX ((size_t)256 << 20)      /* a checkpoint */

/* ---- writing: into a buf; a failure shows when it is sent ---------------------------------------------------------- */

struct message_out {
    struct buf body;
    bool bad;                                     /* something did not fit */
};
void message_out_init(struct message_out *m);
void message_out_fini(struct message_out *m);
void put_u32(struct message_out *m, uint32_t v);
void put_i64(struct message_out *m, int64_t v);
void put_f64(struct message_out *m, double v);
void put_text(struct message_out *m, const char *s);              /* NULL: none */
void put_bytes(struct message_out *m, const void *p, size_t n);   /* as a text */
/* All of it, or IO. */
enum status message_send(int fd, enum message_type type, const struct message_out *m, struct error *e) MUST_USE;

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* A body under way.  A get_ behind the end, or of what is not well-formed, gives 0 or NULL and sets `bad`. */
struct message_in {
    struct span body;
    size_t at;
    struct arena *a;                              /* texts are copied into it */
    bool bad;
};
struct message_in message_in(const struct buf *body, struct arena *a);
uint32_t get_u32(struct message_in *m);
int64_t get_i64(struct message_in *m);
double get_f64(struct message_in *m);
const char *get_text(struct message_in *m);       /* clean of NUL bytes; NULL: none */
struct span get_bytes(struct message_in *m);      /* in place; {NULL, 0}: none */
bool message_whole(const struct message_in *m);   /* nothing bad, nothing left over */

/* False: no frame of ours begins so. */
bool message_header(const uint8_t bytes[MESSAGE_HEADER_BYTES], enum message_type *type, size_t *len);
/* The next frame into *body, whose max is the largest that is taken.  *end: the other side has closed, before a frame. */
enum status message_receive(int fd, enum message_type *type, struct buf *body, bool *end, struct error *e) MUST_USE;

#endif
