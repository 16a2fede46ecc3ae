/* The host's functions for plugins (struct orcd_host). */
#include "plugin/internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_LOG_TEXT 1024

/* The plugin's callback has no argument, so these are global. The loader thread sets them (release), and
 * the plugin's thread that loads reads them (acquire). */
static _Atomic plugin_progress_fn progress_hook;
static void *progress_arg;

void plugin_set_progress(plugin_progress_fn fn, void *arg)
{
    progress_arg = arg;
    atomic_store_explicit(&progress_hook, fn, memory_order_release);
}

static void host_log(int32_t level, const char *text)
{
    if (level < ORCD_LOG_ERROR || level > ORCD_LOG_DEBUG)
        level = ORCD_LOG_WARN;
    if (!text || !log_enabled(level))
        return;
    char line[MAX_LOG_TEXT];
    size_t n = strnlen(text, sizeof(line) - 1);
    memcpy(line, text, n);
    line[n] = 0;
    log_event(level, line, (struct log_field *)NULL);
}

static void *host_alloc(size_t bytes, size_t align)
{
    if (align == 0 || align > 4096 || (align & (align - 1)))
        return NULL;
    void *p = NULL;
    if (align < sizeof(void *))
        align = sizeof(void *);
    return posix_memalign(&p, align, bytes ? bytes : 1) ? NULL : p;
}

static void host_free(void *p)
{
    free(p);
}

static int32_t host_progress(uint64_t done, uint64_t total)
{
    plugin_progress_fn fn = atomic_load_explicit(&progress_hook, memory_order_acquire);
    return fn ? fn(done, total, progress_arg) : 0;
}

#ifdef ORCD_DEBUG
#include <ctype.h>
#include <pthread.h>

/* ORCD_FAULT="point=CODE[@N][!] ...": the N-th call (default: the first) for that point returns CODE, the
 * others return 0; with '!', all later calls return it, too. */
static int fault_code(const char *text, size_t n)
{
#define FAULT_NAME(name, value, what)                                                                        \
    if (n == strlen(#name) && strncmp(text, #name, n) == 0)                                                  \
        return value;
    ORCD_ERROR_MAP(FAULT_NAME)
#undef FAULT_NAME
    return 0;
}

#define MAX_FAULTS 16

static int32_t host_fault(const char *point)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t asked[MAX_FAULTS];
    const char *p = getenv("ORCD_FAULT");
    int32_t answer = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; p && *p && i < MAX_FAULTS; i++) {
        p += strspn(p, " ,");
        size_t n = strcspn(p, "="), len = strcspn(p, " ,");
        if (n < len && strlen(point) == n && strncmp(p, point, n) == 0) {
            size_t code_len = strcspn(p + n + 1, "@! ,");
            const char *rest = p + n + 1 + code_len;
            uint64_t at = 1;
            if (*rest == '@')
                at = strtoull(rest + 1, (char **)&rest, 10);
            asked[i]++;
            if (asked[i] == at || (asked[i] > at && *rest == '!'))
                answer = fault_code(p + n + 1, code_len);
        }
        p += len;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}
#define HOST_FAULT host_fault
#else
#define HOST_FAULT NULL
#endif

static uint64_t host_now_ns(void)
{
    return clock_mono_ns();
}

const struct orcd_host plugin_host_table = {
    .magic = ORCD_HOST_MAGIC,
    .size = sizeof(struct orcd_host),
    .minor = ORCD_ABI_MINOR,
    .log = host_log,
    .now_ns = host_now_ns,
    .alloc = host_alloc,
    .free = host_free,
    .progress = host_progress,
    .fault = HOST_FAULT,
};
