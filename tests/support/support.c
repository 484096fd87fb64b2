/* tests/support/support.c
 *
 * Reference data and temporary folders. */
#include "tests/support/support.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SHARED_DATA "../shared/data"

/* Paths are handed out in rotation, so that a call may use several. */
static const char *join(const char *folder, const char *name)
{
    static _Thread_local char paths[16][PATH_MAX];
    static _Thread_local size_t next;
    char *path = paths[next++ % ARRAY_LEN(paths)];
    int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    check(n > 0 && n < PATH_MAX);
    return path;
}

bool have_shared_data(void)
{
    struct stat st;
    return stat(SHARED_DATA, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *shared_path(const char *rel)
{
    return join(SHARED_DATA, rel);
}

const char *path_in(const char *folder, const char *name)
{
    return join(folder, name);
}

char *temp_folder_create(void)
{
    const char *base = getenv("TMPDIR");
    char *folder = strdup(join(base && *base ? base : "/tmp", "dltrigger-test-XXXXXX"));
    check(folder && mkdtemp(folder));
    return folder;
}

void temp_folder_remove(char *folder)
{
    struct error e;
    if (file_remove_tree(folder, &e) != STATUS_OK)
        fprintf(stderr, "a temporary folder stays: %s\n", e.text);
    free(folder);
}

size_t folder_count(const char *folder)
{
    DIR *dir = opendir(folder);
    check(dir);
    size_t n = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}
