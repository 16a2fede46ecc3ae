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
    uint32_t n_fed; /* what n will be when the steps in flight have ended */
    int32_t *tokens;
    int32_t sampled; /* the token that the backend sampled in the last step; -1: none */
};

struct fake_step {
    uint64_t ticket, submitted_ns;
    uint64_t cost_ns; /* 0: the time that passes */
    uint32_t n_rows, seq[MAX_SEQ], n[MAX_SEQ], want[MAX_SEQ], kind[MAX_SEQ];
    int32_t *row_tokens[MAX_SEQ];
    float *logits;
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
    uint64_t ahead_ns, prefill_ns;
    fake_cost *cost;
    int fail_wait, fail_row;
    bool nan;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } on[FAKE_POINTS];
    uint64_t computed;
    uint32_t most_rows, most_tokens, most_mixed;

    struct fake_step steps[2]; /* ring, the oldest in flight at first_step */
    uint32_t first_step, n_steps, most_steps;
    bool poisoned;
};

/* The parts of the table that the engine reads; it calls backend_seq_sampler(). */
static int32_t seq_sampler(
    struct orcd_ctx *ctx, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err)
{
    (void)ctx, (void)seq, (void)sampler, (void)err;
    return ORCD_E_UNSUPPORTED;
}

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
    for (uint32_t i = 0; i < MAX_SEQ; i++)
        b->seqs[i].tokens = malloc(n_ctx * sizeof(int32_t));
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < MAX_SEQ; i++)
            b->steps[k].row_tokens[i] = malloc(n_ctx * sizeof(int32_t));
        b->steps[k].logits = aligned_alloc(64, (size_t)MAX_SEQ * 320 * sizeof(float));
    }
    return b;
}

void fake_backend_free(struct backend *b)
{
    for (uint32_t i = 0; i < MAX_SEQ; i++)
        free(b->seqs[i].tokens);
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < MAX_SEQ; i++)
            free(b->steps[k].row_tokens[i]);
        free(b->steps[k].logits);
    }
    free(b);
}

void fake_pipeline(struct backend *b)
{
    b->plugin.max_inflight = 2;
    b->plugin.seq_sampler = seq_sampler;
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

void fake_finish_ahead(struct backend *b, uint64_t ns)
{
    LOCKED(b, b->ahead_ns = ns);
}

void fake_device(struct backend *b, fake_cost *ns, uint32_t granule)
{
    b->cost = ns;
    b->model.prefill_granule = granule;
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
GETTER(uint64_t, fake_prefill_ns, b->prefill_ns)
GETTER(uint32_t, fake_most_steps, b->most_steps)
GETTER(uint32_t, fake_steps_in_flight, b->n_steps)

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
        b->seqs[seq].n = b->seqs[seq].n_fed = 0;
        b->seqs[seq].sampled = -1;
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
    s->n_fed = s->n;
    s->sampled = -1;
    *kept = s->n;
    return 0;
}

int backend_seq_sampler(
    struct backend *b, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err)
{
    (void)b, (void)seq;
    if (sampler->temperature > 0)
        return error_set(err, ORCD_E_UNSUPPORTED, "this device is greedy");
    return 0;
}

static struct fake_step *step_at(struct backend *b, uint32_t i)
{
    return &b->steps[(b->first_step + i) % 2];
}

int backend_submit(struct backend *b, const struct orcd_batch *batch, struct orcd_error *err)
{
    reach(b, FAKE_SUBMIT);
    if (b->n_steps == b->plugin.max_inflight)
        return error_set(err, ORCD_E_BUSY, "in flight");
    uint32_t tokens = 0, decode = 0;
    struct fake_step *st = step_at(b, b->n_steps);
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        struct fake_seq *s = &b->seqs[batch->seq[r]];
        const int32_t *row = batch->tokens + batch->token_start[r];
        if (!s->open || batch->first_pos[r] != s->n_fed || s->n_fed + batch->n_tokens[r] > s->reserved)
            return error_set(err, ORCD_E_INVALID, "row %u does not continue its sequence", r);
        if (row[0] == ORCD_TOKEN_CHAINED ? !b->n_steps : row[0] < 0)
            return error_set(err, ORCD_E_INVALID, "row %u has a token outside the vocabulary", r);
        st->seq[r] = batch->seq[r];
        st->n[r] = batch->n_tokens[r];
        st->want[r] = batch->want[r];
        st->kind[r] = batch->kind[r];
        memcpy(st->row_tokens[r], row, st->n[r] * sizeof(int32_t));
        s->n_fed += st->n[r];
        tokens += st->n[r];
        decode += st->n[r] == 1;
    }
    pthread_mutex_lock(&b->lock);
    st->n_rows = batch->n_rows;
    st->ticket = batch->ticket;
    st->submitted_ns = clock_mono_ns();
    st->cost_ns = b->cost ? b->cost(decode, tokens - decode) : 0;
    b->prefill_ns += tokens > decode ? st->cost_ns : 0;
    b->n_steps++;
    b->most_steps = b->n_steps > b->most_steps ? b->n_steps : b->most_steps;
    b->most_rows = batch->n_rows > b->most_rows ? batch->n_rows : b->most_rows;
    b->most_tokens = tokens > b->most_tokens ? tokens : b->most_tokens;
    if (decode && tokens > decode)
        b->most_mixed = tokens - decode > b->most_mixed ? tokens - decode : b->most_mixed;
    pthread_mutex_unlock(&b->lock);
    return 0;
}

