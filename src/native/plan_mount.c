/* The root, the mounts and /dev, as operations. */
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "io.h"
#include "plan.h"

struct option {
	const char *name;
	uint64_t set, clear;
	unsigned long flag, unflag;
};

#define ATIME MOUNT_ATTR__ATIME
#define MS_ATIME (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

static const struct option options[] = {
	{"defaults", 0, 0, 0, 0},
	{"rw", 0, MOUNT_ATTR_RDONLY, 0, MS_RDONLY},
	{"ro", MOUNT_ATTR_RDONLY, 0, MS_RDONLY, 0},
	{"suid", 0, MOUNT_ATTR_NOSUID, 0, MS_NOSUID},
	{"nosuid", MOUNT_ATTR_NOSUID, 0, MS_NOSUID, 0},
	{"dev", 0, MOUNT_ATTR_NODEV, 0, MS_NODEV},
	{"nodev", MOUNT_ATTR_NODEV, 0, MS_NODEV, 0},
	{"exec", 0, MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC},
	{"noexec", MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC, 0},
	{"relatime", MOUNT_ATTR_RELATIME, ATIME, MS_RELATIME, MS_ATIME},
	{"noatime", MOUNT_ATTR_NOATIME, ATIME, MS_NOATIME, MS_ATIME},
	{"strictatime", MOUNT_ATTR_STRICTATIME, ATIME, MS_STRICTATIME, MS_ATIME},
	{"atime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"norelatime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"nostrictatime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME, 0},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW, 0},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW},
	{0},
};

static const struct {
	const char *name;
	unsigned long value;
} propagations[] = {
	{"private", MS_PRIVATE},	   {"rprivate", MS_PRIVATE | MS_REC},
	{"slave", MS_SLAVE},		   {"rslave", MS_SLAVE | MS_REC},
	{"shared", MS_SHARED},		   {"rshared", MS_SHARED | MS_REC},
	{"unbindable", MS_UNBINDABLE},	   {"runbindable", MS_UNBINDABLE | MS_REC},
};

static const struct fb_device default_nodes[] = {
	{"/dev/null", 'c', 1, 3, 0666, 0, 0},	{"/dev/zero", 'c', 1, 5, 0666, 0, 0},
	{"/dev/full", 'c', 1, 7, 0666, 0, 0},	{"/dev/random", 'c', 1, 8, 0666, 0, 0},
	{"/dev/urandom", 'c', 1, 9, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
};

static const char *const default_links[][2] = {
	{"dev/fd", "/proc/self/fd"},	   {"dev/stdin", "/proc/self/fd/0"},
	{"dev/stdout", "/proc/self/fd/1"}, {"dev/stderr", "/proc/self/fd/2"},
	{"dev/ptmx", "pts/ptmx"},
};

/* A link here would aim the engine's own mounts elsewhere (CVE-2019-19921 and its kin). */
static const char *const plain_targets[] = {"proc",	 "sys",	       "dev",		"dev/pts",
					    "dev/shm", "dev/mqueue", "sys/fs/cgroup"};

/* What lxcfs and the like cover; nothing else of /proc may be (CVE-2023-27561: a masked path uncovered). */
static const char *const proc_targets[] = {
	"proc/cpuinfo", "proc/diskstats", "proc/meminfo", "proc/stat",
	"proc/swaps",	"proc/uptime",	  "proc/loadavg", "proc/slabinfo",
	"proc/sys/kernel/ns_last_pid",	  "proc/sys/crypto/fips_enabled"};

static bool listed(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}
#define LISTED(list, text) listed((list), sizeof(list) / sizeof(*(list)), (text))

static int refuse(const char *path, const char *detail, struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_MOUNT, EINVAL, "config", path, detail);
}

/* true: it was a flag of the mount. `tree` for the forms that reach every mount below ("rro"). */
static bool take_flag(struct fb_mount_plan *mount, const char *name, bool tree)
{
	const struct option *option = options;

	while (option->name && strcmp(option->name, name) != 0)
		option++;
	if (!option->name)
		return false;
	if (tree) {
		mount->tree_set = (mount->tree_set & ~option->clear) | option->set;
		mount->tree_clear = (mount->tree_clear & ~option->set) | option->clear;
	} else {
		mount->set = (mount->set & ~option->clear) | option->set;
		mount->clear = (mount->clear & ~option->set) | option->clear;
	}
	mount->flags = (mount->flags & ~option->unflag) | option->flag;
	return true;
}

static bool take_word(struct fb_mount_plan *mount, const char *name)
{
	for (size_t i = 0; i < sizeof(propagations) / sizeof(*propagations); i++) {
		if (strcmp(propagations[i].name, name) == 0) {
			mount->propagation = propagations[i].value;
			return true;
		}
	}
	if (strcmp(name, "bind") == 0 || strcmp(name, "rbind") == 0) {
		mount->bind = true;
		mount->recursive = name[0] == 'r';
	} else if (strcmp(name, "remount") == 0) {
		mount->remount = true;
	} else if (take_flag(mount, name, false)) {
		return true;
	} else {
		/* "relatime" was taken above: what is left with an r is a recursive form. */
		return name[0] == 'r' && take_flag(mount, name + 1, true);
	}
	return true;
}

static int take_setting(struct fb_plan *plan, struct fb_mount_plan *mount, char *text, struct fb_error *err)
{
	struct fb_setting *setting = &mount->settings[mount->setting_count++];
	char *value = strchr(text, '=');

	mount->data = *mount->data ? fb_arena_printf(&plan->arena, "%s,%s", mount->data, text) : text;
	if (!mount->data)
		return fb_plan_no_memory(err);
	setting->key = text;
	if (value) {
		setting->key = fb_arena_printf(&plan->arena, "%.*s", (int)(value - text), text);
		setting->value = value + 1;
		if (!setting->key)
			return fb_plan_no_memory(err);
		mount->classic = mount->classic || strlen(setting->value) > 255;
	}
	return 0;
}

static int read_options(struct fb_plan *plan, const struct fb_mount_spec *spec,
			struct fb_mount_plan *mount, struct fb_error *err)
{
	int r;

	mount->data = "";
	mount->settings = fb_arena_alloc(&plan->arena, (spec->options.count + 1) * sizeof(*mount->settings));
	if (!mount->settings)
		return fb_plan_no_memory(err);
	mount->bind = spec->type && strcmp(spec->type, "bind") == 0;
	for (size_t i = 0; i < spec->options.count; i++) {
		char *text = spec->options.items[i];

		if (strcmp(text, "tmpcopyup") == 0)
			return refuse(spec->destination, "tmpcopyup is not supported", err);
		if (!take_word(mount, text) && (r = take_setting(plan, mount, text, err)) < 0)
			return r;
	}
	if (mount->bind && !mount->remount && mount->setting_count)
		return refuse(spec->destination, "a bind mount has an unknown option", err);
	return 0;
}

static int check_target(const struct fb_mount_plan *mount, const struct fb_mount_spec *spec,
			struct fb_error *err)
{
	if (!mount->target || !*mount->target)
		return refuse(spec->destination, "can't be a mount's destination", err);
	if (strcmp(mount->target, "proc") == 0 && !mount->bind && strcmp(mount->type, "proc") != 0)
		return refuse(spec->destination, "may only hold a proc file system", err);
	if (strncmp(mount->target, "proc/", 5) == 0 && !mount->over_proc)
		return refuse(spec->destination, "this path of /proc may not be covered", err);
	return 0;
}

static struct fb_mount_plan *new_mount(struct fb_plan *plan, const char *destination, const char *type,
				       const char *source)
{
	struct fb_mount_plan *mount = fb_arena_alloc(&plan->arena, sizeof(*mount));

	if (!mount)
		return NULL;
	mount->target = fb_plan_target(plan, destination);
	mount->type = type ? type : "none";
	mount->source = source ? source : mount->type;
	mount->data = "";
	mount->fd = -1;
	if (mount->target) {
		mount->plain = LISTED(plain_targets, mount->target);
		mount->over_proc = LISTED(proc_targets, mount->target);
	}
	return mount;
}

static int add_mount(struct fb_plan *plan, enum fb_op_type type, struct fb_mount_plan *mount,
		     struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, type, FB_STAGE_MOUNT);

	if (!op)
		return fb_plan_no_memory(err);
	op->mount = mount;
	op->path = mount->target;
	return 0;
}

