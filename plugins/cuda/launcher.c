/* The thread that puts steps on the device, in the order in which they were submitted. */
#include <signal.h>
#include <string.h>

#include "plugins/cuda/ctx.h"

static void launch(struct orcd_ctx *ctx, struct step *s, bool broken)
{
    s->started_ns = ctx->device->host->now_ns();
    s->n_wanted = 0;
    s->n_slices = 0;
    s->slices_at = ctx->decode_groups * ctx->group_bytes;
    if (broken) {
        strcpy(s->text, "a step before this one failed");
        s->error = ORCD_E_ABORTED;
    } else {
        s->error = step_launch(ctx, s);
    }
    s->finished_ns = ctx->device->host->now_ns();
}

static void *launcher_main(void *arg)
{
    struct orcd_ctx *ctx = arg;
    struct orcd_error err = {.size = sizeof(err)};
    pthread_setname_np(pthread_self(), "orcd-cuda");
    /* A step that this thread cannot enter the device for fails by itself. */
    cuda_enter(ctx->device, &err);
    pthread_mutex_lock(&ctx->lock);
    for (;;) {
        while (ctx->n_launched == ctx->n_submitted && !ctx->quit)
            pthread_cond_wait(&ctx->wake, &ctx->lock);
        if (ctx->n_launched == ctx->n_submitted)
            break;
        struct step *s = &ctx->steps[ctx->n_launched % CUDA_STEPS];
        const bool broken = ctx->broken;
        pthread_mutex_unlock(&ctx->lock);
        launch(ctx, s, broken);
        pthread_mutex_lock(&ctx->lock);
        if (s->error)
            ctx->broken = true;
        s->state = STEP_LAUNCHED;
        ctx->n_launched++;
        pthread_cond_broadcast(&ctx->launched);
    }
    pthread_mutex_unlock(&ctx->lock);
    return NULL;
}

int launcher_start(struct orcd_ctx *ctx, struct orcd_error *err)
{
    /* Signals are the host's business. */
    sigset_t all, old;
    int rc = plugin_fault(ctx->device->host, "cuda.thread");
    if (rc == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        rc = pthread_create(&ctx->launcher, NULL, launcher_main, ctx);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (rc)
        return plugin_error(err, ORCD_E_NOMEM, "cannot start the launcher thread");
    ctx->launcher_runs = true;
    return 0;
}

void launcher_stop(struct orcd_ctx *ctx)
{
    if (!ctx->launcher_runs)
        return;
    pthread_mutex_lock(&ctx->lock);
    ctx->quit = true;
    pthread_cond_signal(&ctx->wake);
    pthread_mutex_unlock(&ctx->lock);
    pthread_join(ctx->launcher, NULL);
    ctx->launcher_runs = false;
}
