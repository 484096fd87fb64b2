/* core/base/log.c
 *
 * Where log lines go.  The sink is called under a lock: lines never mix, and once log_set() returns, the former
 * sink is no longer in use.  A sink must therefore not log. */
#include "core/base.h"

#include "core/base/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { LINE_MAX_BYTES = 2048 };

static void write_to_stderr(void *ctx, enum log_level level, const char *line);

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int least_level = LOG_INFO;
static void (*sink_fn)(void *, enum log_level, const char *) = write_to_stderr;
static void *sink_ctx;

static void write_to_stderr(void *ctx, enum log_level level, const char *line)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    (void)ctx;
    int64_t now_us = time_unix_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    char when[32];
    gmtime_r(&seconds, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "%s.%03dZ %s %s\n", when, (int)(now_us / 1000 % 1000), names[level], line);
}

void log_set(enum log_level least, void (*sink)(void *ctx, enum log_level level, const char *line), void *ctx)
{
    pthread_mutex_lock(&sink_lock);
    atomic_store(&least_level, (int)least);
    sink_fn = sink ? sink : write_to_stderr;
    sink_ctx = ctx;
    pthread_mutex_unlock(&sink_lock);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    char line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    text_clean(line);
    pthread_mutex_lock(&sink_lock);
    sink_fn(sink_ctx, level, line);
    pthread_mutex_unlock(&sink_lock);
}
