/*
 * The load plan: which part of which tensor becomes which matrix or vector, checked before anything is read.
 *
 * Life cycle: it lives as long as cpu_model_load(). load.c takes entries for plan_capacity(), plan_make()
 * fills them in and adds up the sizes; then the memory is taken, all entries get their places in it, and the
 * threads of the pool read and pack, piece by piece.
 *
 * Threads: the loader's alone until packing begins. Then lock guards entry, panel and error; everything else
 * is only read, but for the atomics.
 */
#ifndef ORCD_CPU_PLAN_H
#define ORCD_CPU_PLAN_H

#include "plugins/common/parts.h"
#include "plugins/cpu/cpu.h"

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
    const float *rope_freqs, *rope_long, *rope_short;
    /* packing: threads take pieces, numbered over all entries */
    const struct cpu_kernels *kernels;
    struct mapping buffers; /* buffer_bytes for each thread: the file's bytes on their way */
    uint64_t buffer_bytes;
    _Atomic uint32_t entry, panel; /* entry: the one being given out */
    pthread_mutex_t lock;          /* guards entry, panel and error */
    _Atomic uint64_t done_bytes;
    uint64_t reported_bytes; /* thread 0 alone */
    atomic_bool stop;
    struct orcd_error error; /* the first read that failed; code 0: none */
};

/* Entries that a model of this shape has at most. */
uint64_t plan_capacity(const struct orcd_hparams *hp);
/* Fills in entries and sizes, and the model's shapes. INVALID, UNSUPPORTED. */
int plan_make(struct plan *p, struct orcd_error *err);

#endif
