/*
 * Finds special tokens in a text, by a trie over the bytes of control, unknown and user-defined tokens. At
 * each position the longest one counts.
 */
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer-internal.h"

#include "base/util.h"

static bool is_special(const struct tokenizer *t, int32_t id)
{
    return t->type[id] == TOKEN_CONTROL || t->type[id] == TOKEN_UNKNOWN || t->type[id] == TOKEN_USER_DEFINED;
}

bool tokenizer_special_init(struct tokenizer *t)
{
    size_t nodes = 1, n, bytes;
    for (int32_t id = 0; id < t->n_vocab; id++)
        if (is_special(t, id)) {
            token_bytes(t, id, &n);
            nodes += n;
        }
    if (nodes > INT32_MAX || __builtin_mul_overflow(nodes, sizeof(int32_t), &bytes))
        return false;
    t->trie_id = malloc(bytes);
    if (!t->trie_id || !pair_map_init(&t->trie, nodes))
        return false;
    t->trie_id[0] = -1;
    uint32_t used = 1;
    for (int32_t id = 0; id < t->n_vocab; id++) {
        if (!is_special(t, id))
            continue;
        const char *p = token_bytes(t, id, &n);
        if (!n)
            continue;
        uint32_t node = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)p[i];
            const struct pair_slot *s = pair_map_find(&t->trie, node, c);
            if (s) {
                node = s->x;
                continue;
            }
            t->trie_id[used] = -1;
            if (!pair_map_add(&t->trie, node, c, used, 0))
                return false;
            node = used++;
        }
        if (t->trie_id[node] < 0)
            t->trie_id[node] = id;
        bool always = t->type[id] == TOKEN_USER_DEFINED;
        for (int parse = !always; parse < 2; parse++) {
            t->starts[parse][(unsigned char)p[0]] = true;
            t->has_special[parse] = true;
        }
    }
    return true;
}

int32_t tokenizer_special_at(
    const struct tokenizer *t, const char *text, size_t n, bool parse_special, size_t *bytes)
{
    if (!n || !t->starts[parse_special][(unsigned char)text[0]])
        return -1;
    int32_t found = -1;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pair_slot *s = pair_map_find(&t->trie, node, (unsigned char)text[i]);
        if (!s)
            break;
        node = s->x;
        int32_t id = t->trie_id[node];
        if (id >= 0 && (parse_special || t->type[id] == TOKEN_USER_DEFINED)) {
            found = id;
            *bytes = i + 1;
        }
    }
    return found;
}

int32_t tokenizer_special_id(const struct tokenizer *t, const char *text)
{
    size_t n = strlen(text), bytes = 0;
    if (!t->has_special[true])
        return -1;
    int32_t id = tokenizer_special_at(t, text, n, true, &bytes);
    return bytes == n ? id : -1;
}
