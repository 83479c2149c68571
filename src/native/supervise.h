/* The supervisor: one thread, one epoll, the parent of every process of its containers.
 *
 * Words: a *container* is what was launched; a *task* is one process we cloned (the container's own or an exec's); a *conversation* is a
 * client's connection, which has at most one task as its *subject*, whose exit it is told. A *tap* carries output to a conversation's
 * pipe, an *input* carries a conversation's pipe to a task.
 */
#ifndef FB_SUPERVISE_H
#define FB_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>

#include "cgroup.h"
#include "error.h"
#include "exec_spec.h"
#include "launch.h"
#include "log.h"
#include "record.h"
#include "release.h"
#include "restart_policy.h"
#include "spec.h"

#define FB_READ_SIZE ((size_t)65536)
#define FB_TAP_MAX ((size_t)1 << 20) /* what a client that does not read may cost */

#define FB_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

struct fb_supervisor;

/* What epoll watches. Registered with no event, it still reports errors and hang-ups. */
struct fb_source {
	int fd; /* -1: none */
	bool registered;
	uint32_t events;
	void (*ready)(struct fb_supervisor *sup, struct fb_source *source, uint32_t events);
};

struct fb_tap {
	struct fb_source to;
	struct fb_conversation *conversation;
	struct fb_output *output; /* NULL: the output has ended, and what is pending is all there is */
	struct fb_tap *next;	  /* of the same output */
	char *data;
	size_t start, end, size;
};

struct fb_output { /* one of a task's pipes or its pty */
	struct fb_source from;
	int stream; /* 1 or 2 */
	size_t left; /* how much is still read once the task is reaped */
	struct fb_task *task;
	struct fb_tap *taps;
};

struct fb_input {
	struct fb_source from, to; /* only one of them is watched: `to` while it is full */
	struct fb_conversation *conversation;
	size_t start, end;
	char data[4096];
};

struct fb_task {
	struct fb_task *next; /* execs of one container */
	struct fb_container *container;
	unsigned exec; /* its number; 0: the container's own process */
	pid_t pid;
	struct fb_source pidfd, timer; /* timer: when to kill; once reaped, when to stop draining */
	bool terminal, reaped, finished;
	bool tied, limited; /* an exec that ends with its conversation, in time */
	bool killed, timed_out;
	struct fb_exec_group group;
	struct fb_source dying; /* its cgroup.events, while what was killed is on its way out */
	int64_t cpu, memory; /* once reaped: microseconds, bytes */
	int stdin_to; /* where inputs go: our end of the stdin pipe, or the pty; -1: none */
	struct fb_output output[2];
	int code, signal;
};

struct fb_container {
	struct fb_container *next;
	char id[65];
	char *bundle, *directory, *name, *scratch; /* scratch: see scratch_of */
	bool remove, tied, own_pids, grouped, live, trashed; /* live: its live state is on disk */
	bool unrecorded; /* its live state says how it ended, since no exit record could be written */
	struct fb_task task;
	struct fb_task *execs;
	struct fb_cgroup cgroup;
	struct fb_log log;
	struct fb_source log_ready; /* watched while a log's socket takes nothing */
	struct timespec started;
	bool oom;
	char exec_base[256]; /* below which its execs have groups; "": not looked for yet */
	bool exec_apart, no_exec_groups; /* exec_apart: the base is none of `cgroup`'s paths */
	unsigned groups_left, groups_most; /* of execs that have ended: how many stayed, when to look again */
	struct fb_conversation *freezer; /* who has stopped its processes, NULL: nobody */
	bool paused;			 /* its processes stand still until somebody lets them go on */
	/* How it starts again. `restarting`: its process has ended, and what is in `last` is not its end. */
	struct fb_restart restart;
	uint64_t began;			    /* CLOCK_MONOTONIC, ns */
	int stop_signal;		    /* 0: none was chosen, and any signal of a client's means its end */
	bool stopped, again, restarting;    /* a client wants: its end; a start after it, whatever the policy says */
	int wait_ms;			    /* until it starts again */
	struct fb_source restart_timer;
	struct fb_exit last;
	struct fb_network *network; /* NULL: none of the engine's */
	struct fb_health *health; /* NULL: nobody asks for its health */
	struct fb_service *service; /* NULL: netd does nothing for it */
};

struct fb_conversation {
	struct fb_source source;
	struct fb_conversation *next;
	struct fb_task *subject;
	struct fb_container *starting; /* is told when this starts again */
	bool syncing; /* waits until nothing is left to release */
	bool lease;   /* its end is the owner's */
	struct fb_tap *taps[2];
	struct fb_input *input;
};

struct fb_supervisor {
	int epoll, directory; /* directory: <run>/supervisors/<name>, locked */
	const char *run, *name;
	bool tied, launched, closing;
	struct fb_source listener, owner, signals, lonely;
	struct fb_container *containers;
	struct fb_conversation *conversations;
	struct fb_releaser releaser;
	struct fb_source released;
	struct rlimit files;
	unsigned execs;
	struct fb_exec_specs exec_specs;
	struct fb_home home; /* once at_home */
	bool at_home;
	char boot_id[40];
	char message[65536 + 1];
	char scratch[65536];
	char log_buffer[FB_LOG_BUFFER];
};

/* The end of the owner, of its lease, or asked for: kill all containers; when they are released, so is the supervisor. */
void fb_supervise_close(struct fb_supervisor *sup);

/* Serve until there is nothing left to do. `directory`, `listener` and `owner` are taken over. The owner made this process: a tied
 * supervisor ends with it, any other only while it has not launched, for then nobody else knows of it. */
int fb_supervise(struct fb_supervisor *sup, int directory, int listener, int owner, struct fb_error *err);

int fb_source_watch(struct fb_supervisor *sup, struct fb_source *source, uint32_t events);
void fb_source_unwatch(struct fb_supervisor *sup, struct fb_source *source);
void fb_source_close(struct fb_supervisor *sup, struct fb_source *source);
/* Arm the timer (made on first use) for once in `seconds`; 0 or less disarms it. */
int fb_source_timer(struct fb_supervisor *sup, struct fb_source *timer, double seconds);

void fb_conversation_close(struct fb_supervisor *sup, struct fb_conversation *conversation);
/* A client that does not take its messages is dropped: false, and it is gone. */
bool fb_conversation_send(struct fb_supervisor *sup, struct fb_conversation *conversation, const char *text,
			  size_t length);

#endif