static int add_link(struct fb_plan *plan, const char *path, const char *text, enum fb_stage stage,
		    struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, FB_OP_SYMLINK, stage);

	if (!op || !path || !text)
		return fb_plan_no_memory(err);
	op->path = path;
	op->text = text;
	return 0;
}

/* One v1 hierarchy, mounted inside the cgroup namespace so that it shows the container's own group as its root. */
static int plan_hierarchy(struct fb_plan *plan, const struct fb_mount_plan *like, char *controllers,
			  struct fb_error *err)
{
	bool named = strncmp(controllers, "name=", 5) == 0;
	const char *name = named ? controllers + 5 : controllers;
	struct fb_mount_plan *mount;
	char *path = fb_arena_printf(&plan->arena, "%s/%s", like->target, name), *word, *state;
	int r;

	if (!path || !(mount = new_mount(plan, path, "cgroup", "cgroup")))
		return fb_plan_no_memory(err);
	mount->set = like->set;
	mount->flags = like->flags;
	mount->settings = fb_arena_alloc(&plan->arena, 16 * sizeof(*mount->settings));
	word = fb_arena_strdup(&plan->arena, controllers);
	if (!mount->settings || !word)
		return fb_plan_no_memory(err);
	for (word = strtok_r(word, ",", &state); word && mount->setting_count < 16;
	     word = strtok_r(NULL, ",", &state)) {
		if ((r = take_setting(plan, mount, word, err)) < 0)
			return r;
		/* Co-mounted controllers are found under each one's own name too. */
		if (!named && strchr(controllers, ',') &&
		    (r = add_link(plan, fb_arena_printf(&plan->arena, "%s/%s", like->target, word),
				  name, FB_STAGE_MOUNT, err)) < 0)
			return r;
	}
	return add_mount(plan, FB_OP_MOUNT, mount, err);
}

