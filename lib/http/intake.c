#include "http/intake.h"

#include <pthread.h>
#include <stdlib.h>

#include "http/exchange.h"

#define MAX_THREADS 8

struct intake {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct exchange *first, **last;
    bool stop;
    unsigned n_threads;
    pthread_t threads[MAX_THREADS];
};

static void *intake_main(void *arg)
{
    struct intake *in = arg;
    pthread_mutex_lock(&in->lock);
    for (;;) {
        struct exchange *x = in->first;
        if (!x && in->stop)
            break;
        if (!x) {
            pthread_cond_wait(&in->work, &in->lock);
            continue;
        }
        in->first = x->next;
        if (!in->first)
            in->last = &in->first;
        pthread_mutex_unlock(&in->lock);
        struct wake *w = x->wake;
        x->route->parse(x);
        wake_push(w, x); /* from here on the loop has x */
        wake_kick(w);
        pthread_mutex_lock(&in->lock);
    }
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

bool intake_push(struct intake *in, struct exchange *x)
{
    x->next = NULL;
    pthread_mutex_lock(&in->lock);
    bool takes = !in->stop;
    if (takes) {
        *in->last = x;
        in->last = &x->next;
    }
    pthread_mutex_unlock(&in->lock);
    if (takes)
        pthread_cond_signal(&in->work); /* after unlocking, so that the woken thread can go on at once */
    return takes;
}

int intake_start(struct intake **out, unsigned n_threads, struct orcd_error *err)
{
    struct intake *in = calloc(1, sizeof(*in));
    if (!in)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the intake threads");
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->work, NULL);
    in->last = &in->first;
    for (unsigned i = 0; i < n_threads && i < MAX_THREADS; i++) {
        if (pthread_create(&in->threads[i], NULL, intake_main, in))
            break;
        in->n_threads++;
    }
    if (!in->n_threads) {
        intake_free(in);
        return error_set(err, ORCD_E_NOMEM, "cannot start an intake thread");
    }
    *out = in;
    return 0;
}

void intake_stop(struct intake *in)
{
    pthread_mutex_lock(&in->lock);
    in->stop = true;
    pthread_cond_broadcast(&in->work);
    pthread_mutex_unlock(&in->lock);
    for (unsigned i = 0; i < in->n_threads; i++)
        pthread_join(in->threads[i], NULL);
    in->n_threads = 0;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    intake_stop(in);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->work);
    free(in);
}
