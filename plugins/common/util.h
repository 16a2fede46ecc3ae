/* Leaf helpers of the cpu plugin: errors, injected faults, memory that is counted. */
#ifndef ORCD_COMMON_UTIL_H
#define ORCD_COMMON_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orcd/plugin.h>

/* Fills err within the bytes that its owner gave it, and returns code. */
int cpu_error(struct orcd_error *err, int code, const char *fmt, ...) ORCD_PRINTF(3, 4);

/* A named point where tests may fail or stop us: 0, or the code to fail with. */
static inline int cpu_fault(const struct orcd_host *host, const char *point)
{
    return host->fault ? host->fault(point) : 0;
}

/* Where a struct that crossed the border has the field at all. */
#define HAS_FIELD(p, field) ((p)->size >= offsetof(__typeof__(*(p)), field) + sizeof((p)->field))

/* n objects of size bytes from the host, zeroed, on a cache line; NULL when there is
 * no memory or the product overflows. */
void *cpu_new(const struct orcd_host *host, uint64_t n, uint64_t size);
void cpu_free(const struct orcd_host *host, void *p); /* takes NULL */

/* Zero pages that take memory when first touched. Counted in *counter. */
struct mapping {
    void *p;
    uint64_t bytes;
    _Atomic uint64_t *counter;
};

/* huge: ask for large pages. NOMEM. */
int mapping_new(
    struct mapping *m, const struct orcd_host *host, uint64_t bytes, bool huge, _Atomic uint64_t *counter);
void mapping_free(struct mapping *m); /* takes an empty one */

#endif