/* "cgroup": v2 is one mount; v1 and hybrid are a small tmpfs with each hierarchy below, sealed when all are there. */
/* Of the other hierarchies the container would see its caller's group: the host's tree, with the names of all containers in it. */
static bool is_own_hierarchy(const struct fb_cgroup *group, const char *controllers)
{
	for (int i = 0; group && i < group->path_count; i++) {
		const char *name = group->controllers[i], *at = name ? strstr(controllers, name) : NULL;
		size_t length = name ? strlen(name) : 0;

		/* A whole word of "cpu,cpuacct". */
		for (; at; at = strstr(at + 1, name))
			if ((at == controllers || at[-1] == ',') && (at[length] == ',' || !at[length]))
				return true;
	}
	return false;
}

static int plan_cgroup_mount(struct fb_plan *plan, struct fb_mount_plan *mount, struct fb_error *err)
{
	fb_auto_close int fd = -1;
	char text[4096], *line, *state;
	struct fb_mount_plan hierarchy;
	struct statfs fs;
	ssize_t length;
	int r;

	mount->settings = NULL;
	mount->setting_count = 0;
	mount->data = "";
	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		mount->type = "cgroup2";
		return add_mount(plan, FB_OP_MOUNT, mount, err);
	}
	fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -errno : fb_read_all(fd, text, sizeof(text) - 1);
	if (length < 0)
		return FB_FAIL_CODE(err, FB_STAGE_MOUNT, (int)-length, "open", "/proc/self/cgroup", NULL);
	text[length] = '\0';
	mount->type = mount->source = "tmpfs";
	mount->data = "mode=755";
	mount->settings = fb_arena_alloc(&plan->arena, sizeof(*mount->settings));
	if (!mount->settings)
		return fb_plan_no_memory(err);
	mount->settings[mount->setting_count++] = (struct fb_setting){"mode", "755"};
	hierarchy = *mount; /* keeps the "ro" that the tmpfs gets in the end */
	mount->set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
	mount->flags &= ~MS_RDONLY;
	if ((r = add_mount(plan, FB_OP_MOUNT, mount, err)) < 0)
		return r;
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		char *controllers = strchr(line, ':'), *end = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!end || end == controllers + 1)
			continue;
		*end = '\0';
		if (!is_own_hierarchy(plan->request->cgroup, controllers + 1))
			continue;
		if ((r = plan_hierarchy(plan, &hierarchy, controllers + 1, err)) < 0)
			return r;
	}
	return hierarchy.set & MOUNT_ATTR_RDONLY ? add_mount(plan, FB_OP_SEAL, mount, err) : 0;
}

