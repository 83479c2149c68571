/* Which namespaces are new, which are joined, by whom and when.
 *
 * A container that has no user namespace of its own joins by itself, between clone and exec. With one, order decides: what belongs to the
 * caller's user namespace can be joined only while the caller's rights are held, what belongs to the new one only with the new rights,
 * and namespaces made together with or after the change of user namespace belong to the new one. A process in between (between.c) does
 * that and clones the container from where it then is.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "plan.h"
#include "sys.h"
#include "userns.h"

static const struct {
	uint64_t type;
	const char *name;
} names[] = {
	{CLONE_NEWPID, "pid"},	 {CLONE_NEWNET, "net"},	  {CLONE_NEWNS, "mnt"},	  {CLONE_NEWIPC, "ipc"},
	{CLONE_NEWUTS, "uts"},	 {CLONE_NEWUSER, "user"}, {CLONE_NEWTIME, "time"}, {CLONE_NEWCGROUP, "cgroup"},
};

/* The namespace that the caller is in anyway: to join it is to do nothing, and nothing of it is the container's own. */
static bool is_callers(int fd, uint64_t type)
{
	struct stat there, here;
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i].type != type)
			continue;
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i].name);
		return fstat(fd, &there) == 0 && stat(path, &here) == 0 && there.st_dev == here.st_dev &&
		       there.st_ino == here.st_ino;
	}
	return false;
}

/* The type is asked of the descriptor, never taken from the name: only nsfs answers NS_GET_NSTYPE. */
static int open_namespace(struct fb_plan *plan, const struct fb_namespace *ns, struct fb_error *err)
{
	fb_auto_close int fd = open(ns->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_JOIN, "open", ns->path);
	if (ioctl(fd, NS_GET_NSTYPE) != (int)ns->type)
		return FB_FAIL_CODE(err, FB_STAGE_JOIN, EINVAL, "ioctl(NS_GET_NSTYPE)", ns->path,
				    "is not a namespace of this type");
	if (ns->start_time && fb_plan_check_start(ns->path, ns->start_time, err) < 0)
		return -ESRCH;
	return fb_plan_keep(plan, fb_steal_fd(&fd), err);
}

static int read_path(struct fb_plan *plan, const struct fb_namespace *ns, struct fb_error *err)
{
	int fd = open_namespace(plan, ns, err);

	if (fd < 0 || is_callers(fd, ns->type))
		return fd < 0 ? fd : 0;
	plan->apart |= ns->type;
	plan->joins[plan->join_count++] = (struct fb_join){fd, ns->type, ns->path};
	if (ns->type == CLONE_NEWUSER)
		plan->user_namespace = fd;
	return 0;
}

/* Made by the caller, with its links in it: joined like any other. The descriptor stays the caller's. */
static bool join_made(struct fb_plan *plan, const struct fb_namespace *ns)
{
	const struct fb_launch_network *network = plan->request->network;

	if (ns->type != CLONE_NEWNET || !network || network->network_namespace < 0)
		return false;
	plan->apart |= ns->type;
	plan->joins[plan->join_count++] = (struct fb_join){network->network_namespace, ns->type, "the network"};
	return true;
}

static int refuse(const char *path, const char *detail, struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_PLAN, EINVAL, "config", path, detail);
}

/* In the caller's own mount namespace a container is a chroot: whatever it mounted would be the host's. */
static int check_without_mounts(const struct fb_spec *spec, struct fb_error *err)
{
	static const char detail[] = "needs a mount namespace of the container's own";

	if (spec->mount_count)
		return refuse(".mounts", detail, err);
	if (spec->masked_paths.count)
		return refuse(".linux.maskedPaths", detail, err);
	if (spec->readonly_paths.count)
		return refuse(".linux.readonlyPaths", detail, err);
	if (spec->root_readonly)
		return refuse(".root.readonly", detail, err);
	if (spec->rootfs_propagation)
		return refuse(".linux.rootfsPropagation", detail, err);
	if (spec->engine.lower.count || spec->engine.init)
		return refuse(".fastbox", detail, err);
	return 0;
}

static int check(const struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	bool joins_mounts = plan->apart & CLONE_NEWNS && !(plan->namespaces & CLONE_NEWNS);
	const struct fb_id_maps maps = {spec->uid_mappings, spec->gid_mappings, spec->uid_mapping_count,
					spec->gid_mapping_count};

	if (!(plan->apart & CLONE_NEWUTS) && (spec->hostname || spec->domainname))
		return refuse(".hostname", "needs a UTS namespace of the container's own", err);
	if (plan->namespaces & CLONE_NEWUSER && (!maps.uid_count || !maps.gid_count))
		return refuse(".linux.uidMappings", "a new user namespace needs uidMappings and gidMappings", err);
	if (spec->timens_offsets && !(plan->namespaces & CLONE_NEWTIME))
		return refuse(".linux.timeOffsets", "need a new time namespace", err);
	if (plan->request->no_pivot && joins_mounts)
		return refuse(".linux.namespaces", "a joined mount namespace can't do without pivot_root", err);
	if (!(plan->apart & CLONE_NEWNS))
		return check_without_mounts(spec, err);
	/* Given along with a path by some (containerd, CRI-O): they have to say what is true. */
	if (plan->user_namespace >= 0 && (spec->uid_mapping_count || spec->gid_mapping_count))
		return fb_userns_check(plan->user_namespace, &maps, err);
	return 0;
}

