#include "json/scan.h"

#include <stdlib.h>
#include <string.h>

enum state {
    S_VALUE,        /* a value must come */
    S_VALUE_OR_END, /* after [ */
    S_KEY_OR_END,   /* after { */
    S_KEY,          /* after a comma in an object */
    S_COLON,
    S_AFTER, /* after a value */
    S_STRING,
    S_ESCAPE,
    S_HEX,
    S_LOW_BACKSLASH, /* after a high surrogate: the escape of a low one must follow */
    S_LOW_U,
    S_MINUS,
    S_ZERO,
    S_DIGITS,
    S_POINT,
    S_FRACTION,
    S_E,
    S_E_SIGN,
    S_EXPONENT,
    S_LITERAL,
};

void json_scan_init(struct json_scan *s, const struct json_scan_limits *limits, const uint64_t seed[2])
{
    memset(s, 0, sizeof(*s));
    s->limits = *limits;
    s->seed[0] = seed[0];
    s->seed[1] = seed[1] | 1;
    s->state = S_VALUE;
}

void json_scan_release(struct json_scan *s)
{
    free(s->keys);
    s->keys = NULL;
    s->keys_cap = 0;
}

static bool fail(struct json_scan *s, const char *why)
{
    s->error = why;
    return false;
}

static void key_byte(struct json_scan *s, unsigned c)
{
    s->hash = (s->hash ^ c) * s->seed[1];
    s->hash ^= s->hash >> 29;
}

