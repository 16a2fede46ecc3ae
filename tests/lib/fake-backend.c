#include "lib/fake-backend.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define MAX_SEQ 16

struct fake_seq {
    bool open;
    uint32_t n, reserved;
    int32_t *tokens;
};

struct backend {
    struct orcd_model_info model;
    struct orcd_plugin plugin;
    struct fake_seq seqs[MAX_SEQ];
    uint32_t n_seqs, n_ctx;
    uint64_t kv_tokens;
    const char *script;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed, waiting, hang;
    unsigned passes;
    uint64_t doomed_ticket[MAX_SEQ];
    uint32_t keep;
    int fail_wait, fail_row;
    bool nan;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } on[FAKE_POINTS];
    uint64_t computed;
    uint32_t most_rows, most_tokens, most_mixed;

    bool in_flight;
    uint64_t ticket, submitted_ns;
    uint32_t n_rows, seq[MAX_SEQ], first[MAX_SEQ], n[MAX_SEQ], want[MAX_SEQ];
    int32_t *row_tokens[MAX_SEQ];
    float *logits;
};

struct backend *fake_backend_new(uint32_t n_sequences, uint32_t n_ctx, uint64_t kv_tokens)
{
    struct backend *b = calloc(1, sizeof(*b));
    b->n_seqs = n_sequences;
    b->n_ctx = n_ctx;
    b->kv_tokens = kv_tokens;
    b->model = (struct orcd_model_info){
        .size = sizeof(b->model), .max_sequences = MAX_SEQ, .n_vocab = FAKE_VOCAB, .n_ctx = n_ctx};
    b->plugin = (struct orcd_plugin){.size = sizeof(b->plugin), .max_inflight = 1, .name = "fake"};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    for (uint32_t i = 0; i < MAX_SEQ; i++) {
        b->seqs[i].tokens = malloc(n_ctx * sizeof(int32_t));
        b->row_tokens[i] = malloc(n_ctx * sizeof(int32_t));
    }
    b->logits = aligned_alloc(64, (size_t)MAX_SEQ * 320 * sizeof(float));
    return b;
}

void fake_backend_free(struct backend *b)
{
    for (uint32_t i = 0; i < MAX_SEQ; i++) {
        free(b->seqs[i].tokens);
        free(b->row_tokens[i]);
    }
    free(b->logits);
    free(b);
}

#define LOCKED(b, statement)                                                                                 \
    do {                                                                                                     \
        pthread_mutex_lock(&(b)->lock);                                                                      \
        statement;                                                                                           \
        pthread_cond_broadcast(&(b)->changed);                                                               \
        pthread_mutex_unlock(&(b)->lock);                                                                    \
    } while (0)

void fake_script(struct backend *b, const char *text)
{
    LOCKED(b, b->script = text);
}

void fake_gate_close(struct backend *b)
{
    LOCKED(b, b->closed = true; b->passes = 0);
}

void fake_gate_open(struct backend *b)
{
    LOCKED(b, b->closed = false);
}

void fake_gate_pass(struct backend *b)
{
    LOCKED(b, b->passes++; b->waiting = false);
}

void fake_hang(struct backend *b, bool hang)
{
    LOCKED(b, b->hang = hang);
}

void fake_gate_reached(struct backend *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->waiting)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void fake_on(struct backend *b, enum fake_point point, void (*fn)(void *arg), void *arg)
{
    LOCKED(b, b->on[point].fn = fn; b->on[point].arg = arg);
}

static void reach(struct backend *b, enum fake_point point)
{
    pthread_mutex_lock(&b->lock);
    void (*fn)(void *arg) = b->on[point].fn;
    void *arg = b->on[point].arg;
    pthread_mutex_unlock(&b->lock);
    if (fn)
        fn(arg);
}

void fake_kept_on_abort(struct backend *b, uint32_t n)
{
    LOCKED(b, b->keep = n);
}

