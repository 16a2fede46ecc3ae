#include <config.h>

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "process/standard-streams.h"

static int version(void)
{
    printf("orcd %s\nplugin ABI %d.%d\nbuild %s\n", PACKAGE_VERSION, ORCD_ABI_MAJOR, ORCD_ABI_MINOR,
        ORCD_BUILD_OPTIONS);
    return EX_OK;
}

int main(int argc, char **argv)
{
    standard_streams_open();
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return version();
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_help(stdout);
        return EX_OK;
    }
    const struct cli_verb *verb = cli_verb_find(word);
    if (!verb) {
        if (*word)
            return cli_verb_unknown(word);
        cli_help(stderr);
        return EX_USAGE;
    }
    static struct cli_args args;
    int rc = cli_parse(&args, verb, argc - 2, argv + 2);
    if (rc > 0)
        return rc;
    int status = rc < 0 ? EX_OK : verb->run(&args);
    /* Output that was lost, on a full disk for example, is not a success. A reader that closed the pipe
     * wanted no more. */
    if (fflush(stdout) && status == EX_OK && errno != EPIPE)
        return cli_fail(EX_IOERR, "cannot write to standard output: %s", strerror(errno));
    return status;
}
