/*
 * The plugin's options (plugin.options in orcd.yaml).
 *
 * Life cycle: plugin.c has the struct that is set. cuda_options_init() fills in the defaults when the host
 * asks for the table, cuda_option_set() changes them one by one until init; a device copies them when it is
 * opened.
 *
 * Threads: the host's owner thread.
 */
#ifndef ORCD_CUDA_OPTIONS_H
#define ORCD_CUDA_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <orcd/plugin.h>

struct cuda_options {
    uint32_t prefill_slice; /* tokens of a prefill pass, at most */
    bool fixed_height;      /* heights of a slice's products follow from its rows one by one */
    bool blas;              /* tensor-core products; false: prefill goes through decode's */
    bool graphs;
    bool pdl; /* kernels that wait for their predecessor themselves start before its end */
    bool sampling;
    uint32_t max_inflight;
    uint32_t load_threads, load_buffer_mb;
    bool load_mapped; /* copy from the host's mapping instead of reading */
    uint32_t reserve_mb;
    bool memory_own; /* device_memory answers from our own accounting */
};

extern const struct orcd_option cuda_option_table[];
extern const uint32_t cuda_option_count;

/* One key and value into o; checks them again. INVALID, NOT_FOUND. */
int cuda_option_set(struct cuda_options *o, const char *key, const char *value, struct orcd_error *err);
void cuda_options_init(struct cuda_options *o); /* the defaults */

#endif
