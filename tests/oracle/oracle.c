#include "tests/oracle/oracle.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "tests/oracle/oracle-internal.h"

/* y = x / rms(x) * w */
static void rms_norm(double *y, const double *x, const float *w, size_t n, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double scale = 1 / sqrt(sum / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale * (double)w[i];
}

/* y = (x - mean) / deviation * w + bias */
static void layer_norm(double *y, const double *x, const float *w, const float *bias, size_t n, double eps)
{
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(var + eps) * (double)w[i] + (bias ? (double)bias[i] : 0);
}

static void norm(const struct oracle *o, double *y, const double *x, const float *w, const float *bias)
{
    if (o->layer_norm)
        layer_norm(y, x, w, bias, o->embd, o->eps);
    else
        rms_norm(y, x, w, o->embd, o->eps);
}

/* YaRN mixes the interpolated angle with the one of the original training: pairs that turn
 * often keep it. Borders are rounded to whole pairs. */
static double yarn_factor(const struct oracle *o, size_t pair)
{
    double per_turn = 2 * log(o->rope_base), orig = (double)o->original_context, d = (double)o->rope_dims;
    double low = floor(d * log(orig / (o->yarn_fast * 2 * M_PI)) / per_turn);
    double high = ceil(d * log(orig / (o->yarn_slow * 2 * M_PI)) / per_turn);
    low = fmax(low, 0);
    high = fmin(high, d - 1);
    double ramp = fmin(1, fmax(0, ((double)pair - low) / fmax(0.001, high - low)));
    double keeps = (1 - ramp) * o->yarn_ext;
    return (1 - keeps) / o->rope_factor + keeps;
}

/* Rotates one head in place; local: in a layer that has its own base. */
static void rope(const struct oracle *o, double *head, size_t pos, bool local)
{
    size_t half = o->rope_dims / 2;
    const float *factors = o->context > o->original_context ? o->rope_long : o->rope_short;
    for (size_t i = 0; i < half; i++) {
        double base = local ? o->local_base : o->rope_base;
        double theta = (double)pos * pow(base, -2.0 * (double)i / (double)o->rope_dims);
        if (!local)
            theta *= o->yarn_ext != 0 ? yarn_factor(o, i) : 1 / o->rope_factor;
        if (o->rope_freqs)
            theta /= (double)o->rope_freqs[i];
        if (factors)
            theta /= (double)factors[i];
        double *a = o->neox ? &head[i] : &head[2 * i];
        double *b = o->neox ? &head[i + half] : &head[2 * i + 1];
        double x = *a, y = *b, c = cos(theta) * o->rope_magnitude, s = sin(theta) * o->rope_magnitude;
        *a = x * c - y * s;
        *b = x * s + y * c;
    }
}

/* Norm (if any) and rotation of every head of every position: x[n][heads][head_k]. */
static void prepare_heads(
    const struct oracle *o, double *x, size_t n, size_t heads, const float *norm, bool local)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++) {
            double *head = x + (t * heads + h) * o->head_k;
            if (norm)
                rms_norm(head, head, norm, o->head_k, o->eps);
            if (o->rotates)
                rope(o, head, t, local);
        }
}

/* Nearly x while it is small, never beyond the cap; 0: x. */
static double capped(double x, double cap)
{
    return cap != 0 ? cap * tanh(x / cap) : x;
}

/* One query over the positions that it sees, up to its own. sink: NULL, or a logit that takes
 * its part of the softmax and gives nothing. */
static void attend(const struct oracle *o, const struct layer *l, const double *q, const double *k,
    const double *v, size_t t, size_t kv_head, const float *sink, double *weights, double *out)
{
    double max = sink ? (double)*sink : -INFINITY, sum = 0;
    size_t first = l->window && t >= l->window ? t - l->window + 1 : 0;
    for (size_t s = first; s <= t; s++) {
        const double *key = k + (s * l->kv_heads + kv_head) * o->head_k;
        double dot = 0;
        for (size_t i = 0; i < o->head_k; i++)
            dot += q[i] * key[i];
        weights[s] = capped(dot * o->attn_scale, o->attn_cap);
        max = fmax(max, weights[s]);
    }
    if (sink)
        sum = exp((double)*sink - max);
    for (size_t s = first; s <= t; s++)
        sum += weights[s] = exp(weights[s] - max);
    for (size_t i = 0; i < o->head_v; i++)
        out[i] = 0;
    for (size_t s = first; s <= t; s++)
        for (size_t i = 0; i < o->head_v; i++)
            out[i] += weights[s] / sum * v[(s * l->kv_heads + kv_head) * o->head_v + i];
}

