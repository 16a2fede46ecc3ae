/*
 * Leaf helpers of plugins: errors, injected faults, memory from the host.
 *
 * They keep no state. Any thread may call them, as the host's own functions are for any thread.
 */
#ifndef ORCD_COMMON_UTIL_H
#define ORCD_COMMON_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <orcd/plugin.h>

/* Fills err within the bytes that its owner gave it, and returns code. */
int plugin_error(struct orcd_error *err, int code, const char *fmt, ...) ORCD_PRINTF(3, 4);

/* A named point where tests may fail or stop us: 0, or the code to fail with. */
static inline int plugin_fault(const struct orcd_host *host, const char *point)
{
    return host->fault ? host->fault(point) : 0;
}

/* Where a struct that crossed the border has the field at all. */
#define HAS_FIELD(p, field) ((p)->size >= offsetof(__typeof__(*(p)), field) + sizeof((p)->field))

/* n objects of size bytes from the host, zeroed, on a cache line; NULL when there is
 * no memory or the product overflows. */
void *plugin_alloc(const struct orcd_host *host, uint64_t n, uint64_t size);
void plugin_free(const struct orcd_host *host, void *p); /* takes NULL */

#endif
