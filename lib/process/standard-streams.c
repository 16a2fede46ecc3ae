#include "process/standard-streams.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void standard_streams_open(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", O_RDWR); /* the lowest number that is free: fd */
}
