/* What the files named cgroup_*.c share. */
#ifndef FB_CGROUP_INTERNAL_H
#define FB_CGROUP_INTERNAL_H

#include "cgroup.h"

enum fb_controller {
	FB_CONTROLLER_CPU,
	FB_CONTROLLER_CPUSET,
	FB_CONTROLLER_MEMORY,
	FB_CONTROLLER_DEVICES,
	FB_CONTROLLER_PIDS,
	FB_CONTROLLER_BLKIO,
	FB_CONTROLLER_COMMON_COUNT,
	FB_CONTROLLER_CPUACCT = FB_CONTROLLER_COMMON_COUNT,
	FB_CONTROLLER_FREEZER,
	FB_CONTROLLER_HUGETLB,
	FB_CONTROLLER_NET_CLS,
	FB_CONTROLLER_NET_PRIO,
	FB_CONTROLLER_RDMA,
	FB_CONTROLLER_PERF_EVENT,
	FB_CONTROLLER_MISC,
	FB_CONTROLLER_SYSTEMD, /* a hierarchy without controller, by which systemd names processes */
	FB_CONTROLLER_V1_COUNT,
	FB_UNIFIED = FB_CONTROLLER_V1_COUNT, /* the v2 hierarchy */
	FB_HIERARCHY_COUNT
};
_Static_assert(FB_HIERARCHY_COUNT <= FB_CGROUP_MAX, "a group in every hierarchy");

struct fb_cgroup_mount {
	char at[128];	/* where it is mounted, "" when it is not */
	char root[128]; /* which of its groups is mounted there */
};

struct fb_cgroup_mounts {
	enum fb_cgroup_mode mode;
	unsigned flags; /* FB_CGROUP_*: what they were looked for */
	struct fb_cgroup_mount of[FB_HIERARCHY_COUNT];
};

const char *fb_controller_name(enum fb_controller controller);
/* Without FB_CGROUP_EVERY only as far as the common controllers. */
int fb_cgroup_find_mounts(unsigned flags, struct fb_cgroup_mounts *ret_mounts, struct fb_error *err);
/* The caller's own group in a hierarchy, as the part of a path below its mount point ("" for the mount point itself). */
int fb_cgroup_own(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy, char *ret_path, size_t size,
		  struct fb_error *err);

/* The group's path as it is below the mount point of every hierarchy; NULL: it has none. */
const char *fb_cgroup_common_path(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group);

/* One write(2) of `value` to `directory`/`file`, as control files demand. */
int fb_cgroup_write(const char *directory, const char *file, const char *value, struct fb_error *err);
int fb_cgroup_write_number(const char *directory, const char *file, int64_t value, struct fb_error *err);
/* The same where the kernel may have no such file: ENOTSUP then, with `lacking` as the reason. */
int fb_cgroup_write_if_known(const char *directory, const char *file, const char *value, const char *lacking,
			     struct fb_error *err);
/* The first `size` - 1 bytes without the last newline; the length or -errno (no error is filled). */
ssize_t fb_cgroup_read(const char *directory, const char *file, char *buffer, size_t size);

bool fb_cgroup_has(const char *directory, const char *file);

/* Called with the mount point and every directory on the way down, `leaf` for the last. */
typedef int (*fb_cgroup_visit)(const char *directory, bool leaf, const void *context, struct fb_error *err);

/* Make the directories of `path` below a hierarchy and add the last one to the group's paths, new and empty; with FB_CGROUP_EVERY also one
 * that exists, when nobody is in it and below. */
int fb_cgroup_make(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy, const char *path,
		   fb_cgroup_visit visit, const void *context, struct fb_cgroup *group, struct fb_error *err);

/* These add to `group` as they go; when they fail the caller removes what is there. */
int fb_cgroup_v1_create(const struct fb_cgroup_mounts *mounts, const char *path, const struct fb_resources *resources,
			struct fb_cgroup *group, struct fb_error *err);
int fb_cgroup_v2_create(const struct fb_cgroup_mounts *mounts, const char *path, const struct fb_resources *resources,
			struct fb_cgroup *group, struct fb_error *err);
int fb_cgroup_v1_update(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group,
			const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_v2_update(const char *directory, const struct fb_resources *resources, struct fb_error *err);

/* v1: the group's directory in one more hierarchy, as its last path, and its way in. */
int fb_cgroup_v1_make(const struct fb_cgroup_mounts *mounts, enum fb_controller controller, const char *path,
		      struct fb_cgroup *group, struct fb_error *err);
/* The same for a group with processes, which all move there. */
int fb_cgroup_v1_join(const struct fb_cgroup_mounts *mounts, struct fb_cgroup *group, enum fb_controller controller,
		      struct fb_error *err);
/* What the limits need and the group has not got: hierarchies to join, controllers to enable above `directory`. */
int fb_cgroup_v1_join_needed(const struct fb_cgroup_mounts *mounts, struct fb_cgroup *group,
			     const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_v2_enable(const struct fb_cgroup_mounts *mounts, const char *directory,
			const struct fb_resources *resources, struct fb_error *err);

/* The device rules of v1; `live`: processes are in the group, and what stays allowed is allowed at every moment. */
int fb_cgroup_v1_devices(const char *directory, const struct fb_device_rule *rules, size_t count, bool live,
			 struct fb_error *err);

/* The resources that name devices: `v2` tells which files there are. */
int fb_cgroup_set_blkio(const char *directory, bool v2, const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_set_hugepages(const char *directory, bool v2, const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_set_rdma(const char *directory, const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_set_class(const char *directory, const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_set_priorities(const char *directory, const struct fb_resources *resources, struct fb_error *err);

/* How many processes are in the group and below; `pids` may be NULL, and is the caller's to free. -errno. */
ssize_t fb_cgroup_list(const char *directory, pid_t **pids);

struct fb_cgroup_stats;
/* The part about block devices and pressure; `text` is room. -ENOMEM, no error is filled. */
int fb_cgroup_stats_io(const struct fb_cgroup *group, char *text, size_t size, struct fb_cgroup_stats *stats);

/* fb_cgroup_create with the mounts given: tests name a v2 hierarchy of a hybrid machine. */
int fb_cgroup_create_in(const struct fb_cgroup_mounts *mounts, const char *path, const struct fb_resources *resources,
			struct fb_cgroup *ret_group, struct fb_error *err);

/* Swap accounting may be off in the kernel, so the file is absent. Then only a value that nobody has to enforce passes: no swap limit, none
 * beyond memory, or docker's default of twice the memory, which nobody asked for. */
bool fb_cgroup_swap_may_be_ignored(const struct fb_resources *resources);

uint64_t fb_cgroup_weight_of_shares(uint64_t shares);

#endif
