#include "http/keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void keys_init(struct keys *k)
{
    pthread_rwlock_init(&k->lock, NULL);
}

static void use_unref(struct key_use *u)
{
    if (u && atomic_fetch_sub(&u->refs, 1) == 1)
        free(u);
}

void api_key_unref(struct api_key *key)
{
    if (!key || atomic_fetch_sub(&key->refs, 1) != 1)
        return;
    use_unref(key->use);
    explicit_bzero(key->text, sizeof(key->text));
    free(key);
}

static void list_release(struct api_key **list, size_t n)
{
    while (n--)
        api_key_unref(list[n]);
}

void keys_release(struct keys *k)
{
    list_release(k->list, k->n);
    k->n = 0;
    pthread_rwlock_destroy(&k->lock);
}

/* --- reading a file ----------------------------------------------------------------------- */

struct reader {
    const char *path;
    unsigned line;
    struct orcd_error *err;
};

static bool wrong(const struct reader *r, const char *text)
{
    error_set(r->err, ORCD_E_INVALID, "%s:%u: %s", r->path, r->line, text);
    return false;
}

static bool is_name(const char *s)
{
    const size_t n = strlen(s);
    return n && n < KEY_NAME_BYTES &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == 0;
}

/* Digits, perhaps with a point; false: something else, or out of range. */
static bool number(const char *s, double least, double most, double *out)
{
    const size_t n = strlen(s), whole = strspn(s, "0123456789");
    if (!whole || n > 12 ||
        (s[whole] && (s[whole] != '.' || s[whole + 1 + strspn(s + whole + 1, "0123456789")])))
        return false;
    *out = strtod(s, NULL);
    return *out >= least && *out <= most;
}

static bool count(const struct reader *r, const char *value, uint32_t *out, const char *message)
{
    double v;
    if (!number(value, 1, 1e6, &v) || v != floor(v))
        return wrong(r, message);
    *out = (uint32_t)v;
    return true;
}

/* A word behind the key; it is not quoted in messages, since it may be a part of a key with a space. */
static bool read_word(const struct reader *r, struct api_key *key, const char *word)
{
    if (strncmp(word, "name=", 5) == 0) {
        if (!is_name(word + 5))
            return wrong(r, "name must have 1 to 32 letters, digits, '.', '_' or '-'");
        snprintf(key->name, sizeof(key->name), "%s", word + 5);
        key->named = true;
        return true;
    }
    if (strcmp(word, "role=admin") == 0 || strcmp(word, "role=client") == 0) {
        key->admin = word[5] == 'a';
        return true;
    }
    if (strncmp(word, "rps=", 4) == 0)
        return number(word + 4, 0.001, 1e6, &key->rps) ||
               wrong(r, "rps must be a number from 0.001 to 1000000");
    if (strncmp(word, "max_running=", 12) == 0)
        return count(r, word + 12, &key->max_running, "max_running must be a number from 1 to 1000000");
    if (strncmp(word, "max_queued=", 11) == 0)
        return count(r, word + 11, &key->max_queued, "max_queued must be a number from 1 to 1000000");
    return wrong(r,
        "behind a key only name=NAME, role=client, role=admin, rps=N, max_running=N and max_queued=N "
        "are known");
}

static bool check_key(const struct reader *r, const char *key, size_t n, bool weak_allowed)
{
    if (n >= HTTP_KEY_BYTES)
        return wrong(r, "a key must have at most 512 characters");
    for (size_t i = 0; i < n; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return wrong(r, "a key must be printable ASCII characters without spaces");
    if (n >= KEY_STRONG_BYTES)
        return true;
    if (!weak_allowed)
        return wrong(r, "a key must have 16 to 512 characters; a shorter one is accepted only on loopback");
    log_warn(
        "%s:%u: the key has fewer than %d characters and can be guessed", r->path, r->line, KEY_STRONG_BYTES);
    return true;
}

/* line: NUL-terminated, not empty; changed. */
static struct api_key *read_line(const struct reader *r, char *line, bool weak_allowed)
{
    char *rest, *word = strtok_r(line, " \t", &rest);
    if (!word || !check_key(r, word, strlen(word), weak_allowed))
        return NULL;
    struct api_key *key = calloc(1, sizeof(*key));
    if (!key) {
        error_set(r->err, ORCD_E_NOMEM, "out of memory for API keys");
        return NULL;
    }
    atomic_init(&key->refs, 1);
    memcpy(key->text, word, strlen(word));
    while ((word = strtok_r(NULL, " \t", &rest)))
        if (!read_word(r, key, word)) {
            api_key_unref(key);
            return NULL;
        }
    return key;
}

/* The client that a key belongs to, if it is in this list. */
static struct key_use *use_in(struct api_key *const *list, size_t n, const struct api_key *key)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->named == key->named &&
            (key->named ? strcmp(list[i]->name, key->name) == 0
                        : memcmp(list[i]->text, key->text, HTTP_KEY_BYTES) == 0))
            return list[i]->use;
    return NULL;
}