static int plan_mount(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
		      struct fb_error *err)
{
	int r = check_target(mount, spec, err);

	if (r < 0)
		return r;
	if (mount->remount)
		return add_mount(plan, FB_OP_REMOUNT, mount, err);
	if (mount->bind)
		return add_mount(plan, FB_OP_BIND, mount, err);
	if (strcmp(mount->type, "cgroup") == 0)
		return plan_cgroup_mount(plan, mount, err);
	return add_mount(plan, FB_OP_MOUNT, mount, err);
}

/* Clones of the sources are taken while the caller's ids are still on. Those that keep talking to the host's mounts are taken before
 * everything inherited turns private, and stay peers of what they were cloned from. */
static int plan_sources(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count, bool peers,
			struct fb_error *err)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		bool peer = mounts[i]->propagation & (MS_SHARED | MS_SLAVE);

		if (mounts[i]->bind && !mounts[i]->remount && peer == peers)
			r = add_mount(plan, FB_OP_OPEN_SOURCE, mounts[i], err);
	}
	return r;
}

/* "lowerdir+", by the kernel's number, since trying tells nothing: before 6.5 overlayfs takes any key and refuses the whole
 * at the end, with a line in the kernel's log at each start. */
static bool takes_layers_by_call(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 7));
}

static int plan_root(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count,
		     struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	struct fb_op *op;
	int r = plan_sources(plan, mounts, count, true, err);

	if (r < 0)
		return r;
	if (!(op = fb_plan_add(plan, FB_OP_HOST_PROPAGATION, FB_STAGE_ROOTFS)))
		return fb_plan_no_memory(err);
	op->flags = MS_REC | (spec->rootfs_propagation & (MS_SHARED | MS_SLAVE) ? MS_SLAVE : MS_PRIVATE);
	if ((r = plan_sources(plan, mounts, count, false, err)) < 0)
		return r;
	/* One layer without an upper is no overlay to the kernel: it is bound instead, read-only as it would have been. */
	if (spec->engine.lower.count > 1 || spec->engine.upper) {
		op = fb_plan_add(plan, FB_OP_ROOT_OVERLAY, FB_STAGE_ROOTFS);
		plan->overlay_data = spec->engine.overlay_volatile && spec->engine.upper ? "volatile" : "";
		plan->overlay_by_call = takes_layers_by_call();
	} else {
		op = fb_plan_add(plan, FB_OP_ROOT_BIND, FB_STAGE_ROOTFS);
	}
	if (!op)
		return fb_plan_no_memory(err);
	op->path = spec->engine.lower.count ? spec->engine.lower.items[spec->engine.lower.count - 1] :
					      spec->root_path;
	op->flags = op->type == FB_OP_ROOT_BIND && spec->engine.lower.count;
	if (plan->map_ids && !fb_plan_add(plan, FB_OP_BECOME_ROOT, FB_STAGE_USERNS))
		return fb_plan_no_memory(err);
	return 0;
}

