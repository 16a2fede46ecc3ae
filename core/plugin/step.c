/*
 * Steps of a backend. A batch is checked once more before it is submitted, because the contract promises
 * valid batches to a plugin; a result is checked before the engine reads it.
 */
#include "plugin/backend.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"

/* ------------------------------------------------------------------- submit */

/* Where the next row of the sequence must start: at the end of its rows in flight. */
static uint32_t expected_pos(const struct backend *b, uint32_t seq)
{
    return b->in_flight[seq] ? b->fed[seq] : b->len[seq];
}

static int check_row(const struct backend *b, const struct orcd_batch *batch, uint32_t r,
    struct backend_row *row, const char **why)
{
    *row = (struct backend_row){
        .seq = batch->seq[r],
        .first_pos = batch->first_pos[r],
        .n_tokens = batch->n_tokens[r],
        .want = batch->want[r],
        .kind = batch->kind[r],
    };
    *why = "does not belong to an open sequence";
    if (row->seq >= b->params.n_sequences || !b->open[row->seq])
        return -1;
    *why = "has no tokens, or more than the context holds";
    if (row->n_tokens == 0 || row->n_tokens > b->params.n_ctx ||
        row->first_pos > b->params.n_ctx - row->n_tokens)
        return -1;
    *why = "does not continue its sequence";
    if (row->first_pos != expected_pos(b, row->seq))
        return -1;
    *why = "has an unknown want or kind";
    if (row->want > ORCD_WANT_ALL || row->kind > ORCD_KIND_TOP_LOGPROBS)
        return -1;
    *why = "wants a token at every position; only the last position may have one";
    if (row->want == ORCD_WANT_ALL && row->kind != ORCD_KIND_LOGITS)
        return -1;
    if (row->kind == ORCD_KIND_TOP_LOGPROBS && row->want) {
        *why = "wants 0 or too many logprobs";
        row->top_n = batch->top_n ? batch->top_n[r] : 0;
        if (row->top_n == 0 || row->top_n > b->model_info.n_vocab)
            return -1;
    }
    const int32_t *tokens = batch->tokens + batch->token_start[r];
    *why = "has a token outside the vocabulary";
    for (uint32_t i = 0; i < row->n_tokens; i++)
        if (!(tokens[i] >= 0 && (uint32_t)tokens[i] < b->model_info.n_vocab) &&
            !(i == 0 && tokens[i] == ORCD_TOKEN_CHAINED))
            return -1;
    return 0;
}

static int check_batch(
    struct backend *b, const struct orcd_batch *batch, struct backend_step *step, struct orcd_error *err)
{
    if (batch->n_rows == 0 || batch->n_rows > b->params.max_batch_rows)
        return error_set(err, ORCD_E_INVALID, "a step has %u rows; 1 to %u are allowed", batch->n_rows,
            b->params.max_batch_rows);
    if (batch->ticket <= b->last_ticket)
        return error_set(err, ORCD_E_INVALID, "ticket %llu follows ticket %llu; tickets must increase",
            (unsigned long long)batch->ticket, (unsigned long long)b->last_ticket);
    uint64_t tokens = 0, logits = 0;
    b->n_checks++;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        const char *why;
        struct backend_row *row = &step->rows[r];
        if (check_row(b, batch, r, row, &why))
            return error_set(err, ORCD_E_INVALID, "row %u of a step (sequence %u) %s", r, row->seq, why);
        if (b->checked[row->seq] == b->n_checks)
            return error_set(err, ORCD_E_INVALID, "sequence %u has two rows in one step", row->seq);
        b->checked[row->seq] = b->n_checks;
        tokens += row->n_tokens;
        logits += row->want == ORCD_WANT_ALL ? row->n_tokens : row->want == ORCD_WANT_LAST;
    }
    if (tokens > b->params.max_batch_tokens || logits > b->params.max_logits)
        return error_set(err, ORCD_E_INVALID,
            "a step has %llu tokens and %llu logits; at most %u and %u are allowed",
            (unsigned long long)tokens, (unsigned long long)logits, b->params.max_batch_tokens,
            b->params.max_logits);
    step->n_rows = batch->n_rows;
    step->ticket = batch->ticket;
    return 0;
}

