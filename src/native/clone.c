/* Two forms of one clone.
 *
 * In the caller's memory (CLONE_VM|CLONE_VFORK, on a stack of its own): a new container without user namespace. Nothing is copied, the
 * caller sleeps until exec, and the result is simply there.
 * With memory of its own: whenever the parent has something to do meanwhile (id mappings), or the child lands where somebody could look
 * at it through /proc/PID/mem (exec, a shared pid namespace). A socketpair tells the parent when exec closed it.
 */
#include "clone.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "between.h"
#include "borrow.h"
#include "child.h"
#include "cleanup.h"
#include "io.h"
#include "meet.h"
#include "sys.h"
#include "userns.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#define STACK_SIZE ((size_t)192 * 1024)
#define GUARD_SIZE ((size_t)64 * 1024)
#define REGION_SIZE (GUARD_SIZE + STACK_SIZE + sizeof(struct fb_child_result))

struct start {
	struct fb_child child;
	int parent_socket; /* closed by a child that has descriptors of its own copy and waits on the other end */
	char *region;	   /* guard, stack, result: seen by both sides in both forms */
	int sockets[2];
};

/* clone3 on a new stack: it returns in the child with an empty stack, which no C function can survive. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".type fb_clone3_on_stack, @function\n"
	"fb_clone3_on_stack:\n"
	"	.cfi_startproc\n"
	"	mov %rdx, %r8\n" /* the call destroys rcx and r11 */
	"	mov %rcx, %r9\n"
	"	mov $435, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	.cfi_undefined rip\n"
	"	xor %ebp, %ebp\n"
	"	mov %r9, %rdi\n"
	"	call *%r8\n"
	"	mov %eax, %edi\n"
	"	mov $60, %eax\n"
	"	syscall\n"
	"	hlt\n"
	"	.cfi_endproc\n"
	".size fb_clone3_on_stack, . - fb_clone3_on_stack\n"
	".popsection\n");
#define HAVE_CLONE3_STACK 1
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".type fb_clone3_on_stack, %function\n"
	"fb_clone3_on_stack:\n"
	"	.cfi_startproc\n"
	"	mov x9, x2\n"
	"	mov x10, x3\n"
	"	mov x8, #435\n"
	"	svc #0\n"
	"	cbz x0, 1f\n"
	"	ret\n"
	"1:	.cfi_undefined x30\n"
	"	mov x29, #0\n"
	"	mov x0, x10\n"
	"	blr x9\n"
	"	mov x8, #93\n"
	"	svc #0\n"
	"	brk #0\n"
	"	.cfi_endproc\n"
	".size fb_clone3_on_stack, . - fb_clone3_on_stack\n"
	".popsection\n");
#define HAVE_CLONE3_STACK 1
#else
#define HAVE_CLONE3_STACK 0
#endif

#if HAVE_CLONE3_STACK
/* The pid, 0 never, or -errno. */
long fb_clone3_on_stack(struct clone_args *args, size_t size, int (*function)(void *), void *argument);
#endif

static int child_main(void *argument)
{
	struct start *start = argument;

	if (start->child.plan->own_memory && start->parent_socket >= 0)
		close(start->parent_socket);
	fb_child_run(&start->child);
	/* After `create` nobody but the one who said `start` is left to hear of it. */
	if (start->child.start >= 0) {
		(void)!write(start->child.start, &start->child.result->error, sizeof(struct fb_error));
		_exit(fb_launch_exit_code(&start->child.result->error));
	}
	_exit(125);
}

static long clone_new(struct start *start, struct clone_args *args)
{
	const struct fb_plan *plan = start->child.plan;
	long pid;

	if (plan->own_memory) {
		pid = fb_clone3(args);
		if (pid == 0)
			_exit(child_main(start));
		return pid < 0 ? -errno : pid;
	}
#if HAVE_CLONE3_STACK
	args->flags |= CLONE_VM | CLONE_VFORK;
	args->stack = (uint64_t)(uintptr_t)(start->region + GUARD_SIZE);
	args->stack_size = STACK_SIZE;
	return fb_clone3_on_stack(args, sizeof(*args), child_main, start);
#else
	return -ENOSYS;
#endif
}

static const char *why_refused(const struct fb_plan *plan, int code)
{
	return plan->namespaces & CLONE_NEWUSER && (code == EPERM || code == ENOSPC) ?
		       "no new user namespace is allowed here (user.max_user_namespaces, or a filter)" :
		       NULL;
}

