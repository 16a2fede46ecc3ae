/*
 * A few threads that parse and tokenize large bodies, so that a loop never does.
 * intake_start() at start-up; intake_push() by loops; intake_stop() finishes what there
 * is, after which every push is refused; intake_free() when the loops are gone.
 */
#ifndef ORCD_HTTP_INTAKE_H
#define ORCD_HTTP_INTAKE_H

#include <stdbool.h>

#include "base/error.h"

struct exchange;
struct intake;

int intake_start(struct intake **out, unsigned n_threads, struct orcd_error *err);
/* Loop thread; x is suspended. An intake thread calls x->route->parse and hands x back to
 * its loop. False: it was stopped, and x is the caller's still. */
bool intake_push(struct intake *in, struct exchange *x);
void intake_stop(struct intake *in);
void intake_free(struct intake *in); /* takes NULL */

#endif
