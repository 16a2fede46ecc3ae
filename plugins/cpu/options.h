/*
 * The plugin's options (plugin.options in orcd.yaml).
 *
 * Life cycle: plugin.c has the one struct cpu_options. cpu_options_init() fills in the defaults when the host
 * asks for the table, cpu_option_set() changes them one by one until init; then they are only read.
 *
 * Threads: the host's owner thread.
 */
#ifndef ORCD_CPU_OPTIONS_H
#define ORCD_CPU_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <orcd/plugin.h>

struct cpu_options {
    uint32_t threads; /* 0: as many as the system grants */
    bool pin;
    uint32_t sub_batch; /* tokens computed at a time within a step */
    char isa[16];       /* "auto" or the name of a kernel set */
};

extern const struct orcd_option cpu_option_table[];
extern const uint32_t cpu_option_count;

/* One key and value into o; checks them again. INVALID, NOT_FOUND. */
int cpu_option_set(struct cpu_options *o, const char *key, const char *value, struct orcd_error *err);
void cpu_options_init(struct cpu_options *o); /* the defaults */

#endif
