/* The root, the mounts and /dev, as operations. */
#include <errno.h>
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

#include "plan.h"

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

struct fb_mount_plan *fb_plan_new_mount(struct fb_plan *plan, const char *destination, const char *type,
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

int fb_plan_add_mount(struct fb_plan *plan, enum fb_op_type type, struct fb_mount_plan *mount, struct fb_error *err)
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

static int plan_mount(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
		      struct fb_error *err)
{
	int r = check_target(mount, spec, err);

	if (r < 0)
		return r;
	if (mount->remount)
		return fb_plan_add_mount(plan, FB_OP_REMOUNT, mount, err);
	if (mount->bind)
		return fb_plan_add_mount(plan, FB_OP_BIND, mount, err);
	if (strcmp(mount->type, "cgroup") == 0)
		return fb_plan_cgroup_mount(plan, mount, err);
	/* Of the host's network namespace a user namespace may see, but not mount. */
	if (strcmp(mount->type, "sysfs") == 0)
		mount->fallback = "/sys";
	return fb_plan_add_mount(plan, FB_OP_MOUNT, mount, err);
}

/* Clones of the sources are taken while the caller's ids are still on. Those that keep talking to the host's mounts are taken before
 * everything inherited turns private, and stay peers of what they were cloned from. */
static int plan_sources(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count, bool peers,
			struct fb_error *err)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		bool peer = mounts[i]->propagation & (MS_SHARED | MS_SLAVE);

		if (mounts[i]->bind && !mounts[i]->remount && !mounts[i]->cloned && peer == peers)
			r = fb_plan_add_mount(plan, FB_OP_OPEN_SOURCE, mounts[i], err);
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

/* mount(2) puts the root over itself too. But what lies over "/" has no name to be found by: the host's own root goes over the container's
 * directory then. NULL: there is none. */
static const char *place_of_root(const struct fb_spec *spec, const char *path)
{
	return path[strspn(path, "/")] ? path : spec->engine.directory;
}

static struct fb_op *add_root(struct fb_plan *plan, enum fb_op_type type)
{
	const struct fb_spec *spec = plan->spec;
	struct fb_op *op = fb_plan_add(plan, type, FB_STAGE_ROOTFS);

	if (!op)
		return NULL;
	op->path = spec->engine.lower.count ? spec->engine.lower.items[spec->engine.lower.count - 1] :
					      spec->root_path;
	op->text = place_of_root(spec, op->path);
	return op;
}

/* In a mount namespace of others every inherited mount stays as it is: what is ours alone has to be said. */
static bool joins_mounts(const struct fb_plan *plan)
{
	return plan->apart & CLONE_NEWNS && !(plan->namespaces & CLONE_NEWNS);
}

static int plan_propagation(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count,
			    struct fb_error *err)
{
	bool slave = plan->spec->rootfs_propagation & MS_SLAVE, joined = joins_mounts(plan);
	struct fb_op *op = fb_plan_add(plan, FB_OP_HOST_PROPAGATION, FB_STAGE_ROOTFS);

	if (!op)
		return fb_plan_no_memory(err);
	op->flags = slave ? MS_SLAVE : MS_PRIVATE;
	if (!joined) {
		op->flags |= MS_REC;
		return 0;
	}
	op->path = plan->spec->root_path;
	for (size_t i = 0; i < count; i++)
		if (mounts[i]->bind && !mounts[i]->propagation)
			mounts[i]->propagation = MS_REC | op->flags;
	return 0;
}

static int plan_mounted_root(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_engine_spec *engine = &plan->spec->engine;
	/* One layer without an upper is no overlay to the kernel: it is bound instead, read-only as it would have been. */
	bool overlay = engine->lower.count > 1 || engine->upper;
	bool mapped = engine->lower.count && plan->apart & CLONE_NEWUSER;
	struct fb_op *op;
	int fd;

	if (overlay) {
		plan->overlay_data = engine->overlay_volatile && engine->upper ? "volatile" : "";
		plan->overlay_by_call = takes_layers_by_call();
	}
	if (!(op = add_root(plan, mapped ? FB_OP_ROOT_ATTACH : overlay ? FB_OP_ROOT_OVERLAY : FB_OP_ROOT_BIND)))
		return fb_plan_no_memory(err);
	op->flags = !overlay && engine->lower.count;
	if (joins_mounts(plan))
		op->number = plan->spec->rootfs_propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE;
	if (!mapped)
		return 0;
	fd = fb_plan_mapped_root(plan, op, err);
	op->number = fd;
	return fd < 0 ? fd : 0;
}

static int plan_root(struct fb_plan *plan, struct fb_mount_plan *const *mounts, size_t count,
		     struct fb_error *err)
{
	int r = 0;

	if (!(plan->apart & CLONE_NEWNS)) {
		r = add_root(plan, FB_OP_ROOT_OPEN) ? 0 : fb_plan_no_memory(err);
	} else {
		r = plan_sources(plan, mounts, count, true, err);
		if (r == 0)
			r = plan_propagation(plan, mounts, count, err);
		if (r == 0)
			r = plan_sources(plan, mounts, count, false, err);
		if (r == 0)
			r = plan_mounted_root(plan, err);
	}
	if (r < 0 || !(plan->apart & CLONE_NEWUSER))
		return r;
	return fb_plan_add(plan, FB_OP_BECOME_ROOT, FB_STAGE_USERNS) ? 0 : fb_plan_no_memory(err);
}

static int plan_node(struct fb_plan *plan, const struct fb_device *device, struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, FB_OP_NODE, FB_STAGE_DEV);

	if (!op)
		return fb_plan_no_memory(err);
	op->device = device;
	op->flags = !(plan->apart & CLONE_NEWNS);
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
		mounts[i] = fb_plan_new_mount(plan, spec->mounts[i].destination, spec->mounts[i].type,
					      spec->mounts[i].source);
		if (!mounts[i])
			return fb_plan_no_memory(err);
		mounts[i]->subpath = spec->mounts[i].subpath;
		if ((r = fb_plan_read_options(plan, &spec->mounts[i], mounts[i], err)) < 0 ||
		    (mounts[i]->idmap && (r = fb_plan_idmap(plan, &spec->mounts[i], mounts[i], err)) < 0) ||
		    (spec->mounts[i].of.start_time &&
		     (r = fb_plan_foreign_source(plan, &spec->mounts[i].of, mounts[i], err)) < 0))
			return r;
	}
	if (!spec->engine.init)
		return 0;
	if (!(init = fb_plan_new_mount(plan, FB_INIT_PATH, "bind", spec->engine.init)))
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
		op->flags = (plan->apart & CLONE_NEWNS) != 0;
	}
	if (!(op = fb_plan_add(plan, FB_OP_MAKE_DIRECTORY, FB_STAGE_CWD)))
		return fb_plan_no_memory(err);
	op->path = plan->process->cwd;
	for (size_t i = 0; i < count && r == 0; i++)
		if (mounts[i]->seal)
			r = fb_plan_add_mount(plan, FB_OP_SEAL, mounts[i], err);
	return r;
}
