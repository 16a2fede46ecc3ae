/*
 * The client's address as text, for the log. No state. The thread that has the exchange calls it, while the
 * exchange has its connection.
 */
#ifndef ORCD_HTTP_PEER_H
#define ORCD_HTTP_PEER_H

struct exchange;

#define PEER_BYTES 64

/* "192.0.2.1:50000", "[2001:db8::1]:50000" or "unix". */
void peer_text(const struct exchange *x, char out[PEER_BYTES]);

#endif
