/* Crashes when its entry point is called. */
#include <signal.h>

#include "base.h"

const struct orcd_plugin *orcd_plugin_v1(const struct orcd_host *host)
{
    (void)host;
    raise(SIGSEGV);
    return &base_table;
}
