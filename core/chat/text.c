/* Writes the text of a prompt, and cuts white space off contents as templates do. */
#include "chat/chat-internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void chat_text_release(struct chat_text *t)
{
    free(t->s);
    free(t->plain);
    *t = (struct chat_text){0};
}

static bool reserve(void **p, size_t *cap, size_t need, size_t size)
{
    size_t bytes, room = *cap ? *cap : 64;
    if (need <= *cap)
        return true;
    while (room < need)
        if (__builtin_mul_overflow(room, (size_t)2, &room))
            return false;
    if (__builtin_mul_overflow(room, size, &bytes))
        return false;
    void *grown = realloc(*p, bytes);
    if (!grown)
        return false;
    *p = grown;
    *cap = room;
    return true;
}

static void append(struct chat_text *t, const char *p, size_t n)
{
    size_t need;
    if (t->failed)
        return;
    if (__builtin_add_overflow(t->n, n + 1, &need) || !reserve((void **)&t->s, &t->cap, need, 1)) {
        t->failed = true;
        return;
    }
    if (n)
        memcpy(t->s + t->n, p, n);
    t->n += n;
    t->s[t->n] = 0;
}

void chat_mark(struct chat_text *t, const char *mark)
{
    append(t, mark, strlen(mark));
}

void chat_content(struct chat_text *t, const char *p, size_t n)
{
    if (!n || t->failed)
        return;
    if (!reserve((void **)&t->plain, &t->cap_plain, t->n_plain + 1, sizeof(*t->plain))) {
        t->failed = true;
        return;
    }
    t->plain[t->n_plain++] = (struct tokenizer_range){t->n, n};
    append(t, p, n);
}

/* The bytes of the white space character at the start of text; 0: it is not white space. As in jinja,
 * white space is that of Unicode and the four separators of ASCII. */
static size_t space_at(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (n && (p[0] == ' ' || (p[0] >= '\t' && p[0] <= '\r') || (p[0] >= 0x1c && p[0] <= 0x1f)))
        return 1;
    if (n >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
        return 2;
    if (n < 3)
        return 0;
    unsigned c = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
    return c == 0xe19a80 || (c >= 0xe28080 && c <= 0xe2808a) || c == 0xe280a8 || c == 0xe280a9 ||
                   c == 0xe280af || c == 0xe2819f || c == 0xe38080
               ? 3
               : 0;
}

struct chat_str chat_trim_end(struct chat_str s)
{
    for (;;) {
        size_t k = 0;
        for (size_t i = 1; i <= 3 && i <= s.n && !k; i++)
            if (space_at(s.p + s.n - i, i) == i)
                k = i;
        if (!k)
            return s;
        s.n -= k;
    }
}

struct chat_str chat_trim(struct chat_str s)
{
    size_t k;
    while ((k = space_at(s.p, s.n))) {
        s.p += k;
        s.n -= k;
    }
    return chat_trim_end(s);
}

struct chat_str chat_lstrip_nl(struct chat_str s)
{
    while (s.n && *s.p == '\n') {
        s.p++;
        s.n--;
    }
    return s;
}

struct chat_str chat_rstrip_nl(struct chat_str s)
{
    while (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    return s;
}

bool chat_find(struct chat_str s, const char *what, size_t *at)
{
    const char *hit = s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
    if (hit)
        *at = (size_t)(hit - s.p);
    return hit != NULL;
}

bool chat_find_last(struct chat_str s, const char *what, size_t *at)
{
    size_t n = strlen(what);
    for (size_t i = s.n; i >= n; i--)
        if (memcmp(s.p + i - n, what, n) == 0) {
            *at = i - n;
            return true;
        }
    return false;
}

struct chat_str chat_content_of(const struct chat_message *m)
{
    return (struct chat_str){m->content, m->n_content};
}