static void add(double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* In place; w NULL: not at all. */
static void norm_each(const struct oracle *o, double *y, const float *w, size_t n)
{
    for (size_t t = 0; t < n && w; t++)
        rms_norm(y + t * o->embd, y + t * o->embd, w, o->embd, o->eps);
}

static void attention(
    const struct oracle *o, const struct layer *l, double *x, const double *normed, size_t n)
{
    size_t e = o->embd, hk = o->head_k, hv = o->head_v, heads = l->heads, kv = l->kv_heads;
    double *q = oracle_alloc(n * heads * hk, sizeof(*q)), *k = oracle_alloc(n * kv * hk, sizeof(*k));
    double *v = oracle_alloc(n * kv * hv, sizeof(*v)), *mixed = oracle_alloc(n * heads * hv, sizeof(*mixed));
    double *weights = oracle_alloc(n, sizeof(*weights)), *y = oracle_alloc(n * e, sizeof(*y));
    oracle_matmul(q, normed, l->q, l->q_bias, n, heads * hk, e);
    oracle_matmul(k, normed, l->k, l->k_bias, n, kv * hk, e);
    oracle_matmul(v, normed, l->v, l->v_bias, n, kv * hv, e);
    bool local = l->window && o->local_base != 0;
    prepare_heads(o, q, n, heads, l->q_norm, local);
    prepare_heads(o, k, n, kv, l->k_norm, local);
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++)
            attend(o, l, q + (t * heads + h) * hk, k, v, t, h / (heads / kv), l->sinks ? &l->sinks[h] : NULL,
                weights, mixed + (t * heads + h) * hv);
    oracle_matmul(y, mixed, l->out, l->out_bias, n, e, heads * hv);
    norm_each(o, y, l->attn_post_norm, n);
    add(x, y, n * e);
    free(q);
    free(k);
    free(v);
    free(mixed);
    free(weights);
    free(y);
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double activate(const struct oracle *o, double gate, double up)
{
    switch (o->act) {
    case ACT_GELU:
        return gelu(up);
    case ACT_GELU_GATED:
        return gelu(gate) * up;
    case ACT_OAI:
        gate = fmin(gate, 7);
        up = fmax(-7, fmin(up, 7));
        return gate / (1 + exp(-1.702 * gate)) * (up + 1);
    default:
        return gate / (1 + exp(-gate)) * up;
    }
}

static const float *part(const float *x, size_t at)
{
    return x ? x + at : NULL;
}

/* y = the feed-forward part of n positions; expert: of the weights, 0 where there are none. */
static void feed(
    const struct oracle *o, const struct layer *l, double *y, const double *normed, size_t n, size_t expert)
{
    size_t e = o->embd, ff = l->ff, at = expert * ff * e;
    double *gate = oracle_alloc(n * ff, sizeof(*gate)), *up = oracle_alloc(n * ff, sizeof(*up));
    if (l->gate)
        oracle_matmul(gate, normed, l->gate + at, part(l->gate_bias, expert * ff), n, ff, e);
    oracle_matmul(up, normed, l->up + at, part(l->up_bias, expert * ff), n, ff, e);
    for (size_t i = 0; i < n * ff; i++)
        gate[i] = activate(o, gate[i], up[i]);
    oracle_matmul(y, gate, l->down + at, part(l->down_bias, expert * e), n, e, ff);
    free(gate);
    free(up);
}

/* The one that all tokens share, weighted by a sigmoid of its own: added to y. */
static void add_shared(const struct oracle *o, const struct layer *l, double *y, const double *normed)
{
    size_t e = o->embd, ff = o->shared_ff;
    double *gate = oracle_alloc(ff, sizeof(*gate)), *up = oracle_alloc(ff, sizeof(*up));
    double *out = oracle_alloc(e, sizeof(*out)), logit;
    oracle_matmul(&logit, normed, l->shared_router, NULL, 1, 1, e);
    oracle_matmul(gate, normed, l->shared_gate, NULL, 1, ff, e);
    oracle_matmul(up, normed, l->shared_up, NULL, 1, ff, e);
    for (size_t i = 0; i < ff; i++)
        gate[i] = activate(o, gate[i], up[i]);
    oracle_matmul(out, gate, l->shared_down, NULL, 1, e, ff);
    for (size_t i = 0; i < e; i++)
        y[i] += out[i] / (1 + exp(-logit));
    free(gate);
    free(up);
    free(out);
}

/* The experts with the largest logits, weighted by the softmax over those (or over all). */
static void mix_experts(const struct oracle *o, const struct layer *l, double *y, const double *normed)
{
    size_t e = o->embd;
    double *logits = oracle_alloc(o->experts, sizeof(*logits)), *one = oracle_alloc(e, sizeof(*one));
    double sum = 0;
    bool *chosen = oracle_alloc(o->experts, sizeof(*chosen));
    oracle_matmul(logits, normed, l->router, l->router_bias, 1, o->experts, e);
    for (size_t k = 0; k < o->experts_used; k++) {
        size_t best = o->experts;
        for (size_t x = 0; x < o->experts; x++)
            if (!chosen[x] && (best == o->experts || logits[x] > logits[best]))
                best = x;
        chosen[best] = true;
        sum += exp(logits[best] - logits[0]);
    }
    for (size_t x = 0; x < o->experts && o->over_all; x++)
        sum += chosen[x] ? 0 : exp(logits[x] - logits[0]);
    for (size_t x = 0; x < o->experts; x++) {
        if (!chosen[x])
            continue;
        feed(o, l, one, normed, 1, x);
        for (size_t i = 0; i < e; i++)
            y[i] += exp(logits[x] - logits[0]) / sum * one[i];
    }
    if (l->shared_router)
        add_shared(o, l, y, normed);
    free(logits);
    free(one);
    free(chosen);
}

static void feed_forward(
    const struct oracle *o, const struct layer *l, double *x, const double *normed, size_t n)
{
    size_t e = o->embd;
    double *y = oracle_alloc(n * e, sizeof(*y));
    if (!l->router)
        feed(o, l, y, normed, n, 0);
    for (size_t t = 0; t < n && l->router; t++)
        mix_experts(o, l, y + t * e, normed + t * e);
    norm_each(o, y, l->ffn_post_norm, n);
    add(x, y, n * e);
    free(y);
}

/* Logits of positions from..n-1. */
static void forward(const struct oracle *o, const int32_t *tokens, size_t n, size_t from, float *out)
{
    size_t e = o->embd;
    double *x = oracle_alloc(n * e, sizeof(*x)), *normed = oracle_alloc(n * e, sizeof(*normed));
    for (size_t t = 0; t < n; t++) {
        assert(!o->position_embd || t < o->positions);
        assert(tokens[t] >= 0 && (size_t)tokens[t] < o->vocab);
        for (size_t i = 0; i < e; i++)
            x[t * e + i] = (double)o->token_embd[(size_t)tokens[t] * e + i] * o->embd_scale +
                           (o->position_embd ? (double)o->position_embd[t * e + i] : 0);
    }
    for (size_t i = 0; i < o->n_layers; i++) {
        const struct layer *l = &o->layers[i];
        for (size_t t = 0; t < n; t++)
            norm(o, normed + t * e, x + t * e, l->attn_norm, l->attn_norm_bias);
        attention(o, l, x, normed, n);
        for (size_t t = 0; t < n; t++)
            norm(o, normed + t * e, x + t * e, l->ffn_norm, l->ffn_norm_bias);
        feed_forward(o, l, x, normed, n);
    }
    for (size_t t = from; t < n; t++)
        norm(o, normed + t * e, x + t * e, o->output_norm, o->output_norm_bias);
    double *logits = oracle_alloc((n - from) * o->vocab, sizeof(*logits));
    oracle_matmul(logits, normed + from * e, o->output, NULL, n - from, o->vocab, e);
    for (size_t i = 0; i < (n - from) * o->vocab; i++)
        out[i] = (float)capped(logits[i], o->logit_cap);
    free(logits);
    free(normed);
    free(x);
}

void oracle_logits(const struct oracle *o, const int32_t *tokens, size_t n, float *out)
{
    forward(o, tokens, n, 0, out);
}

void oracle_logits_last(const struct oracle *o, const int32_t *tokens, size_t n, float *out)
{
    if (n)
        forward(o, tokens, n, n - 1, out);
}
