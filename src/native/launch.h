/* The one function that starts a process in a container, for a new one and for exec: spec -> plan -> clone -> exec.
 *
 * The caller is small and single-threaded (the supervisor, the OCI command): the child of a start without user namespace is cloned
 * with CLONE_VM|CLONE_VFORK on a guarded stack; all others get memory of their own and a socketpair. The caller is the parent: it
 * reaps `pid` and owns `pidfd`.
 */
#ifndef FB_LAUNCH_H
#define FB_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

#include "cgroup.h"
#include "error.h"
#include "spec.h"

/* Clocks of the stages of one start (CLOCK_MONOTONIC, ns); 0: the stage was not reached or not needed. `at` is when it ended. */
struct fb_stage_clocks {
	uint64_t begin;
	uint64_t at[FB_STAGE_COUNT];
};

struct fb_launched;
struct fb_seccomp_program;

struct fb_launch_network { /* a network namespace of the container's own that does not come empty */
	int network_namespace; /* made before, for the child to join; -1: the clone makes it */
	/* Then the parent furnishes it when the ids are mapped, while the child waits. */
	int (*made)(void *context, pid_t pid, struct fb_error *err);
	void *context;
};

#define FB_HOME_NAMESPACES 5

/* Where the caller is, for its way back from a container (borrow.h), and what a child has of it. It never changes, so who clones often opens it
 * once. */
struct fb_home {
	int namespaces[FB_HOME_NAMESPACES], root, directory;
	int score; /* its oom_score_adj, which a child inherits; -1: not known */
	uint64_t ignored; /* signals, from bit 0 on */
};

struct fb_launch_request {
	const struct fb_spec *spec;
	const char *id, *bundle; /* for the state that hooks read; NULL: none is run */
	const struct fb_launch_network *network; /* NULL: a new network namespace is empty */
	const struct fb_cgroup *cgroup; /* NULL: the caller's own groups */
	int stdio[3];			/* become 0, 1, 2; -1: /dev/null of the container (ignored with a terminal) */
	/* For exec only: */
	const struct fb_process_spec *process; /* NULL: start the spec's own process in new namespaces */
	const struct fb_seccomp_program *filter; /* the spec's, made before; NULL: made now */
	const struct fb_home *home;		 /* NULL: opened now */
	bool privileged;		       /* exec --privileged: every capability, no filter */
	int target_pidfd;		       /* whose namespaces and root to join */
	pid_t target_pid;		       /* the same, for a seccomp listener's message; 0: unknown */
	/* For the OCI command only: */
	unsigned preserve_fds; /* descriptors from 3 on that the process keeps */
	bool no_pivot;	       /* move and chroot instead, for a host that runs from its initramfs */
	bool no_new_keyring;   /* keep the caller's session keyring */
	bool wait_for_start;   /* with everything but the command done, wait at `start_listener` for fb_launch_start */
	int start_listener;    /* a listening Unix socket; only with wait_for_start */
	/* Called when the process waits there; a negative answer ends it. `context` is the caller's. */
	int (*created)(void *context, const struct fb_launched *launched, struct fb_error *err);
	void *context;
};

struct fb_launched {
	pid_t pid;
	int pidfd;
	int console; /* the pty's master when a terminal was asked for, else -1 */
	bool rlimit_clamped;
	struct fb_stage_clocks clocks;
};

/* On failure no process, mount or descriptor is left; err names stage, call, errno and path. A command that is missing is stage
 * FB_STAGE_EXEC with ENOENT, a non-executable one FB_STAGE_EXEC with any other errno: fb_launch_exit_code maps them to 127, 126, 125. */
int fb_launch(const struct fb_launch_request *request, struct fb_launched *ret_launched, struct fb_error *err);
int fb_launch_exit_code(const struct fb_error *err);
/* Let the process that waits behind the socket `name` in a directory execute its command, and learn how that went. ECONNREFUSED: nobody
 * waits there. */
int fb_launch_start(int directory, const char *name, struct fb_error *err);

/* --- clocks (trace.c) --- */

uint64_t fb_now(void); /* CLOCK_MONOTONIC, ns */
/* After a start: what the child's clocks are to the caller. Exec ends when the caller knows of it, and a child in a time namespace of
 * its own has read another clock (`offsets` is the text of timens_offsets, NULL: none). */
void fb_clocks_settle(struct fb_stage_clocks *clocks, const char *offsets);
/* {"begin":ns,"<stage>":ns,...} in the order of their ends. */
void fb_clocks_json(char *json, size_t size, const struct fb_stage_clocks *clocks);
/* A table of the stages, for --timings. 0 or -errno. */
int fb_timings_print(int fd, const char *id, const struct fb_stage_clocks *clocks);
/* The stages as Chrome trace events (a JSON array) in `path`, appended when it exists. */
int fb_trace_write(const char *path, const char *id, const struct fb_stage_clocks *clocks, struct fb_error *err);
/* Of a command that has started a process: the table on stderr when asked for, and the file that FASTBOX_TRACE names. */
void fb_clocks_report(bool print, const char *id, const struct fb_stage_clocks *clocks);

#endif
