/* Job ids that are live, and the last few thousand that ended: a late cancel of one
 * of those is answered "finished". Guarded by the engine's lock. */
#ifndef ORCD_ENGINE_IDS_H
#define ORCD_ENGINE_IDS_H

#include "engine/job.h"

#define IDS_FINISHED_KEPT 4096

struct ids;

struct ids *ids_new(void); /* NULL: out of memory */
void ids_free(struct ids *ids);
/* The owner's live job of that id, or NULL; *finished tells whether it ended lately. */
struct job *ids_find(const struct ids *ids, const char *id, uint32_t owner, bool *finished);
/* The owner has no live job of that id. Takes no reference. 0, or -1 when out of memory. */
int ids_add(struct ids *ids, struct job *j);
void ids_finish(struct ids *ids, struct job *j);

#endif
