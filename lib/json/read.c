#include "json/read.h"

#include <string.h>

#include "base/util.h"

bool json_fail(struct json_reader *r, const char *why)
{
    if (!r->error)
        r->error = why;
    return false;
}

static void skip_space(struct json_reader *r)
{
    static const char spaces[8] = "        "; /* files are indented */
    while (r->end - r->p >= 8 && !memcmp(r->p, spaces, 8))
        r->p += 8;
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

static bool take(struct json_reader *r, char c, const char *why)
{
    if (r->error)
        return false;
    skip_space(r);
    if (r->p == r->end || *r->p != c)
        return json_fail(r, why);
    r->p++;
    return true;
}

char json_peek(struct json_reader *r)
{
    if (r->error)
        return 0;
    skip_space(r);
    switch (r->p < r->end ? *r->p : '\0') {
    case '{':
    case '[':
    case '"':
    case 't':
    case 'f':
    case 'n':
    case '-':
    case '0' ... '9':
        return *r->p;
    default:
        json_fail(r, r->p == r->end ? "unexpected end of the text" : "a value is expected");
        return 0;
    }
}

bool json_open(struct json_reader *r, char bracket)
{
    return take(r, bracket, bracket == '{' ? "an object is expected" : "an array is expected");
}

bool json_next(struct json_reader *r, char close, bool *first)
{
    if (r->error)
        return false;
    skip_space(r);
    if (r->p < r->end && *r->p == close) {
        r->p++;
        return false;
    }
    bool ok = *first || take(r, ',', "a comma or the closing bracket is expected");
    *first = false;
    return ok;
}

bool json_key(struct json_reader *r, struct json_text *key)
{
    return json_string(r, key) && take(r, ':', "a colon is expected");
}

/* Four hex digits after "\u". */
static bool read_hex(const char *p, const char *end, uint32_t *out)
{
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int c = p[i], digit = c >= '0' && c <= '9'   ? c - '0'
                              : c >= 'a' && c <= 'f' ? c - 'a' + 10
                              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                     : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *out = v;
    return true;
}

static char *put_utf8(char *p, uint32_t cp)
{
    if (cp < 0x80) {
        *p++ = (char)cp;
    } else if (cp < 0x800) {
        *p++ = (char)(0xc0 | cp >> 6);
        *p++ = (char)(0x80 | (cp & 63));
    } else if (cp < 0x10000) {
        *p++ = (char)(0xe0 | cp >> 12);
        *p++ = (char)(0x80 | (cp >> 6 & 63));
        *p++ = (char)(0x80 | (cp & 63));
    } else {
        *p++ = (char)(0xf0 | cp >> 18);
        *p++ = (char)(0x80 | (cp >> 12 & 63));
        *p++ = (char)(0x80 | (cp >> 6 & 63));
        *p++ = (char)(0x80 | (cp & 63));
    }
    return p;
}

/* Reads the escape at p, the byte after its backslash, and writes the character at *out,
 * which lies before p. Returns the position after the escape; NULL: it is invalid. */
static char *read_escape(char *p, const char *end, char **out)
{
    static const char plain[] = "\"\\/bfnrt", stands_for[] = "\"\\/\b\f\n\r\t";
    if (p == end)
        return NULL;
    if (*p != 'u') {
        const char *at = *p ? strchr(plain, *p) : NULL;
        if (!at)
            return NULL;
        *(*out)++ = stands_for[at - plain];
        return p + 1;
    }
    uint32_t cp, low;
    if (!read_hex(p + 1, end, &cp))
        return NULL;
    p += 5;
    if (cp >= 0xdc00 && cp < 0xe000)
        return NULL;
    if (cp >= 0xd800 && cp < 0xdc00) {
        if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !read_hex(p + 2, end, &low) || low < 0xdc00 ||
            low > 0xdfff)
            return NULL;
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *out = put_utf8(*out, cp);
    return p;
}

bool json_string(struct json_reader *r, struct json_text *out)
{
    if (!take(r, '"', "a string is expected"))
        return false;
    char *start = r->p, *p = start, *to = start;
    while (p < r->end) {
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            out->p = start;
            out->n = (size_t)(to - start);
            r->p = p + 1;
            return true;
        }
        if (c < 0x20) {
            r->p = p;
            return json_fail(r, "unescaped control character in a string");
        }
        if (c == '\\') {
            r->p = p;
            p = read_escape(p + 1, r->end, &to);
            if (!p)
                return json_fail(r, "invalid escape in a string");
            continue;
        }
        size_t n = c < 0x80 ? 1 : utf8_char_len(p, (size_t)(r->end - p));
        if (!n) {
            r->p = p;
            return json_fail(r, "invalid UTF-8 in a string");
        }
        for (; n; n--)
            *to++ = *p++;
    }
    r->p = p;
    return json_fail(r, "unterminated string");
}

