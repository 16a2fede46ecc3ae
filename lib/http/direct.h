/*
 * A chunk's short way past the library. While a stream is parked, the library has no bytes
 * for its socket, so another thread may borrow the exchange (PARKED to LENT) and pass the
 * chunk to the kernel itself: one send(), without waking a loop. If the kernel accepts only
 * a part, the loop sends the rest (`left`) before it resumes the library. When there are
 * chunks for many streams, the loops send them in the same way.
 */
#ifndef ORCD_HTTP_DIRECT_H
#define ORCD_HTTP_DIRECT_H

#include <stdbool.h>

struct exchange;

/* Any thread: x has news, which the caller has published before. may_send_now: the caller
 * can afford the tens of microseconds to send it itself. Otherwise, and if that fails, x is
 * put into its loop's list, which the loop reads after http_kick(). */
void exchange_notify(struct exchange *x, bool may_send_now);

/* Loop thread, for an exchange from its list: sends what was published. False: bytes are
 * left over, or the library has something to do. */
bool direct_loop_send(struct exchange *x);
/* Loop thread: sends `left`. False: it must wait until the client accepts more. */
bool direct_finish(struct exchange *x);

#endif
