#include <stdatomic.h>
#include <sys/mman.h>

#include "plugins/cpu/mapping.h"

int mapping_new(
    struct mapping *m, const struct orcd_host *host, uint64_t bytes, bool huge, _Atomic uint64_t *counter)
{
    if (bytes == 0)
        bytes = 1;
    if (bytes > PTRDIFF_MAX || plugin_fault(host, "cpu.map"))
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
