/*
 * A few threads that parse and tokenize large bodies, so that they don't hold up a loop.
 * intake_start() at start-up; loops call intake_push(); intake_stop() refuses further
 * pushes, finishes what is queued and joins the threads; intake_free() when the loops have
 * ended.
 */
#ifndef ORCD_HTTP_INTAKE_H
#define ORCD_HTTP_INTAKE_H

#include <stdbool.h>

#include "base/error.h"

struct exchange;
struct intake;

int intake_start(struct intake **out, unsigned n_threads, struct orcd_error *err);
/* Loop thread; x is suspended. An intake thread calls x->route->parse and then passes x back
 * to its loop. False: the intake was stopped, and the loop still has x. */
bool intake_push(struct intake *in, struct exchange *x);
void intake_stop(struct intake *in);
void intake_free(struct intake *in); /* in may be NULL */

#endif