static void key_codepoint(struct json_scan *s, uint32_t c)
{
    if (c < 0x80) {
        key_byte(s, c);
    } else if (c < 0x800) {
        key_byte(s, 0xc0 | c >> 6);
        key_byte(s, 0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        key_byte(s, 0xe0 | c >> 12);
        key_byte(s, 0x80 | (c >> 6 & 0x3f));
        key_byte(s, 0x80 | (c & 0x3f));
    } else {
        key_byte(s, 0xf0 | c >> 18);
        key_byte(s, 0x80 | (c >> 12 & 0x3f));
        key_byte(s, 0x80 | (c >> 6 & 0x3f));
        key_byte(s, 0x80 | (c & 0x3f));
    }
}

static bool key_end(struct json_scan *s)
{
    for (uint32_t i = s->keys_at[s->depth - 1]; i < s->n_keys; i++)
        if (s->keys[i] == s->hash)
            return fail(s, "duplicate key in an object");
    if (s->n_keys == s->limits.max_keys)
        return fail(s, "too many keys");
    if (s->n_keys == s->keys_cap) {
        uint32_t cap = s->keys_cap ? s->keys_cap * 2 : 32;
        uint64_t *keys = realloc(s->keys, cap * sizeof(*keys));
        if (!keys) {
            s->no_memory = true;
            return fail(s, "out of memory");
        }
        s->keys = keys;
        s->keys_cap = cap;
    }
    s->keys[s->n_keys++] = s->hash;
    s->state = S_COLON;
    return true;
}

static bool open_container(struct json_scan *s, bool object)
{
    if (s->depth == JSON_SCAN_DEPTH)
        return fail(s, "nested too deeply");
    if (++s->n_containers > s->limits.max_containers)
        return fail(s, "too many objects and arrays");
    s->is_object[s->depth] = object;
    s->keys_at[s->depth++] = s->n_keys;
    s->state = object ? S_KEY_OR_END : S_VALUE_OR_END;
    return true;
}

static bool close_container(struct json_scan *s, bool object)
{
    if (!s->depth || s->is_object[s->depth - 1] != object)
        return fail(s, "unexpected closing bracket");
    s->n_keys = s->keys_at[--s->depth];
    s->state = S_AFTER;
    return true;
}

static void string_begin(struct json_scan *s, bool is_key)
{
    s->is_key = is_key;
    s->hash = s->seed[0];
    s->utf8_left = 0;
    s->state = S_STRING;
}

static bool value_begin(struct json_scan *s, unsigned char c)
{
    if (++s->n_values > s->limits.max_values)
        return fail(s, "too many values");
    s->number = 0;
    s->n_number = 1;
    s->integer = true;
    s->overflow = s->negative = false;
    switch (c) {
    case '{':
        return open_container(s, true);
    case '[':
        return open_container(s, false);
    case '"':
        string_begin(s, false);
        return true;
    case '-':
        s->negative = true;
        s->state = S_MINUS;
        return true;
    case '0':
        s->state = S_ZERO;
        return true;
    case 't':
    case 'f':
    case 'n':
        s->literal = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
        s->state = S_LITERAL;
        return true;
    default:
        if (c < '1' || c > '9')
            return fail(s, "a value is expected");
        s->number = c - '0';
        s->state = S_DIGITS;
        return true;
    }
}

static bool utf8_begin(struct json_scan *s, unsigned char c)
{
    if (c < 0xc2 || c > 0xf4)
        return fail(s, "invalid UTF-8");
    s->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    s->utf8_lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    s->utf8_hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool string_byte(struct json_scan *s, unsigned char c)
{
    if (s->utf8_left) {
        if (c < s->utf8_lo || c > s->utf8_hi)
            return fail(s, "invalid UTF-8");
        s->utf8_left--;
        s->utf8_lo = 0x80;
        s->utf8_hi = 0xbf;
    } else if (c == '"') {
        if (s->is_key)
            return key_end(s);
        s->state = S_AFTER;
        return true;
    } else if (c == '\\') {
        s->state = S_ESCAPE;
        return true;
    } else if (c < 0x20) {
        return fail(s, "unescaped control character in a string");
    } else if (c >= 0x80 && !utf8_begin(s, c)) {
        return false;
    }
    if (s->is_key)
        key_byte(s, c);
    return true;
}

static bool escape_byte(struct json_scan *s, unsigned char c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        s->hex = s->high = 0;
        s->hex_left = 4;
        s->state = S_HEX;
        return true;
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return fail(s, "unknown escape in a string");
    if (s->is_key)
        key_byte(s, (unsigned char)to[at - from]);
    s->state = S_STRING;
    return true;
}

static bool hex_byte(struct json_scan *s, unsigned char c)
{
    unsigned digit;
    if (c >= '0' && c <= '9')
        digit = c - '0';
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (c | 0x20) - 'a' + 10u;
    else
        return fail(s, "invalid \\u escape in a string");
    s->hex = s->hex << 4 | digit;
    if (--s->hex_left)
        return true;
    bool is_low = s->hex >= 0xdc00 && s->hex <= 0xdfff, is_high = s->hex >= 0xd800 && s->hex <= 0xdbff;
    if (s->hex == 0)
        return fail(s, "NUL character in a string");
    if (is_low != (s->high != 0))
        return fail(s, "unpaired surrogate in a string");
    if (is_high) {
        s->high = s->hex;
        s->state = S_LOW_BACKSLASH;
        return true;
    }
    if (is_low)
        s->hex = 0x10000 + ((s->high - 0xd800) << 10) + (s->hex - 0xdc00);
    if (s->is_key)
        key_codepoint(s, s->hex);
    s->state = S_STRING;
    return true;
}

static bool number_end(struct json_scan *s)
{
    if (s->integer && (s->overflow || (s->negative && s->number > (uint64_t)1 << 63)))
        return fail(s, "integer does not fit in 64 bits");
    s->state = S_AFTER;
    return true;
}

static bool digit_add(struct json_scan *s, unsigned char c)
{
    if (__builtin_mul_overflow(s->number, (uint64_t)10, &s->number) ||
        __builtin_add_overflow(s->number, (uint64_t)(c - '0'), &s->number))
        s->overflow = true;
    return true;
}

/* One byte of a number. *again is set when the number ended before this byte, which the
 * caller must then handle as what follows the number. */
static bool number_byte(struct json_scan *s, unsigned char c, bool *again)
{
    bool digit = c >= '0' && c <= '9';
    if (++s->n_number > JSON_SCAN_NUMBER_BYTES)
        return fail(s, "number is too long");
    switch (s->state) {
    case S_MINUS:
        s->state = c == '0' ? S_ZERO : S_DIGITS;
        return digit ? digit_add(s, c) : fail(s, "a digit is expected");
    case S_ZERO:
    case S_DIGITS:
        if (digit)
            return s->state == S_ZERO ? fail(s, "number has a leading zero") : digit_add(s, c);
        if (c == '.' || c == 'e' || c == 'E') {
            s->integer = false;
            s->state = c == '.' ? S_POINT : S_E;
            return true;
        }
        break;
    case S_POINT:
        s->state = S_FRACTION;
        return digit ? true : fail(s, "a digit is expected");
    case S_FRACTION:
        if (digit)
            return true;
        if (c == 'e' || c == 'E') {
            s->state = S_E;
            return true;
        }
        break;
    case S_E:
        if (c == '+' || c == '-') {
            s->state = S_E_SIGN;
            return true;
        }
        /* fall through */
    case S_E_SIGN:
        s->state = S_EXPONENT;
        return digit ? true : fail(s, "a digit is expected");
    default:
        if (digit)
            return true;
        break;
    }
    *again = true;
    return number_end(s);
}

static bool after_value(struct json_scan *s, unsigned char c)
{
    if (!s->depth)
        return fail(s, "text after the end of the value");
    bool object = s->is_object[s->depth - 1];
    if (c == ',') {
        s->state = object ? S_KEY : S_VALUE;
        return true;
    }
    if (c == '}' || c == ']')
        return close_container(s, c == '}');
    return fail(s, "a comma or a closing bracket is expected");
}

static bool structure_byte(struct json_scan *s, unsigned char c)
{
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return true;
    switch (s->state) {
    case S_VALUE_OR_END:
        if (c == ']')
            return close_container(s, false);
        /* fall through */
    case S_VALUE:
        return value_begin(s, c);
    case S_KEY_OR_END:
        if (c == '}')
            return close_container(s, true);
        /* fall through */
    case S_KEY:
        if (c != '"')
            return fail(s, "a key is expected");
        string_begin(s, true);
        return true;
    case S_COLON:
        s->state = S_VALUE;
        return c == ':' ? true : fail(s, "a colon is expected");
    default:
        return after_value(s, c);
    }
}

static bool byte(struct json_scan *s, unsigned char c)
{
    bool again = false;
    switch (s->state) {
    case S_STRING:
        return string_byte(s, c);
    case S_ESCAPE:
        return escape_byte(s, c);
    case S_HEX:
        return hex_byte(s, c);
    case S_LOW_BACKSLASH:
        s->state = S_LOW_U;
        return c == '\\' ? true : fail(s, "unpaired surrogate in a string");
    case S_LOW_U:
        s->hex = 0;
        s->hex_left = 4;
        s->state = S_HEX;
        return c == 'u' ? true : fail(s, "unpaired surrogate in a string");
    case S_LITERAL:
        if (c != (unsigned char)*s->literal)
            return fail(s, "a value is expected");
        if (!*++s->literal)
            s->state = S_AFTER;
        return true;
    case S_MINUS:
    case S_ZERO:
    case S_DIGITS:
    case S_POINT:
    case S_FRACTION:
    case S_E:
    case S_E_SIGN:
    case S_EXPONENT:
        if (!number_byte(s, c, &again))
            return false;
        return again ? structure_byte(s, c) : true;
    default:
        return structure_byte(s, c);
    }
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* How many bytes at the beginning need no handling inside a string: ASCII without control
 * characters, quotes and backslashes. They are compared eight at a time:
 * (v - c * 01..01) & ~v & 80..80 is nonzero if some byte of v is less than c (c <= 0x80). */
static size_t plain_bytes(const char *text, size_t n)
{
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        uint64_t v, quote, backslash;
        memcpy(&v, text + i, 8);
        quote = v ^ EACH_BYTE('"');
        backslash = v ^ EACH_BYTE('\\');
        uint64_t hits = v | ((v - EACH_BYTE(0x20)) & ~v) | ((quote - EACH_BYTE(1)) & ~quote) |
                        ((backslash - EACH_BYTE(1)) & ~backslash);
        if (hits & EACH_BYTE(0x80))
            break;
    }
    for (; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
    }
    return i;
}

bool json_scan_push(struct json_scan *s, const char *text, size_t n)
{
    if (s->error)
        return false;
    for (size_t i = 0; i < n; i++) {
        /* Most bytes of a request are plain text of a long string. */
        if (s->state == S_STRING && !s->utf8_left && !s->is_key) {
            i += plain_bytes(text + i, n - i);
            if (i == n)
                break;
        }
        if (!byte(s, (unsigned char)text[i])) {
            s->offset += i;
            return false;
        }
    }
    s->offset += n;
    return true;
}

bool json_scan_finish(struct json_scan *s)
{
    if (s->error)
        return false;
    bool number_done =
        s->state == S_ZERO || s->state == S_DIGITS || s->state == S_FRACTION || s->state == S_EXPONENT;
    if (number_done && !number_end(s))
        return false;
    if (s->state != S_AFTER || s->depth)
        return fail(s, "unexpected end of the text");
    return true;
}
