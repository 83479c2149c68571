/* A mount of type "cgroup": v2 is one file system; v1 and hybrid are a small tmpfs with each hierarchy below.
 *
 * In a cgroup namespace of the container's own each hierarchy is mounted, and has the container's group as its root. Without one that mount
 * would be the host's whole tree, so on v1 the container's group itself is bound. On v2 it is the whole tree, as its paths in
 * /proc/self/cgroup then are the host's too.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "io.h"
#include "plan.h"

static int add_link(struct fb_plan *plan, const char *directory, const char *name, const char *text,
		    struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, FB_OP_SYMLINK, FB_STAGE_MOUNT);

	if (!op || !(op->path = fb_arena_printf(&plan->arena, "%s/%s", directory, name)))
		return fb_plan_no_memory(err);
	op->text = text;
	return 0;
}

/* The container's group in the hierarchy of these controllers, or -1. The others are not mounted: the container would see its caller's
 * group there, and the names of all containers in it. */
static int own_group(const struct fb_cgroup *group, const char *controllers)
{
	for (int i = 0; group && i < group->path_count; i++) {
		const char *name = group->controllers[i], *at = name ? strstr(controllers, name) : NULL;
		size_t length = name ? strlen(name) : 0;

		/* A whole word of "cpu,cpuacct". */
		for (; at; at = strstr(at + 1, name))
			if ((at == controllers || at[-1] == ',') && (at[length] == ',' || !at[length]))
				return i;
	}
	return -1;
}

static int bind_group(struct fb_plan *plan, struct fb_mount_plan *mount, const char *path, struct fb_error *err)
{
	int r;

	mount->bind = true;
	mount->type = "bind";
	mount->source = path;
	r = fb_plan_add_mount(plan, FB_OP_OPEN_SOURCE, mount, err);
	return r < 0 ? r : fb_plan_add_mount(plan, FB_OP_BIND, mount, err);
}

static int mount_hierarchy(struct fb_plan *plan, struct fb_mount_plan *mount, const char *controllers,
			   struct fb_error *err)
{
	char *word = fb_arena_strdup(&plan->arena, controllers), *state;
	int r;

	mount->settings = fb_arena_alloc(&plan->arena, 16 * sizeof(*mount->settings));
	if (!mount->settings || !word)
		return fb_plan_no_memory(err);
	for (word = strtok_r(word, ",", &state); word && mount->setting_count < 16; word = strtok_r(NULL, ",", &state))
		if ((r = fb_plan_setting(plan, mount, word, err)) < 0)
			return r;
	return fb_plan_add_mount(plan, FB_OP_MOUNT, mount, err);
}

static int plan_hierarchy(struct fb_plan *plan, const struct fb_mount_plan *like, const char *controllers,
			  const char *group, struct fb_error *err)
{
	bool named = strncmp(controllers, "name=", 5) == 0;
	const char *name = named ? controllers + 5 : controllers;
	char *path = fb_arena_printf(&plan->arena, "%s/%s", like->target, name), *word, *state;
	struct fb_mount_plan *mount;
	int r;

	if (!path || !(mount = fb_plan_new_mount(plan, path, "cgroup", "cgroup")))
		return fb_plan_no_memory(err);
	mount->set = like->set;
	mount->flags = like->flags;
	if (plan->apart & CLONE_NEWCGROUP)
		r = mount_hierarchy(plan, mount, controllers, err);
	else
		r = bind_group(plan, mount, group, err);
	if (r < 0 || named || !strchr(controllers, ','))
		return r;
	/* Co-mounted controllers are found under each one's own name too. */
	if (!(word = fb_arena_strdup(&plan->arena, controllers)))
		return fb_plan_no_memory(err);
	for (word = strtok_r(word, ",", &state); word && r == 0; word = strtok_r(NULL, ",", &state))
		r = add_link(plan, like->target, word, name, err);
	return r;
}

static int plan_hierarchies(struct fb_plan *plan, const struct fb_mount_plan *like, char *text, struct fb_error *err)
{
	const struct fb_cgroup *group = plan->request->cgroup;
	char *line, *state;
	int r = 0;

	for (line = strtok_r(text, "\n", &state); line && r == 0; line = strtok_r(NULL, "\n", &state)) {
		char *controllers = strchr(line, ':'), *end = controllers ? strchr(controllers + 1, ':') : NULL, *name;
		int index;

		if (!end || end == controllers + 1)
			continue;
		*end = '\0';
		if ((index = own_group(group, controllers + 1)) < 0)
			continue;
		if (!(name = fb_arena_strdup(&plan->arena, controllers + 1)))
			return fb_plan_no_memory(err);
		r = plan_hierarchy(plan, like, name, group->paths[index], err);
	}
	return r;
}

static int plan_unified(struct fb_plan *plan, struct fb_mount_plan *mount, struct fb_error *err)
{
	const struct fb_cgroup *group = plan->request->cgroup;

	mount->type = "cgroup2";
	mount->fallback = plan->apart & CLONE_NEWCGROUP && group && group->path_count ? group->paths[0] : "/sys/fs/cgroup";
	return fb_plan_add_mount(plan, FB_OP_MOUNT, mount, err);
}

int fb_plan_cgroup_mount(struct fb_plan *plan, struct fb_mount_plan *mount, struct fb_error *err)
{
	static struct fb_setting mode = {"mode", "755"};
	struct fb_mount_plan hierarchy;
	fb_auto_close int fd = -1;
	struct statfs fs;
	char text[4096];
	ssize_t length;
	int r;

	mount->settings = NULL;
	mount->setting_count = 0;
	mount->data = "";
	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return plan_unified(plan, mount, err);
	fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -errno : fb_read_all(fd, text, sizeof(text) - 1);
	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_MOUNT, (int)-length, "open", "/proc/self/cgroup", NULL);
	text[length] = '\0';
	mount->type = mount->source = "tmpfs";
	mount->data = "mode=755";
	mount->settings = &mode;
	mount->setting_count = 1;
	hierarchy = *mount; /* keeps the "ro" that the tmpfs gets in the end */
	mount->set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	mount->flags &= ~(unsigned long)MS_RDONLY;
	if ((r = fb_plan_add_mount(plan, FB_OP_MOUNT, mount, err)) < 0 ||
	    (r = plan_hierarchies(plan, &hierarchy, text, err)) < 0)
		return r;
	return hierarchy.set & MOUNT_ATTR_RDONLY ? fb_plan_add_mount(plan, FB_OP_SEAL, mount, err) : 0;
}
