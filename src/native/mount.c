/* Mounts, each onto a target that is held by a descriptor from the moment it was found in the root to the moment it is covered
 * (CVE-2021-30465: a name looked up twice is two places).
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "copyup.h"
#include "inroot.h"

struct fb_fd_path fb_fd_path(int fd)
{
	struct fb_fd_path path = {"/proc/self/fd/"};
	char *at = path.text + strlen(path.text);
	int scale = 1;

	while (fd / scale > 9)
		scale *= 10;
	for (; scale; scale /= 10)
		*at++ = (char)('0' + fd / scale % 10);
	return path;
}

bool fb_mount_refused(int error)
{
	return error == -ENOSYS || error == -EPERM;
}

/* move_mount says EINVAL where mount(2) says ENOTDIR, which teaches, and which callers look for. */
int fb_mount_attach(int mount_fd, int target)
{
	struct stat what, where;
	int r = 0;

	if (move_mount(mount_fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		r = -errno;
	if (r == -EINVAL && fstat(mount_fd, &what) == 0 && fstat(target, &where) == 0 &&
	    S_ISDIR(what.st_mode) != S_ISDIR(where.st_mode))
		r = -ENOTDIR;
	return r;
}

static bool is_refused(long result)
{
	return result < 0 && fb_mount_refused(-errno);
}

enum fb_detached fb_mount_detached(struct fb_child *child)
{
	if (child->detached == FB_DETACHED_UNKNOWN)
		child->detached = is_refused(move_mount(-1, "", -1, "", 0)) ? FB_DETACHED_NONE :
				  is_refused(fsmount(-1, 0, 0))		    ? FB_DETACHED_CLONES :
									      FB_DETACHED_ALL;
	return child->detached;
}

int fb_mount_clone(struct fb_child *child, int dirfd, const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
	int fd;

	if (fb_mount_detached(child) < FB_DETACHED_CLONES)
		return -ENOSYS;
	fd = open_tree(dirfd, path, flags | (*path ? 0 : AT_EMPTY_PATH));
	return fd < 0 ? -errno : fd;
}

#define ST_FLAG_RELATIME 4096
#define ST_FLAG_NOSYMFOLLOW 8192
#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

/* A remount replaces all flags, so those that are there have to be given again. */
static unsigned long present_flags(int fd)
{
	struct statfs fs;
	unsigned long flags;

	if (fstatfs(fd, &fs) < 0)
		return 0;
	flags = (unsigned long)fs.f_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
	flags |= fs.f_flags & ST_FLAG_RELATIME ? MS_RELATIME : 0;
	flags |= fs.f_flags & ST_FLAG_NOSYMFOLLOW ? MS_NOSYMFOLLOW : 0;
	return flags & (MS_NOATIME | MS_RELATIME) ? flags : flags | MS_STRICTATIME;
}

static unsigned long classic_flags(uint64_t set)
{
	unsigned long flags = 0;

	flags |= set & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0;
	flags |= set & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0;
	flags |= set & MOUNT_ATTR_NODEV ? MS_NODEV : 0;
	flags |= set & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0;
	flags |= set & MOUNT_ATTR_NOATIME ? MS_NOATIME : 0;
	flags |= set & MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME : 0;
	flags |= set & MOUNT_ATTR_NODIRATIME ? MS_NODIRATIME : 0;
	flags |= set & MOUNT_ATTR_NOSYMFOLLOW ? MS_NOSYMFOLLOW : 0;
	return flags;
}

static int change_classic(int fd, bool tree, uint64_t set, uint64_t clear, unsigned long propagation)
{
	struct fb_fd_path path = fb_fd_path(fd);
	bool atime = clear & MOUNT_ATTR__ATIME; /* one of four is chosen, and relatime has no bit */
	unsigned long flags = present_flags(fd) & ~classic_flags(clear) & ~(atime ? ATIME_FLAGS : 0ul);

	flags |= classic_flags(set);
	flags |= flags & ATIME_FLAGS ? 0 : MS_RELATIME;
	/* mount(2) can't reach below the top: better no mount than a writable one that was to be read-only. */
	if (tree && (set | clear))
		return -EOPNOTSUPP;
	if ((set | clear) && mount(NULL, path.text, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return -errno;
	if (propagation && mount(NULL, path.text, NULL, propagation | (tree ? MS_REC : 0), NULL) < 0)
		return -errno;
	return 0;
}

/* An attached mount can be changed by both; a detached one by mount_setattr only (5.12). */
int fb_mount_change(int fd, bool tree, uint64_t set, uint64_t clear, unsigned long propagation)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
	int r;

	if (mount_setattr(fd, "", AT_EMPTY_PATH | (tree ? AT_RECURSIVE : 0), &attr, sizeof(attr)) == 0)
		return 0;
	r = -errno;
	if (fb_mount_refused(r))
		return change_classic(fd, tree, set, clear, propagation);
	return r;
}

/* What the plan says of a mount. */
static int apply(const struct fb_mount_plan *mount, int fd, uint64_t set, uint64_t clear)
{
	bool tree = mount->propagation & MS_REC;
	unsigned long propagation = mount->propagation & ~(unsigned long)MS_REC;
	bool below = mount->tree_set || mount->tree_clear || (tree && propagation);
	int r = 0;

	if (set || clear || (propagation && !tree))
		r = fb_mount_change(fd, false, set, clear, tree ? 0 : propagation);
	if (r == 0 && below)
		r = fb_mount_change(fd, true, mount->tree_set, mount->tree_clear, tree ? propagation : 0);
	if (r == 0 && mount->propagation_after)
		r = fb_mount_change(fd, mount->propagation_after & MS_REC, 0, 0,
				    mount->propagation_after & ~(unsigned long)MS_REC);
	return r;
}

/* A mount there would lie on the root without covering it: whoever asked for it would get nothing. */
static bool is_root(const struct fb_child *child, int fd)
{
	struct statx ours, root;
	struct stat our_stat, root_stat;

	/* A filter of before 2018 knows no statx. Then the root bound into itself counts as the root, which refuses too much. */
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &ours) < 0)
		return fstat(fd, &our_stat) < 0 || fstat(child->root, &root_stat) < 0 ||
		       (our_stat.st_ino == root_stat.st_ino && our_stat.st_dev == root_stat.st_dev);
	return syscall(SYS_statx, child->root, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &root) < 0 ||
	       (ours.stx_ino == root.stx_ino && ours.stx_mnt_id == root.stx_mnt_id &&
		ours.stx_dev_major == root.stx_dev_major && ours.stx_dev_minor == root.stx_dev_minor);
}

/* The target, held; it is made when missing. */
static int open_target(struct fb_child *child, const struct fb_op *op, enum fb_make make, bool *ret_made)
{
	const struct fb_mount_plan *mount = op->mount;
	int fd = fb_inroot_open(child->root, mount->target, O_PATH, mount->plain), r;
	struct statfs fs;

	*ret_made = fd == -ENOENT;
	if (*ret_made)
		fd = fb_inroot_make(child->root, mount->target, make, mount->plain);

	if (fd == -ELOOP && mount->plain)
		return FB_CHILD_FAIL_CODE(child, op, ELOOP, "openat2",
					  "the image has a symbolic link where a system mount belongs");
	if (fd == -EROFS)
		return FB_CHILD_FAIL_CODE(child, op, EROFS, "mkdirat",
					  "the mount point is missing and the root is read-only");
	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "openat2", NULL);
	if (is_root(child, fd)) {
		close(fd);
		return FB_CHILD_FAIL_CODE(child, op, EINVAL, "statx", "leads to the root itself");
	}
	/* An image's link may lead any other destination into /proc, where a cover would undo a mask. */
	if (mount->over_proc || strcmp(mount->target, "proc") == 0)
		return fd;
	r = fstatfs(fd, &fs) < 0 ? -errno : fs.f_type == PROC_SUPER_MAGIC ? -EPERM : 0;
	if (r < 0) {
		close(fd);
		return FB_CHILD_FAIL_CODE(child, op, -r, "fstatfs", r == -EPERM ? "leads into /proc" : NULL);
	}
	return fd;
}

