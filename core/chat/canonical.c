/*
 * Rewrites a template's text in one canonical spelling, so that its output can be compared: white space
 * of the program is removed, literals are quoted with CHAT_QUOTE and their escapes are resolved,
 * 'a' + 'b' becomes 'ab', message.role becomes message['role'], comments and error texts are left out.
 * The template is never run.
 */
#include "chat/chat-internal.h"

#include <stdlib.h>
#include <string.h>

#define QUOTE CHAT_QUOTE[0]

struct reader {
    const char *p, *end;
    struct chat_canonical *out;
};

static bool at(const struct reader *r, const char *what)
{
    size_t n = strlen(what);
    return (size_t)(r->end - r->p) >= n && memcmp(r->p, what, n) == 0;
}

static void put(struct reader *r, const char *p, size_t n)
{
    memcpy(r->out->s + r->out->n, p, n); /* chat_canonical_read() allocated enough */
    r->out->n += n;
}

static bool ends_with(const struct reader *r, const char *what)
{
    size_t n = strlen(what);
    return r->out->n >= n && memcmp(r->out->s + r->out->n - n, what, n) == 0;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Reads a literal from its opening quote on. False: it cannot be read. */
static bool read_literal(struct reader *r)
{
    char quote = *r->p++;
    bool joins = ends_with(r, CHAT_QUOTE "+"), silent = ends_with(r, "raise_exception(");
    if (joins)
        r->out->n -= 2;
    else
        put(r, CHAT_QUOTE, 1);
    while (r->p < r->end && *r->p != quote) {
        char c = *r->p++;
        if (c == '\\') {
            if (r->p == r->end)
                return false;
            c = *r->p++;
            if (c == 'n')
                c = '\n';
            else if (c != '\\' && c != '\'' && c != '"')
                return false;
        }
        if (!c || c == QUOTE)
            return false;
        if (!silent)
            put(r, &c, 1);
    }
    if (r->p == r->end)
        return false;
    r->p++;
    put(r, CHAT_QUOTE, 1);
    return true;
}

/* Rewrites message.role and message.content. The canonical spelling is at most three bytes longer, for
 * which chat_canonical_read() allocated room. */
static bool read_field(struct reader *r)
{
    static const char *const fields[] = {"role", "content"};
    bool ours = ends_with(r, "message") || ends_with(r, "messages[0]");
    for (size_t i = 0; ours && i < 2; i++) {
        size_t n = strlen(fields[i]);
        const char *after = r->p + 1 + n;
        if (after > r->end || memcmp(r->p + 1, fields[i], n) != 0 || (after < r->end && is_word(*after)))
            continue;
        put(r, "[" CHAT_QUOTE, 2);
        put(r, fields[i], n);
        put(r, CHAT_QUOTE "]", 2);
        r->p = after;
        return true;
    }
    return false;
}

/* Reads a block from behind its {{ or {%. */
static bool read_block(struct reader *r, const char *close)
{
    if (r->p < r->end && (*r->p == '-' || *r->p == '+'))
        r->p++;
    while (r->p < r->end) {
        char c = *r->p;
        if (at(r, close) || (c == '-' && r->end - r->p > 2 && r->p[1] == close[0] && r->p[2] == close[1])) {
            put(r, close, 2);
            return true;
        }
        if (c == '\'' || c == '"') {
            if (!read_literal(r))
                return false;
        } else if (c == '.' && read_field(r)) {
            continue;
        } else {
            if (!c || c == QUOTE)
                return false;
            if (!is_space(c))
                put(r, &c, 1);
            r->p++;
        }
    }
    return false;
}

/* Whether the template writes the text between two blocks, after the blocks cut white space off it.
 * before: "" at the start, else how the block before ended. */
static bool writes(const char *before, const char *p, size_t n, const char *next, const char *end)
{
    bool last = next == end, cut = !last && next[2] == '-';
    for (size_t i = 0; i < n; i++)
        if (!is_space(p[i]))
            return true;
    if (*before == '-' || cut || n == 0)
        return false;
    if (*before == '%' && p[0] == '\n') { /* the line break behind a statement is cut */
        p++;
        n--;
    }
    if (last && n && p[n - 1] == '\n')
        n--;
    if (!last && next[1] != '{')
        while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
            n--;
    return n > 0;
}

static const char *next_block(const char *p, const char *end)
{
    for (; p + 1 < end; p++)
        if (p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#') && end - p > 2)
            return p;
    return end;
}

static bool read_all(struct reader *r)
{
    const char *before = "";
    while (r->p < r->end) {
        const char *block = next_block(r->p, r->end);
        if (writes(before, r->p, (size_t)(block - r->p), block, r->end))
            r->out->writes_text = true;
        r->p = block;
        if (block == r->end)
            return true;
        char kind = block[1];
        if (kind == '#') {
            const char *close = memmem(block + 2, (size_t)(r->end - block) - 2, "#}", 2);
            if (!close)
                return false;
            r->p = close;
        } else {
            put(r, block, 2);
            r->p += 2;
            if (!read_block(r, kind == '%' ? "%}" : "}}"))
                return false;
        }
        bool cuts = kind == '#' ? r->p[-1] == '-' : *r->p == '-';
        before = cuts ? "-" : kind == '{' ? "}" : "%";
        r->p += cuts && kind != '#' ? 3 : 2;
    }
    return true;
}

bool chat_canonical_read(struct chat_canonical *c, const char *text, size_t n)
{
    /* ['role'] is 3 bytes longer than .role, and the same for content. */
    struct reader r = {text, text + n, c};
    size_t fields = 0;
    *c = (struct chat_canonical){0};
    for (size_t i = 0; i < n; i++)
        fields += text[i] == '.';
    c->s = malloc(n + 3 * fields + 1);
    return c->s && read_all(&r);
}

void chat_canonical_free(struct chat_canonical *c)
{
    free(c->s);
}

bool chat_canonical_has(const struct chat_canonical *c, const char *what)
{
    return memmem(c->s, c->n, what, strlen(what)) != NULL;
}

bool chat_canonical_only(const struct chat_canonical *c, const char *const *literals)
{
    for (size_t i = 0; i < c->n;) {
        const char *open = memchr(c->s + i, QUOTE, c->n - i);
        if (!open)
            return true;
        const char *begin = open + 1, *close = memchr(begin, QUOTE, (size_t)(c->s + c->n - begin));
        size_t n = close ? (size_t)(close - begin) : 0;
        const char *const *l = literals;
        while (*l && (strlen(*l) != n || memcmp(*l, begin, n) != 0))
            l++;
        if (!close || (n && !*l))
            return false;
        i = (size_t)(close + 1 - c->s);
    }
    return true;
}
