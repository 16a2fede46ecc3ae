/*
 * The load plan: which part of which tensor becomes which matrix or vector, and where.
 *
 * Life cycle: it lives as long as cuda_model_load(), on its thread. plan_make() fills in entries and sizes,
 * model.c takes the memory and places the planes, load_run() fills them, plan_release() lets the plan go.
 *
 * Threads: the loader's alone, but for load_run(), whose readers share it and only read.
 */
#ifndef ORCD_CUDA_PLAN_H
#define ORCD_CUDA_PLAN_H

#include "plugins/common/parts.h"
#include "plugins/cuda/cuda.h"

/* What an entry becomes: a matrix or floats in device memory, or floats of ours. */
struct plan_entry {
    struct orcd_tensor tensor; /* offset and bytes are of the part alone */
    struct ck_matrix *matrix;
    const float **vector;
    float *host;
    uint64_t at; /* from the start of the weights */
    uint64_t n_rows, n_cols;
};

struct plan {
    struct source source;
    struct orcd_model *model;
    const struct orcd_host *host;
    struct plan_entry *entries;
    uint32_t n, capacity;
    uint64_t bytes;      /* of device memory */
    uint64_t file_bytes; /* to be read */
    /* rope_dims / 2 each, our memory; NULL: the model has none */
    float *rope_freqs, *rope_long, *rope_short;
};

/* Fills in entries and sizes, and the model's shapes. INVALID, UNSUPPORTED, NOMEM. */
int plan_make(struct plan *p, struct orcd_error *err);
void plan_release(struct plan *p);

/* --- load.c. Fills in what the plan says; the weights are there, and their planes placed. IO,
 * STOPPED and whatever the device answers. */
int load_run(struct plan *p, struct orcd_error *err);
/* Device memory that this takes for a while. */
uint64_t load_staging_bytes(const struct orcd_device *d);

#endif
