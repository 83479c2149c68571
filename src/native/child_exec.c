/* The tail of every plan: from a finished root to the command. */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "child.h"
#include "cleanup.h"
#include "inroot.h"
#include "sys.h"

/* A whole regular file of the image. Missing is empty; a fifo is refused without waiting for its writer. */
static ssize_t read_image_file(struct fb_child *child, const struct fb_op *op, const char *path, char *text)
{
	fb_auto_close int fd = fb_inroot_open(child->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, false);
	size_t length = 0;
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return FB_FAIL_CODE(&child->result->error, op->stage, fd < 0 ? -fd : errno, "openat2", path, NULL);
	if (!S_ISREG(st.st_mode))
		return FB_FAIL_CODE(&child->result->error, op->stage, EINVAL, "fstat", path,
				    "is not a regular file");
	while (length <= FB_PASSWD_MAX_BYTES) {
		ssize_t n = read(fd, text + length, FB_PASSWD_MAX_BYTES + 1 - length);

		if (n < 0)
			return FB_FAIL(&child->result->error, op->stage, "read", path);
		if (n == 0)
			return (ssize_t)length;
		length += (size_t)n;
	}
	return FB_FAIL_CODE(&child->result->error, op->stage, EFBIG, "read", path, "is larger than 1 MiB");
}

static void put_home(struct fb_plan *plan, const char *home)
{
	size_t length = strlen(home);

	memcpy(plan->home, "HOME=", 5);
	memcpy(plan->home + 5, home, length + 1);
	plan->envp[plan->env_count] = plan->home;
	plan->envp[plan->env_count + 1] = NULL;
}

/* Ids as numbers were given: nothing can fail for want of a passwd file, which only HOME would come from. An OCI bundle says which groups the
 * process is in; for the engine's own, which says nothing, the primary group is one of them. */
static int take_numbers(struct fb_child *child, struct fb_user_answer *answer)
{
	const struct fb_process_spec *process = child->plan->process;
	size_t count = 0;
	bool primary = !child->plan->spec->engine.id;

	answer->uid = process->uid;
	answer->gid = process->gid;
	for (; count < process->group_count && count < FB_GROUPS_MAX - 1; count++) {
		answer->groups[count] = process->groups[count];
		primary = primary || process->groups[count] == process->gid;
	}
	/* Left out, a process could drop its group to get past a "deny group" mode (CVE-2022-2990). */
	if (!primary)
		answer->groups[count++] = process->gid;
	answer->group_count = count;
	return 0;
}

int fb_op_resolve_user(struct fb_child *child, const struct fb_op *op)
{
	struct fb_plan *plan = child->plan;
	struct fb_error ignored;
	ssize_t passwd = 0, group = 0;
	int r = 0;

	if (plan->passwd) {
		passwd = read_image_file(child, op, "etc/passwd", plan->passwd);
		if (passwd >= 0 && plan->process->user)
			group = read_image_file(child, op, "etc/group", plan->group);
	}
	if (plan->process->user) {
		if (passwd < 0 || group < 0)
			return (int)(passwd < 0 ? passwd : group);
		r = fb_creds_resolve(&plan->user, plan->passwd, (size_t)passwd, plan->group, (size_t)group,
				     &child->user, &child->result->error);
	} else {
		if (plan->passwd && passwd > 0)
			fb_creds_resolve(&plan->user, plan->passwd, (size_t)passwd, "", 0, &child->user, &ignored);
		child->result->error.code = 0;
		r = take_numbers(child, &child->user);
	}
	if (r == 0 && plan->home_missing)
		put_home(plan, *child->user.home ? child->user.home : "/");
	return r;
}

