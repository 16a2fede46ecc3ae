/*
 * Job ids that are live, and the last few thousand that ended: a late cancel of one of those is answered
 * with "finished".
 *
 * Life cycle: ids_new(), any other call, ids_free().
 * Threads: any thread, under the registry's lock; only registry.c makes the calls.
 * Order of calls: ids_find(), and ids_add() if there is none; ids_end() when the job ended.
 */
#ifndef ORCD_ENGINE_IDS_H
#define ORCD_ENGINE_IDS_H

#include "engine/job.h"

#define IDS_ENDED_KEPT 4096

struct ids;

struct ids *ids_new(void); /* NULL: out of memory */
void ids_free(struct ids *ids);
/* The owner's live job of that id, or NULL; *ended tells whether one ended lately. */
struct job *ids_find(const struct ids *ids, const char *id, uint32_t owner, bool *ended);
/* The owner has no live job of that id. Takes no reference. 0, or -1 when out of memory. */
int ids_add(struct ids *ids, struct job *j);
void ids_end(struct ids *ids, struct job *j); /* from now on its id is one that ended */

#endif
