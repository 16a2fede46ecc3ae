/*
 * The text side of a generation: token ids in, text that may be shown out. It holds back an incomplete
 * character and any text that may still become a stop string, so that a stop string is never shown, not
 * even in part.
 *
 * In a conversation, stop strings are searched in the answer's content only, which is split from
 * reasoning and headers as the text comes. Text that may still turn out to be content or not
 * ("undecided") is also held back if a stop string may begin in it, up to JOB_STOP_BYTES - 1 bytes.
 *
 * Life cycle: outtext_init() allocates once for a slot, outtext_release() frees. In between one job
 * after the other uses it, without further allocations.
 * Threads: only the engine thread.
 * Order of calls for a job: outtext_begin(); outtext_push() for each token, and outtext_peek() after any
 * of them; outtext_flush() at most once, at an end that was not caused by a stop string.
 */
#ifndef ORCD_ENGINE_OUTTEXT_H
#define ORCD_ENGINE_OUTTEXT_H

#include "engine/job.h"

struct outtext {
    struct detokenizer detok;
    const struct request *request;
    char *buf; /* held-back text, then the newest text */
    size_t n, capacity;
    struct chat_split split; /* state of splitting the conversation's answer */
    bool splits;
    size_t n_answer; /* bytes at the end of buf that are content, or may turn out to be */
    bool undecided;  /* it is not known yet whether they are */
};

int outtext_init(struct outtext *o, const struct tokenizer *t, struct orcd_error *err);
void outtext_release(struct outtext *o);
void outtext_begin(struct outtext *o, const struct tokenizer *t, const struct request *r);
/* Writes the text that may be shown after this token to out and returns its bytes; job_new() allocated
 * room for all that a job can write. *stopped: a stop string was found; out has the text before it, and with
 * shows_stop the string. */
size_t outtext_push(struct outtext *o, int32_t id, char *out, bool *stopped);
/* Writes what outtext_flush would write now, at most `size` bytes of it; changes nothing. */
size_t outtext_peek(const struct outtext *o, char *out, size_t size);
/* Writes the held-back text, at the end of an answer that no stop string ended. */
size_t outtext_flush(struct outtext *o, char *out, bool *stopped);

#endif
