/*
 * A chunk's short way. While a stream is parked, nothing of the library's is on its way to
 * the socket, so another thread borrows the exchange (PARKED to LENT) and hands the chunk
 * to the kernel itself: one send(), no wake-up of a loop between. What the kernel does not
 * take is the loop's: `left` goes out before the library is let on. Where there are chunks
 * for many, the loops send them the same way.
 */
#ifndef ORCD_HTTP_DIRECT_H
#define ORCD_HTTP_DIRECT_H

#include <stdbool.h>

struct exchange;

/* Any thread: there is news for x, which was published before. may_send_now: the caller
 * may take tens of microseconds to send it by itself; else, and where that fails, x gets
 * into its loop's list, which looks at it after http_kick(). */
void exchange_notify(struct exchange *x, bool may_send_now);

/* Loop thread, of an exchange from its list: sends what was published. False: there is
 * something left, or something else for the library to do. */
bool direct_loop_send(struct exchange *x);
/* Loop thread: sends what is left. False: it waits for the client. */
bool direct_finish(struct exchange *x);

#endif
