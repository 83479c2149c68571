/* The client's side of the supervisor: spawn it, talk to it, and carry a terminal's or a pipe's bytes. Used by Python through
 * _native, and by the launcher. No JSON is read here: messages are bytes.
 */
#ifndef FB_CONTROL_H
#define FB_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

#define FB_CONTROL_MAX_MESSAGE 65536
#define FB_CONTROL_MAX_FDS 8

/* Start a supervisor below `run` ("<run>/supervisors/<name>/": made, locked, socket bound and listening before the process exists, so a
 * caller may connect at once). Runs `program` from a read-only bind of itself (a sealed memfd where the kernel has no mount_setattr),
 * in a session of its own, stdio on /dev/null. `tied`: it ends its containers when this process is gone. Returns the pid. */
int fb_control_spawn(const char *program, const char *run, bool tied, char *ret_name, size_t name_size,
		     struct fb_error *err);
/* Connect to supervisor `name`; the path may be longer than sun_path allows. Returns the descriptor; ENOENT or ECONNREFUSED
 * when it is gone. */
int fb_control_connect(const char *run, const char *name, struct fb_error *err);
int fb_control_send(int fd, const void *data, size_t length, const int *fds, size_t fd_count,
		    struct fb_error *err);
/* Wait at most `timeout_ms` (-1: for ever) for one message. Returns its length, 0 at the end of the conversation, -ETIMEDOUT. */
int fb_control_receive(int fd, void *buffer, size_t size, int timeout_ms, struct fb_error *err);
/* 1: somebody holds the lock of <run>/supervisors/<name>, so the supervisor lives; 0: nobody. */
int fb_control_alive(const char *run, const char *name);

struct fb_attach {
	int control;	   /* where events arrive and signals are sent */
	int stdin_to;	   /* our end of the container's stdin, -1: none; made to refer to /dev/null at the end of our 0 */
	int stdout_from;   /* our ends of its output, -1: none */
	int stderr_from;
	bool terminal;	   /* fd 0 becomes raw; SIGWINCH sends resize; detach keys work */
	bool signals;	   /* forward signals (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 ...) to the container as `kill` */
	const char *id, *exec; /* for the messages that are sent; exec NULL for the container itself */
	const unsigned char *detach_keys;
	size_t detach_count;
};

enum fb_attach_end { FB_ATTACH_EVENT = 1, FB_ATTACH_DETACHED = 2, FB_ATTACH_LOST = 3 };

/* Carry bytes between our 0, 1, 2 and the streams until an event arrives and the output is drained, the keys are typed, or the supervisor is
 * gone. The event's text is put into `ret_event` with a NUL (events begin with {"event": and nothing else does). The terminal is restored
 * on every way out, SIGTERM included: a signal that is not forwarded is raised again with its former disposition, and when that
 * returns (Python's handler), so does this, with -EINTR. One call at a time in a process. */
int fb_control_attach(const struct fb_attach *attach, char *ret_event, size_t size, struct fb_error *err);

#endif
