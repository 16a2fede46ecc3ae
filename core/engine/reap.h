/*
 * Between steps: checks deadlines and aborts, and frees the slots of jobs that ended.
 *
 * Life cycle: this module has no state.
 * Threads: only the engine thread calls it.
 * Order of calls: first in each turn, before engine_admit() fills the slots that it frees.
 */
#ifndef ORCD_ENGINE_REAP_H
#define ORCD_ENGINE_REAP_H

struct engine;

void engine_reap(struct engine *e);

#endif
