#include "sample/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "sample/select.h"
#include "sample/softmax.h"

/* The most tokens that the repetition penalty looks back at. */
#define MAX_WINDOW (UINT32_C(1) << 20)

struct sampler {
    uint32_t n_vocab;
    const struct sample_params *params;

    /* The token history as counts, and the list of tokens whose counts are not 0. */
    uint32_t *in_window, *in_output; /* [n_vocab] */
    bool *is_seen;                   /* [n_vocab] */
    int32_t *seen;                   /* [n_vocab] */
    uint32_t n_seen;
    int32_t *window; /* a ring of the last window_size tokens */
    uint32_t window_size, window_room, window_used, window_at;

    /* Scratch memory of one draw. */
    float *work;       /* [n_vocab] logits after bias and penalties */
    float *block_max;  /* of the logits in use */
    double *block_sum; /* of weights */
    float *weights;    /* [n_vocab] */
    /* The kept set so far, by ascending id. */
    int32_t *ids;
    float *x, *w;
    uint32_t *keys;
    size_t n_kept;
};

void sample_params_default(struct sample_params *p)
{
    *p = (struct sample_params){.temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1};
}

int sampler_new(struct sampler **out, uint32_t n_vocab, struct orcd_error *err)
{
    if (n_vocab == 0 || n_vocab > UINT32_C(1) << 24)
        return error_set(err, ORCD_E_INVALID, "a vocabulary of %u tokens; 1 to %u are allowed", n_vocab,
            UINT32_C(1) << 24);
    struct sampler *s = calloc(1, sizeof(*s));
    if (!s)
        return error_set(err, ORCD_E_NOMEM, "out of memory for a sampler");
    size_t n = n_vocab, blocks = softmax_blocks(n);
    s->n_vocab = n_vocab;
    s->in_window = calloc(n, sizeof(*s->in_window));
    s->in_output = calloc(n, sizeof(*s->in_output));
    s->is_seen = calloc(n, sizeof(*s->is_seen));
    s->seen = malloc(n * sizeof(*s->seen));
    s->work = malloc(n * sizeof(*s->work));
    s->block_max = malloc(blocks * sizeof(*s->block_max));
    s->block_sum = malloc(blocks * sizeof(*s->block_sum));
    s->weights = malloc(n * sizeof(*s->weights));
    s->ids = malloc(n * sizeof(*s->ids));
    s->x = malloc(n * sizeof(*s->x));
    s->w = malloc(n * sizeof(*s->w));
    s->keys = malloc(n * sizeof(*s->keys));
    if (!s->in_window || !s->in_output || !s->is_seen || !s->seen || !s->work || !s->block_max ||
        !s->block_sum || !s->weights || !s->ids || !s->x || !s->w || !s->keys) {
        sampler_free(s);
        return error_set(
            err, ORCD_E_NOMEM, "out of memory for the sampler of a vocabulary of %u tokens", n_vocab);
    }
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->in_window);
    free(s->in_output);
    free(s->is_seen);
    free(s->seen);
    free(s->window);
    free(s->work);
    free(s->block_max);
    free(s->block_sum);
    free(s->weights);
    free(s->ids);
    free(s->x);
    free(s->w);
    free(s->keys);
    free(s);
}

/* ------------------------------------------------------------------ history */

static void see(struct sampler *s, int32_t id)
{
    if (!s->is_seen[id]) {
        s->is_seen[id] = true;
        s->seen[s->n_seen++] = id;
    }
}

static void window_push(struct sampler *s, int32_t id)
{
    if (s->window_size == 0)
        return;
    if (s->window_used == s->window_size)
        s->in_window[s->window[s->window_at]]--;
    else
        s->window_used++;
    s->window[s->window_at] = id;
    s->window_at = s->window_at + 1 == s->window_size ? 0 : s->window_at + 1;
    s->in_window[id]++;
    see(s, id);
}

static bool valid_id(const struct sampler *s, int32_t id)
{
    return id >= 0 && (uint32_t)id < s->n_vocab;
}

static bool in_range(float x, float low, float high)
{
    return x >= low && x <= high; /* false for NaN */
}

