/* The one way to touch a path below a root that somebody else filled: absolute names and links are taken from `root`, magic links of
 * procfs are refused, and the answer is a descriptor. By openat2 (5.6), by an own walk where that is missing or a part has to be made.
 * Allocates nothing: used between clone and exec.
 */
#ifndef FB_INROOT_H
#define FB_INROOT_H

#include <stdbool.h>

enum fb_make { FB_MAKE_NOTHING, FB_MAKE_FILE, FB_MAKE_DIRECTORY };

/* A descriptor with `flags` (O_CLOEXEC is added), or -errno. `plain` refuses every symbolic link on the way (ELOOP). */
int fb_inroot_open(int root, const char *path, int flags, bool plain);
/* The same by O_PATH, making what is missing: directories 0755, a file 0644. A dangling link is followed, within the root. */
int fb_inroot_make(int root, const char *path, enum fb_make make, bool plain);

#endif
