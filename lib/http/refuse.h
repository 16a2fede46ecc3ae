/*
 * Writes an error directly to a socket on which the library has sent nothing: in the middle
 * of a body, where it accepts no response, or before it has the connection. The caller closes
 * the descriptor or lets the library close it. Loop thread.
 */
#ifndef ORCD_HTTP_REFUSE_H
#define ORCD_HTTP_REFUSE_H

#include "http/error.h"

/* The answer alone; both directions stay open. */
void refuse_send(int fd, const struct http_error *e);
/* Reads and discards what the client has sent so far: closing with unread bytes would reset
 * the connection, and the client would not get the answer. */
void refuse_drop_input(int fd);
/* The answer; then the sending side is closed and what the client sent is discarded. */
void refuse_raw(int fd, const struct http_error *e);

#endif
