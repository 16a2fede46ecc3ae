/*
 * A backend of one plugin with short calls for tests: steps are built row by row and
 * collected into arrays that lie in the rig.
 */
#ifndef TESTS_PLUGINS_RIG_H
#define TESTS_PLUGINS_RIG_H

#include <stdbool.h>

#include "plugin/host.h"

#define RIG_ROWS 8
#define RIG_TOKENS 4096
#define RIG_VOCAB 258

struct rig {
    struct plugin *plugin;
    struct backend *backend;
    struct orcd_error err;
    uint64_t ticket;
    /* the batch under construction */
    uint32_t n_rows, n_tokens;
    uint32_t seq[RIG_ROWS], first_pos[RIG_ROWS], row_tokens[RIG_ROWS], start[RIG_ROWS], want[RIG_ROWS],
        kind[RIG_ROWS], top_n[RIG_ROWS];
    int32_t tokens[RIG_TOKENS];
    /* the last result */
    struct orcd_result result;
    int32_t status[RIG_ROWS];
    uint32_t kept[RIG_ROWS];
    const float *logits[RIG_ROWS];
    uint32_t n_logits[RIG_ROWS];
    int32_t token[RIG_ROWS];
    const int32_t *top_ids[RIG_ROWS];
    const float *top_logprobs[RIG_ROWS];
};

/* settings: "key=value", ..., NULL. Each returns 0 or the error, which is in err. */
int rig_start(struct rig *r, const char *dir, const char *name, const char *const *settings);
int rig_context(struct rig *r, uint32_t n_sequences, uint32_t n_ctx, uint64_t kv_tokens);
void rig_end(struct rig *r);

void rig_row(struct rig *r, uint32_t seq, uint32_t first_pos, const int32_t *tokens, uint32_t n,
    uint32_t want, uint32_t kind);
void rig_text(struct rig *r, uint32_t seq, uint32_t first_pos, const char *text, uint32_t want);
/* Submits what was built, with the next ticket, and begins a new batch. */
int rig_submit(struct rig *r);
int rig_wait(struct rig *r);
int rig_step(struct rig *r); /* both */

/* Greedy: prefills the text and decodes n tokens into out (NUL-terminated), one step
 * each; stops at EOS. The sequence must be open and empty. */
int rig_say(struct rig *r, uint32_t seq, const char *prompt, uint32_t n, char *out);
int32_t rig_best(const float *logits);

/* A plugin's shared object copied into a directory that only we may write, as the host
 * wants it; the directory is made once. Returns that directory. */
const char *rig_copy(const char *built, const char *name);

#endif
