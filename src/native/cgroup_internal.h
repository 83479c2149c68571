/* What cgroup.c, cgroup_v1.c, cgroup_v2.c and cgroup_end.c share. */
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
	FB_CONTROLLER_V1_COUNT,
	FB_UNIFIED = FB_CONTROLLER_V1_COUNT, /* the v2 hierarchy */
	FB_HIERARCHY_COUNT
};

struct fb_cgroup_mount {
	char at[128];	/* where it is mounted, "" when it is not */
	char root[128]; /* which of its groups is mounted there */
};

struct fb_cgroup_mounts {
	enum fb_cgroup_mode mode;
	struct fb_cgroup_mount of[FB_HIERARCHY_COUNT];
};

const char *fb_controller_name(enum fb_controller controller);
int fb_cgroup_find_mounts(struct fb_cgroup_mounts *ret_mounts, struct fb_error *err);

/* One write(2) of `value` to `directory`/`file`, as control files demand. */
int fb_cgroup_write(const char *directory, const char *file, const char *value,
		    struct fb_error *err);
int fb_cgroup_write_number(const char *directory, const char *file, int64_t value,
			   struct fb_error *err);
/* The first `size` - 1 bytes without the last newline; the length or -errno (no error is filled).
 */
ssize_t fb_cgroup_read(const char *directory, const char *file, char *buffer, size_t size);

/* Called with the mount point and every directory on the way down, `leaf` for the last. */
typedef int (*fb_cgroup_visit)(const char *directory, bool leaf, const void *context,
			       struct fb_error *err);

/* Make the directories of `path` below a hierarchy and add the last one, new and empty, to the
 * group's paths. */
int fb_cgroup_make(const struct fb_cgroup_mounts *mounts, enum fb_controller hierarchy,
		   const char *path, fb_cgroup_visit visit, const void *context,
		   struct fb_cgroup *group, struct fb_error *err);

/* These add to `group` as they go; when they fail the caller removes what is there. */
int fb_cgroup_v1_create(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *group,
			struct fb_error *err);
int fb_cgroup_v2_create(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *group,
			struct fb_error *err);
int fb_cgroup_v1_update(const struct fb_cgroup_mounts *mounts, const struct fb_cgroup *group,
			const struct fb_resources *resources, struct fb_error *err);
int fb_cgroup_v2_limits(const char *directory, const struct fb_resources *resources,
			struct fb_error *err);

/* fb_cgroup_create with the mounts given: tests name a v2 hierarchy of a hybrid machine. */
int fb_cgroup_create_in(const struct fb_cgroup_mounts *mounts, const char *path,
			const struct fb_resources *resources, struct fb_cgroup *ret_group,
			struct fb_error *err);

/* Swap accounting may be off in the kernel, so the file is absent. Then only a value that nobody
 * has to enforce passes: no swap limit, none beyond memory, or docker's default of twice the
 * memory, which nobody asked for. */
bool fb_cgroup_swap_may_be_ignored(const struct fb_resources *resources);

uint64_t fb_cgroup_weight_of_shares(uint64_t shares);

#endif