/* The kernel's own sentence about a refused option, when it has one: "e tmpfs: Bad value for 'size'". */
static int fail_with_log(struct fb_child *child, const struct fb_op *op, int fs, const char *call)
{
	int code = errno;
	char text[128];
	ssize_t length = read(fs, text, sizeof(text) - 1);

	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return FB_CHILD_FAIL_CODE(child, op, code, call, length > 2 ? text + 2 : NULL);
}

static int mount_classic(struct fb_child *child, const struct fb_op *op, int target, int *ret_fd)
{
	const struct fb_mount_plan *plan = op->mount;
	struct fb_fd_path path = fb_fd_path(target);
	int fd;

	if (mount(plan->source, path.text, plan->type, plan->flags, plan->data) < 0)
		return FB_CHILD_FAIL(child, op, "mount");
	/* No process of the container runs yet, and the new mount covers what the same name led to. */
	fd = fb_inroot_open(child->root, plan->target, O_PATH, plan->plain);
	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "openat2", NULL);
	*ret_fd = fd;
	return 0;
}

static const struct {
	unsigned long flag;
	const char *name;
} whole[] = {
	{MS_RDONLY, "ro"}, {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_MANDLOCK, "mand"}, {MS_LAZYTIME, "lazytime"},
};

static int configure(struct fb_child *child, const struct fb_op *op, int fs)
{
	const struct fb_mount_plan *mount = op->mount;

	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", mount->source, 0) < 0)
		return fb_mount_refused(-errno) ? -ENOSYS : fail_with_log(child, op, fs, "fsconfig(source)");
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (mount->flags & whole[i].flag && fsconfig(fs, FSCONFIG_SET_FLAG, whole[i].name, NULL, 0) < 0)
			return fail_with_log(child, op, fs, "fsconfig");
	for (size_t i = 0; i < mount->setting_count; i++) {
		const struct fb_setting *setting = &mount->settings[i];

		if (fsconfig(fs, setting->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, setting->key,
			     setting->value, 0) < 0)
			return fail_with_log(child, op, fs, "fsconfig");
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return fail_with_log(child, op, fs, "fsconfig(CREATE)");
	return 0;
}

/* A new file system, configured and detached (5.2). -ENOSYS: use mount(2). */
static int make_detached(struct fb_child *child, const struct fb_op *op, int *ret_fd)
{
	fb_auto_close int fs = -1;
	int r;

	if (fb_mount_detached(child) < FB_DETACHED_ALL)
		return -ENOSYS;
	fs = fsopen(op->mount->type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return fb_mount_refused(-errno) ? -ENOSYS : FB_CHILD_FAIL(child, op, "fsopen");
	if ((r = configure(child, op, fs)) < 0)
		return r;
	*ret_fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)op->mount->set);
	return *ret_fd < 0 ? FB_CHILD_FAIL(child, op, "fsmount") : 0;
}

