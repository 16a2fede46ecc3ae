/* The load plan: which part of which tensor becomes which matrix or vector. */
#ifndef ORCD_CPU_PLAN_H
#define ORCD_CPU_PLAN_H

#include "plugins/cpu/cpu.h"
#include "plugins/cpu/source.h"

struct plan_entry {
    struct orcd_tensor tensor; /* offset and bytes are of the part alone */
    struct cpu_matrix *matrix; /* one of the two */
    const float **vector;
    uint64_t at; /* in packed, or in vectors */
    uint32_t n_rows, n_cols;
};

struct plan {
    struct source source;
    struct orcd_model *model;
    const struct orcd_host *host;
    struct plan_entry *entries;
    uint32_t n, capacity;
    uint64_t packed_bytes, vector_bytes, file_bytes;
    const char **maps;   /* by file */
    uint64_t *map_bytes; /* of those that we mapped ourselves; 0: the host's */
    const float *rope_freqs, *rope_long, *rope_short;
    /* packing: threads take pieces, numbered over all entries */
    const struct cpu_kernels *kernels;
    _Atomic uint32_t entry, panel; /* entry: the one being given out */
    pthread_mutex_t lock;          /* guards entry and panel */
    _Atomic uint64_t done_bytes;
    uint64_t reported_bytes; /* thread 0 alone */
    atomic_bool stop;
};

/* Entries that a model of this shape has at most. */
uint64_t plan_capacity(const struct orcd_hparams *hp);
/* Fills in entries and sizes, and the model's shapes. INVALID, UNSUPPORTED. */
int plan_make(struct plan *p, struct orcd_error *err);

#endif
