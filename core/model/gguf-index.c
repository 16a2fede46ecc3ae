#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "model/gguf-internal.h"

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

/* SipHash-1-3 (Aumasson, Bernstein). It is keyed, so nobody can choose colliding names without the seed. */
static uint64_t sip_round(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
    v[0] ^= word;
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash(const uint64_t seed[2], struct gguf_str s)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    const unsigned char *p = (const unsigned char *)s.p;
    size_t left = s.n;
    for (; left >= 8; left -= 8, p += 8)
        sip_round(v, gguf_load_u64(p));
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_round(v, last);
    v[2] ^= 0xff;
    sip_round(v, 0);
    sip_round(v, 0);
    return sip_round(v, 0);
}

int gguf_index_init(struct gguf_index *x, uint64_t n, struct orcd_error *err)
{
    uint64_t slots = 8;
    while (slots < 2 * n)
        slots *= 2;
    if (getrandom(x->seed, sizeof(x->seed), GRND_NONBLOCK) != (ssize_t)sizeof(x->seed)) {
        /* Early in boot there is no entropy, but addresses and time differ from run to run. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        x->seed[0] = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32;
        x->seed[1] = (uint64_t)(uintptr_t)x ^ rotl((uint64_t)(uintptr_t)&now, 32);
    }
    x->slots = calloc(slots, sizeof(*x->slots));
    if (!x->slots)
        return error_set(
            err, ORCD_E_NOMEM, "out of memory for an index of %llu names", (unsigned long long)n);
    x->mask = slots - 1;
    return 0;
}

void gguf_index_free(struct gguf_index *x)
{
    free(x->slots);
    x->slots = NULL;
}

static uint64_t probe(
    const struct gguf_index *x, const struct gguf *g, gguf_name_at name_at, struct gguf_str name)
{
    uint64_t slot = hash(x->seed, name) & x->mask;
    while (x->slots[slot]) {
        struct gguf_str other = name_at(g, x->slots[slot] - 1);
        if (other.n == name.n && memcmp(other.p, name.p, name.n) == 0)
            break;
        slot = (slot + 1) & x->mask;
    }
    return slot;
}

int64_t gguf_index_find(
    const struct gguf_index *x, const struct gguf *g, gguf_name_at name_at, struct gguf_str name)
{
    if (!x->slots)
        return -1;
    return (int64_t)x->slots[probe(x, g, name_at, name)] - 1;
}

int64_t gguf_index_add(struct gguf_index *x, const struct gguf *g, gguf_name_at name_at, uint64_t i)
{
    uint64_t slot = probe(x, g, name_at, name_at(g, i));
    int64_t found = (int64_t)x->slots[slot] - 1;
    if (found < 0)
        x->slots[slot] = (uint32_t)i + 1;
    return found;
}
