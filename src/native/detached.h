/* A process that is nobody's child: what outlives whoever starts it. */
#ifndef FB_DETACHED_H
#define FB_DETACHED_H

#include <stddef.h>

/* Execute `words` with fds[0..count) as descriptors 3, 4, ..., /dev/null as the first three, and nothing else of ours: no descriptor,
 * environment, signal or session. 0, or -errno of the fork; what can't be executed is not told. */
int fb_spawn_detached(char *const *words, const int *fds, size_t count);

#endif
