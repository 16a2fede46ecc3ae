#include "metrics/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static void memory(struct process_usage *u)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return;
    if (fscanf(f, "%lu %lu", &pages, &resident) == 2) {
        u->virtual_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
        u->resident_bytes = (double)resident * (double)sysconf(_SC_PAGESIZE);
    }
    fclose(f);
}

static double open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n ? n - 1 : 0; /* one is the folder itself */
}

void process_usage(struct process_usage *u)
{
    struct timespec now, cpu;
    struct rlimit limit;
    *u = (struct process_usage){0};
    memory(u);
    u->open_fds = open_fds();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        u->max_fds = (double)limit.rlim_cur;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        u->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
    if (clock_gettime(CLOCK_REALTIME, &now) == 0)
        u->start_seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)clock_process_ns() / 1e9;
}
