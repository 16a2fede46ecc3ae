/*
 * How an exchange waits, and how other threads reach its loop.
 *
 * Only the loop thread uses the loop's connections. An exchange that waits for news is
 * suspended in the library and has exactly one owner at any moment:
 *
 *            exchange_park()                     producer: parked -> AWAKE, wake_push()
 *   library ----------------> PARKED -------------------------------------> wake.head
 *      ^                        | ^                                             |
 *      |            producer    | | all is sent: PARKED again                   | wake_take()
 *      |            sends       v |                                             v
 *      |                       LENT --- another wanted it: wake_push() ---> runnable list
 *      |                                                                        |
 *      +------------------------ resumed by the loop ---------------------------+
 *
 * (There are two more owners: an intake thread, and the wait for a client that must accept
 * the rest of a chunk. In both cases the exchange is not parked.) Only a resumed exchange can
 * complete, so an exchange that is in a list or LENT is not freed.
 *
 * No news is lost: a producer publishes and then exchanges `parked`; the loop exchanges
 * `parked` and then checks for news. Both are sequentially consistent read-modify-writes, so
 * at least one of them sees what the other did.
 *
 * Order of calls, producer: publish; exchange PARKED for AWAKE; if it was PARKED,
 * wake_push(); at the end of a batch wake_kick(). Loop: wake_take() before it reads anything
 * that a kick may announce; then its runnable list.
 */
#ifndef ORCD_HTTP_WAKE_H
#define ORCD_HTTP_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>

struct exchange;
struct loop;

/* Exists until the process ends: a producer may have news for an exchange that outlives its
 * server. */
struct wake {
    _Atomic(struct exchange *) head; /* exchanges that have news; any thread pushes, the loop takes */
    atomic_bool kicked;              /* the loop is about to read `head` */
    int event_fd;                    /* watched for edges, never read */
};

enum parked {
    AWAKE,  /* not parked; a thread may be about to put it into a list */
    PARKED, /* the thread that exchanges this for AWAKE must put it into a list */
    LENT,   /* a producer sends; a thread that exchanges this for AWAKE leaves the list to it */
};

/* The thread that has x: puts it into its loop's list. */
void wake_push(struct wake *w, struct exchange *x);
/* Any thread: makes the loop read its list soon. */
void wake_kick(struct wake *w);

/* The loop thread makes all of the following calls. */
void wake_take(struct loop *l); /* moves what was pushed into the runnable list, oldest first */
void runnable_add(struct loop *l, struct exchange *x);
struct exchange *runnable_take(struct loop *l); /* NULL: none */
/* x is suspended. If it has news already, it is put into the runnable list. It must not be
 * resumed here: within a call of the library, a resume may have to wait for the next run,
 * and nothing would start one. */
void exchange_park(struct exchange *x, bool (*news)(const struct exchange *x));
/* Puts a parked exchange into the runnable list. */
void exchange_wake(struct exchange *x);

#endif
