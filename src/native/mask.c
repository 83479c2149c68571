/* Kernel settings written, then hidden or made read-only. All by descriptors of what was found (CVE-2025-31133, CVE-2025-52881). */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "child.h"
#include "cleanup.h"
#include "inroot.h"

/* The container's own /dev/null, which the mask trusts to swallow: only if it really is 1:3. */
int fb_null_device(struct fb_child *child)
{
	struct stat st;
	fb_auto_close int fd = -1;

	if (child->null >= 0)
		return child->null;
	fd = fb_inroot_open(child->root, "dev/null", O_PATH, true);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return -ENODEV;
	return child->null = fb_steal_fd(&fd);
}

static int bind_over(struct fb_child *child, int source, int target)
{
	fb_auto_close int fd = fb_mount_clone(child, source, "", false);
	struct fb_fd_path from, to;

	if (fd >= 0)
		return fb_mount_attach(fd, target);
	if (!fb_mount_refused(fd))
		return fd;
	from = fb_fd_path(source);
	to = fb_fd_path(target);
	return mount(from.text, to.text, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

#define EMPTY_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define EMPTY_ATTRS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* -ENOSYS: use mount(2). */
static int make_empty(struct fb_child *child)
{
	fb_auto_close int fs = fb_mount_detached(child) == FB_DETACHED_ALL ? fsopen("tmpfs", FSOPEN_CLOEXEC) : -1;
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0) < 0)
		return -ENOSYS;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, EMPTY_ATTRS);
	return fd < 0 ? -errno : fd;
}

/* One empty directory serves all masks: the first is mounted, the others are clones of it. */
static int mask_directory(struct fb_child *child, int target)
{
	fb_auto_close int fd = -1;
	struct fb_fd_path path;
	int r;

	if (child->empty >= 0)
		return bind_over(child, child->empty, target);
	fd = make_empty(child);
	if (fd == -ENOSYS) {
		path = fb_fd_path(target);
		return mount("tmpfs", path.text, "tmpfs", EMPTY_FLAGS, "mode=755") < 0 ? -errno : 0;
	}
	if (fd < 0)
		return fd;
	r = fb_mount_attach(fd, target);
	if (r == 0)
		child->empty = fb_steal_fd(&fd);
	return r;
}

int fb_op_mask_path(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int target = fb_inroot_open(child->root, op->path, O_PATH, false);
	struct stat st;
	int null, r;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0 || fstat(target, &st) < 0)
		return FB_CHILD_FAIL_CODE(child, op, target < 0 ? -target : errno, "openat2", NULL);
	if (S_ISDIR(st.st_mode)) {
		r = mask_directory(child, target);
	} else {
		null = fb_null_device(child);
		if (null < 0)
			return FB_CHILD_FAIL_CODE(child, op, -null, "fstat", "/dev/null is not the null device");
		r = bind_over(child, null, target);
	}
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "move_mount", NULL) : 0;
}

static int readonly_classic(struct fb_child *child, const struct fb_op *op, int target)
{
	struct fb_fd_path path = fb_fd_path(target);
	fb_auto_close int fd = -1;

	if (mount(path.text, path.text, NULL, MS_BIND | MS_REC, NULL) < 0)
		return -errno;
	/* No process of the container runs yet and the path is the kernel's own: it leads to the same place again. */
	fd = fb_inroot_open(child->root, op->path, O_PATH, false);
	return fd < 0 ? fd : fb_mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, 0);
}

int fb_op_readonly_path(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int target = fb_inroot_open(child->root, op->path, O_PATH, false);
	fb_auto_close int fd = -1;
	int r;

	if (target == -ENOENT || target == -ENOTDIR)
		return 0;
	if (target < 0)
		return FB_CHILD_FAIL_CODE(child, op, -target, "openat2", NULL);
	fd = fb_mount_clone(child, target, "", true);
	if (fd >= 0) {
		/* Attached first: before 5.12 only an attached mount can be changed. Nobody else is here to see it writable. */
		r = fb_mount_attach(fd, target);
		if (r == 0)
			r = fb_mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, 0);
	} else {
		r = fb_mount_refused(fd) ? readonly_classic(child, op, target) : fd;
	}
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr", NULL) : 0;
}

int fb_op_sysctl(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fd = fb_inroot_open(child->root, op->path, O_WRONLY, true);
	size_t length = strlen(op->text);
	struct statfs fs;

	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "openat2", NULL);
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return FB_CHILD_FAIL_CODE(child, op, EPERM, "fstatfs", "/proc is not a proc file system");
	if (write(fd, op->text, length) != (ssize_t)length)
		return FB_CHILD_FAIL(child, op, "write");
	return 0;
}
