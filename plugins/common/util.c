#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "plugins/common/util.h"

int cpu_error(struct orcd_error *err, int code, const char *fmt, ...)
{
    if (!err || err->size < offsetof(struct orcd_error, msg) + 1)
        return code;
    size_t room = err->size - offsetof(struct orcd_error, msg);
    if (room > sizeof(err->msg))
        room = sizeof(err->msg);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, room, fmt, ap);
    va_end(ap);
    /* One line, whatever a tensor's name holds. */
    for (char *c = err->msg; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    err->code = code;
    return code;
}

void *cpu_new(const struct orcd_host *host, uint64_t n, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    void *p = host->alloc(bytes ? (size_t)bytes : 1, 64);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void cpu_free(const struct orcd_host *host, void *p)
{
    if (p)
        host->free(p);
}

int mapping_new(
    struct mapping *m, const struct orcd_host *host, uint64_t bytes, bool huge, _Atomic uint64_t *counter)
{
    if (bytes == 0)
        bytes = 1;
    if (bytes > PTRDIFF_MAX || cpu_fault(host, "cpu.map"))
        return ORCD_E_NOMEM;
    void *p =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ORCD_E_NOMEM;
    if (huge)
        madvise(p, (size_t)bytes, MADV_HUGEPAGE);
    atomic_fetch_add(counter, bytes);
    *m = (struct mapping){.p = p, .bytes = bytes, .counter = counter};
    return 0;
}

void mapping_free(struct mapping *m)
{
    if (!m->p)
        return;
    munmap(m->p, (size_t)m->bytes);
    atomic_fetch_sub(m->counter, m->bytes);
    *m = (struct mapping){0};
}
