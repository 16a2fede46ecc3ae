/*
 * The ids of live jobs, and the last few thousand ids of jobs that ended, so that a late cancel of one
 * of those is answered with "finished".
 *
 * Life cycle: ids_new(), any other call, ids_free().
 * Threads: any thread that holds the registry's lock; only registry.c makes the calls.
 * Order of calls: ids_find(); ids_add() if it returned NULL; ids_end() when the job ends.
 */
#ifndef ORCD_ENGINE_IDS_H
#define ORCD_ENGINE_IDS_H

#include "engine/job.h"

#define IDS_ENDED_KEPT 4096

struct ids;

struct ids *ids_new(void); /* NULL: out of memory */
void ids_free(struct ids *ids);
/* The owner's live job with this id. NULL: there is none; *ended is then true if one ended lately. */
struct job *ids_find(const struct ids *ids, const char *id, uint32_t owner, bool *ended);
/* The owner must not have a live job with this id. Takes no reference. 0, or -1: out of memory. */
int ids_add(struct ids *ids, struct job *j);
void ids_end(struct ids *ids, struct job *j); /* remembers its id as one that ended */

#endif