static int plan_node(struct fb_plan *plan, const struct fb_device *device, struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, FB_OP_NODE, FB_STAGE_DEV);

	if (!op)
		return fb_plan_no_memory(err);
	op->device = device;
	op->path = fb_plan_target(plan, device->path);
	if (!op->path || !*op->path)
		return FB_FAIL_CODE(err, FB_STAGE_DEV, EINVAL, "config", device->path,
				    "can't be a device's path");
	return 0;
}

static int plan_dev(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count,
		    struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	int r = 0;

	/* A /dev bound from the host is the host's: nothing is made in it. */
	for (size_t i = 0; i < count; i++)
		if (mounts[i]->bind && strcmp(mounts[i]->target, "dev") == 0)
			return 0;
	for (size_t i = 0; i < sizeof(default_nodes) / sizeof(*default_nodes) && r == 0; i++)
		r = plan_node(plan, &default_nodes[i], err);
	for (size_t i = 0; i < spec->device_count && r == 0; i++)
		r = plan_node(plan, &spec->devices[i], err);
	for (size_t i = 0; i < sizeof(default_links) / sizeof(*default_links) && r == 0; i++)
		r = add_link(plan, default_links[i][0], default_links[i][1], FB_STAGE_DEV, err);
	/* Some kernels have none; a dangling link would be a riddle. */
	if (r == 0 && access("/proc/kcore", F_OK) == 0)
		r = add_link(plan, "dev/core", "/proc/kcore", FB_STAGE_DEV, err);
	return r;
}

static int read_mounts(struct fb_plan *plan, struct fb_mount_plan **mounts, size_t count, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	struct fb_mount_plan *init;
	int r;

	for (size_t i = 0; i < count; i++) {
		mounts[i] = new_mount(plan, spec->mounts[i].destination, spec->mounts[i].type,
				      spec->mounts[i].source);
		if (!mounts[i])
			return fb_plan_no_memory(err);
		if ((r = read_options(plan, &spec->mounts[i], mounts[i], err)) < 0)
			return r;
	}
	if (!spec->engine.init)
		return 0;
	if (!(init = new_mount(plan, FB_INIT_PATH, "bind", spec->engine.init)))
		return fb_plan_no_memory(err);
	init->bind = true;
	init->set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	init->flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
	mounts[count] = init;
	return 0;
}

int fb_plan_mounts(struct fb_plan *plan, struct fb_error *err)
{
	static const struct fb_mount_spec init_spec = {.destination = FB_INIT_PATH};
	const struct fb_spec *spec = plan->spec;
	size_t count = spec->mount_count;
	struct fb_mount_plan **mounts = fb_arena_alloc(&plan->arena, (count + 1) * sizeof(*mounts));
	struct fb_op *op;
	int r;

	if (!mounts)
		return fb_plan_no_memory(err);
	if ((r = read_mounts(plan, mounts, count, err)) < 0)
		return r;
	count += mounts[count] != NULL;
	if ((r = plan_root(plan, mounts, count, err)) < 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = plan_mount(plan, i < spec->mount_count ? &spec->mounts[i] : &init_spec, mounts[i], err);
	if (r < 0 || (r = plan_dev(plan, mounts, count, err)) < 0)
		return r;
	if (plan->process->terminal) {
		if (!(op = fb_plan_add(plan, FB_OP_CONSOLE, FB_STAGE_CONSOLE)))
			return fb_plan_no_memory(err);
		op->flags = 1;
	}
	if (!(op = fb_plan_add(plan, FB_OP_MAKE_DIRECTORY, FB_STAGE_CWD)))
		return fb_plan_no_memory(err);
	op->path = plan->process->cwd;
	return 0;
}
