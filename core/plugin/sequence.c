/* The calls on a sequence of a backend. They are not allowed while a row of it is in flight. */
#include "plugin/backend.h"

#define CALL(b, slot, ...) ((b)->plugin->table.slot((b)->ctx, __VA_ARGS__))

/* Checks that the host makes its own calls in order, then enters. */
static int enter(struct backend *b, uint32_t seq, bool want_open, struct orcd_error *err)
{
    if (!atomic_load_explicit(&b->ctx, memory_order_relaxed))
        return error_set(err, ORCD_E_INTERNAL, "the backend has no context");
    if (seq >= b->params.n_sequences)
        return error_set(
            err, ORCD_E_INVALID, "no sequence %u; the context has %u", seq, b->params.n_sequences);
    if (b->open[seq] != want_open)
        return error_set(
            err, ORCD_E_INVALID, "sequence %u is %s", seq, want_open ? "not open" : "already open");
    PLUGIN_RULE(!b->in_flight[seq], "a call on a sequence with rows in flight");
    if (b->in_flight[seq])
        return error_set(err, ORCD_E_BUSY, "sequence %u has rows in flight", seq);
    return backend_enter(b, err);
}

int backend_seq_open(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    int rc = enter(b, seq, false, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = backend_answer(b, "seq_open", CALL(b, seq_open, seq, max_tokens, &theirs), &theirs, err);
    if (rc == 0) {
        b->open[seq] = true;
        b->len[seq] = 0;
    }
    backend_leave(b);
    return rc;
}

int backend_seq_reserve(struct backend *b, uint32_t seq, uint32_t max_tokens, struct orcd_error *err)
{
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = backend_answer(b, "seq_reserve", CALL(b, seq_reserve, seq, max_tokens, &theirs), &theirs, err);
    backend_leave(b);
    return rc;
}

int backend_seq_close(struct backend *b, uint32_t seq, struct orcd_error *err)
{
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = backend_answer(b, "seq_close", CALL(b, seq_close, seq, &theirs), &theirs, err);
    if (rc == 0) {
        b->open[seq] = false;
        b->len[seq] = 0;
    }
    backend_leave(b);
    return rc;
}

int backend_seq_len(struct backend *b, uint32_t seq, uint32_t *len, struct orcd_error *err)
{
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    uint32_t answer = 0;
    rc = backend_answer(b, "seq_len", CALL(b, seq_len, seq, &answer, &theirs), &theirs, err);
    if (rc == 0 && answer != b->len[seq])
        rc = backend_bad_answer(b, "seq_len", "returned another length than the steps did", err);
    if (rc == 0)
        *len = answer;
    backend_leave(b);
    return rc;
}

int backend_seq_trim(struct backend *b, uint32_t seq, uint32_t n, uint32_t *kept, struct orcd_error *err)
{
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    uint32_t answer = 0, most = n < b->len[seq] ? n : b->len[seq];
    rc = backend_answer(b, "seq_trim", CALL(b, seq_trim, seq, n, &answer, &theirs), &theirs, err);
    if (rc == 0 && answer > most)
        rc = backend_bad_answer(b, "seq_trim", "kept more tokens than it was asked to", err);
    if (rc == 0) {
        b->len[seq] = answer;
        *kept = answer;
    }
    backend_leave(b);
    return rc;
}

int backend_seq_sampler(
    struct backend *b, uint32_t seq, const struct orcd_sampler *sampler, struct orcd_error *err)
{
    if (!b->plugin->table.seq_sampler)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "sampling is not supported by plugin %s", b->plugin->table.name);
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    rc = backend_answer(b, "seq_sampler", CALL(b, seq_sampler, seq, sampler, &theirs), &theirs, err);
    backend_leave(b);
    return rc;
}

int backend_seq_fork(struct backend *b, uint32_t from, uint32_t to, uint32_t n, struct orcd_error *err)
{
    if (!b->plugin->table.seq_fork)
        return error_set(err, ORCD_E_UNSUPPORTED, "forking sequences is not supported by plugin %s",
            b->plugin->table.name);
    if (to >= b->params.n_sequences || !b->open[to] || b->in_flight[to] || b->len[to] || to == from)
        return error_set(err, ORCD_E_INVALID, "sequence %u must be open, idle and empty", to);
    int rc = enter(b, from, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    if (n > b->len[from])
        rc = error_set(err, ORCD_E_INVALID, "sequence %u has %u tokens, not %u", from, b->len[from], n);
    else
        rc = backend_answer(b, "seq_fork", CALL(b, seq_fork, from, to, n, &theirs), &theirs, err);
    if (rc == 0)
        b->len[to] = n;
    backend_leave(b);
    return rc;
}

int backend_seq_save(struct backend *b, uint32_t seq, void *buf, uint64_t *bytes, struct orcd_error *err)
{
    if (!b->plugin->table.seq_save || !b->plugin->table.seq_load)
        return error_set(
            err, ORCD_E_UNSUPPORTED, "saving sequences is not supported by plugin %s", b->plugin->table.name);
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    uint64_t answer = buf ? *bytes : 0;
    rc = backend_answer(b, "seq_save", CALL(b, seq_save, seq, buf, &answer, &theirs), &theirs, err);
    if (rc == 0 && buf && answer > *bytes)
        rc = backend_bad_answer(b, "seq_save", "wrote more bytes than the buffer has", err);
    if (rc == 0)
        *bytes = answer;
    backend_leave(b);
    return rc;
}

int backend_seq_load(struct backend *b, uint32_t seq, const void *buf, uint64_t bytes, struct orcd_error *err)
{
    if (!b->plugin->table.seq_load)
        return error_set(err, ORCD_E_UNSUPPORTED, "loading sequences is not supported by plugin %s",
            b->plugin->table.name);
    int rc = enter(b, seq, true, err);
    if (rc)
        return rc;
    struct orcd_error theirs = ORCD_ERROR_INIT;
    uint32_t len = 0;
    rc = backend_answer(b, "seq_load", CALL(b, seq_load, seq, buf, bytes, &theirs), &theirs, err);
    if (rc == 0)
        rc = backend_answer(b, "seq_len", CALL(b, seq_len, seq, &len, &theirs), &theirs, err);
    if (rc == 0 && len > b->params.n_ctx)
        rc = backend_bad_answer(b, "seq_load", "loaded a sequence longer than the context", err);
    if (rc == 0)
        b->len[seq] = len;
    backend_leave(b);
    return rc;
}
