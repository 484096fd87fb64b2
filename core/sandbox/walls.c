/* core/sandbox/walls.c
 *
 * The walls of a child, each enough for most of what a bad parser can be made to do: rlimits against memory and loops,
 * Landlock against files, and a filter of system calls against everything.  The filter is twenty lines of classic BPF,
 * less than the library that would write it for us. */
#include "core/sandbox/private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum status walls_begin(struct error *e)
{
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_close_range, 3, ~0u, 0) != 0)
        return error_errno(e, "walls of the child");
    if (getppid() != parent) /* it was gone before it could be noted */
        _exit(1);
    return STATUS_OK;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* `grace` is between the soft and the hard limit: where processor time has none, the kill comes without its signal. */
static enum status limit(int what, rlim_t most, rlim_t grace, struct error *e)
{
    struct rlimit now, wanted = {most, most + grace};
    if (getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY && now.rlim_max < wanted.rlim_max)
        wanted = (struct rlimit){now.rlim_max < most ? now.rlim_max : most, now.rlim_max};
    return setrlimit(what, &wanted) == 0 ? STATUS_OK : error_errno(e, "limits of the child");
}

/* What the program takes before it has read anything: libraries, above all. */
static rlim_t address_space_now(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    rlim_t pages = 0;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
        pages = pages * 10 + (rlim_t)(text[i] - '0');
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static enum status set_limits(rlim_t address_space, int64_t seconds, struct error *e)
{
    TRY(limit(RLIMIT_CORE, 0, 0, e));
    TRY(limit(RLIMIT_CPU, (rlim_t)seconds, 5, e));
    TRY(limit(RLIMIT_FSIZE, 0, 0, e));
    TRY(limit(RLIMIT_NOFILE, 0, 0, e)); /* those that are open stay */
    /* Sanitizers reserve terabytes of addresses. */
    return SANDBOX_SANITIZED ? STATUS_OK : limit(RLIMIT_AS, address_space, 0, e);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A rule set that allows nothing.  Older kernels have no Landlock: there the filter stands alone. */
static void forbid_files(void)
{
    struct landlock_ruleset_attr all = {.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1}; /* version 1 */
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return;
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef FILTER_ARCH

#define LOAD(what)            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (what))
#define NUMBER                offsetof(struct seccomp_data, nr)
#define LOW_HALF(i)           (offsetof(struct seccomp_data, args) + 8 * (i)) /* both processors are little-endian */
#define RETURN(what)          BPF_STMT(BPF_RET | BPF_K, (what))
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (n))
#define ALLOW(call)           SKIP_UNLESS((call), 1), RETURN(SECCOMP_RET_ALLOW)
/* Allowed when argument i is `value`; always seen with the call's number loaded, and it is so again behind. */
#define ALLOW_WITH(call, i, value)                                                                                     \
    SKIP_UNLESS((call), 4), LOAD(LOW_HALF(i)), SKIP_UNLESS((value), 1), RETURN(SECCOMP_RET_ALLOW), LOAD(NUMBER)
#define ALLOW_WITHOUT_BIT(call, i, bit)                                                                                \
    SKIP_UNLESS((call), 4), LOAD(LOW_HALF(i)), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (bit), 1, 0),                      \
        RETURN(SECCOMP_RET_ALLOW), LOAD(NUMBER)

static enum status filter_calls(bool files_absent, struct error *e)
{
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(NUMBER),
        ALLOW_WITH(__NR_write, 0, SANDBOX_ANSWER_FD),
        ALLOW_WITHOUT_BIT(__NR_mmap, 2, PROT_EXEC),
        ALLOW_WITHOUT_BIT(__NR_mprotect, 2, PROT_EXEC),
        SKIP_UNLESS(__NR_openat, 1),
        RETURN(files_absent ? SECCOMP_RET_ERRNO | ENOENT : SECCOMP_RET_TRAP),
        ALLOW(__NR_munmap),
        ALLOW(__NR_mremap),
        ALLOW(__NR_brk),
        ALLOW(__NR_madvise),
        ALLOW(__NR_futex),
        ALLOW(__NR_getrandom), /* the allocator's, and tables' seeds */
        ALLOW(__NR_clock_gettime),
        ALLOW(__NR_gettid),
        ALLOW(__NR_getpid),
        ALLOW(__NR_rt_sigprocmask), /* these three and the next one: abort() */
        ALLOW(__NR_rt_sigaction),
        ALLOW(__NR_rt_sigreturn),
        ALLOW_WITH(__NR_tgkill, 0, (uint32_t)getpid()),
        ALLOW(__NR_exit),
        ALLOW(__NR_exit_group),
#if SANDBOX_SANITIZED
        ALLOW_WITH(__NR_write, 0, 2), /* their reports */
        ALLOW(__NR_sched_yield),
        ALLOW(__NR_sigaltstack),
#endif
        RETURN(SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    /* On all threads; ThreadSanitizer has one of its own that needs more. */
    unsigned how = SANDBOX_SANITIZED ? 0 : SECCOMP_FILTER_FLAG_TSYNC;
    long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, how, &program);
    if (failed > 0)
        return error_set(e, STATUS_UNSUPPORTED, "the child has a thread that cannot be walled in");
    return failed == 0 ? STATUS_OK : error_errno(e, "this kernel takes no filter of system calls");
}

#else

static enum status filter_calls(bool files_absent, struct error *e)
{
    (void)files_absent;
    return error_set(e, STATUS_UNSUPPORTED, "there is no filter of system calls for this processor");
}

#endif

/* The filter's signal: tells the parent which call it was.  Only what may be called in a handler. */
static void on_refused(int number, siginfo_t *info, void *context)
{
    struct sandbox_head head = {.word = SANDBOX_REFUSED, .status = (uint32_t)info->si_syscall};
    (void)number;
    (void)context;
    (void)!write(SANDBOX_ANSWER_FD, &head, sizeof head);
    _exit(1);
}

enum status walls_close(size_t memory_bytes, int64_t seconds, bool files_absent, struct error *e)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSYS, &action, NULL) != 0)
        return error_errno(e, "walls of the child");
    rlim_t now = address_space_now();
    if (now == 0)
        return error_errno(e, "size of the child");
    forbid_files();
    TRY(set_limits(now + memory_bytes, seconds, e));
    return filter_calls(files_absent, e);
}
