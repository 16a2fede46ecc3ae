/*
 * How an exchange waits, and how other threads reach the loop that has it.
 *
 * A loop's connections are the loop thread's alone. What waits for news is suspended in
 * the library and has exactly one owner at any moment:
 *
 *            exchange_park()                     producer: parked -> AWAKE, wake_push()
 *   library ----------------> PARKED -------------------------------------> wake.head
 *      ^                        | ^                                             |
 *      |            engine      | | all is sent: PARKED again                   | wake_take()
 *      |            thread      v |                                             v
 *      |                       LENT --- somebody wanted it: wake_push() --> runnable list
 *      |                                                                        |
 *      +------------------------ resumed by the loop ---------------------------+
 *
 * (Besides, an intake thread may have it, or it waits for the client to take what is left
 * of a chunk; neither is parked.) Only a resumed exchange can complete, so nothing that is
 * in a list or lent can go away.
 *
 * No news is lost: a producer publishes and then takes `parked`; the loop sets `parked`
 * and then looks for news. Both are sequentially consistent read-modify-writes, so one of
 * them sees the other.
 *
 * Order of calls, producer: publish; exchange PARKED for AWAKE; if it was PARKED,
 * wake_push(); at the end of a batch wake_kick(). Loop: wake_take() before it looks at
 * anything that a kick may be about; then its runnable list.
 */
#ifndef ORCD_HTTP_WAKE_H
#define ORCD_HTTP_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>

struct exchange;
struct loop;

/* Stays until the process ends: a producer may have something for an exchange that
 * outlives its server. */
struct wake {
    _Atomic(struct exchange *) head; /* exchanges that have news; pushed by anyone, taken by the loop */
    atomic_bool kicked;              /* the loop is about to look at `head` */
    int event_fd;                    /* watched for edges, never read */
};

enum parked {
    AWAKE,  /* or some thread is about to put it into a list */
    PARKED, /* whoever exchanges this for AWAKE puts it into a list */
    LENT,   /* the engine thread sends; who exchanges this for AWAKE leaves the list to it */
};

/* Any thread that took x from PARKED. */
void wake_push(struct wake *w, struct exchange *x);
/* Any thread: the loop looks at its list soon. */
void wake_kick(struct wake *w);

/* Loop thread, all of them. */
void wake_take(struct loop *l); /* moves what was pushed into the runnable list, oldest first */
void runnable_add(struct loop *l, struct exchange *x);
struct exchange *runnable_take(struct loop *l); /* NULL: none */
/* x is suspended. If there is news already it is made runnable at once: a resume from
 * within a call of the library's may wait for its next run, and nothing starts one. */
void exchange_park(struct exchange *x, bool (*news)(const struct exchange *x));
/* Makes a parked exchange runnable. */
void exchange_wake(struct exchange *x);

#endif
