#include "child.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "sys.h"

uint64_t fb_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int op_write_self(struct fb_child *child, const struct fb_op *op)
{
	size_t length = strlen(op->text);
	fb_auto_close int fd = openat(op->number, op->path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, op->text, length) == (ssize_t)length)
		return 0;
	/* Lowering the score takes CAP_SYS_RESOURCE, which the caller may not have: then it stays as it is. */
	if (op->flags && (errno == EACCES || errno == EPERM))
		return 0;
	return FB_CHILD_FAIL(child, op, fd < 0 ? "open" : "write");
}

static int op_new_session(struct fb_child *child, const struct fb_op *op)
{
	return setsid() < 0 ? FB_CHILD_FAIL(child, op, "setsid") : 0;
}

static int op_hostname(struct fb_child *child, const struct fb_op *op)
{
	if (sethostname(op->text, strlen(op->text)) < 0)
		return FB_CHILD_FAIL(child, op, "sethostname");
	return 0;
}

static int op_domainname(struct fb_child *child, const struct fb_op *op)
{
	if (setdomainname(op->text, strlen(op->text)) < 0)
		return FB_CHILD_FAIL(child, op, "setdomainname");
	return 0;
}

static fb_op_handler *const handlers[FB_OP_COUNT] = {
	[FB_OP_WRITE_SELF] = op_write_self,
	[FB_OP_JOIN_CGROUPS] = fb_op_join_cgroups,
	[FB_OP_JOIN_NAMESPACE] = fb_op_join_namespace,
	[FB_OP_JOIN_TARGET] = fb_op_join_target,
	[FB_OP_AWAIT_PARENT] = fb_op_await_parent,
	[FB_OP_BECOME_ROOT] = fb_op_become_root,
	[FB_OP_NEW_SESSION] = op_new_session,
	[FB_OP_KEYRING] = fb_op_keyring,
	[FB_OP_MEET] = fb_op_meet,
	[FB_OP_HOOKS] = fb_op_hooks,
	[FB_OP_FIND_COMMAND] = fb_op_find_command,
	[FB_OP_AWAIT_START] = fb_op_await_start,
	[FB_OP_LOOPBACK] = fb_op_loopback,
	[FB_OP_HOST_PROPAGATION] = fb_op_host_propagation,
	[FB_OP_OPEN_SOURCE] = fb_op_open_source,
	[FB_OP_ROOT_OVERLAY] = fb_op_root_overlay,
	[FB_OP_ROOT_BIND] = fb_op_root_bind,
	[FB_OP_ROOT_ATTACH] = fb_op_root_attach,
	[FB_OP_ROOT_OPEN] = fb_op_root_open,
	[FB_OP_HIDE] = fb_op_hide,
	[FB_OP_MOUNT] = fb_op_mount,
	[FB_OP_BIND] = fb_op_bind,
	[FB_OP_REMOUNT] = fb_op_remount,
	[FB_OP_SEAL] = fb_op_seal,
	[FB_OP_NODE] = fb_op_node,
	[FB_OP_SYMLINK] = fb_op_symlink,
	[FB_OP_CONSOLE] = fb_op_console,
	[FB_OP_MAKE_DIRECTORY] = fb_op_make_directory,
	[FB_OP_PIVOT] = fb_op_pivot,
	[FB_OP_ROOT_PROPAGATION] = fb_op_root_propagation,
	[FB_OP_HOSTNAME] = op_hostname,
	[FB_OP_DOMAINNAME] = op_domainname,
	[FB_OP_SYSCTL] = fb_op_sysctl,
	[FB_OP_MASK_PATH] = fb_op_mask_path,
	[FB_OP_READONLY_PATH] = fb_op_readonly_path,
	[FB_OP_ROOT_READONLY] = fb_op_root_readonly,
	[FB_OP_RESOLVE_USER] = fb_op_resolve_user,
	[FB_OP_RLIMITS] = fb_op_rlimits,
	[FB_OP_AFFINITY] = fb_op_affinity,
	[FB_OP_SCHEDULER] = fb_op_scheduler,
	[FB_OP_IO_PRIORITY] = fb_op_io_priority,
	[FB_OP_PERSONALITY] = fb_op_personality,
	[FB_OP_STDIO] = fb_op_stdio,
	[FB_OP_CWD] = fb_op_cwd,
	[FB_OP_BOUNDING] = fb_op_bounding,
	[FB_OP_IDS] = fb_op_ids,
	[FB_OP_FILTER] = fb_op_filter,
	[FB_OP_CAPABILITIES] = fb_op_capabilities,
	[FB_OP_NO_NEW_PRIVS] = fb_op_no_new_privs,
	[FB_OP_UMASK] = fb_op_umask,
	[FB_OP_CLOSE] = fb_op_close,
	[FB_OP_EXEC] = fb_op_exec,
};

/* An ignored signal would stay ignored across exec, CLONE_CLEAR_SIGHAND or not. The raw call, since glibc hides two signals of its own. */
static void reset_signals(uint64_t which)
{
	static const struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} standard;

	for (int signal = 1; signal <= 64; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && which & UINT64_C(1) << (signal - 1))
			syscall(SYS_rt_sigaction, signal, &standard, NULL, sizeof(uint64_t));
}

int fb_child_run(struct fb_child *child)
{
	struct fb_plan *plan = child->plan;
	struct fb_stage_clocks *clocks = &child->result->clocks;

	clocks->at[FB_STAGE_CLONE] = fb_now();
	reset_signals(plan->request->home ? plan->request->home->ignored : UINT64_MAX);
	/* Modes of nodes, directories and files made below are meant as they are written. */
	umask(0);
	for (size_t i = 0; i < plan->count; i++) {
		const struct fb_op *op = &plan->ops[i];
		int r = handlers[op->type](child, op);

		if (r < 0)
			return r;
		/* The clone itself ended above, whatever is done in its name. */
		if (op->stage != FB_STAGE_CLONE && (i + 1 == plan->count || plan->ops[i + 1].stage != op->stage))
			clocks->at[op->stage] = fb_now();
	}
	return 0;
}