int backend_submit(struct backend *b, const struct orcd_batch *batch, struct orcd_error *err)
{
    struct orcd_ctx *ctx = atomic_load_explicit(&b->ctx, memory_order_relaxed);
    if (!ctx)
        return error_set(err, ORCD_E_INTERNAL, "the backend has no context");
    PLUGIN_RULE(b->n_steps < b->plugin->table.max_inflight, "more steps in flight than the plugin supports");
    if (b->n_steps >= b->plugin->table.max_inflight)
        return error_set(err, ORCD_E_BUSY, "all %u steps are in flight", b->n_steps);
    struct backend_step *step = &b->steps[(b->first_step + b->n_steps) % PLUGIN_MAX_INFLIGHT];
    int rc = check_batch(b, batch, step, err);
    if (rc)
        return rc;
    rc = backend_enter(b, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = backend_answer(b, "submit", b->plugin->table.submit(ctx, batch, &theirs), &theirs, err);
    if (rc == 0) {
        b->n_steps++;
        b->last_ticket = batch->ticket;
        for (uint32_t r = 0; r < step->n_rows; r++) {
            b->in_flight[step->rows[r].seq]++;
            b->fed[step->rows[r].seq] = step->rows[r].first_pos + step->rows[r].n_tokens;
        }
    }
    backend_leave(b);
    return rc;
}

/* --------------------------------------------------------------------- wait */

static const char *check_logits(const struct backend_row *row, const struct orcd_result *res, uint32_t r)
{
    uint32_t n = row->want == ORCD_WANT_ALL ? row->n_tokens : 1;
    if (res->n_logits[r] != n)
        return "returned another number of logits than was requested";
    if (!res->logits[r])
        return "returned no logits for a row that wanted some";
    if ((uintptr_t)res->logits[r] % 64)
        return "returned logits that are not 64-byte aligned";
    return NULL;
}

static const char *check_top(
    const struct backend *b, const struct backend_row *row, const struct orcd_result *res, uint32_t r)
{
    if (!res->top_ids || !res->top_logprobs || !res->top_ids[r] || !res->top_logprobs[r])
        return "returned no logprobs for a row that wanted some";
    for (uint32_t i = 0; i < row->top_n; i++)
        if (res->top_ids[r][i] < 0 || (uint32_t)res->top_ids[r][i] >= b->model_info.n_vocab)
            return "returned a token outside the vocabulary";
    return NULL;
}

/* Returns NULL, or what is wrong. Sets outputs that were not requested to their neutral values. */
static const char *check_result_row(
    const struct backend *b, const struct backend_row *row, struct orcd_result *res, uint32_t r)
{
    int32_t status = res->status[r];
    uint32_t end = row->first_pos + row->n_tokens, at = b->len[row->seq], kept = res->kept[r];
    if (status > 0 || strcmp(error_name(status), "UNKNOWN") == 0)
        return "returned an unknown status";
    if (kept > end || kept < at || (status == 0 && kept != end))
        return "kept an impossible number of tokens";
    bool wanted = status == 0 && row->want != ORCD_WANT_NONE;
    const char *why = NULL;
    if (wanted && row->kind == ORCD_KIND_LOGITS) {
        why = check_logits(row, res, r);
    } else {
        res->logits[r] = NULL;
        res->n_logits[r] = 0;
    }
    if (wanted && row->kind == ORCD_KIND_TOKEN) {
        if (res->token[r] < 0 || (uint32_t)res->token[r] >= b->model_info.n_vocab)
            why = "sampled a token outside the vocabulary";
    } else {
        res->token[r] = -1;
    }
    if (wanted && row->kind == ORCD_KIND_TOP_LOGPROBS) {
        why = check_top(b, row, res, r);
    } else {
        if (res->top_ids)
            res->top_ids[r] = NULL;
        if (res->top_logprobs)
            res->top_logprobs[r] = NULL;
    }
    return why;
}

/* Makes the plugin's four timestamps ascend, with none in the future. */
static void order_times(struct orcd_result *res)
{
    uint64_t now = clock_mono_ns();
    uint64_t *t[] = {&res->submitted_ns, &res->started_ns, &res->finished_ns, &res->collected_ns};
    for (int i = 0; i < 4; i++) {
        if (*t[i] > now || *t[i] == 0)
            *t[i] = now;
        if (i && *t[i] < *t[i - 1])
            *t[i] = *t[i - 1];
    }
}

static int check_result(
    struct backend *b, const struct backend_step *step, struct orcd_result *res, struct orcd_error *err)
{
    if (res->n_rows != step->n_rows || res->n_rows > res->row_capacity)
        return backend_bad_answer(b, "wait", "returned another number of rows than were submitted", err);
    if (res->ticket != step->ticket)
        return backend_bad_answer(b, "wait", "returned another step than the oldest", err);
    for (uint32_t r = 0; r < step->n_rows; r++) {
        const char *why = check_result_row(b, &step->rows[r], res, r);
        if (why)
            return backend_bad_answer(b, "wait", why, err);
    }
    for (uint32_t r = 0; r < step->n_rows; r++)
        b->len[step->rows[r].seq] = res->kept[r];
    order_times(res);
    return 0;
}

int backend_wait(struct backend *b, struct orcd_result *result, struct orcd_error *err)
{
    struct orcd_ctx *ctx = atomic_load_explicit(&b->ctx, memory_order_relaxed);
    PLUGIN_RULE(b->n_steps, "wait without a step in flight");
    if (!ctx || !b->n_steps)
        return error_set(err, ORCD_E_INVALID, "no step is in flight");
    const struct backend_step *step = &b->steps[b->first_step];
    if (result->row_capacity < step->n_rows)
        return error_set(err, ORCD_E_INVALID, "the result has room for %u rows; %u are needed",
            result->row_capacity, step->n_rows);
    int rc = backend_enter(b, err);
    if (rc)
        return rc;
    for (uint32_t r = 0; r < step->n_rows; r++) {
        result->status[r] = ORCD_E_INTERNAL;
        result->kept[r] = b->len[step->rows[r].seq];
        result->logits[r] = NULL;
        result->n_logits[r] = 0;
        result->token[r] = -1;
    }
    /* The plugin gets a copy, so that it cannot change the caller's pointers. */
    struct orcd_result theirs = *result;
    theirs.size = sizeof(theirs);
    theirs.row_capacity = step->n_rows;
    theirs.n_rows = 0;
    theirs.ticket = theirs.submitted_ns = theirs.started_ns = theirs.finished_ns = theirs.collected_ns = 0;
    struct orcd_error why = ORCD_ERROR_INIT;
    rc = backend_answer(b, "wait", b->plugin->table.wait(ctx, &theirs, &why), &why, err);
    struct orcd_result answer = *result;
    answer.n_rows = theirs.n_rows;
    answer.ticket = theirs.ticket;
    answer.submitted_ns = theirs.submitted_ns;
    answer.started_ns = theirs.started_ns;
    answer.finished_ns = theirs.finished_ns;
    answer.collected_ns = theirs.collected_ns;
    if (rc == 0)
        rc = check_result(b, step, &answer, err);
    if (rc == 0)
        *result = answer;
    /* There is one wait for each submit: whatever the answer is, this step has ended. */
    for (uint32_t r = 0; r < step->n_rows; r++)
        b->in_flight[step->rows[r].seq]--;
    b->first_step = (b->first_step + 1) % PLUGIN_MAX_INFLIGHT;
    b->n_steps--;
    backend_leave(b);
    return rc;
}
