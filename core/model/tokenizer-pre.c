#include "model/tokenizer-pre.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/tokenizer-regex.h"

struct pretokenizer {
    pre_scanner *scan; /* of the whole list; NULL: the stages are used */
    size_t n;
    struct stage {
        pre_scanner *scan; /* or regex */
        struct regex *regex;
    } stage[PRE_EXPRESSIONS];
};

static int stage_init(struct stage *s, const char *expression, bool with_scanners, struct orcd_error *err)
{
    const struct pre_list alone = {{expression}};
    if (with_scanners)
        s->scan = pre_list_scanner(&alone);
    return s->scan ? 0 : regex_new(&s->regex, pre_expression_linear(expression), err);
}

int pretokenizer_new(
    struct pretokenizer **out, const struct pre_list *list, bool with_scanners, struct orcd_error *err)
{
    struct pretokenizer *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(err, ORCD_E_NOMEM, "out of memory for the pre-tokenizer");
    if (with_scanners)
        p->scan = pre_list_scanner(list);
    int rc = 0;
    while (!rc && !p->scan && p->n < PRE_EXPRESSIONS && list->expression[p->n]) {
        rc = stage_init(&p->stage[p->n], list->expression[p->n], with_scanners, err);
        p->n++;
    }
    if (rc) {
        pretokenizer_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pretokenizer_free(struct pretokenizer *p)
{
    for (size_t i = 0; p && i < p->n; i++)
        regex_free(p->stage[i].regex);
    free(p);
}

pre_scanner *pretokenizer_scanner(const struct pretokenizer *p)
{
    return p->scan;
}

/* The bytes of valid UTF-8 at the start of a text. */
static size_t valid_bytes(const char *p, size_t n)
{
    size_t i = 0, k = 1;
    while (k) {
        uint64_t w;
        while (n - i >= sizeof(w)) {
            memcpy(&w, p + i, sizeof(w));
            if (w & UINT64_C(0x8080808080808080))
                break;
            i += sizeof(w);
        }
        k = utf8_char_len(p + i, n - i);
        i += k;
    }
    return i;
}

static size_t invalid_bytes(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && !utf8_char_len(p + i, n - i))
        i++;
    return i;
}

void pre_cut_init(
    struct pre_cut *c, const struct pretokenizer *pre, struct regex_room **room, const char *text, size_t n)
{
    *c = (struct pre_cut){.pre = pre, .room = room, .text = text, .n = n};
}

static struct pre_part part_of(size_t from, size_t to)
{
    return (struct pre_part){from, to, from, from};
}

/* The end of the piece at c->at that expression i makes of part[i]. */
static int next_piece(struct pre_cut *c, size_t i, size_t *end, struct orcd_error *err)
{
    const struct stage *s = &c->pre->stage[i];
    struct pre_part *p = &c->part[i];
    if (s->scan) {
        *end = c->at + s->scan(c->text + c->at, p->to - c->at);
        return 0;
    }
    if (p->match_end <= c->at) {
        struct regex_match m;
        int rc = regex_find(s->regex, c->room, c->text + p->from, p->to - p->from, c->at - p->from, &m, err);
        if (rc < 0)
            return rc;
        p->match = rc ? p->from + m.start : p->to;
        p->match_end = rc ? p->from + m.end : p->to;
    }
    *end = c->at < p->match ? p->match : p->match_end;
    return 0;
}

int pre_cut_next(struct pre_cut *c, size_t *n_word, struct orcd_error *err)
{
    size_t i = c->pre->n, end;
    if (c->at == c->n)
        return 0;
    while (i && c->part[i].to <= c->at)
        i--;
    if (c->part[i].to <= c->at) {
        const char *rest = c->text + c->at;
        size_t valid = valid_bytes(rest, c->n - c->at);
        if (!valid) {
            *n_word = invalid_bytes(rest, c->n - c->at);
            c->at += *n_word;
            return 1;
        }
        c->part[0] = part_of(c->at, c->at + valid);
    }
    for (; i < c->pre->n; i++) {
        int rc = next_piece(c, i, &end, err);
        if (rc)
            return rc;
        c->part[i + 1] = part_of(c->at, end);
    }
    end = c->part[i].to;
    *n_word = end - c->at;
    c->at = end;
    return 1;
}
