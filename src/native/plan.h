/* What will be done between clone and exec: decided, complete and in memory before the clone.
 *
 * The order of the operations is the order of the plan; the child (child.h) interprets them one after the other, allocates
 * nothing and decides nothing that the kernel's answers do not force.
 */
#ifndef FB_PLAN_H
#define FB_PLAN_H

#include "creds.h"
#include "launch.h"
#include "seccomp.h"

#define FB_INIT_PATH "/sbin/docker-init"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

enum fb_op_type {
	FB_OP_WRITE_SELF, /* text into /proc/self/<path> of the host's procfs */
	FB_OP_JOIN_CGROUPS,
	FB_OP_JOIN_NAMESPACE, /* number: descriptor, flags: type */
	FB_OP_JOIN_TARGET,    /* flags: types of the container that exec enters */
	FB_OP_AWAIT_PARENT, /* the id mappings are written by then */
	FB_OP_BECOME_ROOT,  /* id 0 of the user namespace, or the process's own where it has none */
	FB_OP_NEW_SESSION,
	FB_OP_KEYRING,
	FB_OP_MEET,  /* number: the point, FB_MEET_* */
	FB_OP_HOOKS, /* number: enum fb_hook_kind */
	FB_OP_FIND_COMMAND,
	FB_OP_AWAIT_START,
	FB_OP_LOOPBACK,
	FB_OP_HOST_PROPAGATION, /* of every inherited mount, or (path) of the one that the root lies on: flags */
	FB_OP_OPEN_SOURCE,	/* of a bind mount */
	FB_OP_ROOT_OVERLAY,
	FB_OP_ROOT_BIND,   /* flags: 1 read-only; number: MS_* that it shall have, or 0 */
	FB_OP_ROOT_ATTACH, /* number: a root that was made before the clone */
	FB_OP_ROOT_OPEN,   /* path: exec, where the target's mount namespace put us, or no mount namespace at all */
	FB_OP_MOUNT,
	FB_OP_BIND,
	FB_OP_REMOUNT,
	FB_OP_SEAL, /* a mount made earlier becomes read-only */
	FB_OP_NODE, /* flags: 1 when it may not be bound instead */
	FB_OP_SYMLINK, /* text at path */
	FB_OP_CONSOLE, /* flags: 1 when it also becomes /dev/console */
	FB_OP_MAKE_DIRECTORY,
	FB_OP_HIDE, /* path: a whole procfs or sysfs of the host that a chroot would leave in reach */
	FB_OP_PIVOT, /* flags: enum fb_pivot */
	FB_OP_ROOT_PROPAGATION,
	FB_OP_HOSTNAME,
	FB_OP_DOMAINNAME,
	FB_OP_SYSCTL,
	FB_OP_MASK_PATH,
	FB_OP_READONLY_PATH,
	FB_OP_ROOT_READONLY,
	FB_OP_RESOLVE_USER,
	FB_OP_RLIMITS,
	FB_OP_AFFINITY, /* text: a mask of `flags` bytes */
	FB_OP_SCHEDULER,
	FB_OP_IO_PRIORITY,
	FB_OP_PERSONALITY, /* flags: which */
	FB_OP_STDIO,
	FB_OP_CWD,
	FB_OP_BOUNDING,
	FB_OP_IDS,
	FB_OP_FILTER, /* flags: 1 when privilege is what allows it, not no_new_privs */
	FB_OP_CAPABILITIES,
	FB_OP_NO_NEW_PRIVS,
	FB_OP_UMASK,
	FB_OP_CLOSE,
	FB_OP_EXEC,
	FB_OP_COUNT
};

enum fb_pivot {
	FB_PIVOT,
	FB_PIVOT_JOINED, /* in a mount namespace of others: nothing may reach beyond it */
	FB_PIVOT_MOVE,	 /* no_pivot */
	FB_PIVOT_CHROOT	 /* no mount namespace */
};

struct fb_setting { /* of a file system; no value: a flag */
	const char *key, *value;
};

struct fb_mount_plan {
	const char *target; /* below the root, no leading slash, no ".." */
	const char *type, *source;
	const char *subpath; /* of the source; NULL: all of it */
	struct fb_setting *settings;
	size_t setting_count;
	const char *data;		/* the settings as mount(2) wants them */
	uint64_t set, clear;		/* MOUNT_ATTR_* of this mount */
	uint64_t tree_set, tree_clear;	/* and of all below it (rro ...) */
	unsigned long flags;		/* the same for mount(2), and what belongs to the file system ("sync"): MS_* */
	unsigned long propagation;	/* MS_*, 0: as the root's */
	unsigned long propagation_after; /* "slave" and then "shared" is both */
	bool bind, remount, recursive;
	bool idmap, idmap_tree; /* "idmap", "ridmap" */
	bool copy_up;	/* "tmpcopyup" */
	bool take_mode; /* a tmpfs without "mode" has that of the directory it covers */
	bool seal;	/* read-only when all mounts are made: others may lie below it */
	const char *fallback; /* of the host, bound where a user namespace may not mount the real thing */
	bool plain;	/* no symbolic link on the way: /proc, /sys, /dev */
	bool over_proc; /* one of the few files of /proc that may be covered */
	bool classic;	/* what only mount(2) takes */
	bool cloned;	/* by the child: `fd` is a detached mount, else a path descriptor */
	bool directory;
	int fd;
};

struct fb_op {
	enum fb_op_type type;
	enum fb_stage stage;
	const char *path, *text;
	uint64_t flags;
	int number;
	struct fb_mount_plan *mount;
	const struct fb_device *device;
};