/* What becomes of the covered directory: its mode, its files. */
static int take_over(struct fb_child *child, const struct fb_op *op, int fd, int target)
{
	struct stat st;
	int r = 0;

	if (op->mount->take_mode && (fstat(target, &st) < 0 || fchmodat(fd, ".", st.st_mode & 07777, 0) < 0))
		return FB_CHILD_FAIL(child, op, "fchmodat");
	if (op->mount->copy_up)
		r = fb_copy_up(target, fd);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "tmpcopyup", NULL) : 0;
}

/* Of the host, where the container may not have its own: with all that is mounted below, which can't be taken apart here, and "ro" for all
 * of it where the kernel can (5.12), else for the top. Nobody else is here to see it before. */
static int bind_fallback(struct fb_child *child, const struct fb_op *op, int target)
{
	const struct fb_mount_plan *plan = op->mount;
	struct fb_fd_path path = fb_fd_path(target);
	fb_auto_close int fd = fb_mount_clone(child, AT_FDCWD, plan->fallback, true);
	int r = fd < 0 ? fd : fb_mount_attach(fd, target);

	if (fd < 0 && fb_mount_refused(r)) {
		r = mount(plan->fallback, path.text, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
		if (r == 0)
			r = fd = fb_inroot_open(child->root, plan->target, O_PATH, plan->plain);
	}
	if (r >= 0)
		r = fb_mount_change(fd, true, plan->set & MOUNT_ATTR_RDONLY, 0, 0);
	if (r == 0 || r == -EOPNOTSUPP)
		r = apply(plan, fd, plan->set, plan->clear);
	if (r < 0)
		return FB_CHILD_FAIL_CODE(child, op, -r, "move_mount", "the host's can't be bound either");
	child->result->error.code = 0;
	return 0;
}

static int mount_new(struct fb_child *child, const struct fb_op *op, int target, bool made)
{
	struct fb_mount_plan *mount = op->mount;
	fb_auto_close int fd = -1;
	bool attached;
	int r = mount->classic ? -ENOSYS : make_detached(child, op, &fd);

	attached = r == -ENOSYS;
	if (attached)
		r = mount_classic(child, op, target, &fd);
	if (r == 0 && !made)
		r = take_over(child, op, fd, target);
	if (r < 0)
		return r;
	r = attached ? 0 : fb_mount_attach(fd, target);
	if (r == 0)
		r = apply(mount, fd, 0, 0);
	if (r < 0)
		return FB_CHILD_FAIL_CODE(child, op, -r, "move_mount", NULL);
	if (mount->seal)
		mount->fd = fb_steal_fd(&fd);
	return 0;
}

int fb_op_mount(struct fb_child *child, const struct fb_op *op)
{
	bool made;
	fb_auto_close int target = open_target(child, op, FB_MAKE_DIRECTORY, &made);
	int r;

	if (target < 0)
		return target;
	r = mount_new(child, op, target, made);
	if (r == -EPERM && op->mount->fallback && child->plan->apart & CLONE_NEWUSER)
		return bind_fallback(child, op, target);
	return r;
}

/* Others have the volume, too, and may put links on the way: what is in it is found below it. */
int fb_mount_part(const struct fb_mount_plan *mount)
{
	fb_auto_close int volume = open(mount->source, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return volume < 0 ? -errno : fb_inroot_open(volume, mount->subpath, O_PATH, false);
}

int fb_op_open_source(struct fb_child *child, const struct fb_op *op)
{
	struct fb_mount_plan *mount = op->mount;
	fb_auto_close int part = mount->subpath ? fb_mount_part(mount) : AT_FDCWD;
	struct stat st;
	int fd;

	if (mount->subpath && part < 0)
		return FB_FAIL_CODE(&child->result->error, op->stage, -part, "openat2", mount->subpath, "in a volume");
	fd = fb_mount_clone(child, part, mount->subpath ? "" : mount->source, mount->recursive);
	mount->cloned = fd >= 0;
	if (fb_mount_refused(fd)) {
		/* mount(2) binds when all is private already, and what is private has nobody to talk to any more. */
		if (mount->propagation & (MS_SHARED | MS_SLAVE))
			return FB_FAIL_CODE(&child->result->error, op->stage, EOPNOTSUPP, "open_tree", mount->source,
					    "a shared or slave mount needs Linux 5.2");
		fd = mount->subpath ? fb_steal_fd(&part) : open(mount->source, O_PATH | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	mount->fd = fd;
	if (fd < 0 || fstat(fd, &st) < 0)
		return FB_FAIL_CODE(&child->result->error, op->stage, fd < 0 ? -fd : errno, "open_tree", mount->source, NULL);
	mount->directory = S_ISDIR(st.st_mode);
	return 0;
}

/* Without open_tree. The new mount is found again by name, so it is compared with the source before its flags are trusted to it:
 * somebody with a shared volume could have swapped the way there, and "ro" would land elsewhere. */
static int bind_classic(struct fb_child *child, const struct fb_op *op, int target)
{
	const struct fb_mount_plan *plan = op->mount;
	struct fb_fd_path from = fb_fd_path(plan->fd), to = fb_fd_path(target);
	struct stat source, found;
	fb_auto_close int fd = -1;
	int r;

	if (mount(from.text, to.text, NULL, MS_BIND | (plan->recursive ? MS_REC : 0), NULL) < 0)
		return FB_CHILD_FAIL(child, op, "mount(MS_BIND)");
	fd = fb_inroot_open(child->root, plan->target, O_PATH, plan->plain);
	if (fd < 0)
		return FB_CHILD_FAIL_CODE(child, op, -fd, "openat2", NULL);
	if (fstat(plan->fd, &source) < 0 || fstat(fd, &found) < 0 || source.st_dev != found.st_dev ||
	    source.st_ino != found.st_ino)
		return FB_CHILD_FAIL_CODE(child, op, EAGAIN, "fstat", "the mount's path changed meanwhile");
	r = apply(plan, fd, plan->set, plan->clear);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount(MS_REMOUNT)", NULL) : 0;
}

int fb_op_bind(struct fb_child *child, const struct fb_op *op)
{
	struct fb_mount_plan *mount = op->mount;
	bool early = true, made;
	fb_auto_close int target = open_target(child, op, mount->directory ? FB_MAKE_DIRECTORY : FB_MAKE_FILE, &made);
	fb_auto_close int fd = mount->fd;
	struct statfs fs;
	int r;

	if (target < 0)
		return target;
	if (strcmp(mount->target, "proc") == 0 && (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC))
		return FB_CHILD_FAIL_CODE(child, op, EINVAL, "fstatfs", "/proc may only hold a proc file system");
	if (!mount->cloned) {
		r = bind_classic(child, op, target);
		mount->fd = -1;
		return r;
	}
	mount->fd = -1;
	/* While it is detached nobody sees it writable. Before 5.12 only an attached mount can be changed. */
	r = apply(mount, fd, mount->set, mount->clear);
	if (r < 0) {
		early = false;
		if (r == -EOPNOTSUPP)
			return FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr",
						  "recursive flags need Linux 5.12");
	}
	r = fb_mount_attach(fd, target);
	if (r == 0 && !early)
		r = apply(mount, fd, mount->set, mount->clear);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "move_mount", NULL) : 0;
}

/* Of the mount alone when "bind" says so or nothing else is asked for; else of its file system, as mount(8) does: with what is there. */
static int remount(const struct fb_mount_plan *plan, int fd)
{
	const unsigned long of_whole = MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME | MS_I_VERSION;
	struct fb_fd_path path = fb_fd_path(fd);
	bool change = *plan->data || plan->flags & of_whole || (plan->set | plan->clear) & MOUNT_ATTR_RDONLY;
	unsigned long flags = present_flags(fd) & ~classic_flags(plan->clear);

	if (!change || (plan->bind && !*plan->data))
		return 0;
	if (plan->clear & MOUNT_ATTR__ATIME)
		flags &= ~(unsigned long)ATIME_FLAGS;
	return mount(NULL, path.text, NULL, MS_REMOUNT | flags | plan->flags, plan->data) < 0 ? -errno : 0;
}

int fb_op_remount(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_mount_plan *plan = op->mount;
	fb_auto_close int fd = fb_inroot_open(child->root, plan->target, O_PATH, plan->plain);
	int r = fd < 0 ? fd : remount(plan, fd);

	if (r == 0)
		r = apply(plan, fd, plan->set, plan->clear);
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount(MS_REMOUNT)",
					  r == -EPERM ? "a flag is locked by who made the mount" : NULL) :
		       0;
}

int fb_op_seal(struct fb_child *child, const struct fb_op *op)
{
	struct fb_mount_plan *plan = op->mount;
	fb_auto_close int fd = plan->fd >= 0 ? plan->fd : fb_inroot_open(child->root, plan->target, O_PATH, plan->plain);
	int r = fd < 0 ? fd : fb_mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, 0);

	plan->fd = -1;
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "mount_setattr", NULL) : 0;
}