int fb_op_rlimits(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_plan *plan = child->plan;

	(void)op;
	return fb_creds_set_rlimits(plan->rlimits, plan->rlimit_count, &child->result->rlimit_clamped,
				    &child->result->error);
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int open_null(struct fb_child *child)
{
	int fd = fb_inroot_open(child->root, "dev/null", O_RDWR | O_NOCTTY, true);

	if (fd < 0 || is_null(fd))
		return fd;
	close(fd);
	return -ENODEV;
}

static int take_stdio(struct fb_child *child, int source, int number)
{
	fb_auto_close int null = -1;
	struct stat st;

	/* A caller's /dev/null is the host's file, whose mode the container could change through it; its own is as good. */
	if (source < 0 || is_null(source)) {
		null = open_null(child);
		if (null >= 0)
			source = null;
		else if (source < 0)
			return null;
	}
	/* dup2 onto itself would leave the close-on-exec flag on. */
	if (source == number ? fcntl(number, F_SETFD, 0) < 0 : dup2(source, number) < 0)
		return -errno;
	/* /dev/stdout is opened anew through /proc: for that a pipe has to belong to the user. The pipes are the engine's own. */
	if (fstat(number, &st) < 0)
		return -errno;
	if (child->user.uid && S_ISFIFO(st.st_mode) && fchown(number, child->user.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
		return -errno;
	return 0;
}

int fb_op_stdio(struct fb_child *child, const struct fb_op *op)
{
	int source[3];

	for (int i = 0; i < 3; i++) {
		source[i] = child->console >= 0 ? child->console : child->plan->request->stdio[i];
		/* One that sits where another has to go is moved out of the way first. */
		if (source[i] >= 0 && source[i] < 3 && source[i] != i) {
			source[i] = fcntl(source[i], F_DUPFD_CLOEXEC, 3);
			if (source[i] < 0)
				return FB_CHILD_FAIL(child, op, "fcntl(F_DUPFD)");
		}
	}
	for (int i = 0; i < 3; i++) {
		int r = take_stdio(child, source[i], i);

		if (r < 0)
			return FB_CHILD_FAIL_CODE(child, op, -r, "dup2", NULL);
	}
	if (child->console < 0)
		return 0;
	if (ioctl(0, TIOCSCTTY, 0) < 0)
		return FB_CHILD_FAIL(child, op, "ioctl(TIOCSCTTY)");
	/* A user namespace may have no number for it; the terminal works without. */
	if (fchown(0, child->user.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
		return FB_CHILD_FAIL(child, op, "fchown");
	return 0;
}

/* CVE-2024-21626: a working directory that a leaked descriptor leads to lies outside the root, and the kernel says so. */
static int enter_directory(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fd = fb_inroot_open(child->root, op->path, O_PATH | O_DIRECTORY, false);
	char path[4096];

	if (fd < 0)
		return fd;
	if (fchdir(fd) < 0)
		return -errno;
	if (syscall(SYS_getcwd, path, sizeof(path)) < 0)
		return -errno;
	return path[0] == '/' ? 0 : -EXDEV;
}

int fb_op_cwd(struct fb_child *child, const struct fb_op *op)
{
	int r = enter_directory(child, op);

	/* Root over a network may see less than the user: asked again when the ids are his. */
	if (r == -EACCES && child->user.uid)
		return 0;
	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "chdir",
					  r == -EXDEV ? "lies outside the container" : NULL) :
		       0;
}

int fb_op_bounding(struct fb_child *child, const struct fb_op *op)
{
	(void)op;
	return fb_creds_drop_bounding(&child->plan->caps, &child->result->error);
}

int fb_op_ids(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_process_spec *process = child->plan->process;
	const struct fb_user_answer *user = &child->user;
	char path[2];
	int r;

	/* Those of the image's group file are left out then, as nobody asked for them; those asked for are not. */
	if (child->no_groups && (process->group_count || process->group_add.count))
		return FB_CHILD_FAIL_CODE(child, op, EPERM, "setgroups", "the user namespace allows no additional groups");
	r = fb_creds_set_ids(user->uid, user->gid, child->no_groups ? NULL : user->groups, user->group_count,
			     child->plan->keep_caps, &child->result->error);
	if (r < 0)
		return r;
	/* Still at "/", where the pivot left us, though the plan wants another place: this is the second try of fb_op_cwd. */
	if (user->uid && syscall(SYS_getcwd, path, sizeof(path)) > 0 && op->path[1] != '\0') {
		r = enter_directory(child, op);
		if (r < 0)
			return FB_CHILD_FAIL_CODE(child, op, -r, "chdir", NULL);
	}
	return 0;
}

int fb_op_umask(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_process_spec *process = child->plan->process;

	(void)op;
	umask(process->has_umask ? process->umask : 022);
	return 0;
}

int fb_child_close_from(unsigned first, unsigned limit)
{
	if (fb_close_range(first, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL && errno != EPERM)
		return -errno;
	for (unsigned fd = first; fd < limit; fd++)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

int fb_op_close(struct fb_child *child, const struct fb_op *op)
{
	/* Up to the limit that was in force when the descriptors were made. */
	int r = fb_child_close_from(3 + child->plan->request->preserve_fds, child->plan->fd_limit);

	return r < 0 ? FB_CHILD_FAIL_CODE(child, op, -r, "close_range", NULL) : 0;
}

/* A change of ids has cleared the effective set; the permitted one was kept for this. */
static int raise_effective(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return fb_capset(&header, data) < 0 ? -errno : 0;
}

int fb_op_filter(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_seccomp_program *filter = &child->plan->filter;
	struct sock_fprog program = {.len = filter->length, .filter = filter->filter};
	int r = op->flags && child->user.uid ? raise_effective() : 0;

	if (r < 0)
		return FB_CHILD_FAIL_CODE(child, op, -r, "capset", NULL);
	if (child->plan->listener >= 0)
		return fb_child_listen(child, op, &program);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program) < 0)
		return FB_CHILD_FAIL(child, op, "seccomp");
	return 0;
}

int fb_op_capabilities(struct fb_child *child, const struct fb_op *op)
{
	(void)op;
	return fb_creds_set_capabilities(&child->plan->caps, &child->result->error);
}

int fb_op_no_new_privs(struct fb_child *child, const struct fb_op *op)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return FB_CHILD_FAIL(child, op, "prctl(NO_NEW_PRIVS)");
	return 0;
}

/* As execvp: go on while a name is just not there; a name that may not be run is remembered, since a later one may be. */
int fb_op_exec(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_plan *plan = child->plan;
	uint64_t none = 0;
	int code = ENOENT;

	child->result->executing = true;
	child->result->clocks.at[op->stage] = fb_now();
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	for (char *const *name = plan->candidates; *name; name++) {
		execve(*name, plan->argv, plan->envp);
		if (errno == EACCES || (errno == ENOTDIR && *name == plan->argv[0]))
			code = errno;
		else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) {
			code = errno;
			break;
		}
	}
	return FB_FAIL_CODE(&child->result->error, op->stage, code, "execve", plan->argv[0], NULL);
}