static int check_params(const struct sampler *s, const struct sample_params *p, struct orcd_error *err)
{
    if (!in_range(p->temperature, 0, FLT_MAX) || !in_range(p->top_p, 0, 1) || !in_range(p->min_p, 0, 1) ||
        !in_range(p->typical_p, 0, 1) || !in_range(p->repetition_penalty, FLT_MIN, FLT_MAX) ||
        !in_range(p->frequency_penalty, -FLT_MAX, FLT_MAX) ||
        !in_range(p->presence_penalty, -FLT_MAX, FLT_MAX) || p->n_logprobs > SAMPLE_MAX_LOGPROBS ||
        p->n_bias > SAMPLE_MAX_BIAS || (p->n_bias && !p->bias))
        return error_set(err, ORCD_E_INVALID, "a sampling parameter is out of range");
    for (uint32_t i = 0; i < p->n_bias; i++)
        if (!valid_id(s, p->bias[i].id) || !isfinite(p->bias[i].value))
            return error_set(err, ORCD_E_INVALID, "logit_bias: token %d is not in the vocabulary of %u",
                p->bias[i].id, s->n_vocab);
    return 0;
}

int sampler_begin(struct sampler *s, const struct sample_params *params, const int32_t *prompt,
    size_t n_prompt, struct orcd_error *err)
{
    int rc = check_params(s, params, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n_prompt; i++)
        if (!valid_id(s, prompt[i]))
            return error_set(
                err, ORCD_E_INVALID, "prompt token %d is not in the vocabulary of %u", prompt[i], s->n_vocab);
    uint32_t size = params->repetition_penalty == 1 ? 0 : params->repeat_last_n;
    if (size > MAX_WINDOW)
        size = MAX_WINDOW;
    if (size > s->window_room) {
        int32_t *window = realloc(s->window, size * sizeof(*window));
        if (!window)
            return error_set(err, ORCD_E_NOMEM, "out of memory for %u tokens of history", size);
        s->window = window;
        s->window_room = size;
    }
    for (uint32_t i = 0; i < s->n_seen; i++) {
        s->in_window[s->seen[i]] = s->in_output[s->seen[i]] = 0;
        s->is_seen[s->seen[i]] = false;
    }
    s->n_seen = 0;
    s->window_size = size;
    s->window_used = s->window_at = 0;
    s->params = params;
    for (size_t i = n_prompt > size ? n_prompt - size : 0; i < n_prompt; i++)
        window_push(s, prompt[i]);
    return 0;
}

void sampler_accept(struct sampler *s, int32_t id)
{
    const struct sample_params *p = s->params;
    if (!valid_id(s, id))
        return;
    window_push(s, id);
    if (p->frequency_penalty != 0 || p->presence_penalty != 0) {
        s->in_output[id]++;
        see(s, id);
    }
}

/* ------------------------------------------------------- logits to candidates */

static float cleaned(float x)
{
    return isnan(x) ? -INFINITY : x > FLT_MAX ? FLT_MAX : x;
}

static void penalize(struct sampler *s)
{
    const struct sample_params *p = s->params;
    for (uint32_t i = 0; i < p->n_bias; i++) {
        float *l = &s->work[p->bias[i].id];
        *l = cleaned(*l + p->bias[i].value);
    }
    for (uint32_t i = 0; i < s->n_seen; i++) {
        int32_t id = s->seen[i];
        float l = s->work[id];
        if (s->in_window[id])
            l = l <= 0 ? l * p->repetition_penalty : l / p->repetition_penalty;
        if (s->in_output[id])
            l -= (float)s->in_output[id] * p->frequency_penalty + p->presence_penalty;
        s->work[id] = cleaned(l);
    }
}

/* Puts all ids with x >= least into the kept set. Blocks whose maximum is below it are skipped. */
static void gather(struct sampler *s, const float *x, float least)
{
    size_t n = s->n_vocab, kept = 0;
    for (size_t b = 0; b * SOFTMAX_BLOCK < n; b++) {
        if (s->block_max[b] < least)
            continue;
        size_t end = b * SOFTMAX_BLOCK + SOFTMAX_BLOCK;
        end = end < n ? end : n;
        for (size_t i = b * SOFTMAX_BLOCK; i < end; i++) {
            s->ids[kept] = (int32_t)i;
            s->x[kept] = x[i];
            kept += x[i] >= least && x[i] > -INFINITY;
        }
    }
    s->n_kept = kept;
}

static inline void move(struct sampler *s, size_t to, size_t from)
{
    s->ids[to] = s->ids[from];
    s->x[to] = s->x[from];
    s->w[to] = s->w[from];
}

/* Keeps the items that are in the cut; s->keys must be the keys that the cut was computed from. */
static void apply_cut(struct sampler *s, struct select_cut cut)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_kept; i++) {
        bool in = s->keys[i] < cut.key;
        if (s->keys[i] == cut.key && cut.ties) {
            cut.ties--;
            in = true;
        }
        move(s, kept, i);
        kept += in;
    }
    s->n_kept = kept;
}

