/*
 * The API keys of a daemon, as a file has them: one a line, with what is said of it.
 *
 *     KEY [name=NAME] [role=client|admin] [rps=N] [max_running=N] [max_queued=N]
 *
 * Keys of one name are one client: it sees its jobs by each of them, and their limits count together; so a
 * key is replaced by adding the new one, and removing the old one later. A key without a name is a client of
 * its own, which the log calls key-N.
 *
 * Life cycle: zeroed memory, keys_init(), keys_set() at the start and whenever the file has changed,
 * keys_release(). What a request has found stays as it was until its api_key_unref(); what a client holds
 * (struct key_use) outlives changes of its keys.
 *
 * Threads: keys_set() one at a time, the other calls at any time.
 */
#ifndef ORCD_HTTP_KEYS_H
#define ORCD_HTTP_KEYS_H

#include <pthread.h>

#include "base/error.h"
#include "http/limits.h"
#include "http/share.h"

#define KEYS_MAX 256
#define KEY_NAME_BYTES 33
#define KEY_STRONG_BYTES 16 /* a shorter one can be guessed */

/* What all keys of a client share. */
struct key_use {
    atomic_uint refs;
    uint32_t id; /* from 1, never used again */
    struct share share;
    atomic_uint_fast64_t due_ns; /* when the requests so far would be through at rps */
};

struct api_key {
    atomic_uint refs;
    char text[HTTP_KEY_BYTES]; /* zero-padded */
    char name[KEY_NAME_BYTES];
    bool named, admin;
    double rps;                       /* 0: no limit */
    uint32_t max_running, max_queued; /* 0: no limit */
    struct key_use *use;
};

struct keys {
    pthread_rwlock_t lock;
    struct api_key *list[KEYS_MAX];
    size_t n;
    uint32_t last_id;
};

void keys_init(struct keys *k);
void keys_release(struct keys *k);

/* Replaces all keys by those of a file's text; path is for messages, which never contain a key. weak_allowed:
 * a short key is only a warning in the log. INVALID: a line is wrong, or there is no key; NOMEM; then
 * nothing has changed. */
int keys_set(struct keys *k, const char *text, size_t bytes, const char *path, bool weak_allowed,
    struct orcd_error *err);

/* The key that these n bytes are, with a reference for the caller; NULL: none. Takes the same time for any.
 */
struct api_key *keys_find(struct keys *k, const char *presented, size_t n);
void api_key_unref(struct api_key *key); /* NULL: nothing happens */

/* Counts a request against the client's rps: a second's worth may come at once. False: it is too early;
 * *wait_s (1 or more) says for how long. */
bool api_key_allows(const struct api_key *key, uint64_t now_ns, uint32_t *wait_s);

#endif
