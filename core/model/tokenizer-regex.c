#include "model/tokenizer-regex.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/util.h"

/* What a search may cost: steps back, per byte of text and in any text; memory in units of 1024 bytes. */
#define STEPS_PER_BYTE 8
#define STEPS_MIN 1000000
#define HEAP_KIB (64 * 1024)

/* PCRE2's own \s also has U+180E, which is no White_Space since Unicode 6.3. */
#define SPACE "\\x09-\\x0d\\x{85}\\p{Z}"
#define SPELT_MAX (sizeof("[^" SPACE "]")) /* the longest text that stands for two bytes of a pattern */

struct regex {
    pcre2_code *code;
    bool jit;
};

struct regex_room {
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static char *put(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return out + n;
}

/* Spells out \s and \S. The result is malloc'ed; NULL: out of memory. */
static char *spell_spaces(const char *pattern)
{
    char *spelt = malloc(strlen(pattern) / 2 * SPELT_MAX + 2), *q = spelt;
    bool in_class = false;
    for (const char *p = pattern; spelt && *p; p++) {
        if (*p == '\\' && p[1] == 's') {
            q = put(q, in_class ? SPACE : "[" SPACE "]");
            p++;
        } else if (*p == '\\' && p[1] == 'S' && !in_class) {
            q = put(q, "[^" SPACE "]");
            p++;
        } else if (*p == '\\' && p[1]) {
            *q++ = *p++;
            *q++ = *p;
        } else {
            in_class = *p == '[' ? true : *p == ']' ? false : in_class;
            *q++ = *p;
        }
    }
    if (spelt)
        *q = '\0';
    return spelt;
}

static int pcre_error(struct orcd_error *err, int number, const char *what)
{
    char text[128];
    if (number == PCRE2_ERROR_NOMEMORY)
        return error_set(err, ORCD_E_NOMEM, "out of memory for an expression of the pre-tokenizer");
    if (pcre2_get_error_message(number, (PCRE2_UCHAR *)text, sizeof(text)) < 0)
        text[0] = '\0';
    return error_set(err, ORCD_E_INVALID, "%s: %s", what, text);
}

int regex_new(struct regex **out, const char *pattern, struct orcd_error *err)
{
    int number;
    size_t at;
    struct regex *r = calloc(1, sizeof(*r));
    char *spelt = spell_spaces(pattern);
    if (!r || !spelt) {
        free(r);
        free(spelt);
        return pcre_error(err, PCRE2_ERROR_NOMEMORY, "");
    }
    r->code = pcre2_compile((PCRE2_SPTR)spelt, PCRE2_ZERO_TERMINATED,
        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE, &number, &at, NULL);
    free(spelt);
    if (!r->code) {
        free(r);
        return pcre_error(err, number, "an expression of the pre-tokenizer cannot be compiled");
    }
    /* Where memory may not be written and executed (MemoryDenyWriteExecute), the expression is interpreted.
     */
    r->jit = !pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    *out = r;
    return 0;
}

void regex_free(struct regex *r)
{
    if (r)
        pcre2_code_free(r->code);
    free(r);
}

void regex_room_free(struct regex_room *room)
{
    if (!room)
        return;
    pcre2_match_data_free(room->data);
    pcre2_match_context_free(room->limits);
    free(room);
}

static struct regex_room *room_new(void)
{
    struct regex_room *room = calloc(1, sizeof(*room));
    if (!room)
        return NULL;
    room->data = pcre2_match_data_create(1, NULL);
    room->limits = pcre2_match_context_create(NULL);
    if (!room->data || !room->limits) {
        regex_room_free(room);
        return NULL;
    }
    pcre2_set_heap_limit(room->limits, HEAP_KIB);
    return room;
}

int regex_find(const struct regex *r, struct regex_room **room, const char *text, size_t n, size_t from,
    struct regex_match *match, struct orcd_error *err)
{
    const uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    if (!*room && !(*room = room_new()))
        return pcre_error(err, PCRE2_ERROR_NOMEMORY, "");
    pcre2_match_data *data = (*room)->data;
    pcre2_match_context *limits = (*room)->limits;
    pcre2_set_match_limit(limits, (uint32_t)min_u64(STEPS_MIN + (uint64_t)n * STEPS_PER_BYTE, UINT32_MAX));
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (r->jit)
        rc = pcre2_jit_match(r->code, (PCRE2_SPTR)text, n, from, PCRE2_NOTEMPTY, data, limits);
    /* The interpreter has its stack on the heap, where there is more of it. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, (PCRE2_SPTR)text, n, from, options | PCRE2_NO_JIT, data, limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return pcre_error(err, rc, "the text cannot be cut by the pre-tokenizer's expression");
    const size_t *at = pcre2_get_ovector_pointer(data);
    *match = (struct regex_match){at[0], at[1]};
    return 1;
}
