#include "cases/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define PIECE (UINT64_C(4) << 20)
#define MAX_THREADS 64

struct job {
    char *to;
    const char *from;
    uint64_t bytes;
    atomic_uint_fast64_t next;
};

static void *copy_main(void *arg)
{
    struct job *j = arg;
    uint64_t at;
    while ((at = atomic_fetch_add(&j->next, PIECE)) < j->bytes)
        memcpy(j->to + at, j->from + at, min_u64(PIECE, j->bytes - at));
    return NULL;
}

int file_copy_open(struct file_copy *f, const char *path, struct orcd_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || st.st_size <= 0) {
        int why = fd < 0 ? errno : EINVAL;
        if (fd >= 0)
            close(fd);
        return error_set_errno(err, ORCD_E_IO, why, "%s", path);
    }
    *f = (struct file_copy){fd, (uint64_t)st.st_size};
    return 0;
}

void file_copy_close(struct file_copy *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void file_copy_back_memory(const struct file_copy *f)
{
    struct sysinfo info;
    if (sysinfo(&info))
        return;
    uint64_t spare = (uint64_t)info.freeram * info.mem_unit / 2;
    uint64_t bytes = f->bytes < spare / 3 ? 3 * f->bytes : spare;
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return;
    madvise(at, bytes, MADV_HUGEPAGE);
    madvise(at, bytes, MADV_POPULATE_WRITE);
    munmap(at, bytes);
}

double file_copy_speed(const struct file_copy *f)
{
    pthread_t threads[MAX_THREADS];
    struct job j = {.bytes = f->bytes};
    long n = sysconf(_SC_NPROCESSORS_ONLN), started = 0;
    double speed = 0;
    j.to = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *from = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE, f->fd, 0);
    j.from = from;
    if (j.to != MAP_FAILED && from != MAP_FAILED) {
        madvise(j.to, f->bytes, MADV_HUGEPAGE);
        uint64_t begin = clock_mono_ns();
        for (long i = 1; i < n && started < MAX_THREADS; i++)
            if (pthread_create(&threads[started], NULL, copy_main, &j) == 0)
                started++;
        copy_main(&j);
        for (long i = 0; i < started; i++)
            pthread_join(threads[i], NULL);
        speed = (double)f->bytes * 1e9 / (double)(clock_mono_ns() - begin);
    }
    if (j.to != MAP_FAILED)
        munmap(j.to, f->bytes);
    if (from != MAP_FAILED)
        munmap(from, f->bytes);
    return speed;
}

bool file_copy_evict(const struct file_copy *f)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (f->bytes + page - 1) / page, held = 0;
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    void *map = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE, f->fd, 0);
    unsigned char *in = malloc(n);
    bool gone = false;
    if (map != MAP_FAILED && in && mincore(map, f->bytes, in) == 0) {
        for (size_t i = 0; i < n; i++)
            held += in[i] & 1;
        gone = held < n / 20;
    }
    if (map != MAP_FAILED)
        munmap(map, f->bytes);
    free(in);
    return gone;
}
