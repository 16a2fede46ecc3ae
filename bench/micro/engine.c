/* Paths of the engine: the check of a job, a job's events, the queue. */
#include "base/clock.h"
#include "bench/micro/jobs.h"
#include "engine/check.h"
#include "engine/queue.h"

/* Far enough that no deadline passes while this runs. */
#define FAR_NS (3600 * NS_PER_S)

/* --- deadline_check ------------------------------------------------------------------ */

static struct job checked_job;
static struct slot checked_slot = {.job = &checked_job};
static const struct engine_params check_params = {.check_every_tokens = 10, .check_every_ms = 20};

MICRO_SETUP(deadline_check)
{
    (void)model;
    (void)err;
    checked_job.request.deadline_ns = UINT64_MAX / 2;
    return 0;
}

MICRO_RUN(deadline_check)
{
    uint32_t looks = 0, late = 0;
    uint64_t now = FAR_NS;
    for (uint64_t i = 0; i < n; i++) {
        now += check_params.check_every_ms * NS_PER_MS; /* a look is due each time */
        late += slot_check(&checked_slot, &check_params, now, &looks);
    }
    micro_sink = looks + late;
}

/* --- rfc3339 ------------------------------------------------------------------------- */

MICRO_SETUP(rfc3339)
{
    (void)model;
    (void)err;
    return 0;
}

MICRO_RUN(rfc3339)
{
    static const char text[] = "2026-11-30T19:30:00.250+01:00";
    for (uint64_t i = 0; i < n; i++) {
        int64_t ns = 0;
        micro_sink += (uint64_t)clock_parse_rfc3339(text, sizeof(text) - 1, &ns) + (uint64_t)ns;
    }
}

/* --- job_publish --------------------------------------------------------------------- */

#define JOB_TOKENS 64
static struct job *published_job;

MICRO_SETUP(job_publish)
{
    (void)model;
    return micro_job(&published_job, 1, JOB_TOKENS, err);
}

MICRO_RUN(job_publish)
{
    struct job *j = published_job;
    uint64_t read = 0;
    for (uint64_t i = 0; i < n; i++) {
        atomic_store(&j->progress, 0);
        atomic_store(&j->end_published, false);
        for (uint32_t k = 0; k < JOB_TOKENS; k++) {
            j->tokens[k] = (struct job_token){.id = 'a', .n_text = 1};
            job_publish(j);
            read += job_published(j);
        }
        if (job_end_claim(j))
            job_end_publish(j);
        read += job_ended(j);
    }
    micro_sink = read;
}

/* --- queue --------------------------------------------------------------------------- */

#define QUEUED 100
static struct job queued_jobs[QUEUED + 1];
static struct queue queue;

MICRO_SETUP(queue)
{
    (void)model;
    uint64_t state = 7;
    if (queue_init(&queue, QUEUED + 1))
        return micro_no_memory(err);
    for (size_t i = 0; i < QUEUED; i++) {
        queued_jobs[i].request.deadline_ns = NS_PER_S + micro_random(&state);
        queue_push(&queue, &queued_jobs[i]);
    }
    return 0;
}

MICRO_RUN(queue)
{
    uint64_t state = 11;
    struct job *out = &queued_jobs[QUEUED];
    for (uint64_t i = 0; i < n; i++) {
        /* Deadlines move on, as they do in life, so that a place is somewhere in the middle. */
        out->request.deadline_ns += NS_PER_S / 1000 + micro_random(&state);
        queue_push(&queue, out);
        out = queue_at(&queue, 0);
        queue_remove(&queue, out);
    }
    micro_sink = queue.n;
}
