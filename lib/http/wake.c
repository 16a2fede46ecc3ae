#include "http/wake.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"
#include "http/exchange.h"
#include "http/loop.h"

void wake_push(struct wake *w, struct exchange *x)
{
    struct exchange *head = atomic_load_explicit(&w->head, memory_order_relaxed);
    do
        x->next = head;
    while (!atomic_compare_exchange_weak_explicit(
        &w->head, &head, x, memory_order_release, memory_order_relaxed));
}

void wake_kick(struct wake *w)
{
    uint64_t one = 1;
    if (atomic_exchange(&w->kicked, true))
        return; /* the loop has not read its list since the last kick */
    if (write(w->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("cannot wake an HTTP loop: %s", strerror(errno));
}

void runnable_add(struct loop *l, struct exchange *x)
{
    x->next = NULL;
    *l->runnable_tail = x;
    l->runnable_tail = &x->next;
}

struct exchange *runnable_take(struct loop *l)
{
    struct exchange *x = l->runnable;
    if (!x)
        return NULL;
    l->runnable = x->next;
    if (!l->runnable)
        l->runnable_tail = &l->runnable;
    return x;
}

void wake_take(struct loop *l)
{
    /* A thread that pushes after this kicks again; one that saw a pending kick has pushed before. */
    atomic_exchange(&l->wake->kicked, false);
    struct exchange *x = atomic_exchange_explicit(&l->wake->head, NULL, memory_order_acquire), *oldest = NULL;
    while (x) { /* the list is newest first */
        struct exchange *next = x->next;
        x->next = oldest;
        oldest = x;
        x = next;
    }
    while (oldest) {
        struct exchange *next = oldest->next;
        runnable_add(l, oldest);
        oldest = next;
    }
}

void exchange_wake(struct exchange *x)
{
    if (x->conn && atomic_exchange(&x->parked, AWAKE) == PARKED)
        runnable_add(x->conn->loop, x);
}

void exchange_park(struct exchange *x, bool (*news)(const struct exchange *x))
{
    atomic_exchange(&x->parked, PARKED);
    if (news(x) && atomic_exchange(&x->parked, AWAKE) == PARKED)
        runnable_add(x->conn->loop, x);
}