struct fb_join {
	int fd;
	uint64_t types; /* one, or for a pidfd several */
	const char *path;
};

struct fb_id_maps {
	const struct fb_mapping *uids, *gids;
	size_t uid_count, gid_count;
};

struct fb_plan {
	struct fb_arena arena;
	struct fb_op *ops;
	size_t count, room;
	const struct fb_launch_request *request;
	const struct fb_spec *spec;
	const struct fb_process_spec *process;
	uint64_t namespaces;  /* new ones */
	uint64_t apart;	      /* types that are not the caller's: new or joined */
	bool own_memory;      /* clone without CLONE_VM */
	bool late_cgroup_namespace; /* after the joins */
	bool join_by_write;	    /* v2 too, and not by the clone */
	bool map_ids;	      /* the parent writes uid_map and gid_map */
	bool between;	      /* joins are made by a process in between, which clones the child (between.c) */
	struct fb_join joins[9];
	size_t join_count;
	int user_namespace;   /* joined; -1 */
	int pid_namespace;    /* entered by the parent for its child; -1 */
	uint64_t lent;	      /* exec: types that the parent is in while it clones, so that the child never was elsewhere */
	int beside;	      /* exec, v2: the group to be cloned into instead of the container's; -1 */
	struct fb_user_namespace *user_namespaces; /* made for id-mapped mounts */
	int *fds;	      /* opened for the plan, closed with it */
	size_t fd_count, fd_room;
	int procs[FB_CGROUP_MAX + 1]; /* tasks (v1) or cgroup.procs (v2 without CLONE_INTO_CGROUP) to write "0" to */
	size_t procs_count;
	char **argv, **envp, **candidates;
	size_t env_count;
	bool home_missing;
	char home[264]; /* "HOME=...", the slot after the last variable */
	struct fb_user_request user;
	char *passwd, *group; /* FB_PASSWD_MAX_BYTES + 1 each, untouched pages cost nothing; NULL: not needed */
	struct fb_capabilities caps;
	bool keep_caps;
	struct fb_rlimit *rlimits;
	size_t rlimit_count;
	struct fb_seccomp_program filter;
	const char *overlay_data; /* options after the layers */
	bool overlay_by_call;	  /* the kernel takes one layer a call, and no text of all of them */
	unsigned fd_limit;
	bool has_hooks;	    /* between clone and exec */
	int state;	    /* the file that hooks read; -1 */
	int listener;	    /* the connection that a seccomp listener's descriptor is sent over; -1 */
	int listener_state; /* the file with the text that goes along */
	char *listener_text; /* room for that text, and then for a stack */
};

#define FB_LISTENER_TEXT ((size_t)65536)
#define FB_LISTENER_STACK ((size_t)16384)

/* Everything that can be known before the clone. On failure nothing is left. */
int fb_plan_build(const struct fb_launch_request *request, struct fb_plan *ret_plan, struct fb_error *err);
void fb_plan_free(struct fb_plan *plan);

/* Between the files of the plan. fb_plan_keep: `fd` is closed with the plan, at once when it can't be kept; returns it. */
int fb_plan_keep(struct fb_plan *plan, int fd, struct fb_error *err);
int fb_plan_namespaces(struct fb_plan *plan, struct fb_error *err);
int fb_plan_joins(struct fb_plan *plan, struct fb_error *err);
int fb_plan_join_target(struct fb_plan *plan, struct fb_error *err);
int fb_plan_read_options(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
			 struct fb_error *err);
int fb_plan_setting(struct fb_plan *plan, struct fb_mount_plan *mount, char *text, struct fb_error *err);
int fb_plan_add_mount(struct fb_plan *plan, enum fb_op_type type, struct fb_mount_plan *mount, struct fb_error *err);
struct fb_mount_plan *fb_plan_new_mount(struct fb_plan *plan, const char *destination, const char *type,
					const char *source);
int fb_plan_pivot(struct fb_plan *plan, struct fb_error *err);
int fb_plan_cgroup_mount(struct fb_plan *plan, struct fb_mount_plan *mount, struct fb_error *err);
/* An id-mapped clone of the source, into mount->fd. */
int fb_plan_idmap(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
		  struct fb_error *err);
/* Whether the process that a namespace's path names is still the one that was meant; asked after the open, which then was of it. */
int fb_plan_check_start(const char *path, uint64_t start_time, struct fb_error *err);
/* A clone of a mount of another container's, into mount->fd. */
int fb_plan_foreign_source(struct fb_plan *plan, const struct fb_process_ref *of, struct fb_mount_plan *mount,
			   struct fb_error *err);
/* The engine's layers, id-mapped to the container's user namespace: a detached root, the plan's. */
int fb_plan_mapped_root(struct fb_plan *plan, const struct fb_op *op, struct fb_error *err);
struct fb_op *fb_plan_add(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage);
int fb_plan_no_memory(struct fb_error *err);
int fb_plan_mounts(struct fb_plan *plan, struct fb_error *err);
int fb_plan_rights(struct fb_plan *plan, struct fb_error *err);
int fb_plan_process(struct fb_plan *plan, struct fb_error *err);
/* The CPUs of an exec; NULL: as they are. */
int fb_plan_affinity(struct fb_plan *plan, const char *list, struct fb_error *err);
int fb_plan_scheduling(struct fb_plan *plan, struct fb_error *err);
/* An operation with a number: a point to meet at, a kind of hooks. */
int fb_plan_stop(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage, int number, struct fb_error *err);
/* "/a//b/./x/../c" -> "a/b/c", as the text says, whatever links there are; NULL without memory. */
const char *fb_plan_target(struct fb_plan *plan, const char *path);

#endif
