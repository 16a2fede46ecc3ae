/*
 * What the engine knows of the device's state: lost for good, or failing job after job.
 *
 * A backend that refuses or fails every job is worse than none: it answers fast, so balancers send it more.
 * Jobs that the device failed are counted until one gets a token (end.c and publish.c count, in struct
 * engine). At engine_params.max_failures the worker is unhealthy (health.c), and step_probe() tries now and
 * then.
 *
 * No state or memory of its own. The engine thread makes the calls.
 */
#ifndef ORCD_ENGINE_DEVICE_H
#define ORCD_ENGINE_DEVICE_H

#include "engine/engine-internal.h"

/* All jobs end with DEVICE_LOST, new ones are refused with it, and only the teardown calls the plugin again.
 */
void device_lost(struct engine *e, const struct orcd_error *err);
/* When the next probe is due (monotonic ns); UINT64_MAX: none. */
uint64_t device_probe_due(struct engine *e);
/* What a probe found. */
void device_probed(struct engine *e, int rc);

#endif
