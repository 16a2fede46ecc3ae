/* Fuzz target: the reader of server-sent events. The events are the same wherever the stream is cut. */
#include "tests/fuzz/fuzz.h"

#include "client/sse.h"

struct heard {
    uint64_t hash;
    unsigned n;
};

static void add(struct heard *h, const char *text)
{
    do
        h->hash = (h->hash ^ (unsigned char)*text) * 0x100000001b3;
    while (*text++);
}

static int hear(const char *name, const char *id, const char *data, void *arg)
{
    struct heard *h = arg;
    add(h, name);
    add(h, id);
    add(h, data);
    h->n++;
    return 0;
}

static int feed(const char *text, size_t n, size_t n_piece, struct heard *h)
{
    struct sse s = {0};
    struct orcd_error err = ORCD_ERROR_INIT;
    int rc = 0;
    *h = (struct heard){0};
    for (size_t i = 0; i < n && !rc; i += n_piece)
        rc = sse_feed(&s, text + i, n - i < n_piece ? n - i : n_piece, hear, h, &err);
    sse_release(&s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 5};
    struct heard whole, cut;
    char *text = fuzz_copy(data, size);
    int rc = feed(text, size, size ? size : 1, &whole);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        PROMISE(feed(text, size, pieces[i], &cut) == rc);
        PROMISE(whole.hash == cut.hash && whole.n == cut.n);
    }
    free(text);
    return 0;
}
