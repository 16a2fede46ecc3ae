/* Fuzz target: a configuration file. A refusal says why; what is accepted can be checked and shown. */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "config-table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct config c;
    char path[64];
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    PROMISE(nowhere && fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config_init(&c.head, &worker_config_table);
    if (config_load_file(&c.head, path, &err)) {
        PROMISE(err.msg[0]);
    } else {
        config_show(&c.head, nowhere);
        if (config_validate(&c.head, &err))
            PROMISE(err.msg[0]);
    }
    config_release(&c.head);
    close(fd);
    return 0;
}
