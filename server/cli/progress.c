/* server/cli/progress.c
 *
 * The progress bar: `epoch 7/50  [##..........]   14.3 %  1.95 M/13.6 M samples  91.2 k/s  2:08 left`. */
#include "server/cli/progress.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 1024, BAR_MIN = 10, BAR_MAX = 30, PHASE_MIN = 8, COLUMNS_DEFAULT = 80, COLUMNS_MAX = 200 };

/* Three digits and a prefix: 999, 1.95 k, 13.6 M. */
static void format_number(double value, char out[24])
{
    static const char *const prefixes[] = {"", " k", " M", " G", " T"};
    size_t i = 0;
    while (fabs(value) >= 999.5 && i + 1 < ARRAY_LEN(prefixes)) {
        value /= 1000;
        i++;
    }
    bool whole = i == 0 && value == floor(value);
    int decimals = whole || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
    snprintf(out, 24, "%.*f%s", decimals, value, prefixes[i]);
}

/* 0:07, 12:34, 3:05:09, or days beyond. */
static void format_seconds(double seconds, char out[24])
{
    if (!(seconds < 100 * 86400.0)) {
        snprintf(out, 24, "months");
        return;
    }
    long s = lround(seconds);
    if (s >= 2 * 86400)
        snprintf(out, 24, "%ld days", s / 86400);
    else if (s >= 3600)
        snprintf(out, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 24, "%ld:%02ld", s / 60, s % 60);
}

static size_t n_characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* The first `n` characters of text that may not be trusted with a terminal. */
static void copy_clean(char *out, size_t cap, const char *s, size_t n)
{
    size_t len = 0, at = 0;
    while (s[len] && (n > 0 || ((unsigned char)s[len] & 0xC0) == 0x80)) {
        len++;
        n -= ((unsigned char)s[len] & 0xC0) != 0x80 && n > 0;
    }
    bool clean = text_is_clean(s, len);
    for (size_t i = 0; i < len && at + 1 < cap; i++)
        out[at++] = clean || (s[i] >= ' ' && s[i] < 0x7f) ? s[i] : '?';
    out[at] = '\0';
}

/* What stands behind the bar. */
static void format_figures(char *out, size_t cap, double fraction, double done, double total, const char *unit, double rate,
                           double eta)
{
    char a[24], b[24];
    size_t n = 0;
    out[0] = '\0';
    format_number(done, a);
    if (total >= 0) {
        format_number(total, b);
        n += (size_t)snprintf(out + n, cap - n, "%5.1f %%  %s/%s %.24s", 100 * fraction, a, b, unit);
    } else if (done > 0) {
        n += (size_t)snprintf(out + n, cap - n, "%s %.24s", a, unit);
    }
    if (rate > 0) {
        format_number(rate, a);
        n += (size_t)snprintf(out + n, cap - n, "  %s/s", a);
    }
    if (eta >= 0) {
        format_seconds(eta, a);
        n += (size_t)snprintf(out + n, cap - n, "  %s left", a);
    }
}

void progress_line(char *out, size_t cap, int columns, const char *phase, double fraction, double done, double total,
                   const char *unit, double rate, double eta)
{
    char figures[200], name[400], raw[200], bar[BAR_MAX + 8] = "";
    fraction = fraction > 0 ? fmin(fraction, 1) : 0;
    columns = columns < 20 ? 20 : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
    format_figures(raw, sizeof raw, fraction, done, total, unit ? unit : "", rate, eta);
    copy_clean(figures, sizeof figures, raw, (size_t)columns - 2);
    int room = columns - (int)n_characters(figures) - 2;
    if (total >= 0 && room >= PHASE_MIN + BAR_MIN + 4) {
        int width = room - 4 - (int)n_characters(phase);      /* a long phase is cut before the bar is */
        width = width < BAR_MIN ? BAR_MIN : width > BAR_MAX ? BAR_MAX : width;
        int full = (int)lround(fraction * width);
        memset(bar, '#', (size_t)full + 1);
        memset(bar + 1 + full, '.', (size_t)(width - full));
        bar[0] = '[';
        text_copy(bar + 1 + width, sizeof bar - 1 - (size_t)width, "]  ");
        room -= width + 4;
    }
    copy_clean(name, sizeof name, phase, room > 0 ? (size_t)room : 0);
    snprintf(out, cap, "%s  %s%s", name, bar, figures);
}

void progress_bar_init(struct progress_bar *bar, FILE *out)
{
    *bar = (struct progress_bar){.out = out, .terminal = isatty(fileno(out)) == 1};
}

static int terminal_columns(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

void progress_bar_draw(struct progress_bar *bar, const char *phase, double fraction, double done, double total,
                       const char *unit, double rate, double eta)
{
    char line[LINE_BYTES];
    if (!bar->terminal)
        return;
    /* One column is left free: a full line would wrap. */
    progress_line(line, sizeof line, terminal_columns(bar->out) - 1, phase ? phase : "", fraction, done, total, unit, rate,
                  eta);
    fprintf(bar->out, "\r%s\033[K", line);
    fflush(bar->out);
    bar->drawn = true;
}

void progress_bar_clear(struct progress_bar *bar)
{
    if (!bar->drawn)
        return;
    fputs("\r\033[K", bar->out);
    fflush(bar->out);
    bar->drawn = false;
}
