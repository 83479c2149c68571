/* The one way to touch a path below a root that somebody else filled: absolute names and links are taken from `root`, magic links of
 * procfs are refused, and the answer is a descriptor. By openat2 (5.6), by an own walk where that is missing or a part has to be made:
 * the walk holds every directory on its way, so ".." and a rename lead to what it came through, never out of the root.
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
/* fb_inroot_open that stays on the root's mount (EXDEV); O_NOFOLLOW in `flags` is for the last name. The walk sees another file system
 * only, not a bind mount of the same: it serves trees that nobody else reaches. */
int fb_inroot_stay(int root, const char *path, int flags);
/* One name of a directory, no link, of the same mount as above. A descriptor or -errno. */
int fb_inroot_step(int dirfd, const char *name, int flags);

#endif
