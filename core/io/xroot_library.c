/* core/io/xroot_library.c */
#include "core/io/xroot_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct xroot_library library;
static char why_not[512];

static bool find_function(void *handle, const char *name, void *function)
{
    void *found = dlsym(handle, name);
    if (found)
        memcpy(function, &found, sizeof found);          /* ISO C has no cast from an object to a function pointer */
    else
        snprintf(why_not, sizeof why_not, "the XRootD library that is installed lacks %s", name);
    return found != NULL;
}

static void load(void)
{
    static const char *const names[] = {"libXrdPosixPreload.so.2", "libXrdPosixPreload.so"};
    const char *chosen = getenv("DLT_XROOTD_LIBRARY");
    void *handle = NULL;
    if (chosen && *chosen)
        handle = dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; !(chosen && *chosen) && !handle && i < ARRAY_LEN(names); i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(why_not, sizeof why_not, "root:// needs XRootD's client library (libXrdPosixPreload.so), which cannot "
                 "be loaded: install it (Debian: apt-get install libxrdposix3)%s",
                 chosen && *chosen ? " or correct DLT_XROOTD_LIBRARY" : "");
        return;
    }
    /* The last one has no C name; its arguments and result are C's (int, char *, int). */
    if (!find_function(handle, "XrdPosix_Open", &library.open) ||
        !find_function(handle, "XrdPosix_Close", &library.close) ||
        !find_function(handle, "XrdPosix_Fstat", &library.fstat) ||
        !find_function(handle, "XrdPosix_Pread", &library.pread) ||
        !find_function(handle, "_ZN14XrdPosixXrootd8endPointEiPci", &library.end_point))
        library.open = NULL;
}

enum status xroot_library_get(const struct xroot_library **out, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    *out = &library;
    return library.open ? STATUS_OK : error_set(e, STATUS_UNSUPPORTED, "%s", why_not);
}
