#include "tests/lib/golden.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *golden_dir(void)
{
    static char dir[4096];
    char file[4200];
    const char *shared = getenv("ORCD_SHARED");
    if (!shared)
        return NULL;
    snprintf(dir, sizeof(dir), "%s/data/models", shared);
    snprintf(file, sizeof(file), "%s/golden.json", dir);
    return access(file, R_OK) == 0 ? dir : NULL;
}

static size_t read_tokens(struct json_object *o, const char *key, int32_t *out, size_t room)
{
    struct json_object *a;
    if (!json_object_object_get_ex(o, key, &a) || !json_object_is_type(a, json_type_array))
        return 0;
    size_t n = json_object_array_length(a);
    if (n > room)
        return 0;
    for (size_t i = 0; i < n; i++)
        out[i] = json_object_get_int(json_object_array_get_idx(a, i));
    return n;
}

static double read_number(struct json_object *o, const char *key, double fallback)
{
    struct json_object *v;
    return o && json_object_object_get_ex(o, key, &v) ? json_object_get_double(v) : fallback;
}

static int read_entry(struct json_object *o, struct golden *g)
{
    static const char *const peers[2] = {"peer_nmse_llama.cpp", "peer_nmse_ik_llama.cpp"};
    struct json_object *v;
    memset(g, 0, sizeof(*g));
    if (!json_object_object_get_ex(o, "model", &v))
        return -1;
    snprintf(g->model, sizeof(g->model), "%s", json_object_get_string(v));
    g->n_prompt = read_tokens(o, "prompt", g->prompt, sizeof(g->prompt) / sizeof(g->prompt[0]));
    g->n_greedy = read_tokens(o, "greedy", g->greedy, sizeof(g->greedy) / sizeof(g->greedy[0]));
    g->n_vocab = (int32_t)read_number(o, "n_vocab", 0);
    g->least_margin = read_number(o, "least_margin", 0);
    for (int i = 0; i < 2; i++) {
        struct json_object *peer = NULL;
        json_object_object_get_ex(o, peers[i], &peer);
        g->peer_median[i] = read_number(peer, "median", -1);
        g->peer_max[i] = read_number(peer, "max", -1);
    }
    return g->n_prompt && g->n_vocab > 0 ? 0 : -1;
}

struct golden *golden_load(size_t *n)
{
    char file[4200];
    const char *dir = golden_dir();
    if (!dir)
        return NULL;
    snprintf(file, sizeof(file), "%s/golden.json", dir);
    struct json_object *root = json_object_from_file(file);
    if (!root)
        return NULL;
    struct golden *all = NULL;
    if (json_object_is_type(root, json_type_array)) {
        *n = json_object_array_length(root);
        all = calloc(*n ? *n : 1, sizeof(*all));
    }
    for (size_t i = 0; all && i < *n; i++)
        if (read_entry(json_object_array_get_idx(root, i), &all[i]) != 0) {
            free(all);
            all = NULL;
        }
    json_object_put(root);
    return all;
}

double golden_best_median(const struct golden *g, double fallback)
{
    double best = -1;
    for (int i = 0; i < 2; i++)
        if (g->peer_median[i] >= 0 && (best < 0 || g->peer_median[i] < best))
            best = g->peer_median[i];
    return best < 0 ? fallback : best;
}

float *golden_logits(const struct golden *g)
{
    char file[4300];
    size_t n = g->n_prompt * (size_t)g->n_vocab, stem = strlen(g->model);
    if (stem > 5 && strcmp(g->model + stem - 5, ".gguf") == 0)
        stem -= 5;
    snprintf(file, sizeof(file), "%s/%.*s.logits.f32", golden_dir(), (int)stem, g->model);
    FILE *f = fopen(file, "rb");
    float *x = f ? malloc(n * sizeof(*x)) : NULL;
    if (x && (fread(x, sizeof(*x), n, f) != n || fgetc(f) != EOF)) {
        free(x);
        x = NULL;
    }
    if (f)
        fclose(f);
    return x;
}

double golden_nmse(const float *a, const float *b, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return norm > 0 ? diff / norm : diff > 0 ? INFINITY : diff + norm; /* 0, or not a number */
}

size_t golden_argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

double golden_margin(const float *x, size_t n)
{
    size_t first = golden_argmax(x, n);
    double second = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (i != first && x[i] > second)
            second = x[i];
    return x[first] - second;
}
