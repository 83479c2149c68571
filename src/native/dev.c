/* Nodes, links and the console. Names are made and removed below a descriptor of their directory (CVE-2026-41579). */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

#include "child.h"
#include "cleanup.h"
#include "inroot.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

/* The directory of op->path, made when missing; *ret_name is what is to be made in it. It stays open for the next name, which is mostly in
 * the same one: every mount below has been made by then. */
static int open_parent(struct fb_child *child, const struct fb_op *op, const char **ret_name)
{
	const char *slash = strrchr(op->path, '/');
	size_t length = slash ? (size_t)(slash - op->path) : 0;
	char parent[4096];
	int fd;

	if (length >= sizeof(parent))
		return FB_CHILD_FAIL_CODE(child, op, ENAMETOOLONG, "openat2", NULL);
	*ret_name = slash ? slash + 1 : op->path;
	if (child->parent >= 0 && child->parent_length == length &&
	    memcmp(child->parent_path, op->path, length) == 0)
		return child->parent;
	memcpy(parent, op->path, length);
	parent[length] = '\0';
	/* Below /dev everything was made by us a moment ago: a link on the way is an image's trap. */
	fd = fb_inroot_make(child->root, parent, FB_MAKE_DIRECTORY, strncmp(op->path, "dev/", 4) == 0);
	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "openat2", NULL);
	fb_cleanup_fd(&child->parent);
	child->parent_path = op->path;
	child->parent_length = length;
	return child->parent = fd;
}

/* A user namespace may not make nodes: the host's own is bound, if it is the one asked for. */
static int bind_node(struct fb_child *child, const struct fb_op *op, int parent, const char *name, dev_t number)
{
	fb_auto_close int source = open(op->device->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	fb_auto_close int file = openat(parent, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	fb_auto_close int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	fb_auto_close int fd = -1;
	struct fb_fd_path from, to;
	struct stat st;
	int r;

	if (source < 0 || target < 0 || fstat(source, &st) < 0)
		return FB_CHILD_FAIL(child, op, "open");
	if ((!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) || st.st_rdev != number)
		return FB_CHILD_FAIL_CODE(child, op, ENODEV, "fstat", "the host has another device there");
	fd = fb_mount_clone(child, source, "", false);
	r = fd < 0 ? fd : fb_mount_attach(fd, target);
	if (fd < 0 && fb_mount_refused(fd)) {
		from = fb_fd_path(source);
		to = fb_fd_path(target);
		r = mount(from.text, to.text, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
	}
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "move_mount", NULL) : 0;
}

int fb_op_node(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_device *device = op->device;
	mode_t type = device->type == 'b' ? S_IFBLK : device->type == 'p' ? S_IFIFO : S_IFCHR;
	dev_t number = type == S_IFIFO ? 0 : makedev(device->major, device->minor);
	const char *name;
	int parent = open_parent(child, op, &name), r;

	if (parent < 0)
		return parent;
	r = mknodat(parent, name, type | device->mode, number);
	/* What an image left there is replaced; what the user mounted there stays (EBUSY). */
	if (r < 0 && errno == EEXIST) {
		if (unlinkat(parent, name, 0) < 0)
			return errno == EBUSY ? 0 : FB_CHILD_FAIL(child, op, "unlinkat");
		r = mknodat(parent, name, type | device->mode, number);
	}
	/* Not in the caller's own mount namespace, where a bind would be the host's. */
	if (r < 0 && errno == EPERM && type != S_IFIFO && !op->flags)
		return bind_node(child, op, parent, name, number);
	if (r < 0)
		return FB_CHILD_FAIL(child, op, "mknodat");
	if ((device->uid || device->gid) &&
	    fchownat(parent, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return FB_CHILD_FAIL(child, op, "fchownat");
	return 0;
}

int fb_op_symlink(struct fb_child *child, const struct fb_op *op)
{
	const char *name;
	int parent = open_parent(child, op, &name);

	if (parent < 0)
		return parent;
	if (symlinkat(op->text, parent, name) == 0)
		return 0;
	if (errno != EEXIST)
		return FB_CHILD_FAIL(child, op, "symlinkat");
	if (unlinkat(parent, name, 0) < 0)
		return errno == EBUSY ? 0 : FB_CHILD_FAIL(child, op, "unlinkat");
	return symlinkat(op->text, parent, name) < 0 ? FB_CHILD_FAIL(child, op, "symlinkat") : 0;
}

static int send_master(struct fb_child *child, int master)
{
	char byte = 'p', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &master, sizeof(int));
	return sendmsg(child->socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* The multiplexer of the container's own devpts, and nothing that only has its name (CVE-2025-52565). */
static int open_master(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fd = -1;
	struct statfs fs;
	struct stat st;

	fd = fb_inroot_open(child->root, "dev/pts/ptmx", O_RDWR | O_NOCTTY, true);
	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "open(ptmx)", NULL);
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return FB_CHILD_FAIL(child, op, "fstat");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || fs.f_type != DEVPTS_SUPER_MAGIC)
		return FB_CHILD_FAIL_CODE(child, op, ENODEV, "open(ptmx)", "is not a devpts multiplexer");
	return fb_steal_fd(&fd);
}

/* Programs look for their terminal at /dev/console; it is the same device as /dev/pts/0. */
static int bind_console(struct fb_child *child, const struct fb_op *op, int slave)
{
	fb_auto_close int dev = fb_inroot_open(child->root, "dev", O_PATH | O_DIRECTORY, true);
	fb_auto_close int target = -1;
	fb_auto_close int mount_fd = -1;
	struct fb_fd_path from, to;
	int fd, r;

	if (dev < 0)
		return FB_CHILD_FAIL_CODE(child, op, -dev, "open", "/dev");
	unlinkat(dev, "console", 0);
	fd = openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return FB_CHILD_FAIL(child, op, "open(console)");
	close(fd);
	target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return FB_CHILD_FAIL(child, op, "open(console)");
	mount_fd = fb_mount_clone(child, slave, "", false);
	r = mount_fd < 0 ? mount_fd : fb_mount_attach(mount_fd, target);
	if (mount_fd < 0 && fb_mount_refused(mount_fd)) {
		from = fb_fd_path(slave);
		to = fb_fd_path(target);
		r = mount(from.text, to.text, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
	}
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "move_mount(console)", NULL) : 0;
}

int fb_op_console(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_process_spec *process = child->plan->process;
	struct winsize size = {.ws_row = process->rows, .ws_col = process->columns};
	fb_auto_close int master = open_master(child, op);
	int unlock = 0, r;

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return FB_CHILD_FAIL(child, op, "ioctl(TIOCSPTLCK)");
	if (size.ws_row && size.ws_col && ioctl(master, TIOCSWINSZ, &size) < 0)
		return FB_CHILD_FAIL(child, op, "ioctl(TIOCSWINSZ)");
	/* By the master, not by a name in /dev/pts (4.13). */
	child->console = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (child->console < 0)
		return FB_CHILD_FAIL(child, op, "ioctl(TIOCGPTPEER)");
	if (op->flags && (r = bind_console(child, op, child->console)) < 0)
		return r;
	r = send_master(child, master);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "sendmsg", NULL) : 0;
}