void fake_fail_next_wait(struct backend *b, int code)
{
    LOCKED(b, b->fail_wait = code);
}

void fake_fail_next_row(struct backend *b, int code)
{
    LOCKED(b, b->fail_row = code);
}

void fake_nan_logits(struct backend *b, bool nan)
{
    LOCKED(b, b->nan = nan);
}

#define GETTER(type, name, expression)                                                                       \
    type name(struct backend *b)                                                                             \
    {                                                                                                        \
        pthread_mutex_lock(&b->lock);                                                                        \
        type value = (expression);                                                                           \
        pthread_mutex_unlock(&b->lock);                                                                      \
        return value;                                                                                        \
    }
GETTER(uint64_t, fake_tokens_computed, b->computed)
GETTER(uint32_t, fake_most_rows, b->most_rows)
GETTER(uint32_t, fake_most_tokens, b->most_tokens)
GETTER(uint32_t, fake_most_mixed_tokens, b->most_mixed)

static uint32_t count_open(const struct backend *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAX_SEQ; i++)
        n += b->seqs[i].open;
    return n;
}
GETTER(uint32_t, fake_open_sequences, count_open(b))

const struct orcd_plugin *backend_plugin(const struct backend *b)
{
    return &b->plugin;
}

const struct orcd_model_info *backend_model(const struct backend *b)
{
    return &b->model;
}

static uint64_t reserved(const struct backend *b)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MAX_SEQ; i++)
        sum += b->seqs[i].open ? b->seqs[i].reserved : 0;
    return sum;
}

int backend_seq_reserve(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    struct fake_seq *s = &b->seqs[seq];
    if (reserved(b) - (s->open ? s->reserved : 0) + max_tokens > b->kv_tokens)
        return error_set(err, ORCD_E_OUT_OF_KV, "fake pool is full");
    s->reserved = max_tokens;
    return 0;
}

int backend_seq_open(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    reach(b, FAKE_SEQ_OPEN);
    if (b->seqs[seq].open)
        return error_set(err, ORCD_E_INVALID, "open already");
    int rc = backend_seq_reserve(b, seq, max_tokens, err);
    if (!rc) {
        LOCKED(b, b->seqs[seq].open = true);
        b->seqs[seq].n = 0;
    }
    return rc;
}

int backend_seq_close(struct backend *b, uint32_t seq, struct orcd_error *err)
{
    if (!b->seqs[seq].open)
        return error_set(err, ORCD_E_INVALID, "not open");
    LOCKED(b, b->seqs[seq].open = false);
    return 0;
}

int backend_seq_trim(struct backend *b, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    (void)err;
    struct fake_seq *s = &b->seqs[seq];
    s->n = n < s->n ? n : s->n;
    *kept = s->n;
    return 0;
}

int backend_submit(struct backend *b, const struct orcd_batch *batch, struct orcd_error *err)
{
    reach(b, FAKE_SUBMIT);
    if (b->in_flight)
        return error_set(err, ORCD_E_BUSY, "in flight");
    uint32_t tokens = 0, decode = 0;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        const struct fake_seq *s = &b->seqs[batch->seq[r]];
        if (!s->open || batch->first_pos[r] != s->n || s->n + batch->n_tokens[r] > s->reserved)
            return error_set(err, ORCD_E_INVALID, "row %u does not continue its sequence", r);
        b->seq[r] = batch->seq[r];
        b->first[r] = batch->first_pos[r];
        b->n[r] = batch->n_tokens[r];
        b->want[r] = batch->want[r];
        memcpy(b->row_tokens[r], batch->tokens + batch->token_start[r], b->n[r] * sizeof(int32_t));
        tokens += b->n[r];
        decode += b->n[r] == 1;
    }
    pthread_mutex_lock(&b->lock);
    b->n_rows = batch->n_rows;
    b->ticket = batch->ticket;
    b->in_flight = true;
    b->submitted_ns = clock_mono_ns();
    b->most_rows = batch->n_rows > b->most_rows ? batch->n_rows : b->most_rows;
    b->most_tokens = tokens > b->most_tokens ? tokens : b->most_tokens;
    if (decode && tokens > decode)
        b->most_mixed = tokens - decode > b->most_mixed ? tokens - decode : b->most_mixed;
    pthread_mutex_unlock(&b->lock);
    return 0;
}

