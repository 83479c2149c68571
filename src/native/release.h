/* What is left to do when a container has ended and everybody was told: cgroups, trash, the live state.
 *
 * A supervisor of one container does it itself, since nobody waits for it any more. A session's supervisor has others to serve, and removing
 * a large tree takes seconds: it hands the work to a process of its own, forked when first needed.
 */
#ifndef FB_RELEASE_H
#define FB_RELEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cgroup.h"

struct fb_releaser {
	bool apart; /* in a process of its own */
	pid_t pid;  /* 0: not started */
	int socket; /* -1 without one */
	size_t pending;
};

struct fb_release {
	const char *run, *id, *directory;
	const char *scratch; /* the writable layer, when it is elsewhere and to be removed, too; NULL: none */
	bool trash; /* the directory was renamed to <root>/tmp/rm-<id>; else its exit record is to be synced */
	bool live;
	const struct fb_cgroup *cgroup; /* NULL: none */
};

/* Release now, or hand over (`pending` grows). */
void fb_release(struct fb_releaser *releaser, const struct fb_release *release);
/* Read the answers that are there, or with `wait` all that are still to come. */
void fb_release_answers(struct fb_releaser *releaser, bool wait);
/* Let the process finish and reap it. */
void fb_release_end(struct fb_releaser *releaser);

#endif
