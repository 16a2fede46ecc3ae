/*
 * What the operating system grants this process: processors and memory.
 *
 * Nothing is kept: each call asks the system anew. Any thread.
 */
#ifndef ORCD_CPU_SYS_H
#define ORCD_CPU_SYS_H

#include <stdint.h>

/* Threads worth starting: the processors of the affinity mask, cut to the quota of
 * our control groups (v1 and v2) rounded down; at least 1. */
uint32_t sys_cpu_count(void);

/* The least quota on the way from our group to the root, in processors, rounded down but at least 1; 0:
 * none. proc_cgroup is /proc/self/cgroup, fs_root /sys/fs/cgroup (tests pass others). */
uint32_t sys_cpu_quota(const char *proc_cgroup, const char *fs_root);

/* Bytes that we may have at all and may still take: the machine's, cut to our groups'. */
int sys_memory(uint64_t *total, uint64_t *available);

/* The processor's name for people; "CPU" when unknown. */
void sys_cpu_name(char *name, uint64_t size);

#endif
