/*
 * Checks the head of a request before a handler sees it: framing, target, Host, key, route,
 * deadline, size and type of the body. Called once per request, on the loop thread, when
 * the head is complete.
 */
#ifndef ORCD_HTTP_GATE_H
#define ORCD_HTTP_GATE_H

struct exchange;

/* Sets route, owner, deadline and correlation id; or refuses the request: sets x->error, and
 * x->close if the connection must be closed after the answer. */
void gate_head(struct exchange *x, const char *url, const char *method, const char *version);

#endif