static void keys_descending(struct sampler *s)
{
    for (size_t i = 0; i < s->n_kept; i++)
        s->keys[i] = select_key_descending(s->x[i]);
}

/* Puts the k best of x into the kept set, ties by lowest id. At least k items reach the k-th best block
 * maximum, so items below it are never read again. */
static void keep_top_k(struct sampler *s, const float *x, uint32_t k)
{
    size_t blocks = softmax_blocks(s->n_vocab);
    float least = -INFINITY;
    if (k < blocks) {
        for (size_t b = 0; b < blocks; b++)
            s->keys[b] = select_key_descending(s->block_max[b]);
        struct select_cut cut = select_prefix(s->keys, NULL, blocks, k, false);
        for (size_t b = 0; b < blocks; b++)
            if (s->keys[b] == cut.key)
                least = s->block_max[b];
    }
    gather(s, x, least);
    if (s->n_kept <= k)
        return;
    keys_descending(s);
    apply_cut(s, select_prefix(s->keys, NULL, s->n_kept, k, false));
}

/* Computes the weights of the kept set. Items with weight 0 (underflow) cannot be drawn and are removed. */
static double weigh(struct sampler *s, float max, double scale)
{
    softmax_weights(s->x, s->n_kept, max, scale, s->w, NULL);
    size_t kept = 0;
    double sum = 0;
    for (size_t i = 0; i < s->n_kept; i++) {
        sum += (double)s->w[i];
        move(s, kept, i);
        kept += s->w[i] > 0;
    }
    s->n_kept = kept;
    return sum;
}

/* --------------------------------------------------------------- truncation */

static double kept_sum(const struct sampler *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n_kept; i++)
        sum += (double)s->w[i];
    return sum;
}

/* Ascending |-ln p - entropy| until the sum is above typical_p. With z = (x - max) *
 * scale, -ln p = ln sum - z and the entropy is ln sum - mean z. */
static void keep_typical(struct sampler *s, float max, double scale, double sum)
{
    double mean = 0;
    for (size_t i = 0; i < s->n_kept; i++)
        mean += (double)s->w[i] * (((double)s->x[i] - (double)max) * scale);
    mean /= sum;
    for (size_t i = 0; i < s->n_kept; i++) {
        double z = ((double)s->x[i] - (double)max) * scale;
        s->keys[i] = select_key_ascending((float)fabs(mean - z));
    }
    apply_cut(s, select_prefix(s->keys, s->w, s->n_kept, (double)s->params->typical_p * sum, true));
}

static void keep_top_p(struct sampler *s, double sum)
{
    keys_descending(s);
    apply_cut(s, select_prefix(s->keys, s->w, s->n_kept, (double)s->params->top_p * sum, false));
}

static void keep_min_p(struct sampler *s, double scale)
{
    float best = -INFINITY;
    for (size_t i = 0; i < s->n_kept; i++)
        best = s->x[i] > best ? s->x[i] : best;
    double least = log((double)s->params->min_p);
    size_t kept = 0;
    for (size_t i = 0; i < s->n_kept; i++) {
        bool in = ((double)s->x[i] - (double)best) * scale >= least;
        move(s, kept, i);
        kept += in;
    }
    s->n_kept = kept;
}

/* Narrows the vocabulary to the kept set. False: no rule narrows it. If a rule acts on the whole
 * vocabulary, items that it cannot keep are left out before it is applied. */
static bool narrow(struct sampler *s, const float *x, float max, double scale)
{
    const struct sample_params *p = s->params;
    double sum;
    if (p->top_k && p->top_k < s->n_vocab) {
        keep_top_k(s, x, p->top_k);
        sum = weigh(s, max, scale);
    } else if (p->typical_p < 1) {
        gather(s, x, -INFINITY);
        sum = weigh(s, max, scale);
    } else if (p->top_p < 1) {
        /* The weights of all tokens below this one sum to less than 1 - top_p. */
        sum = softmax_weights(x, s->n_vocab, max, scale, NULL, NULL);
        double least = 0.5 * (1 - (double)p->top_p) * sum / s->n_vocab;
        gather(s, x, (float)((double)max + log(least) / scale));
        weigh(s, max, scale);
    } else if (p->min_p > 0) {
        gather(s, x, (float)((double)max + (log((double)p->min_p) - 1) / scale));
        sum = weigh(s, max, scale);
    } else {
        return false;
    }
    if (p->typical_p < 1) {
        keep_typical(s, max, scale, sum);
        sum = kept_sum(s);
    }
    if (p->top_p < 1)
        keep_top_p(s, sum);
    if (p->min_p > 0)
        keep_min_p(s, scale);
    return true;
}

