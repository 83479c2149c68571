/* What the commands that start or end a process share. */
#ifndef FB_OCI_RUN_H
#define FB_OCI_RUN_H

#include "oci.h"

/* The scope of a container that is being made (oci_scope.c). */
struct fb_oci_scope {
	pid_t holder; /* keeps it alive until the container's process is in it; 0: no more */
	bool raised; /* the limit of processes, for the holder */
};

/* Have systemd make the container's group, as `cgroups_path` wants it or by its id, and set the limits there. The state names what there may be
 * before it is: after a failure fb_oci_destroy removes it. */
int fb_oci_scope_make(const struct fb_spec *spec, struct fb_oci_state *state, struct fb_oci_scope *scope, struct fb_cgroup *ret_group,
		      struct fb_error *err);
/* The container's process is in it. May be called again. */
void fb_oci_scope_enter(struct fb_oci_scope *scope, const struct fb_cgroup *group);
/* There will be none. */
void fb_oci_scope_free(struct fb_oci_scope *scope);

/* Run hooks of one kind in the host's namespaces with the container's state in `status` on their stdin. */
int fb_oci_hooks(const struct fb_oci_state *state, const struct fb_spec *spec, enum fb_hook_kind kind, const char *status,
		 struct fb_error *err);
/* Kill what is left of the container, wait for its process, run its poststop hooks (without `spec` none), remove everything. The state goes last, so that
 * the next `delete` can finish what this one could not. */
int fb_oci_destroy(const struct fb_oci *oci, struct fb_oci_state *state, const struct fb_spec *spec, struct fb_error *err);

/* Descriptors from 3 on that the process is to keep: --preserve-fds and those of LISTEN_FDS; they must be open. */
int fb_oci_preserved(const char *option, struct fb_spec *spec, struct fb_process_spec *process, unsigned *ret_count,
		     struct fb_error *err);
/* Whether a terminal and a console socket go together with staying or leaving, in runc's words. */
/* What of a process is left out, and not refused. */
void fb_oci_warn_of(const struct fb_oci *oci, const struct fb_process_spec *process);
int fb_oci_check_console(struct fb_process_spec *process, bool detach, const char *console_socket, struct fb_error *err);
/* Send a pty's master or a pidfd to whoever listens at `path`. */
int fb_oci_send_descriptor(const char *path, int descriptor, struct fb_error *err);
/* Compiling a profile of docker's size costs more than the rest of a start: keep the result below the root. A cache: it can be deleted at any time. */
int fb_oci_use_cache(const struct fb_oci *oci, struct fb_spec *spec, struct fb_error *err);
int fb_oci_write_pid(const char *path, pid_t pid, struct fb_error *err);

/* Block all signals, so that none is lost between a start and fb_oci_wait. */
void fb_oci_hold_signals(void);
/* Pass signals and terminal on until the process is gone; its exit code, as a shell says it. */
int fb_oci_wait(pid_t pid, int pidfd, int console);

#endif
