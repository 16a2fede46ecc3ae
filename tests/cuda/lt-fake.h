/* A cuBLASLt for tests/cuda/lt.cc: takes calls as the library's header has them, checks what it is
 * given, multiplies by plain sums in host memory, column-major, and fails when told to. */
#ifndef ORCD_TESTS_CUDA_LT_FAKE_H
#define ORCD_TESTS_CUDA_LT_FAKE_H

#include <stddef.h>
#include <stdint.h>

/* What a test sets, and what it looks at. All of it may be zeroed at any time but `live`. */
struct lt_fake {
    int fail_call, fail_with; /* the fail_call-th call from now (1 is the next) returns fail_with */
    bool nothing;             /* the heuristic finds nothing */
    int calls;                /* that may fail, since `calls` was zeroed */
    int heuristics, matmuls;
    int wrong; /* calls with something wrong in them; each is told */
    int live;  /* handles and descriptors */
    /* of the last heuristic */
    uint64_t workspace_limit;
    uint32_t align[4];
    /* of the last product */
    void *stream, *workspace;
    size_t workspace_bytes;
};
extern lt_fake fake;

/* The function of that name; NULL when there is none. */
void *lt_fake_symbol(const char *name);

#endif