static bool row_doomed(const struct backend *b, const struct fake_step *st, uint32_t r)
{
    return b->doomed_ticket[st->seq[r]] >= st->ticket;
}

static bool all_doomed(const struct backend *b, const struct fake_step *st)
{
    for (uint32_t r = 0; r < st->n_rows; r++)
        if (!row_doomed(b, st, r))
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

static int32_t greedy(const float *logits)
{
    int32_t best = 0;
    for (int32_t v = 1; v < FAKE_VOCAB; v++)
        if (logits[v] > logits[best])
            best = v;
    return best;
}

/* Tokens of this sequence in the step behind the oldest. */
static uint32_t fed_later(struct backend *b, uint32_t seq)
{
    const struct fake_step *st = step_at(b, 1);
    for (uint32_t r = 0; r < st->n_rows; r++)
        if (st->seq[r] == seq)
            return st->n[r];
    return 0;
}

/* A row that was cut off breaks the chain of its sequence. */
static void run_row(struct backend *b, struct fake_step *st, uint32_t r, struct orcd_result *result)
{
    struct fake_seq *s = &b->seqs[st->seq[r]];
    uint32_t n = st->n[r];
    int32_t *tokens = st->row_tokens[r];
    bool chained = tokens[0] == ORCD_TOKEN_CHAINED;
    bool broken = s->n + n != s->n_fed - (b->n_steps > 1 ? fed_later(b, st->seq[r]) : 0);
    result->status[r] = b->fail_row;
    if (row_doomed(b, st, r) || broken || (chained && s->sampled < 0)) {
        result->status[r] = ORCD_E_ABORTED;
        n = broken || chained ? 0 : b->keep < n ? b->keep : n;
    } else if (chained) {
        tokens[0] = s->sampled;
    }
    memcpy(s->tokens + s->n, tokens, n * sizeof(int32_t));
    s->n += n;
    s->sampled = -1;
    b->computed += n;
    result->kept[r] = s->n;
    result->logits[r] = NULL;
    result->n_logits[r] = 0;
    result->token[r] = -1;
    if (result->status[r] || st->want[r] != ORCD_WANT_LAST)
        return;
    float *out = st->logits + (size_t)r * 320;
    fill_logits(b, s, out);
    if (st->kind[r] == ORCD_KIND_TOKEN && b->nan) {
        result->status[r] = ORCD_E_DEVICE;
    } else if (st->kind[r] == ORCD_KIND_TOKEN) {
        result->token[r] = s->sampled = greedy(out);
    } else {
        result->logits[r] = out;
        result->n_logits[r] = 1;
    }
}

int backend_wait(struct backend *b, struct orcd_result *result, struct orcd_error *err)
{
    reach(b, FAKE_WAIT);
    pthread_mutex_lock(&b->lock);
    struct fake_step *st = step_at(b, 0);
    while (b->closed && !b->passes && (b->hang || !all_doomed(b, st))) {
        b->waiting = true;
        pthread_cond_broadcast(&b->changed);
        pthread_cond_wait(&b->changed, &b->lock);
    }
    b->waiting = false;
    if (b->closed && b->passes)
        b->passes--;
    uint64_t ahead_ns = b->ahead_ns, cost_ns = st->cost_ns;
    int fail = b->poisoned ? ORCD_E_ABORTED : b->fail_wait;
    b->fail_wait = 0;
    b->poisoned = fail && b->n_steps > 1;
    if (!fail) {
        result->ticket = st->ticket;
        result->n_rows = st->n_rows;
        for (uint32_t r = 0; r < st->n_rows; r++)
            run_row(b, st, r, result);
        b->fail_row = 0;
        result->submitted_ns = result->started_ns = st->submitted_ns;
    }
    b->first_step = (b->first_step + 1) % 2;
    b->n_steps--;
    for (uint32_t i = 0; i < MAX_SEQ && !b->n_steps; i++)
        b->seqs[i].n_fed = b->seqs[i].n;
    pthread_mutex_unlock(&b->lock);
    if (fail)
        return error_set(err, fail, "injected");
    result->finished_ns = result->collected_ns =
        cost_ns ? result->started_ns + cost_ns : clock_mono_ns() + ahead_ns;
    reach(b, FAKE_WAITED);
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
