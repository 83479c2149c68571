/* The root directory: found or made, entered, closed off. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "child.h"
#include "cleanup.h"
#include "inroot.h"
#include "sys.h"

/* The mount that a path lies on, found by going up until there is one: mount(2) changes nothing but a mount's own root. */
static int change_mount_of(const char *where, unsigned long propagation)
{
	char path[4096], *slash;
	size_t length = strlen(where);

	if (length >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, where, length + 1);
	while (mount(NULL, path, NULL, propagation, NULL) < 0) {
		slash = strrchr(path, '/');
		if (errno != EINVAL || !slash || !path[1])
			return -errno;
		slash[slash == path] = '\0';
	}
	return 0;
}

/* First of all mounts: what is made below must never appear on the host. In a mount namespace of others, what is theirs stays as it is but
 * for the mount that ours come upon. */
int fb_op_host_propagation(struct fb_child *child, const struct fb_op *op)
{
	int r = 0;

	if (op->path)
		r = change_mount_of(op->path, op->flags);
	else if (mount(NULL, "/", NULL, op->flags, NULL) < 0)
		r = -errno;
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount(MS_PRIVATE)", NULL) : 0;
}

/* A bind of its own makes any directory a mount, as pivot_root demands. */
static int bind_classic(struct fb_child *child, const struct fb_op *op)
{
	if (!op->text)
		return FB_CHILD_FAIL_CODE(child, op, ENOSYS, "move_mount", "the host's own root needs it");
	if (mount(op->path, op->text, NULL, MS_BIND | MS_REC, NULL) < 0)
		return FB_CHILD_FAIL(child, op, "mount(MS_BIND)");
	child->root = open(op->text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "open") : 0;
}

int fb_op_root_bind(struct fb_child *child, const struct fb_op *op)
{
	unsigned long propagation = op->number > 0 ? (unsigned long)op->number : 0;
	int r = 0;

	child->root = fb_mount_clone(child, AT_FDCWD, op->path, true);
	if (child->root >= 0) {
		if (move_mount(child->root, "", AT_FDCWD, op->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return FB_CHILD_FAIL(child, op, "move_mount");
	} else if (fb_mount_refused(child->root)) {
		if ((r = bind_classic(child, op)) < 0)
			return r;
	} else {
		return FB_CHILD_FAIL_CODE(child, op, -child->root, "open_tree", NULL);
	}
	if (propagation)
		r = fb_mount_change(child->root, true, 0, 0, propagation);
	if (r == 0 && op->flags)
		r = fb_mount_change(child->root, false, MOUNT_ATTR_RDONLY, 0, 0);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr", NULL) : 0;
}

/* Over the lowest layer, as the overlay that we mount ourselves. */
int fb_op_root_attach(struct fb_child *child, const struct fb_op *op)
{
	child->root = op->number;
	if (move_mount(child->root, "", AT_FDCWD, op->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return FB_CHILD_FAIL(child, op, "move_mount");
	return 0;
}

int fb_op_root_open(struct fb_child *child, const struct fb_op *op)
{
	child->root = open(op->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "open") : 0;
}

int fb_op_make_directory(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fd = fb_inroot_make(child->root, op->path, FB_MAKE_DIRECTORY, false);

	return fd < 0 ? FB_CHILD_FAIL_CODE(child, op, -fd, "mkdirat", NULL) : 0;
}

/* Taken off, or covered where a user namespace may not. One that went with its parent is gone: as wanted. */
int fb_op_hide(struct fb_child *child, const struct fb_op *op)
{
	if (umount2(op->path, MNT_DETACH) == 0 || errno == ENOENT)
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return FB_CHILD_FAIL(child, op, "umount2");
	return mount("tmpfs", op->path, "tmpfs", MS_RDONLY, "size=0k") < 0 ? FB_CHILD_FAIL(child, op, "mount(tmpfs)") : 0;
}

static int enter_chroot(struct fb_child *child, const struct fb_op *op)
{
	if (chroot(".") < 0)
		return FB_CHILD_FAIL(child, op, "chroot");
	return chdir("/") < 0 ? FB_CHILD_FAIL(child, op, "chdir") : 0;
}

int fb_op_pivot(struct fb_child *child, const struct fb_op *op)
{
	if (fchdir(child->root) < 0)
		return FB_CHILD_FAIL(child, op, "fchdir");
	if (op->flags == FB_PIVOT_MOVE && mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return FB_CHILD_FAIL(child, op, "mount(MS_MOVE)");
	if (op->flags == FB_PIVOT_MOVE || op->flags == FB_PIVOT_CHROOT)
		return enter_chroot(child, op);
	/* The old root lands on the new one and is taken off again: no directory has to exist for it. */
	if (fb_pivot_root(".", ".") < 0)
		return FB_CHILD_FAIL(child, op, "pivot_root");
	/* What others share with mounts below it would be unmounted at theirs too. */
	if (op->flags == FB_PIVOT_JOINED && mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return FB_CHILD_FAIL(child, op, "mount(MS_SLAVE)");
	if (umount2(".", MNT_DETACH) < 0)
		return FB_CHILD_FAIL(child, op, "umount2");
	return chdir("/") < 0 ? FB_CHILD_FAIL(child, op, "chdir") : 0;
}

int fb_op_root_propagation(struct fb_child *child, const struct fb_op *op)
{
	return mount(NULL, "/", NULL, op->flags, NULL) < 0 ? FB_CHILD_FAIL(child, op, "mount") : 0;
}

int fb_op_root_readonly(struct fb_child *child, const struct fb_op *op)
{
	int r = fb_mount_change(child->root, false, MOUNT_ATTR_RDONLY, 0, 0);

	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr", NULL) : 0;
}
