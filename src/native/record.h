/* What the supervisor writes about a container: its live state, its exit, and the rename that removes it. */
#ifndef FB_RECORD_H
#define FB_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "cgroup.h"
#include "error.h"
#include "network.h"

struct fb_exit {
	int code, signal;
	bool oom, stopped; /* stopped: a client wanted its end */
	unsigned restarts;
	struct timespec started, finished;
	const char *error; /* "" or NULL when it did start */
};

struct fb_live {
	const char *run, *id, *supervisor, *boot_id, *directory; /* directory: the container's */
	pid_t pid;						   /* 0: about to be cloned */
	uint64_t start_time;
	struct timespec started;
	bool remove;
	const struct fb_cgroup *cgroup; /* NULL: none */
	const struct fb_network_spec *network; /* whose ports are published; NULL: none */
	const char *status;		/* running, paused, restarting or exited */
	unsigned restarts;
	const struct fb_exit *last; /* how its process ended when it is restarting, or when no exit record could be written; NULL: it runs */
};

/* Publish <run>/containers/<id>. Written twice: before the clone with pid 0, so that whoever heals after a killed supervisor finds the
 * cgroups of a process that may exist, and after it with the pid. */
int fb_record_live(const struct fb_live *live, struct fb_error *err);
void fb_record_live_remove(const char *run, const char *id);
/* <directory>/exit, by rename, not yet synced. */
int fb_record_exit(const char *directory, const struct fb_exit *end, struct fb_error *err);
/* Rename <root>/containers/<id> to <root>/tmp/rm-<id> and free its name ("" or NULL: none). */
int fb_record_trash(const char *directory, const char *name, struct fb_error *err);
/* Field 22 of /proc/PID/stat; 0 when there is no such process. `ret_state`, or NULL: field 3, 'Z' of one that only waits to be reaped. */
uint64_t fb_record_start_time(pid_t pid, char *ret_state);
int fb_record_boot_id(char to[40], struct fb_error *err);
/* Letters, digits, '_', '-' and '.', not first, at most 64: an id never leaves its directory. */
bool fb_record_id_valid(const char *id);

#endif
