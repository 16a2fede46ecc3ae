#include "engine/outtext.h"

#include <stdlib.h>
#include <string.h>

int outtext_init(struct outtext *o, const struct tokenizer *t, struct orcd_error *err)
{
    o->capacity = 3 * (tokenizer_max_piece_bytes(t) + 4) + JOB_STOP_BYTES + 8;
    o->buf = malloc(o->capacity);
    return o->buf ? 0 : error_set(err, ORCD_E_NOMEM, "out of memory for a slot's text");
}

void outtext_release(struct outtext *o)
{
    free(o->buf);
    o->buf = NULL;
}

void outtext_begin(struct outtext *o, const struct tokenizer *t, const struct request *r)
{
    detokenizer_init(&o->detok, t, false);
    o->request = r;
    o->n = 0;
}

/* Where the first stop string begins in buf, or n. */
static size_t stop_find(const struct outtext *o)
{
    size_t first = o->n;
    for (uint32_t s = 0; s < o->request->n_stop; s++) {
        const struct stop_string *stop = &o->request->stop[s];
        const char *hit = memmem(o->buf, o->n, stop->text, stop->n);
        if (hit && (size_t)(hit - o->buf) < first)
            first = (size_t)(hit - o->buf);
    }
    return first;
}

/* Bytes at the end of buf that begin a stop string. */
static size_t stop_begun(const struct outtext *o)
{
    size_t longest = 0;
    for (uint32_t s = 0; s < o->request->n_stop; s++) {
        const struct stop_string *stop = &o->request->stop[s];
        size_t k = stop->n - 1 < o->n ? stop->n - 1 : o->n;
        for (; k > longest; k--)
            if (memcmp(o->buf + o->n - k, stop->text, k) == 0)
                longest = k;
    }
    return longest;
}

static size_t show(struct outtext *o, size_t n, char *out)
{
    memcpy(out, o->buf, n);
    o->n -= n;
    memmove(o->buf, o->buf + n, o->n);
    return n;
}

size_t outtext_push(struct outtext *o, int32_t id, char *out, bool *stopped)
{
    *stopped = false;
    o->n += detokenizer_push(&o->detok, id, o->buf + o->n, o->capacity - o->n);
    size_t at = stop_find(o);
    if (at < o->n) {
        *stopped = true;
        return show(o, at, out);
    }
    return show(o, o->n - stop_begun(o), out);
}

size_t outtext_peek(const struct outtext *o, char *out, size_t size)
{
    struct detokenizer d = o->detok;
    if (o->n > size)
        return 0;
    memcpy(out, o->buf, o->n);
    return o->n + detokenizer_flush(&d, out + o->n, size - o->n);
}

size_t outtext_flush(struct outtext *o, char *out)
{
    o->n += detokenizer_flush(&o->detok, o->buf + o->n, o->capacity - o->n);
    return show(o, o->n, out);
}
