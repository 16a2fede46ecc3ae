/*
 * The text side of a generation: token ids in, text that may be shown out. It holds back an incomplete
 * character and whatever may yet become a stop string, so that a stop string is never shown, not even in
 * part.
 *
 * In a conversation, stop strings are looked for in the answer only, whose text is split from thoughts
 * and headers as it comes. What may be either yet is held back too if a stop string may begin in it, and
 * up to JOB_STOP_BYTES - 1 bytes of it.
 *
 * Life cycle: outtext_init() allocates once for a slot, outtext_release() frees; one job after the other
 * uses it in between, and nothing is allocated for them.
 * Threads: the engine thread.
 * Order of calls for a job: outtext_begin(); outtext_push() for each token, and outtext_peek() after any
 * of them; outtext_flush() at most once, at an end that no stop string brought.
 */
#ifndef ORCD_ENGINE_OUTTEXT_H
#define ORCD_ENGINE_OUTTEXT_H

#include "engine/job.h"

struct outtext {
    struct detokenizer detok;
    const struct request *request;
    char *buf; /* held back, then the newest text */
    size_t n, capacity;
    struct chat_split split; /* how far the conversation's answer was split */
    bool splits;
    size_t n_answer; /* bytes at the end of buf that are the answer's, or may be */
    bool undecided;  /* they may be */
};

int outtext_init(struct outtext *o, const struct tokenizer *t, struct orcd_error *err);
void outtext_release(struct outtext *o);
void outtext_begin(struct outtext *o, const struct tokenizer *t, const struct request *r);
/* Text that this token makes showable goes to out (room for all that its job can give: see job_new).
 * *stopped: a stop string was found; what came before it is in out. */
size_t outtext_push(struct outtext *o, int32_t id, char *out, bool *stopped);
/* What outtext_flush would give now, at most `size` bytes of it; changes nothing. */
size_t outtext_peek(const struct outtext *o, char *out, size_t size);
/* What is held, at the end of an answer that no stop string ended. */
size_t outtext_flush(struct outtext *o, char *out);

#endif
