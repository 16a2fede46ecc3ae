/*
 * Between steps: looks at deadlines and at what was told to stop, and frees the slots of jobs that
 * ended.
 *
 * Life cycle: it has no state of its own.
 * Threads: the engine thread.
 * Order of calls: first in each turn, before engine_admit() fills the slots that it frees.
 */
#ifndef ORCD_ENGINE_REAP_H
#define ORCD_ENGINE_REAP_H

struct engine;

void engine_reap(struct engine *e);

#endif