static bool take_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return json_fail(r, "a value is expected");
    r->p += n;
    return true;
}

bool json_bool(struct json_reader *r, bool *out)
{
    char c = json_peek(r);
    if (c != 't' && c != 'f')
        return json_fail(r, "true or false is expected");
    if (!take_word(r, c == 't' ? "true" : "false"))
        return false;
    *out = c == 't';
    return true;
}

static bool is_digit(const struct json_reader *r)
{
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

bool json_u32(struct json_reader *r, uint32_t *out)
{
    uint64_t v = 0;
    json_peek(r);
    if (r->error || !is_digit(r))
        return json_fail(r, "a non-negative number is expected");
    bool zero = *r->p == '0';
    const char *start = r->p;
    for (; is_digit(r); r->p++) {
        v = v * 10 + (uint64_t)(*r->p - '0');
        if (v > UINT32_MAX)
            return json_fail(r, "number is too large");
    }
    if ((zero && r->p - start > 1) || (r->p < r->end && strchr(".eE", *r->p) && *r->p))
        return json_fail(r, "an integer is expected");
    *out = (uint32_t)v;
    return true;
}

bool json_null(struct json_reader *r)
{
    return json_peek(r) == 'n' && take_word(r, "null");
}

static bool skip_digits(struct json_reader *r)
{
    if (!is_digit(r))
        return json_fail(r, "invalid number");
    while (is_digit(r))
        r->p++;
    return true;
}

static bool skip_number(struct json_reader *r)
{
    if (*r->p == '-')
        r->p++;
    bool zero = is_digit(r) && *r->p == '0';
    const char *start = r->p;
    if (!skip_digits(r))
        return false;
    if (zero && r->p - start > 1)
        return json_fail(r, "invalid number");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!skip_digits(r))
            return false;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        return skip_digits(r);
    }
    return true;
}

/* r->p is after the opening quote. */
static bool skip_string(struct json_reader *r)
{
    for (; r->p < r->end && *r->p != '"'; r->p++)
        if (*r->p == '\\')
            r->p += r->p + 1 < r->end;
    if (r->p >= r->end)
        return json_fail(r, "unterminated string");
    r->p++;
    return true;
}

static bool skip_scalar(struct json_reader *r, char c)
{
    switch (c) {
    case '"':
        r->p++;
        return skip_string(r);
    case 't':
        return take_word(r, "true");
    case 'f':
        return take_word(r, "false");
    case 'n':
        return take_word(r, "null");
    default:
        return skip_number(r);
    }
}

bool json_skip(struct json_reader *r)
{
    uint64_t objects = 0; /* bit n: the container open at depth n + 1 is an object, not an array */
    unsigned depth = 0;
    bool first = true;
    do {
        /* Inside a container: its next element or its closing bracket. */
        bool is_object = depth && objects >> (depth - 1) & 1;
        if (depth && !json_next(r, is_object ? '}' : ']', &first)) {
            depth--;
            first = false;
            continue;
        }
        if (is_object &&
            !(take(r, '"', "a string is expected") && skip_string(r) && take(r, ':', "a colon is expected")))
            return false;
        char c = json_peek(r);
        if (!c)
            return false;
        if (c != '{' && c != '[') {
            if (!skip_scalar(r, c))
                return false;
            continue;
        }
        if (depth == JSON_READ_DEPTH)
            return json_fail(r, "nested too deeply");
        r->p++;
        objects = (objects & ~(UINT64_C(1) << depth)) | (uint64_t)(c == '{') << depth;
        depth++;
        first = true;
    } while (depth && !r->error);
    return !r->error;
}

bool json_end(struct json_reader *r)
{
    if (r->error)
        return false;
    skip_space(r);
    return r->p == r->end || json_fail(r, "text after the end of the value");
}
