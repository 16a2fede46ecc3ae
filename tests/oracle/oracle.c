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

/* Rotates one head in place. */
static void rope(const struct oracle *o, double *head, size_t pos)
{
    size_t half = o->rope_dims / 2;
    for (size_t i = 0; i < half; i++) {
        double theta =
            (double)pos / o->rope_factor * pow(o->rope_base, -2.0 * (double)i / (double)o->rope_dims);
        if (o->rope_freqs)
            theta /= (double)o->rope_freqs[i];
        double *a = o->neox ? &head[i] : &head[2 * i];
        double *b = o->neox ? &head[i + half] : &head[2 * i + 1];
        double x = *a, y = *b;
        *a = x * cos(theta) - y * sin(theta);
        *b = x * sin(theta) + y * cos(theta);
    }
}

/* Norm (if any) and rotation of every head of every position: x[n][heads][head_k]. */
static void prepare_heads(const struct oracle *o, double *x, size_t n, size_t heads, const float *norm)
{
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++) {
            double *head = x + (t * heads + h) * o->head_k;
            if (norm)
                rms_norm(head, head, norm, o->head_k, o->eps);
            rope(o, head, t);
        }
}

/* One query over positions 0..t. */
static void attend(const struct oracle *o, const struct layer *l, const double *q, const double *k,
    const double *v, size_t t, size_t kv_head, double *weights, double *out)
{
    double max = -INFINITY, sum = 0;
    for (size_t s = 0; s <= t; s++) {
        const double *key = k + (s * l->kv_heads + kv_head) * o->head_k;
        double dot = 0;
        for (size_t i = 0; i < o->head_k; i++)
            dot += q[i] * key[i];
        weights[s] = dot / sqrt((double)o->head_k);
        max = fmax(max, weights[s]);
    }
    for (size_t s = 0; s <= t; s++)
        sum += weights[s] = exp(weights[s] - max);
    for (size_t i = 0; i < o->head_v; i++)
        out[i] = 0;
    for (size_t s = 0; s <= t; s++)
        for (size_t i = 0; i < o->head_v; i++)
            out[i] += weights[s] / sum * v[(s * l->kv_heads + kv_head) * o->head_v + i];
}

static void add(double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
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
    prepare_heads(o, q, n, heads, l->q_norm);
    prepare_heads(o, k, n, kv, l->k_norm);
    for (size_t t = 0; t < n; t++)
        for (size_t h = 0; h < heads; h++)
            attend(o, l, q + (t * heads + h) * hk, k, v, t, h / (heads / kv), weights,
                mixed + (t * heads + h) * hv);
    oracle_matmul(y, mixed, l->out, l->out_bias, n, e, heads * hv);
    add(x, y, n * e);
    free(q);
    free(k);
    free(v);
    free(mixed);
    free(weights);
    free(y);
}

static void feed_forward(
    const struct oracle *o, const struct layer *l, double *x, const double *normed, size_t n)
{
    size_t e = o->embd, ff = l->ff;
    double *gate = oracle_alloc(n * ff, sizeof(*gate)), *up = oracle_alloc(n * ff, sizeof(*up));
    double *y = oracle_alloc(n * e, sizeof(*y));
    oracle_matmul(gate, normed, l->gate, l->gate_bias, n, ff, e);
    oracle_matmul(up, normed, l->up, l->up_bias, n, ff, e);
    for (size_t i = 0; i < n * ff; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    oracle_matmul(y, gate, l->down, l->down_bias, n, e, ff);
    add(x, y, n * e);
    free(gate);
    free(up);
    free(y);
}

/* Logits of positions from..n-1. */
static void forward(const struct oracle *o, const int32_t *tokens, size_t n, size_t from, float *out)
{
    size_t e = o->embd;
    double *x = oracle_alloc(n * e, sizeof(*x)), *normed = oracle_alloc(n * e, sizeof(*normed));
    for (size_t t = 0; t < n; t++) {
        assert(tokens[t] >= 0 && (size_t)tokens[t] < o->vocab);
        for (size_t i = 0; i < e; i++)
            x[t * e + i] = (double)o->token_embd[(size_t)tokens[t] * e + i];
    }
    for (size_t i = 0; i < o->n_layers; i++) {
        const struct layer *l = &o->layers[i];
        for (size_t t = 0; t < n; t++)
            rms_norm(normed + t * e, x + t * e, l->attn_norm, e, o->eps);
        attention(o, l, x, normed, n);
        for (size_t t = 0; t < n; t++)
            rms_norm(normed + t * e, x + t * e, l->ffn_norm, e, o->eps);
        feed_forward(o, l, x, normed, n);
    }
    for (size_t t = from; t < n; t++)
        rms_norm(normed + t * e, x + t * e, o->output_norm, e, o->eps);
    double *logits = oracle_alloc((n - from) * o->vocab, sizeof(*logits));
    oracle_matmul(logits, normed + from * e, o->output, NULL, n - from, o->vocab, e);
    for (size_t i = 0; i < (n - from) * o->vocab; i++)
        out[i] = (float)logits[i];
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
