/* File systems whose files the kernel makes up as they are read. */
#ifndef FB_MADE_UP_H
#define FB_MADE_UP_H

#include <stdbool.h>

/* procfs, sysfs, cgroups and their like: no copy of theirs means anything. `fd` may be O_PATH. */
bool fb_is_made_up(int fd);

#endif
