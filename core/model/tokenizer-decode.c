#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/util.h"

/* 1: s[0..n) is an incomplete character; 2: it is a whole character; 0: it is neither. */
static int character_state(const unsigned char *s, unsigned n)
{
    unsigned char a = s[0];
    if (a < 0x80)
        return 2;
    if (a < 0xc2 || a > 0xf4)
        return 0;
    if (n > 1 && ((s[1] & 0xc0) != 0x80 || (a == 0xe0 && s[1] < 0xa0) || (a == 0xed && s[1] > 0x9f) ||
                     (a == 0xf0 && s[1] < 0x90) || (a == 0xf4 && s[1] > 0x8f)))
        return 0;
    for (unsigned i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    unsigned whole = a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
    return n == whole ? 2 : 1;
}

struct sink {
    char *p;
    size_t n, cap;
};

static void put(struct sink *o, const void *p, size_t n)
{
    if (n <= o->cap - o->n) {
        memcpy(o->p + o->n, p, n);
        o->n += n;
    }
}

static void push_byte(struct detokenizer *d, unsigned char c, struct sink *o)
{
    d->held[d->n_held++] = c;
    int state = character_state(d->held, d->n_held);
    if (state == 0 && d->n_held > 1) {
        /* The held bytes cannot become a character; the new byte may begin the next one. */
        put(o, "\xef\xbf\xbd", 3);
        d->held[0] = c;
        d->n_held = 1;
        state = character_state(d->held, 1);
    }
    if (state == 1)
        return;
    if (state == 2)
        put(o, d->held, d->n_held);
    else
        put(o, "\xef\xbf\xbd", 3);
    d->n_held = 0;
}

static size_t push_token(struct detokenizer *d, int32_t id, bool special, char *out, size_t cap)
{
    const struct tokenizer *t = d->tokenizer;
    struct sink o = {out, 0, cap};
    size_t n;
    const char *p = tokenizer_piece(t, id, special, &n);
    if (n && d->strip_space) {
        d->strip_space = false;
        if (*p == ' ' && t->type[id] != TOKEN_USER_DEFINED && !tokenizer_is_control(t, id)) {
            p++;
            n--;
        }
    }
    for (size_t i = 0; i < n; i++)
        push_byte(d, (unsigned char)p[i], &o);
    if (!special && d->n_held && tokenizer_is_control(t, id)) { /* no character continues after it */
        put(&o, "\xef\xbf\xbd", 3);
        d->n_held = 0;
    }
    /* Encoding adds a space after each special token in a text. */
    if (t->kind == KIND_SPM && t->add_space_prefix && !t->prefix_first && id >= 0 && id < t->n_vocab &&
        (t->type[id] == TOKEN_CONTROL || t->type[id] == TOKEN_USER_DEFINED))
        d->strip_space = true;
    return o.n;
}

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool at_start)
{
    *d = (struct detokenizer){
        .tokenizer = t,
        .strip_space = at_start && t->kind == KIND_SPM && t->add_space_prefix,
    };
}

size_t detokenizer_push(struct detokenizer *d, int32_t id, char *out, size_t cap)
{
    return push_token(d, id, false, out, cap);
}

size_t detokenizer_flush(struct detokenizer *d, char *out, size_t cap)
{
    struct sink o = {out, 0, cap};
    if (d->n_held)
        put(&o, "\xef\xbf\xbd", 3);
    d->n_held = 0;
    return o.n;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids, bool special, char **text,
    size_t *n, struct orcd_error *err)
{
    /* Each byte becomes at most one U+FFFD. */
    size_t cap = 0, k;
    for (size_t i = 0; i < n_ids; i++) {
        tokenizer_piece(t, ids[i], special, &k);
        if (__builtin_add_overflow(cap, k, &cap))
            return error_set(err, ORCD_E_NOMEM, "the text of %zu tokens is too long", n_ids);
    }
    char *p = NULL;
    if (!__builtin_mul_overflow(cap, (size_t)3, &cap) && !__builtin_add_overflow(cap, (size_t)4, &cap))
        p = malloc(cap);
    if (!p)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the text of %zu tokens", n_ids);
    struct detokenizer d;
    detokenizer_init(&d, t, true);
    size_t used = 0;
    for (size_t i = 0; i < n_ids; i++)
        used += push_token(&d, ids[i], special, p + used, cap - used);
    used += detokenizer_flush(&d, p + used, cap - used);
    p[used] = '\0';
    char *fit = realloc(p, used + 1);
    *text = fit ? fit : p;
    *n = used;
    return 0;
}
