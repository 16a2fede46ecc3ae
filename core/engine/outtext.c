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
    o->n = o->n_answer = 0;
    o->undecided = false;
    o->split = r->answer;
    o->splits = r->answer.t && r->n_stop > r->n_marks;
}

/* Where the first stop string begins in buf; n: nowhere. The first `client` stop strings are searched
 * from `from` on, the remaining ones from the start; both are 0 to search all of them from the start. */
static inline size_t find(const struct outtext *o, uint32_t client, size_t from)
{
    size_t first = o->n;
    for (uint32_t s = 0; s < o->request->n_stop; s++) {
        const struct stop_string *stop = &o->request->stop[s];
        size_t at = s < client ? from : 0;
        const char *hit = memmem(o->buf + at, o->n - at, stop->text, stop->n);
        if (hit && (size_t)(hit - o->buf) < first)
            first = (size_t)(hit - o->buf);
    }
    return first;
}

/* Where what is shown ends if a stop string begins at `at`: there, or behind it. */
static size_t end_of_shown(const struct outtext *o, size_t at)
{
    const struct request *r = o->request;
    for (uint32_t s = 0; r->shows_stop && s < r->n_stop - r->n_marks; s++)
        if (o->n - at >= r->stop[s].n && memcmp(o->buf + at, r->stop[s].text, r->stop[s].n) == 0)
            return at + r->stop[s].n;
    return at;
}

/* The number of bytes at the end of buf that begin a stop string. */
static inline size_t begun(const struct outtext *o, uint32_t client, size_t from)
{
    size_t longest = 0;
    for (uint32_t s = 0; s < o->request->n_stop; s++) {
        const struct stop_string *stop = &o->request->stop[s];
        size_t most = o->n - (s < client ? from : 0), k = stop->n - 1 < most ? stop->n - 1 : most;
        for (; k > longest; k--)
            if (memcmp(o->buf + o->n - k, stop->text, k) == 0)
                longest = k;
    }
    return longest;
}

/* The same for a conversation: the client's stop strings are searched in its content only. */
static size_t find_in_answer(const struct outtext *o)
{
    return find(o, o->request->n_stop - o->request->n_marks, o->n - o->n_answer);
}

static size_t begun_in_answer(const struct outtext *o)
{
    return begun(o, o->request->n_stop - o->request->n_marks, o->n - o->n_answer);
}

static size_t show(struct outtext *o, size_t n, char *out)
{
    memcpy(out, o->buf, n);
    o->n -= n;
    memmove(o->buf, o->buf + n, o->n);
    return n;
}

static size_t show_answer(struct outtext *o, size_t n, char *out)
{
    show(o, n, out);
    if (o->n_answer > o->n)
        o->n_answer = o->n;
    return n;
}

static void count_content(void *arg, enum chat_channel channel, const char *p, size_t n)
{
    (void)p;
    if (channel == CHAT_CONTENT)
        *(size_t *)arg += n;
}

/* Splits the newest `fresh` bytes of buf, the text of token id, and sets n_answer. Of these bytes all
 * are content, or none, or all bytes since the undecided text began. */
static void split(struct outtext *o, int32_t id, size_t fresh)
{
    size_t content = 0, open = o->undecided ? 0 : o->n_answer;
    chat_split_push(&o->split, id, o->buf + o->n - fresh, fresh, count_content, &content);
    size_t undecided = chat_split_undecided(&o->split);
    o->undecided = undecided > 0;
    if (undecided)
        o->n_answer = undecided;
    else if (content || !fresh)
        o->n_answer = open + content;
    else
        o->n_answer = 0;
    if (o->n_answer > o->n)
        o->n_answer = o->n;
}

/* The number of bytes to hold back while it is undecided whether the end of buf is content: everything
 * from where a stop string begins, or may begin. */
static size_t hold_undecided(const struct outtext *o)
{
    size_t whole = o->n - find_in_answer(o), part = begun_in_answer(o), n = whole > part ? whole : part;
    return n < JOB_STOP_BYTES ? n : JOB_STOP_BYTES - 1;
}

static size_t push_conversation(struct outtext *o, int32_t id, size_t fresh, char *out, bool *stopped)
{
    split(o, id, fresh);
    if (o->undecided)
        return show_answer(o, o->n - hold_undecided(o), out);
    size_t at = find_in_answer(o);
    if (at < o->n) {
        *stopped = true;
        return show_answer(o, end_of_shown(o, at), out);
    }
    if (o->split.channel != CHAT_CONTENT)
        o->n_answer = 0; /* later content does not continue this text */
    return show_answer(o, o->n - begun_in_answer(o), out);
}

size_t outtext_push(struct outtext *o, int32_t id, char *out, bool *stopped)
{
    *stopped = false;
    size_t fresh = detokenizer_push(&o->detok, id, o->buf + o->n, o->capacity - o->n);
    o->n += fresh;
    if (o->splits)
        return push_conversation(o, id, fresh, out, stopped);
    size_t at = find(o, 0, 0);
    if (at < o->n) {
        *stopped = true;
        return show(o, end_of_shown(o, at), out);
    }
    return show(o, o->n - begun(o, 0, 0), out);
}

/* Undecided text is content if nothing follows it, and it may contain a stop string. */
static bool ends_before(const struct outtext *o, size_t *at)
{
    *at = o->undecided ? find_in_answer(o) : o->n;
    if (*at == o->n)
        return false;
    *at = end_of_shown(o, *at);
    return true;
}

/* Half a character becomes U+FFFD at the end, which may complete a stop string. n: nowhere. */
static size_t find_at_end(struct outtext *o, size_t fresh)
{
    if (!fresh)
        return o->n;
    if (o->splits && o->split.channel == CHAT_CONTENT)
        o->n_answer += fresh;
    return o->splits ? find_in_answer(o) : find(o, 0, 0);
}

size_t outtext_peek(const struct outtext *o, char *out, size_t size)
{
    struct outtext last = *o; /* its text is copied below, before anything is added */
    size_t n, at;
    if (ends_before(o, &n) || n > size) {
        memcpy(out, o->buf, n > size ? 0 : n);
        return n > size ? 0 : n;
    }
    memcpy(out, o->buf, n);
    last.buf = out;
    size_t fresh = detokenizer_flush(&last.detok, out + n, size - n);
    last.n = n + fresh;
    at = find_at_end(&last, fresh);
    return end_of_shown(&last, at);
}

size_t outtext_flush(struct outtext *o, char *out, bool *stopped)
{
    size_t n;
    *stopped = false;
    if (ends_before(o, &n))
        return show(o, n, out);
    size_t fresh = detokenizer_flush(&o->detok, o->buf + o->n, o->capacity - o->n);
    o->n += fresh;
    size_t at = find_at_end(o, fresh);
    *stopped = at < o->n;
    return show(o, end_of_shown(o, at), out);
}