int fb_plan_namespaces(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	uint64_t joined = 0;
	int r;

	for (size_t i = 0; i < spec->namespace_count; i++) {
		if (!spec->namespaces[i].path && join_made(plan, &spec->namespaces[i]))
			continue;
		if (!spec->namespaces[i].path)
			plan->namespaces |= spec->namespaces[i].type;
		else if ((r = read_path(plan, &spec->namespaces[i], err)) < 0)
			return r;
	}
	plan->apart |= plan->namespaces;
	joined = plan->apart & ~plan->namespaces;
	if ((r = check(plan, err)) < 0)
		return r;
	plan->map_ids = plan->namespaces & CLONE_NEWUSER;
	plan->between = joined & CLONE_NEWUSER ||
			(plan->map_ids && joined & ~(uint64_t)(CLONE_NEWNS | CLONE_NEWPID));
	/* Memory is shared with a child only inside a new pid namespace: in any other, somebody may look into /proc/PID/mem of it
	 * and would see the caller. A time namespace is entered only by who shares no memory. */
	plan->own_memory |= plan->apart & (CLONE_NEWUSER | CLONE_NEWTIME) || joined & CLONE_NEWNS ||
			   !(plan->namespaces & CLONE_NEWPID);
	return 0;
}

/* What is left for the child. The mount namespace comes last, since it takes /proc and every path with it; always by the child, as its
 * own links in /proc are still to be written to. */
static int plan_join(struct fb_plan *plan, bool mounts, struct fb_error *err)
{
	for (size_t i = 0; i < plan->join_count; i++) {
		const struct fb_join *join = &plan->joins[i];
		struct fb_op *op;

		if ((join->types == CLONE_NEWNS) != mounts || (plan->between && !mounts))
			continue;
		if (join->types == CLONE_NEWPID) {
			plan->pid_namespace = join->fd;
			continue;
		}
		if (!(op = fb_plan_add(plan, FB_OP_JOIN_NAMESPACE, FB_STAGE_JOIN)))
			return fb_plan_no_memory(err);
		op->number = join->fd;
		op->flags = join->types;
		op->path = join->path;
	}
	return 0;
}

int fb_plan_joins(struct fb_plan *plan, struct fb_error *err)
{
	int r = plan_join(plan, false, err);

	return r < 0 ? r : plan_join(plan, true, err);
}

/* The container joined the caller's own namespace: there is nothing to join for its exec, and a user namespace can't be joined twice. */
static bool target_shares(const struct fb_plan *plan, const struct fb_namespace *ns)
{
	char path[64], text[512], *at;
	fb_auto_close int fd = -1;
	ssize_t length;
	int pid = -1;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", plan->request->target_pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -errno : fb_read_all(fd, text, sizeof(text) - 1);
	if (length < 0)
		return false;
	text[length] = '\0';
	if (!(at = strstr(text, "\nPid:")) || sscanf(at, "\nPid: %d", &pid) != 1 || pid <= 0)
		return false;
	fb_cleanup_fd(&fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].type == ns->type)
			snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, names[i].name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && is_callers(fd, ns->type);
}

/* exec: the container's own spec says which namespaces it has; all are entered by setns of its pidfd (5.8), the pid namespace by a clone from
 * inside it. From that clone on the container's processes see the child: who may look at nothing of its memory may still read which mounts and
 * sockets it sees. So it is cloned from inside of those namespaces, too. That of cgroups would forbid the clone into a group outside of it, and
 * from a user namespace nobody gets back: these the child joins itself. A caller who has rights only in the user namespace has to be there before
 * the clone. */
int fb_plan_join_target(struct fb_plan *plan, struct fb_error *err)
{
	uint64_t types = 0, early = 0;
	struct fb_op *op;

	for (size_t i = 0; i < plan->spec->namespace_count; i++)
		if (!plan->spec->namespaces[i].path || !target_shares(plan, &plan->spec->namespaces[i]))
			types |= plan->spec->namespaces[i].type;
	plan->apart = types;
	plan->own_memory = true;
	if (types & CLONE_NEWUSER && types & CLONE_NEWPID && !fb_has_capability(CAP_SYS_ADMIN)) {
		early = CLONE_NEWUSER | CLONE_NEWPID;
		plan->between = true;
		plan->joins[plan->join_count++] =
			(struct fb_join){plan->request->target_pidfd, early, "the container"};
	} else if (types & CLONE_NEWPID) {
		plan->pid_namespace = plan->request->target_pidfd;
		plan->lent = types & (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC);
		early = CLONE_NEWPID | plan->lent;
	}
	if (types & ~early) {
		if (!(op = fb_plan_add(plan, FB_OP_JOIN_TARGET, FB_STAGE_JOIN)))
			return fb_plan_no_memory(err);
		op->flags = types & ~early;
	}
	if (types & CLONE_NEWUSER && !fb_plan_add(plan, FB_OP_BECOME_ROOT, FB_STAGE_USERNS))
		return fb_plan_no_memory(err);
	return 0;
}
