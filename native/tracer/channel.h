/* The socket to the command line. */
#ifndef PROC2ELF_CHANNEL_H
#define PROC2ELF_CHANNEL_H

#include "protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define CHANNEL 3 /* native/addon/spawn.cc puts it there */

/* The descriptor that came with the request (SCM_RIGHTS), which is the caller's now; or -1. */
int take_passed(void);
bool receive(void *bytes, size_t size);                             /* false: end of file */
bool send_reply(struct header *header, struct iovec *parts, int n); /* parts[0] is for the header */

#endif
