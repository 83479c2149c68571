/* Our own programs, out of a container's reach (CVE-2019-5736).
 *
 * Between clone and exec a container's process is a process of the program that cloned it, and an image's entry point or interpreter can
 * be /proc/self/exe. Who gets hold of that file from inside, as the host's root, could write to it once it has ended. So what enters a
 * container runs from a bind of its own that is read-only, or from a sealed copy.
 */
#ifndef FB_PROGRAM_H
#define FB_PROGRAM_H

#include <stdbool.h>

#include "error.h"

/* A descriptor to execute: of a read-only bind of `program`; or, with `copy` and where the kernel or the caller's rights have no detached
 * mounts, of a sealed memfd. */
int fb_program_open(const char *program, bool copy, struct fb_error *err);
/* Execute this very program again, so that it can't be written through /proc/PID/exe; 0 at once when that is so already. */
int fb_program_protect(char *const argv[], struct fb_error *err);

#endif
