#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/cpu/sys.h"

#define CGROUP_FS "/sys/fs/cgroup"
#define CGROUP_SELF "/proc/self/cgroup"

/* The first line of a small file, without its newline. */
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fgets(line, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

static bool read_u64(const char *path, uint64_t *out)
{
    char line[64], *end;
    if (!read_line(path, line, sizeof(line)) || line[0] < '0' || line[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(line, &end, 10);
    return errno == 0 && *end == '\0';
}

/* Called for our group of one hierarchy and each of its parents. */
typedef void group_fn(const char *dir, bool v2, void *arg);

/* Walks the group at root + path upwards. */
static void group_walk(const char *root, char *path, bool v2, group_fn *fn, void *arg)
{
    char dir[PATH_MAX];
    for (;;) {
        size_t n = strlen(path);
        while (n && path[n - 1] == '/')
            path[--n] = '\0';
        if ((size_t)snprintf(dir, sizeof(dir), "%s%s", root, path) < sizeof(dir))
            fn(dir, v2, arg);
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

/* Lines of /proc/self/cgroup are "id:controllers:path"; v2 has no controllers. In a
 * container the path may not exist below the mount: its root then stands for us,
 * which the walk to the root covers. */
static void groups_each(
    const char *proc_cgroup, const char *fs_root, const char *controller, group_fn *fn, void *arg)
{
    FILE *f = fopen(proc_cgroup, "re");
    if (!f)
        return;
    char line[PATH_MAX + 256];
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        char root[PATH_MAX];
        if (*controllers == '\0') {
            snprintf(root, sizeof(root), "%s", fs_root);
            group_walk(root, path, true, fn, arg);
            /* Mixed set-ups mount v2 below v1's folder. */
        } else if (list_has(controllers, controller)) {
            char copy[PATH_MAX];
            snprintf(copy, sizeof(copy), "%s", path);
            if ((size_t)snprintf(root, sizeof(root), "%s/%s", fs_root, controllers) < sizeof(root))
                group_walk(root, path, false, fn, arg);
            if ((size_t)snprintf(root, sizeof(root), "%s/%s", fs_root, controller) < sizeof(root))
                group_walk(root, copy, false, fn, arg);
        }
    }
    fclose(f);
}

static void quota_of(const char *dir, bool v2, void *arg)
{
    uint32_t *least = arg;
    char path[PATH_MAX + 32], line[64];
    uint64_t quota = 0, period = 0;
    if (v2) {
        snprintf(path, sizeof(path), "%s/cpu.max", dir);
        if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lu %lu", &quota, &period) != 2)
            return; /* "max 100000" is no quota */
    } else {
        snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
        if (!read_u64(path, &quota))
            return; /* -1 is no quota */
        snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
        if (!read_u64(path, &period))
            return;
    }
    if (quota == 0 || period == 0)
        return;
    /* Down: a thread that has a part of a processor is throttled, and the others of a step wait for it. */
    uint64_t cpus = quota < period ? 1 : quota / period;
    if (cpus <= UINT32_MAX && (*least == 0 || cpus < *least))
        *least = (uint32_t)cpus;
}

uint32_t sys_cpu_quota(const char *proc_cgroup, const char *fs_root)
{
    uint32_t least = 0;
    groups_each(proc_cgroup, fs_root, "cpu", quota_of, &least);
    return least;
}

uint32_t sys_cpu_count(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = n < 1 ? 1 : n > 1024 ? 1024 : (uint32_t)n;
    uint32_t quota = sys_cpu_quota(CGROUP_SELF, CGROUP_FS);
    return quota && quota < count ? quota : count;
}

struct memory {
    uint64_t total, available;
};

static void memory_of(const char *dir, bool v2, void *arg)
{
    struct memory *m = arg;
    char path[PATH_MAX + 32];
    uint64_t limit, used = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, v2 ? "memory.max" : "memory.limit_in_bytes");
    if (!read_u64(path, &limit))
        return; /* "max" */
    snprintf(path, sizeof(path), "%s/%s", dir, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (!read_u64(path, &used))
        return;
    uint64_t left = limit > used ? limit - used : 0;
    if (limit < m->total)
        m->total = limit;
    if (left < m->available)
        m->available = left;
}

int sys_memory(uint64_t *total, uint64_t *available)
{
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f)
        return -1;
    struct memory m = {0};
    char line[128];
    uint64_t kb;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "MemTotal: %lu kB", &kb) == 1)
            m.total = kb * 1024;
        else if (sscanf(line, "MemAvailable: %lu kB", &kb) == 1)
            m.available = kb * 1024;
    }
    fclose(f);
    if (m.total == 0)
        return -1;
    groups_each(CGROUP_SELF, CGROUP_FS, "memory", memory_of, &m);
    *total = m.total;
    *available = m.available;
    return 0;
}

void sys_cpu_name(char *name, uint64_t size)
{
    snprintf(name, size, "CPU");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[512];
    while (fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, "model name", 10) != 0)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(name, size, "%s", colon);
        break;
    }
    fclose(f);
}