/* The v2 group too is joined by the child, as on v1. */
static int join_by_write(struct fb_plan *plan, struct fb_error *err)
{
	int fd = openat(plan->request->cgroup->into, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "open", "cgroup.procs");
	if ((fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	plan->procs[plan->procs_count++] = fd;
	plan->late_cgroup_namespace |= (plan->namespaces & CLONE_NEWCGROUP) != 0;
	plan->namespaces &= ~(uint64_t)CLONE_NEWCGROUP;
	return 0;
}

/* Before 5.5, or where clone3 is filtered. */
static long clone_old(struct start *start, struct fb_between *between, int *pidfd, struct fb_error *err)
{
	struct fb_plan *plan = start->child.plan;
	const struct fb_cgroup *group = plan->request->cgroup;
	int flags = SIGCHLD | (between ? CLONE_PARENT | CLONE_PARENT_SETTID : CLONE_PIDFD), r;
	long pid;

	if (group && group->into >= 0 && !plan->join_by_write && (r = join_by_write(plan, err)) < 0)
		return r;
	flags |= (int)(plan->namespaces & ~(uint64_t)CLONE_NEWTIME);
	if (!plan->own_memory)
		flags |= CLONE_VM | CLONE_VFORK;
	pid = clone(child_main, start->region + GUARD_SIZE + STACK_SIZE, flags, start,
		    between ? (void *)&between->pid : pidfd, NULL, NULL);
	if (pid < 0)
		return FB_FAIL_CODE(err, FB_STAGE_CLONE, errno, "clone", "", why_refused(plan, errno));
	return pid;
}

/* On v2 a group that has given controllers to its children takes no process itself. A container that did so with its own, to run systemd or other
 * containers, has put its first process into one of them: exec follows. */
static long clone_beside_first(struct start *start, struct clone_args *args)
{
	fb_auto_close int fd = fb_cgroup_open_of(start->child.plan->request->target_pidfd);

	if (fd < 0)
		return -EBUSY;
	args->cgroup = (uint64_t)fd;
	return clone_new(start, args);
}

static int start_child(struct start *start, struct fb_between *between, struct fb_launched *launched,
		       struct fb_error *err)
{
	struct fb_plan *plan = start->child.plan;
	const struct fb_cgroup *group = plan->request->cgroup;
	bool into = group && group->into >= 0;
	int r = into && plan->join_by_write && !between ? join_by_write(plan, err) : 0;
	struct clone_args args = {
		.flags = CLONE_CLEAR_SIGHAND | (plan->namespaces & ~(uint64_t)CLONE_NEWTIME),
		.exit_signal = between ? 0 : SIGCHLD,
	};
	long pid;

	if (r < 0)
		return r;
	if (between) {
		args.flags |= CLONE_PARENT | CLONE_PARENT_SETTID;
		args.parent_tid = (uint64_t)(uintptr_t)&between->pid;
	} else {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&launched->pidfd;
	}
	if (into && !plan->join_by_write) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group->into;
	}
	if (plan->beside >= 0)
		args.cgroup = (uint64_t)plan->beside;
	pid = clone_new(start, &args);
	if (pid == -EBUSY && into && plan->request->process && between)
		pid = clone_beside_first(start, &args);
	/* E2BIG, EINVAL: it knows clone3, but not all of what is asked. */
	if (pid == -ENOSYS || pid == -EPERM || pid == -E2BIG || pid == -EINVAL)
		pid = clone_old(start, between, &launched->pidfd, err);
	else if (pid < 0)
		return FB_FAIL_CODE(err, FB_STAGE_CLONE, (int)-pid, "clone3", "", why_refused(plan, (int)-pid));
	if (pid < 0)
		return (int)pid;
	launched->pid = (pid_t)pid;
	return 0;
}

static int clone_between(void *context, struct fb_between *between)
{
	struct fb_launched launched;

	return start_child(context, between, &launched, &between->error);
}

/* The child of the process in between is ours, and stays a zombie until we look at it: its number is its own. */
static int start_between(struct start *start, struct fb_launched *launched, struct fb_error *err)
{
	struct fb_plan *plan = start->child.plan;
	const struct fb_cgroup *group = plan->request->cgroup;
	int r = 0;

	/* From inside of a joined cgroup namespace the container's group may be out of sight: what was opened outside is written to. */
	plan->join_by_write |= plan->apart & CLONE_NEWCGROUP && !(plan->namespaces & CLONE_NEWCGROUP) &&
			       !plan->late_cgroup_namespace;
	if (group && group->into >= 0 && plan->join_by_write)
		r = join_by_write(plan, err);
	if (r == 0)
		r = fb_between(plan, clone_between, start, &launched->pid, err);
	if (launched->pid <= 0)
		return r;
	launched->pidfd = fb_pidfd_open(launched->pid, 0);
	return r == 0 && launched->pidfd < 0 ? FB_FAIL(err, FB_STAGE_CLONE, "pidfd_open", NULL) : r;
}

static int map_ids(struct fb_plan *plan, pid_t pid, int socket_fd, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	const struct fb_id_maps maps = {spec->uid_mappings, spec->gid_mappings, spec->uid_mapping_count,
					spec->gid_mapping_count};
	int r = fb_userns_map(pid, &maps, err);

	if (r == 0 && plan->request->network && plan->request->network->made)
		r = plan->request->network->made(plan->request->network->context, pid, err);
	/* A child that failed before it listened says so itself. */
	if (r == 0 && send(socket_fd, "m", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		r = FB_FAIL(err, FB_STAGE_USERNS, "send", "socketpair");
	return r;
}

static void end_child(struct fb_launched *launched)
{
	siginfo_t info;

	if (launched->pid > 0) {
		kill(launched->pid, SIGKILL);
		while (waitid(P_PID, (id_t)launched->pid, &info, WEXITED) < 0 && errno == EINTR)
			;
	}
	fb_cleanup_fd(&launched->pidfd);
	fb_cleanup_fd(&launched->console);
}

/* Shared memory is a file to the kernel, which costs, so what one child had is the next one's: it has executed its command, or is dead, when its
 * clone is over. Only one that waits for its start has it longer. */
static char *shared = MAP_FAILED;

/* A child in our own memory does without. */
static int open_region(const struct fb_plan *plan, struct start *start, struct fb_error *err)
{
	bool keep = plan->own_memory && !plan->request->wait_for_start;

	if (keep && shared != MAP_FAILED) {
		start->region = shared;
		return 0;
	}
	start->region = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE,
			     (plan->own_memory ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start->region == MAP_FAILED)
		return FB_FAIL(err, FB_STAGE_CLONE, "mmap", NULL);
	if (mprotect(start->region, GUARD_SIZE, PROT_NONE) < 0)
		return FB_FAIL(err, FB_STAGE_CLONE, "mprotect", NULL);
	if (keep)
		shared = start->region;
	return 0;
}

static int open_start(struct fb_plan *plan, struct start *start, struct fb_error *err)
{
	bool talk = plan->own_memory || plan->process->terminal;
	int r = open_region(plan, start, err);

	if (r < 0)
		return r;
	start->child = (struct fb_child){.plan = plan, .socket = -1, .root = -1, .null = -1, .empty = -1, .console = -1, .start = -1, .parent = -1};
	start->child.result = (void *)(start->region + GUARD_SIZE + STACK_SIZE);
	*start->child.result = (struct fb_child_result){0};
	if (talk && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, start->sockets) < 0)
		return FB_FAIL(err, FB_STAGE_CLONE, "socketpair", NULL);
	start->parent_socket = start->sockets[0];
	start->child.socket = start->sockets[1];
	return 0;
}

static void close_start(struct start *start)
{
	if (start->region != MAP_FAILED) {
		/* The child left its frames by exec, without taking their red zones back. */
		ASAN_UNPOISON_MEMORY_REGION(start->region, REGION_SIZE);
		if (start->region != shared)
			munmap(start->region, REGION_SIZE);
	}
	fb_cleanup_fd(&start->sockets[0]);
	fb_cleanup_fd(&start->sockets[1]);
}

static int clone_borrowing(struct start *start, struct fb_launched *launched, int *ret_back, struct fb_error *err)
{
	struct fb_plan *plan = start->child.plan;
	struct fb_borrowed back;
	int r = fb_borrow(plan, &back, err);

	if (r == 0)
		r = plan->between ? start_between(start, launched, err) : start_child(start, NULL, launched, err);
	*ret_back = fb_borrow_return(&back, r == 0 ? err : NULL);
	return r;
}

/* Everything between the blocking of signals and their return. */
static int run(struct start *start, struct fb_launched *launched, struct fb_error *err)
{
	struct fb_plan *plan = start->child.plan;
	const struct fb_child_result *result = start->child.result;
	int back_r, r = clone_borrowing(start, launched, &back_r, err);

	if (r == -EBUSY && plan->request->process && !plan->between && plan->beside < 0) {
		plan->beside = fb_cgroup_open_of(plan->request->target_pidfd);
		if (plan->beside >= 0 && fb_plan_keep(plan, plan->beside, err) >= 0)
			r = clone_borrowing(start, launched, &back_r, err);
	}
	fb_cleanup_fd(&start->sockets[1]);
	if (r == 0 && plan->map_ids)
		r = map_ids(plan, launched->pid, start->sockets[0], err);
	if (r == 0 && start->sockets[0] >= 0)
		r = fb_meet(plan, start->sockets[0], launched, err);
	if (r == 0)
		r = back_r;
	if (r < 0)
		return r;
	if (result->error.code) {
		*err = result->error;
		return -result->error.code;
	}
	if (!result->executing)
		return FB_FAIL_CODE(err, FB_STAGE_CLONE, EINTR, "clone", "", "the starting process was killed");
	return 0;
}

int fb_clone(struct fb_plan *plan, struct fb_launched *ret_launched, struct fb_error *err)
{
	struct fb_launched launched = {.pid = -1, .pidfd = -1, .console = -1};
	struct start start = {.region = MAP_FAILED, .sockets = {-1, -1}};
	sigset_t all, before;
	int r = open_start(plan, &start, err);

	if (r == 0) {
		start.child.result->clocks.begin = ret_launched->clocks.begin;
		start.child.result->clocks.at[FB_STAGE_PLAN] = ret_launched->clocks.at[FB_STAGE_PLAN];
		/* A handler that ran in the child would run on the caller's memory. */
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &before);
		r = run(&start, &launched, err);
		if (r < 0)
			end_child(&launched);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	if (r == 0) {
		launched.clocks = start.child.result->clocks;
		fb_clocks_settle(&launched.clocks, plan->spec->timens_offsets);
		launched.rlimit_clamped = start.child.result->rlimit_clamped;
		*ret_launched = launched;
	}
	close_start(&start);
	return r;
}
