/* server/cli/progress.h
 *
 * One line that says how far a job is, redrawn in place; nothing at all when the output is no terminal. */
#ifndef DLT_SERVER_CLI_PROGRESS_H
#define DLT_SERVER_CLI_PROGRESS_H

#include "core/base.h"

struct progress_bar {
    FILE *out;
    bool terminal, drawn;
};

void progress_bar_init(struct progress_bar *bar, FILE *out);
/* `total` < 0, `rate` <= 0 and `eta` (seconds) < 0 are unknown and left out; so is the bar when the total is. */
void progress_bar_draw(struct progress_bar *bar, const char *phase, double fraction, double done, double total,
                       const char *unit, double rate, double eta);
/* Takes the line away, before other lines and at the end. */
void progress_bar_clear(struct progress_bar *bar);

/* The line's text in at most `columns` columns, for the bar and its test. */
void progress_line(char *out, size_t cap, int columns, const char *phase, double fraction, double done, double total,
                   const char *unit, double rate, double eta);

#endif
