/* User namespaces: their id mappings, and ones that are made only to map ids by. */
#ifndef FB_USERNS_H
#define FB_USERNS_H

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"
#include "plan.h"

/* Whether the caller holds CAP_* in its own user namespace. */
bool fb_has_capability(int capability);

/* A copy of the caller (no memory shared) in new namespaces; 0 in the copy, which has to leave by _exit. The copy is not announced by
 * SIGCHLD and waited for by fb_copy_wait only, unless `flags` has a signal. */
pid_t fb_copy(unsigned long flags);
/* 0 when it ended by _exit(0), else -1. */
int fb_copy_wait(pid_t pid);

/* Write /proc/PID/uid_map and gid_map. A caller without CAP_SETGID may map its own group only, and gives up setgroups for it. */
int fb_userns_map(pid_t pid, const struct fb_id_maps *maps, struct fb_error *err);
/* A new user namespace with nobody in it. A descriptor. */
int fb_userns_make(const struct fb_id_maps *maps, struct fb_error *err);
/* Whether the user namespace has just these mappings, as the caller sees them. */
int fb_userns_check(int fd, const struct fb_id_maps *maps, struct fb_error *err);

#endif
