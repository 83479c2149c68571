/* What a container takes of another: its namespaces and its shared memory, while it is the one that was meant.
 *
 * A number of a process is looked at twice, and its namespace opened in between: with the same start time afterwards the open was of that
 * process, however fast numbers are given away.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "plan.h"
#include "record.h"

static int gone(const char *path, struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_JOIN, ESRCH, "open", path, "the other container does not run any more");
}

int fb_plan_check_start(const char *path, uint64_t start_time, struct fb_error *err)
{
	int pid = 0;

	if (sscanf(path, "/proc/%d/ns/", &pid) != 1 || pid <= 0 || fb_record_start_time(pid, NULL) != start_time)
		return gone(path, err);
	return 0;
}

/* Mounted there, and not behind a link that the other container has made. */
static int clone_there(const char *path, struct fb_error *err)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_DIRECTORY,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	fb_auto_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	struct statx found;
	int tree;

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_MOUNT, "openat2", path);
	if (statx(fd, "", AT_EMPTY_PATH, 0, &found) < 0 || !(found.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return FB_FAIL_CODE(err, FB_STAGE_MOUNT, EINVAL, "statx", path, "the other container has no mount there");
	tree = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return tree < 0 ? FB_FAIL(err, FB_STAGE_MOUNT, "open_tree", path) : tree;
}

/* Only what is mounted where we are can be cloned, so we go there and back: this process has one thread. Its working directory and root are
 * lost on the way. */
static int clone_in(int namespace, const char *path, struct fb_error *err)
{
	fb_auto_close int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	fb_auto_close int root = open("/", O_PATH | O_CLOEXEC);
	fb_auto_close int place = open(".", O_PATH | O_CLOEXEC);
	fb_auto_close int fd = -1;

	if (own < 0 || root < 0 || place < 0)
		return FB_FAIL(err, FB_STAGE_JOIN, "open", "/proc/self/ns/mnt");
	if (setns(namespace, CLONE_NEWNS) < 0)
		return FB_FAIL(err, FB_STAGE_JOIN, "setns", path);
	fd = clone_there(path, err);
	/* Without a way back nothing that this process does is right. */
	if (setns(own, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0 || fchdir(place) < 0)
		_exit(1);
	return fb_steal_fd(&fd);
}

int fb_plan_foreign_source(struct fb_plan *plan, const struct fb_process_ref *of, struct fb_mount_plan *mount,
			   struct fb_error *err)
{
	fb_auto_close int namespace = -1;
	struct mount_attr alone = {.propagation = MS_PRIVATE};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", of->pid);
	if (!mount->bind)
		return FB_FAIL_CODE(err, FB_STAGE_MOUNT, EINVAL, "config", mount->target, "only a bind has a source of another");
	namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (namespace < 0)
		return errno == ENOENT ? gone(path, err) : FB_FAIL(err, FB_STAGE_JOIN, "open", path);
	if (fb_plan_check_start(path, of->start_time, err) < 0)
		return -ESRCH;
	fd = clone_in(namespace, mount->source, err);
	if (fd < 0 || (fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &alone, sizeof(alone)) < 0)
		return FB_FAIL(err, FB_STAGE_MOUNT, "mount_setattr", mount->source);
	mount->fd = fd;
	mount->cloned = true;
	mount->directory = true;
	return 0;
}
