/* say DIR NAME PROMPT N: loads a plugin through the host and prints N tokens of greedy
 * text. For tests in other languages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "rig.h"

int main(int argc, char **argv)
{
    static struct rig r;
    char out[1024] = "";
    log_setup(ORCD_LOG_WARN, LOG_FORMAT_TEXT);
    uint32_t n = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    if (n == 0 || n >= sizeof(out)) {
        fputs("usage: say DIR NAME PROMPT N\n", stderr);
        return 2;
    }
    int rc = rig_start(&r, argv[1], argv[2], NULL);
    if (rc == 0)
        rc = rig_context(&r, 2, 2048, 4096);
    if (rc == 0)
        rc = backend_seq_open(r.backend, 0, 2048, &r.err);
    if (rc == 0)
        rc = rig_say(&r, 0, argv[3], n, out);
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[2], r.err.msg);
    else
        puts(out);
    if (r.plugin)
        rig_end(&r);
    return rc != 0;
}
