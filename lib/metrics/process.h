/*
 * What the process uses, as Prometheus' clients report it (process_*). Read from /proc; what cannot be read
 * is 0. No state; any thread.
 */
#ifndef ORCD_METRICS_PROCESS_H
#define ORCD_METRICS_PROCESS_H

struct process_usage {
    double cpu_seconds;
    double start_seconds; /* of the real-time clock, since 1970 */
    double resident_bytes, virtual_bytes;
    double open_fds, max_fds;
};

void process_usage(struct process_usage *u);

#endif
