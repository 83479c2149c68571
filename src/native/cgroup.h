/* Control groups, v1, hybrid and v2 behind one face.
 *
 * Only the hierarchies that a limit or the device rule needs are touched: on v1 each costs ~90 us. The device rule is
 * always on (v1: devices controller; v2: an eBPF program on the group), since docker's capabilities hold CAP_MKNOD.
 */
#ifndef FB_CGROUP_H
#define FB_CGROUP_H

#include "error.h"
#include "spec.h"

#define FB_CGROUP_MAX 16

/* v1 and hybrid: a group in every hierarchy that there is, and not only where a limit needs one. Those who call an OCI runtime find a
 * container's groups by asking for its process's, and freeze, count and limit there later. */
#define FB_CGROUP_EVERY 1u
/* The group is there, and in it the one process that keeps it for us (a scope of systemd's). When something fails it is ended with the group. */
#define FB_CGROUP_HELD 2u

enum fb_cgroup_mode { FB_CGROUP_NONE, FB_CGROUP_V1, FB_CGROUP_HYBRID, FB_CGROUP_V2 };

struct fb_cgroup {
	enum fb_cgroup_mode mode;
	int into;		    /* v2: directory descriptor for CLONE_INTO_CGROUP; -1 otherwise */
	int procs[FB_CGROUP_MAX];   /* v1: the groups' tasks, open for writing; the child writes "0" to each */
	int procs_count;
	char paths[FB_CGROUP_MAX][256]; /* absolute directories, to be removed in the end */
	const char *controllers[FB_CGROUP_MAX]; /* v1, hybrid: one that the hierarchy of each path has; static text */
	int path_count;
	char memory[256]; /* the directory that counts memory, "" when none */
};

enum fb_cgroup_mode fb_cgroup_detect(void);
/* The static text of a controller's name ("memory", "name=systemd", "unified"), as `controllers` above holds it; NULL for any other. */
const char *fb_cgroup_controller(const char *name);

/* Make the group `path` with the limits set, nobody in it yet. A relative path is below the caller's own group; on v2 next to it, since a group
 * with processes can't have children with controllers. On failure nothing is left. EBUSY when it exists with processes in it; one without is made
 * anew, or kept with FB_CGROUP_EVERY, as its maker may have set limits. */
int fb_cgroup_create(const char *path, const struct fb_resources *resources, unsigned flags,
		     struct fb_cgroup *ret_group, struct fb_error *err);
/* The files of the group become the container's user's where the specification wants it: v2, mounted writable in a cgroup namespace of its own. */
int fb_cgroup_delegate(const struct fb_cgroup *group, const struct fb_spec *spec, struct fb_error *err);
/* The directory of the group that has this file; NULL: none. */
const char *fb_cgroup_directory(const struct fb_cgroup *group, const char *file);
/* Open an existing group, of which only mode, paths and controllers are known, for another process to join. */
int fb_cgroup_open(struct fb_cgroup *group, struct fb_error *err);
/* The group that systemd has put a process into, as a path for fb_cgroup_create. */
int fb_cgroup_of(pid_t pid, char *ret_path, size_t size, struct fb_error *err);
/* The directories that a group of this absolute path has, made or not: what there may be to remove. */
int fb_cgroup_foresee(const char *path, struct fb_cgroup *ret_group, struct fb_error *err);
/* Add to a limit that is a number; another (none, or "max") stays. */
void fb_cgroup_raise(const struct fb_cgroup *group, const char *file, int by);
/* The v2 group that a process is in, for CLONE_INTO_CGROUP; -errno. */
int fb_cgroup_open_of(int pidfd);
/* Close the descriptors; the groups stay. */
void fb_cgroup_close(struct fb_cgroup *group);
/* Apply changed limits to an existing group (update). What is 0 or absent stays as it is; device rules, when there are any, replace all. */
int fb_cgroup_update(const struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err);
/* The same for a container that runs, as a whole or not at all: controllers that it was started without are joined first (they are among
 * `group` from then on), and when a write fails the former values are put back. */
int fb_cgroup_change(struct fb_cgroup *group, const struct fb_resources *resources, struct fb_error *err);
/* Stop or continue all processes (cgroup.freeze on v2, the freezer on v1), and wait, bounded, until they are. */
int fb_cgroup_freeze(const struct fb_cgroup *group, bool frozen, struct fb_error *err);
/* v1: the group gets a directory in the freezer's hierarchy, with all its processes, unless it has one. */
int fb_cgroup_join_freezer(struct fb_cgroup *group, struct fb_error *err);
/* 1 when frozen, 0 when not (or when it can't be), never an error. */
int fb_cgroup_frozen(const struct fb_cgroup *group);
/* Every process in the group and below it, in the caller's pid namespace; ret_pids is the caller's to free. */
int fb_cgroup_processes(const struct fb_cgroup *group, pid_t **ret_pids, size_t *ret_count, struct fb_error *err);
/* Kill all processes in the directories (cgroup.kill on v2, a bounded loop of signals on v1). */
int fb_cgroup_kill(const char *const *paths, int count, struct fb_error *err);
/* Remove the directories, children first; retries EBUSY for at most ~1 s. Missing ones are fine. */
int fb_cgroup_remove(const char *const *paths, int count, struct fb_error *err);

/* --- groups of the container's execs (cgroup_child.c) --- */

/* The directory below which they are, made when it has to be. 1: it is none of the group's own paths, and the caller's to remove in the end;
 * 0: it is; -errno: nothing can be made here. */
int fb_cgroup_child_base(const struct fb_cgroup *group, char *ret_base, size_t size);
/* Make one, and say what a process of it joins: ret_joined is a copy of the group's, of which the one descriptor that is returned is the
 * caller's to close. -errno, no error is filled. */
int fb_cgroup_child_make(const struct fb_cgroup *group, const char *directory, struct fb_cgroup *ret_joined);
/* SIGKILL to all in it; on v2 whatever they do meanwhile. */
int fb_cgroup_child_kill(const char *directory);
/* Its cgroup.events, which epoll reports as EPOLLPRI when they change; -1: v1, where the kill has waited already. */
int fb_cgroup_child_watch(const char *directory);
bool fb_cgroup_child_populated(int events);
/* The same of an open one: nothing is in it or below it, and it is not frozen. */
bool fb_cgroup_child_idle(int events);
/* Processor time of all that was ever in it, microseconds, from its cpu.stat; -1: it can't be read. */
int64_t fb_cgroup_child_cpu(int stat);

/* 1 when the kernel killed a process of the group for memory, else 0. */
int fb_cgroup_oom_killed(const struct fb_cgroup *group);

#endif
