/*
 * What is checked of a request's head before anything of ours parses it: framing, target,
 * Host, key, route, deadline, size and type of the body. Called once a request, on the
 * loop thread, when the head is complete.
 */
#ifndef ORCD_HTTP_GATE_H
#define ORCD_HTTP_GATE_H

struct exchange;

/* Sets route, owner, deadline, correlation id; or refuses: x->error, and x->close for what
 * may not go on. */
void gate_head(struct exchange *x, const char *url, const char *method, const char *version);

#endif
