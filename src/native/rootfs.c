/* The root directory: found or made, entered, closed off. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "child.h"
#include "cleanup.h"
#include "inroot.h"
#include "sys.h"

int fb_op_host_propagation(struct fb_child *child, const struct fb_op *op)
{
	/* First of all mounts: what is made below must never appear on the host. */
	return mount(NULL, "/", NULL, op->flags, NULL) < 0 ? FB_CHILD_FAIL(child, op, "mount(MS_PRIVATE)") : 0;
}

/* A bind of its own makes any directory a mount, as pivot_root demands. */
static int bind_classic(struct fb_child *child, const struct fb_op *op)
{
	if (mount(op->path, op->path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return FB_CHILD_FAIL(child, op, "mount(MS_BIND)");
	child->root = open(op->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "open") : 0;
}

int fb_op_root_bind(struct fb_child *child, const struct fb_op *op)
{
	int r;

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
	if (!op->flags)
		return 0;
	r = fb_mount_change(child->root, false, MOUNT_ATTR_RDONLY, 0, 0);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr", NULL) : 0;
}

int fb_op_root_joined(struct fb_child *child, const struct fb_op *op)
{
	child->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "open") : 0;
}

int fb_op_make_directory(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fd = fb_inroot_make(child->root, op->path, FB_MAKE_DIRECTORY, false);

	return fd < 0 ? FB_CHILD_FAIL_CODE(child, op, -fd, "mkdirat", NULL) : 0;
}

int fb_op_pivot(struct fb_child *child, const struct fb_op *op)
{
	if (fchdir(child->root) < 0)
		return FB_CHILD_FAIL(child, op, "fchdir");
	/* The old root lands on the new one and is taken off again: no directory has to exist for it. */
	if (fb_pivot_root(".", ".") < 0)
		return FB_CHILD_FAIL(child, op, "pivot_root");
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
