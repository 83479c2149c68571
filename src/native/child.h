/* The interpreter of a plan, between clone and exec.
 *
 * The child may share its memory with the caller: it allocates nothing, prints nothing, takes no lock, asks no library for names, and leaves
 * by exec or _exit only. tests/arch/test_child_symbols.py holds the list of what its objects may call. It writes to its stack,
 * to the result, and to the fields of the plan that are made for it (descriptors of mounts, HOME, the texts of passwd and group).
 */
#ifndef FB_CHILD_H
#define FB_CHILD_H

#include "plan.h"

struct fb_child_result { /* in memory that the parent sees in both forms of clone */
	struct fb_error error;
	struct fb_stage_clocks clocks;
	bool rlimit_clamped;
	bool executing; /* set before the first execve, or before the wait for `start`: without it a silent end is a failure */
};

/* Which mounts can be made before they are attached. */
enum fb_detached { FB_DETACHED_UNKNOWN, FB_DETACHED_NONE, FB_DETACHED_CLONES, FB_DETACHED_ALL };

struct fb_child {
	struct fb_plan *plan;
	struct fb_child_result *result;
	int socket;  /* to the parent; -1 in shared memory without a terminal */
	int root;    /* the container's root directory, O_PATH */
	int null;    /* its /dev/null, verified, O_PATH */
	int empty;   /* a read-only empty directory, mounted, for masks */
	int console; /* the pty's other end */
	enum fb_detached detached;
	int start;   /* the connection of `start`, which learns how the exec went; -1 */
	int parent;  /* the directory that the last node or link was made in */
	const char *parent_path;
	size_t parent_length;
	bool no_groups; /* the user namespace denies setgroups */
	struct fb_user_answer user;
};

/* Runs every operation. Returns only when one failed, with result->error filled. */
int fb_child_run(struct fb_child *child);

/* "/proc/self/fd/<fd>" of the procfs that is mounted where we are: only before the pivot. */
struct fb_fd_path {
	char text[32];
};
struct fb_fd_path fb_fd_path(int fd);

/* Mounts by descriptor, with mount(2) where the kernel or a filter refuses the new calls. 0 or -errno, no err. */
int fb_mount_attach(int mount, int target);
/* The part of the source that the mount is of: a path descriptor, or -errno. */
int fb_mount_part(const struct fb_mount_plan *mount);
int fb_mount_change(int mount, bool tree, uint64_t set, uint64_t clear, unsigned long propagation);
int fb_mount_clone(struct fb_child *child, int dirfd, const char *path, bool recursive); /* path "": dirfd itself */
bool fb_mount_refused(int error); /* ENOSYS, or EPERM by a filter */
/* Detached mounts are of use only where they can be finished and attached. Asked before the first one is begun: what is detached can't
 * be bound by mount(2), and an upper that was mounted once as volatile can't be mounted again. */
enum fb_detached fb_mount_detached(struct fb_child *child);
int fb_null_device(struct fb_child *child);
/* Close-on-exec for every descriptor from `first` on; before 5.11 one by one, below `limit`. 0 or -errno, no err. */
int fb_child_close_from(unsigned first, unsigned limit);

typedef int fb_op_handler(struct fb_child *child, const struct fb_op *op);
fb_op_handler fb_op_join_cgroups, fb_op_join_namespace, fb_op_join_target, fb_op_await_parent, fb_op_become_root,
	fb_op_loopback;
fb_op_handler fb_op_meet, fb_op_hooks, fb_op_find_command, fb_op_await_start, fb_op_keyring;
fb_op_handler fb_op_affinity, fb_op_scheduler, fb_op_io_priority, fb_op_personality;
fb_op_handler fb_op_host_propagation, fb_op_root_overlay, fb_op_root_bind, fb_op_root_attach, fb_op_root_open, fb_op_hide, fb_op_pivot,
	fb_op_root_propagation, fb_op_root_readonly, fb_op_make_directory;
fb_op_handler fb_op_open_source, fb_op_mount, fb_op_bind, fb_op_remount, fb_op_seal;
fb_op_handler fb_op_node, fb_op_symlink, fb_op_console;
fb_op_handler fb_op_sysctl, fb_op_mask_path, fb_op_readonly_path;
fb_op_handler fb_op_resolve_user, fb_op_rlimits, fb_op_stdio, fb_op_cwd, fb_op_bounding, fb_op_ids, fb_op_filter,
	fb_op_capabilities, fb_op_no_new_privs, fb_op_umask, fb_op_close, fb_op_exec;

/* Install the filter `program` (struct sock_fprog) and send its listener's descriptor to the agent. */
int fb_child_listen(struct fb_child *child, const struct fb_op *op, const void *program);

#define FB_CHILD_FAIL(child, op, call) \
	FB_FAIL(&(child)->result->error, (op)->stage, (call), (op)->path)
#define FB_CHILD_FAIL_CODE(child, op, code, call, detail) \
	FB_FAIL_CODE(&(child)->result->error, (op)->stage, (code), (call), (op)->path, (detail))

#endif
