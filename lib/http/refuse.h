/*
 * An error written straight to a socket on which the library has sent nothing: where it
 * takes no response (in the middle of a body), or does not have the connection yet. The
 * caller closes the descriptor, or has the library do it. Loop thread.
 */
#ifndef ORCD_HTTP_REFUSE_H
#define ORCD_HTTP_REFUSE_H

#include "http/error.h"

/* The answer alone; both directions stay open. */
void refuse_send(int fd, const struct http_error *e);
/* Takes what the client has sent so far: closing with unread bytes would reset the
 * connection, and the answer with it. */
void refuse_drop_input(int fd);
/* The answer, then nothing more is sent. */
void refuse_raw(int fd, const struct http_error *e);

#endif
