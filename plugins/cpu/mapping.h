/*
 * Large memory of the cpu plugin, straight from the system: zero pages, which take memory when they are
 * first touched.
 *
 * Life cycle: mapping_new() fills in the caller's struct, mapping_free() empties it again and takes an empty
 * one (all zero), too.
 * Threads: the struct belongs to the object that embeds it (a model, a context, a KV cache, a load plan) and
 * is changed by that object's owner alone; any thread may use the memory. The counter is shared.
 */
#ifndef ORCD_CPU_MAPPING_H
#define ORCD_CPU_MAPPING_H

#include "plugins/common/util.h"

struct mapping {
    void *p;
    uint64_t bytes;
    _Atomic uint64_t *counter; /* of the device: bytes of all its mappings */
};

/* huge: ask for large pages. NOMEM. */
int mapping_new(
    struct mapping *m, const struct orcd_host *host, uint64_t bytes, bool huge, _Atomic uint64_t *counter);
void mapping_free(struct mapping *m);

#endif
