/* What this kernel lets this caller do, each tried and not read from a version: for `fastbox doctor`.
 *
 * Every probe runs in a process of its own, in new namespaces where it mounts or makes anything, so that nothing of it is left and a filter
 * that kills ends only one of them.
 */
#ifndef FB_PROBE_H
#define FB_PROBE_H

#include <stddef.h>
#include <sys/types.h>

struct fb_probe_places {
	const char *scratch; /* a directory on the store's file system; "": a tmpfs of the probe's own */
	const char *group;   /* an empty group of the v2 hierarchy; "": none */
};

struct fb_probe {
	const char *name;
	unsigned long namespaces;			 /* CLONE_NEW*: the process is cloned with them */
	int (*run)(const struct fb_probe_places *places, const char *name); /* 0 or -errno; NULL: the clone is all */
};

extern const struct fb_probe fb_probes[], fb_mount_probes[], fb_net_probes[]; /* the last one has no name */

/* Run one. 0, -errno, or -EINTR when a signal ended it (a filter, or the alarm after 2 s). */
int fb_probe_run(const struct fb_probe *probe, const struct fb_probe_places *places);

/* For the probes: one write(2) of `text`; a process that waits to be killed, and its end. */
int fb_probe_write(const char *path, const char *text);
pid_t fb_probe_start_idle(unsigned long namespaces);
void fb_probe_end_idle(pid_t pid);

#endif
