#include "borrow.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "cleanup.h"
#include "plan.h"
#include "sys.h"

#define PID 4 /* of the next child, which is its to choose while the caller stays where it is */

static const struct {
	uint64_t type;
	const char *path;
} namespaces[FB_HOME_NAMESPACES] = {{CLONE_NEWNET, "/proc/self/ns/net"},
				    {CLONE_NEWUTS, "/proc/self/ns/uts"},
				    {CLONE_NEWIPC, "/proc/self/ns/ipc"},
				    {CLONE_NEWNS, "/proc/self/ns/mnt"},
				    [PID] = {CLONE_NEWPID, "/proc/self/ns/pid"}};

static int open_at(const char *path, int flags, int *fd, struct fb_error *err)
{
	*fd = open(path, flags | O_CLOEXEC);
	return *fd < 0 ? FB_FAIL(err, FB_STAGE_JOIN, "open", path) : 0;
}

static uint64_t ignored_signals(void)
{
	uint64_t ignored = 0;

	for (int signal = 1; signal <= 64; signal++) {
		struct { /* the kernel's; glibc hides two signals of its own */
			void (*handler)(int);
			unsigned long flags;
			void (*restorer)(void);
			uint64_t mask;
		} action = {0};

		if (syscall(SYS_rt_sigaction, signal, NULL, &action, sizeof(uint64_t)) == 0 && action.handler == SIG_IGN)
			ignored |= UINT64_C(1) << (signal - 1);
	}
	return ignored;
}

void fb_home_close(struct fb_home *home)
{
	for (int i = 0; i < FB_HOME_NAMESPACES; i++)
		fb_cleanup_fd(&home->namespaces[i]);
	fb_cleanup_fd(&home->root);
	fb_cleanup_fd(&home->directory);
	fb_cleanup_fd(&home->score);
}

/* What takes it back, and nothing else. */
static int open_ways(struct fb_home *ret_home, struct fb_error *err)
{
	struct fb_home home = {{-1, -1, -1, -1, -1}, -1, -1, -1, 0};
	int r = open_at("/", O_PATH | O_DIRECTORY, &home.root, err);

	if (r == 0)
		r = open_at(".", O_PATH | O_DIRECTORY, &home.directory, err);
	for (int i = 0; i < FB_HOME_NAMESPACES && r == 0; i++) {
		r = open_at(namespaces[i].path, O_RDONLY, &home.namespaces[i], err);
		/* One that the kernel does not have is none to leave. */
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		fb_home_close(&home);
	*ret_home = home;
	return r;
}

int fb_home_open(struct fb_home *ret_home, struct fb_error *err)
{
	int r = open_ways(ret_home, err);

	if (r < 0)
		return r;
	ret_home->ignored = ignored_signals();
	ret_home->score = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int go(struct fb_borrowed *back, int fd, uint64_t types, struct fb_error *err)
{
	if (setns(fd, (int)types) < 0)
		return FB_FAIL_CODE(err, FB_STAGE_JOIN, errno, "setns", "",
				    errno == ESRCH ? "the container is not running" : NULL);
	back->away |= types;
	return 0;
}

static int enter(const struct fb_plan *plan, struct fb_borrowed *back, struct fb_error *err)
{
	back->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	/* CVE-2016-9962: whoever has rights in the container's user namespace could trace the child there, with the host's descriptors. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return FB_FAIL(err, FB_STAGE_JOIN, "prctl(DUMPABLE)", NULL);
	return go(back, plan->request->target_pidfd, plan->lent, err);
}

static int make_time(const char *offsets, struct fb_borrowed *back, struct fb_error *err)
{
	fb_auto_close int fd = -1;

	if (open_at("/proc/self/ns/time", O_RDONLY, &back->time, err) < 0)
		return -err->code;
	if (unshare(CLONE_NEWTIME) < 0)
		return FB_FAIL(err, FB_STAGE_CLONE, "unshare(CLONE_NEWTIME)", NULL);
	if (!offsets)
		return 0;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, offsets, strlen(offsets)) != (ssize_t)strlen(offsets))
		return FB_FAIL(err, FB_STAGE_CLONE, "write", "/proc/self/timens_offsets");
	return 0;
}

int fb_borrow(const struct fb_plan *plan, struct fb_borrowed *ret_back, struct fb_error *err)
{
	bool time = plan->namespaces & CLONE_NEWTIME;
	int r = 0;

	*ret_back = (struct fb_borrowed){.home = plan->request->home, .time = -1};
	if (!ret_back->home && (plan->lent || plan->pid_namespace >= 0)) {
		r = open_ways(&ret_back->own, err);
		if (r < 0)
			return r;
		ret_back->home = &ret_back->own;
	}
	if (plan->pid_namespace >= 0)
		r = go(ret_back, plan->pid_namespace, CLONE_NEWPID, err);
	if (r == 0 && time)
		r = make_time(plan->spec->timens_offsets, ret_back, err);
	else if (r == 0 && plan->lent)
		r = enter(plan, ret_back, err);
	return r;
}

int fb_borrow_return(struct fb_borrowed *back, struct fb_error *err)
{
	const struct fb_home *home = back->home;
	bool lost = false;
	int r = 0;

	for (int i = 0; i < PID; i++)
		if (back->away & namespaces[i].type)
			lost |= setns(home->namespaces[i], (int)namespaces[i].type) < 0;
	/* With the mount namespace root and directory have become its root. */
	if (back->away & CLONE_NEWNS)
		lost |= fchdir(home->root) < 0 || chroot(".") < 0 || fchdir(home->directory) < 0;
	lost |= back->dumpable == 1 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0;
	if (lost)
		abort();
	/* Not to get back would put the next container into this one's namespace. */
	if (back->away & CLONE_NEWPID && setns(home->namespaces[PID], CLONE_NEWPID) < 0)
		r = FB_FAIL(err, FB_STAGE_CLONE, "setns", "/proc/self/ns/pid");
	if (back->time >= 0 && setns(back->time, CLONE_NEWTIME) < 0)
		r = FB_FAIL(err, FB_STAGE_CLONE, "setns", "/proc/self/ns/time");
	fb_cleanup_fd(&back->time);
	if (home == &back->own)
		fb_home_close(&back->own);
	return r;
}