/* --------------------------------------------------------------------- draw */

/* The lowest id among the largest. */
static int32_t argmax(const struct sampler *s, const float *x, float max)
{
    size_t b = 0;
    while (s->block_max[b] < max)
        b++;
    size_t i = b * SOFTMAX_BLOCK;
    while (!(x[i] >= max))
        i++;
    return (int32_t)i;
}

static int32_t draw_kept(const struct sampler *s, double u)
{
    double target = u * kept_sum(s), sum = 0;
    for (size_t i = 0; i < s->n_kept; i++) {
        sum += (double)s->w[i];
        if (sum > target)
            return s->ids[i];
    }
    return s->ids[s->n_kept - 1];
}

static int32_t draw_all(struct sampler *s, const float *x, float max, double scale, double u)
{
    size_t n = s->n_vocab, last = 0;
    double target = u * softmax_weights(x, n, max, scale, s->weights, s->block_sum), sum = 0;
    size_t b = 0;
    while (b + 1 < softmax_blocks(n) && sum + s->block_sum[b] <= target)
        sum += s->block_sum[b++];
    /* The sum of a block was computed in another order, so at its end rounding may miss the target by the
     * last bit. */
    size_t end = b * SOFTMAX_BLOCK + SOFTMAX_BLOCK;
    end = end < n ? end : n;
    for (size_t i = b * SOFTMAX_BLOCK; i < end; i++) {
        if (s->weights[i] > 0)
            last = i;
        sum += (double)s->weights[i];
        if (sum > target)
            break;
    }
    return (int32_t)last;
}

/* ----------------------------------------------------------------- logprobs */

static bool before(const struct sampler *s, size_t a, size_t b)
{
    return s->x[a] > s->x[b] || (s->x[a] == s->x[b] && s->ids[a] < s->ids[b]);
}

static void top_logprobs(
    struct sampler *s, const float *x, uint32_t n, double log_sum, struct sample_result *result)
{
    keep_top_k(s, x, n);
    result->n_top = (uint32_t)s->n_kept;
    size_t order[SAMPLE_MAX_LOGPROBS];
    for (size_t i = 0; i < s->n_kept; i++) {
        size_t at = i;
        for (; at > 0 && before(s, i, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (size_t i = 0; i < s->n_kept; i++) {
        result->top_ids[i] = s->ids[order[i]];
        result->top_logprobs[i] = (float)((double)s->x[order[i]] - log_sum);
    }
}

int sampler_draw(struct sampler *s, const float *logits, uint64_t position, struct sample_result *result,
    struct orcd_error *err)
{
    const struct sample_params *p = s->params;
    const float *x = logits;
    float max = softmax_max(x, s->n_vocab, s->block_max);
    if (max == -INFINITY)
        return error_set(err, ORCD_E_DEVICE, "all logits from the device are NaN or -inf");
    bool penalties = p->n_bias || s->n_seen;
    if (penalties || max == INFINITY) {
        for (size_t i = 0; i < s->n_vocab; i++)
            s->work[i] = cleaned(x[i]);
        x = s->work;
        if (max == INFINITY)
            max = softmax_max(x, s->n_vocab, s->block_max);
    }
    double log_sum = 0;
    result->n_top = 0;
    if (p->want_logprob || p->n_logprobs)
        log_sum = (double)max + log(softmax_weights(x, s->n_vocab, max, 1, NULL, NULL));
    if (p->n_logprobs)
        top_logprobs(s, x, p->n_logprobs, log_sum, result);
    if (penalties) {
        penalize(s);
        max = softmax_max(x, s->n_vocab, s->block_max);
    }
    double scale = 1 / (double)p->temperature;
    int32_t id;
    s->n_kept = 0;
    if (p->temperature == 0 || p->top_k == 1)
        id = argmax(s, x, max);
    else if (narrow(s, x, max, scale))
        id = draw_kept(s, (double)sampler_uniform(p->seed, position));
    else
        id = draw_all(s, x, max, scale, (double)sampler_uniform(p->seed, position));
    result->id = id;
    result->logprob =
        p->want_logprob || p->n_logprobs ? (float)((double)cleaned(logits[id]) - log_sum) : 0.0f;
    sampler_accept(s, id);
    return 0;
}

size_t sampler_kept(const struct sampler *s, const int32_t **ids)
{
    *ids = s->ids;
    return s->n_kept;
}