static bool row_doomed(const struct backend *b, uint32_t r)
{
    return b->doomed_ticket[b->seq[r]] >= b->ticket;
}

static bool all_doomed(const struct backend *b)
{
    for (uint32_t r = 0; r < b->n_rows; r++)
        if (!row_doomed(b, r))
            return false;
    return true;
}

static void fill_logits(const struct backend *b, const struct fake_seq *s, float *out)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < s->n; i++)
        h = (h ^ (uint32_t)s->tokens[i]) * 16777619u;
    for (uint32_t v = 0; v < FAKE_VOCAB; v++)
        out[v] = b->nan ? NAN : -20.0f + (float)((h >> (v % 13)) % 97) / 97.0f;
    if (b->nan)
        return;
    for (uint32_t v = 'a'; v <= 'z'; v++)
        out[v] = (float)((h ^ (v * 2654435761u)) % 1009) / 200.0f;
    if (b->script) { /* the script follows the last '|' of the history */
        uint32_t bar = s->n;
        while (bar > 0 && s->tokens[bar - 1] != '|')
            bar--;
        size_t at = s->n - bar;
        out[at < strlen(b->script) ? (unsigned char)b->script[at] : FAKE_EOS] = 50;
    }
}

int backend_wait(struct backend *b, struct orcd_result *result, struct orcd_error *err)
{
    reach(b, FAKE_WAIT);
    pthread_mutex_lock(&b->lock);
    while (b->closed && !b->passes && (b->hang || !all_doomed(b))) {
        b->waiting = true;
        pthread_cond_broadcast(&b->changed);
        pthread_cond_wait(&b->changed, &b->lock);
    }
    b->waiting = false;
    if (b->closed && b->passes)
        b->passes--;
    b->in_flight = false;
    int fail = b->fail_wait;
    b->fail_wait = 0;
    if (fail) {
        pthread_mutex_unlock(&b->lock);
        return error_set(err, fail, "injected");
    }
    result->ticket = b->ticket;
    result->n_rows = b->n_rows;
    for (uint32_t r = 0; r < b->n_rows; r++) {
        struct fake_seq *s = &b->seqs[b->seq[r]];
        uint32_t n = b->n[r];
        result->status[r] = b->fail_row;
        if (row_doomed(b, r)) {
            result->status[r] = ORCD_E_ABORTED;
            n = b->keep < n ? b->keep : n;
        }
        memcpy(s->tokens + s->n, b->row_tokens[r], n * sizeof(int32_t));
        s->n += n;
        b->computed += n;
        result->kept[r] = s->n;
        result->logits[r] = NULL;
        result->n_logits[r] = 0;
        result->token[r] = -1;
        if (!result->status[r] && b->want[r] == ORCD_WANT_LAST) {
            float *out = b->logits + (size_t)r * 320;
            fill_logits(b, s, out);
            result->logits[r] = out;
            result->n_logits[r] = 1;
        }
    }
    b->fail_row = 0;
    pthread_mutex_unlock(&b->lock);
    result->submitted_ns = result->started_ns = b->submitted_ns;
    result->finished_ns = result->collected_ns = clock_mono_ns();
    return 0;
}

void backend_abort(struct backend *b, uint64_t ticket, const uint32_t *seqs, uint32_t n_seqs)
{
    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < n_seqs; i++)
        if (ticket > b->doomed_ticket[seqs[i]])
            b->doomed_ticket[seqs[i]] = ticket;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}
