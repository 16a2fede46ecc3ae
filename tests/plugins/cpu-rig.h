/*
 * The cpu plugin under a host of the tests' own: allocations can be made to fail, named
 * points can be hooked. Failing calls end the test (cmocka). With RIG_CUDA defined it is the
 * cuda plugin, as it runs on the CPU.
 */
#ifndef ORCD_TESTS_CPU_RIG_H
#define ORCD_TESTS_CPU_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define RIG_MAX_ROWS 64

/* The named point at which a layer of a prompt begins. */
#ifdef RIG_CUDA
#define RIG_PLUGIN "cuda-simt"
#define RIG_LAYER "cuda.layer"
#else
#define RIG_PLUGIN "cpu"
#define RIG_LAYER "cpu.layer"
#endif

/* The plugin's table: from $ORCD_PLUGINS, loaded once. */
const struct orcd_plugin *rig_plugin(void);

/* The host's strings. Set while no call is in progress. */
struct rig_host {
    int32_t (*fault)(const char *point);
    int32_t (*progress)(uint64_t done, uint64_t total);
    int64_t fail_at; /* the allocation (or mapping, or thread) that fails; 0: none; counted down */
};
extern struct rig_host rig_host;
int64_t rig_live_allocations(void); /* made and not freed */

struct rig_options {
    const char *isa;                                           /* NULL: auto */
    uint32_t threads;                                          /* 0: 2 */
    uint32_t sub_batch;                                        /* 0: the default */
    uint32_t n_sequences, n_ctx, max_batch_tokens, max_logits; /* 0: 4, 512, 512, 512 */
    uint64_t kv_tokens;                                        /* 0: n_sequences x n_ctx */
    const char *settings[8];                                   /* more options: key, value, ..., NULL */
};

struct rig {
    const struct orcd_plugin *p;
    struct orcd_device *device;
    struct model *file;
    struct orcd_model *model;
    struct orcd_ctx *ctx;
    struct rig_options options;
    uint32_t n_vocab;
    uint64_t ticket; /* of the last step */
};

/* Configures the plugin, opens device, model file and context. */
void rig_open(struct rig *r, const char *path, const struct rig_options *o);
void rig_close(struct rig *r);
/* Only tries to load the model: what model_load answers. */
int rig_try(const char *path, struct orcd_error *err);
/* The device alone: r->model and r->ctx stay NULL. */
void rig_open_device(struct rig *r, const struct rig_options *o);

struct rig_row {
    uint32_t seq, n;
    const int32_t *tokens;
    uint32_t want;
};
struct rig_out {
    int32_t status[RIG_MAX_ROWS];
    uint32_t kept[RIG_MAX_ROWS], n_logits[RIG_MAX_ROWS];
    const float *logits[RIG_MAX_ROWS];
};
/* Rows continue their sequences. */
void rig_submit(struct rig *r, const struct rig_row *rows, uint32_t n);
int rig_wait(struct rig *r, struct rig_out *out); /* the step's code */
void rig_step(struct rig *r, const struct rig_row *rows, uint32_t n, struct rig_out *out);

/* Logits of all n tokens into out[n][n_vocab], in one fresh sequence (id 0), chunk
 * tokens a step (0: as many as a step takes). */
void rig_logits(struct rig *r, const int32_t *tokens, uint32_t n, uint32_t chunk, float *out);

/* Names of the kernel sets that run here, NULL past the end. */
const char *rig_isa(unsigned i);

#endif
