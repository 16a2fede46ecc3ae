/*
 * Descriptors 0 to 2. A program that is started with one of them closed would get its next file or socket
 * under that number, and what it prints or logs would go there.
 *
 * Call standard_streams_open() first in main(), before anything opens a descriptor.
 */
#ifndef ORCD_PROCESS_STANDARD_STREAMS_H
#define ORCD_PROCESS_STANDARD_STREAMS_H

/* Opens those that are closed on /dev/null. */
void standard_streams_open(void);

#endif
