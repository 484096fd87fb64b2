/* server/embedded.h
 *
 * Files that live inside the binary: migrations, the dashboard and the API document.  server/embed.sh writes the
 * table at build time; names are paths from the project root ("server/dashboard/index.html"). */
#ifndef DLT_SERVER_EMBEDDED_H
#define DLT_SERVER_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;
    const unsigned char *data;             /* followed by a NUL that `size` does not count */
    size_t size;
};

/* In the order of the Makefile's list: sorted within each folder, so migrations come in their order. */
extern const struct embedded_file embedded_files[];
extern const size_t n_embedded_files;

#endif