static bool find_use(struct keys *k, struct api_key *key, struct api_key *const *list, size_t n)
{
    struct key_use *u = use_in(list, n, key);
    u = u ? u : use_in(k->list, k->n, key);
    if (u) {
        atomic_fetch_add(&u->refs, 1);
    } else {
        if (!(u = calloc(1, sizeof(*u))))
            return false;
        atomic_init(&u->refs, 1);
        u->id = ++k->last_id;
    }
    key->use = u;
    if (!key->named)
        snprintf(key->name, sizeof(key->name), "key-%u", (unsigned)u->id);
    return true;
}

static bool add(struct keys *k, const struct reader *r, struct api_key *key, struct api_key **list, size_t *n)
{
    if (*n == KEYS_MAX)
        return wrong(r, "a file may have at most 256 keys");
    for (size_t i = 0; i < *n; i++)
        if (memcmp(list[i]->text, key->text, HTTP_KEY_BYTES) == 0)
            return wrong(r, "this key is in the file twice");
    if (!find_use(k, key, list, *n))
        return error_set(r->err, ORCD_E_NOMEM, "out of memory for API keys"), false;
    list[(*n)++] = key;
    return true;
}

static bool read_text(struct keys *k, struct reader *r, char *text, size_t bytes, bool weak_allowed,
    struct api_key **list, size_t *n)
{
    for (char *p = text, *end = text + bytes; p < end; r->line++) {
        char *eol = memchr(p, '\n', (size_t)(end - p));
        eol = eol ? eol : end;
        *eol = 0;
        if (memchr(p, 0, (size_t)(eol - p)))
            return wrong(r, "the line has a NUL byte");
        if (eol > p && eol[-1] == '\r')
            eol[-1] = 0;
        p += strspn(p, " \t");
        if (*p && *p != '#') {
            struct api_key *key = read_line(r, p, weak_allowed);
            if (!key)
                return false;
            if (!add(k, r, key, list, n)) {
                api_key_unref(key);
                return false;
            }
        }
        p = eol + 1;
    }
    return *n || (error_set(r->err, ORCD_E_INVALID, "%s: contains no key", r->path), false);
}

int keys_set(struct keys *k, const char *text, size_t bytes, const char *path, bool weak_allowed,
    struct orcd_error *err)
{
    struct api_key *list[KEYS_MAX], *old[KEYS_MAX];
    struct reader r = {path, 1, err};
    size_t n = 0;
    char *copy = malloc(bytes + 1); /* lines are ended in it */
    if (!copy)
        return error_set(err, ORCD_E_NOMEM, "out of memory for API keys");
    memcpy(copy, text, bytes);
    const bool good = read_text(k, &r, copy, bytes, weak_allowed, list, &n);
    explicit_bzero(copy, bytes);
    free(copy);
    if (!good) {
        list_release(list, n);
        return err->code;
    }
    pthread_rwlock_wrlock(&k->lock);
    const size_t n_old = k->n;
    memcpy(old, k->list, n_old * sizeof(*old));
    memcpy(k->list, list, n * sizeof(*list));
    k->n = n;
    pthread_rwlock_unlock(&k->lock);
    list_release(old, n_old);
    return 0;
}

/* --- requests ------------------------------------------------------------------------------- */

struct api_key *keys_find(struct keys *k, const char *presented, size_t n)
{
    char padded[HTTP_KEY_BYTES] = {0};
    const size_t fits = n > 0 && n < sizeof(padded);
    size_t found = 0;
    memcpy(padded, presented, fits ? n : 0);
    pthread_rwlock_rdlock(&k->lock);
    /* Every byte of every key is compared, so that the time taken reveals nothing. */
    for (size_t i = 0; i < k->n; i++) {
        volatile unsigned char different = 0;
        for (size_t b = 0; b < sizeof(padded); b++)
            different |= (unsigned char)(padded[b] ^ k->list[i]->text[b]);
        const size_t mask = -(size_t)(different == 0);
        found = (found & ~mask) | ((i + 1) & mask);
    }
    found &= -fits;
    struct api_key *key = found ? k->list[found - 1] : NULL;
    if (key)
        atomic_fetch_add(&key->refs, 1);
    pthread_rwlock_unlock(&k->lock);
    explicit_bzero(padded, sizeof(padded));
    return key;
}

bool api_key_allows(const struct api_key *key, uint64_t now_ns, uint32_t *wait_s)
{
    if (key->rps == 0)
        return true;
    const uint64_t each = (uint64_t)((double)NS_PER_S / key->rps);
    const uint64_t ahead = each * (uint64_t)(key->rps > 1 ? ceil(key->rps) - 1 : 0);
    uint64_t due = atomic_load(&key->use->due_ns), next;
    do {
        if (due > now_ns + ahead) {
            *wait_s = (uint32_t)((due - now_ns - ahead + NS_PER_S - 1) / NS_PER_S);
            return false;
        }
        next = (due > now_ns ? due : now_ns) + each;
    } while (!atomic_compare_exchange_weak(&key->use->due_ns, &due, next));
    return true;
}
