#include "plan.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "meet.h"

int fb_plan_no_memory(struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_PLAN, ENOMEM, "malloc", "", NULL);
}

/* NULL only without memory. Old arrays stay in the arena: the sum is at most twice the last. */
struct fb_op *fb_plan_add(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage)
{
	struct fb_op *op;

	if (plan->count == plan->room) {
		size_t room = plan->room ? 2 * plan->room : 64;
		struct fb_op *ops = fb_arena_alloc(&plan->arena, room * sizeof(*ops));

		if (!ops)
			return NULL;
		if (plan->count)
			memcpy(ops, plan->ops, plan->count * sizeof(*ops));
		plan->ops = ops;
		plan->room = room;
	}
	op = &plan->ops[plan->count++];
	op->type = type;
	op->stage = stage;
	op->number = -1;
	return op;
}

const char *fb_plan_target(struct fb_plan *plan, const char *path)
{
	char *clean = fb_arena_alloc(&plan->arena, strlen(path) + 1), *to = clean;

	while (clean && *path) {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.') {
			*to = '\0';
			to = strrchr(clean, '/') ? strrchr(clean, '/') : clean;
			*to = '\0';
		} else if (length && !(length == 1 && path[0] == '.')) {
			if (to != clean)
				*to++ = '/';
			memcpy(to, path, length);
			to += length;
		}
		path += length + (path[length] == '/');
	}
	return clean;
}

int fb_plan_stop(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage, int number, struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, type, stage);

	if (!op)
		return fb_plan_no_memory(err);
	op->number = number;
	return 0;
}

/* A plain operation; `text` may be NULL. */
static int add(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage, const char *path,
	       const char *text, uint64_t flags, struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, type, stage);

	if (!op)
		return fb_plan_no_memory(err);
	op->path = path;
	op->text = text;
	op->flags = flags;
	return 0;
}

int fb_plan_keep(struct fb_plan *plan, int fd, struct fb_error *err)
{
	if (plan->fd_count == plan->fd_room) {
		size_t room = plan->fd_room ? 2 * plan->fd_room : 16;
		int *fds = fb_arena_alloc(&plan->arena, room * sizeof(*fds));

		if (!fds) {
			close(fd);
			return fb_plan_no_memory(err);
		}
		if (plan->fd_count)
			memcpy(fds, plan->fds, plan->fd_count * sizeof(*fds));
		plan->fds = fds;
		plan->fd_room = room;
	}
	return plan->fds[plan->fd_count++] = fd;
}

/* v2 takes the directory in clone3. On v1 the namespace is made after the joins, else the process would see its own path from
 * outside; a clone without clone3 (clone.c) turns v2 into the same. */
static int plan_cgroups(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_cgroup *group = plan->request->cgroup;

	if (!group)
		return 0;
	for (int i = 0; i < group->procs_count; i++)
		plan->procs[plan->procs_count++] = group->procs[i];
	if (plan->procs_count && plan->namespaces & CLONE_NEWCGROUP) {
		plan->namespaces &= ~(uint64_t)CLONE_NEWCGROUP;
		plan->late_cgroup_namespace = true;
	}
	return add(plan, FB_OP_JOIN_CGROUPS, FB_STAGE_CGROUP, NULL, NULL, 0, err);
}

/* Somebody may have changed it since the last time, so it is read. */
static bool inherits_score(const struct fb_home *home, int score)
{
	char text[16];
	ssize_t n = home ? pread(home->score, text, sizeof(text) - 1, 0) : -1;

	text[n > 0 ? n : 0] = '\0';
	return n > 0 && atoi(text) == score;
}

/* /proc/self of the host: before the root changes, and before ids do (the files belong to the id that we have now). The child of an exec is in the
 * container's mount namespace from the first, where /proc may be anything: it goes by a descriptor. */
static int plan_self(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_process_spec *process = plan->process;
	size_t first = plan->count;
	char *text;
	int fd, r = 0;

	if (process->has_oom_score_adj && !inherits_score(plan->request->home, process->oom_score_adj)) {
		text = fb_arena_printf(&plan->arena, "%d", process->oom_score_adj);
		if (!text)
			return fb_plan_no_memory(err);
		r = add(plan, FB_OP_WRITE_SELF, FB_STAGE_CREDS, "/proc/self/oom_score_adj", text, 1, err);
	}
	if (r == 0 && process->apparmor && *process->apparmor) {
		text = fb_arena_printf(&plan->arena, "exec %s", process->apparmor);
		r = text ? add(plan, FB_OP_WRITE_SELF, FB_STAGE_CREDS, "/proc/self/attr/apparmor/exec",
			       text, 0, err) :
			   fb_plan_no_memory(err);
	}
	if (r == 0 && process->selinux && *process->selinux)
		r = add(plan, FB_OP_WRITE_SELF, FB_STAGE_CREDS, "/proc/self/attr/exec", process->selinux,
			0, err);
	if (r < 0 || !plan->request->process || plan->count == first)
		return r;
	fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_PLAN, "open", "/proc");
	if ((fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	for (size_t i = first; i < plan->count; i++) {
		plan->ops[i].number = fd;
		plan->ops[i].path += strlen("/proc/");
	}
	return 0;
}

static const char *const ipc_sysctls[] = {"kernel.msgmax",	   "kernel.msgmnb", "kernel.msgmni",
					  "kernel.sem",		   "kernel.shmall", "kernel.shmmax",
					  "kernel.shmmni",	   "kernel.shm_rmid_forced",
					  "kernel.msg_next_id", "kernel.sem_next_id",
					  "kernel.shm_next_id"};

/* Only what belongs to a namespace that the container does not share with the host. */
static bool sysctl_is_own(const struct fb_plan *plan, const char *key)
{
	if (strncmp(key, "net.", 4) == 0)
		return plan->apart & CLONE_NEWNET;
	if (strncmp(key, "fs.mqueue.", 10) == 0)
		return plan->apart & CLONE_NEWIPC;
	if (strcmp(key, "kernel.domainname") == 0 || strcmp(key, "kernel.hostname") == 0)
		return plan->apart & CLONE_NEWUTS;
	if (strncmp(key, "user.", 5) == 0)
		return plan->apart & CLONE_NEWUSER;
	for (size_t i = 0; i < sizeof(ipc_sysctls) / sizeof(*ipc_sysctls); i++)
		if (strcmp(key, ipc_sysctls[i]) == 0)
			return plan->apart & CLONE_NEWIPC;
	return false;
}

static int plan_sysctls(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_strv *pairs = &plan->spec->sysctl;

	for (size_t i = 0; i + 1 < pairs->count; i += 2) {
		const char *key = pairs->items[i];
		char *path;
		int r;

		if (!sysctl_is_own(plan, key) || strstr(key, ".."))
			return FB_FAIL_CODE(err, FB_STAGE_SYSCTL, EINVAL, "config", key,
					    "is not a setting of the container's own namespaces");
		path = fb_arena_printf(&plan->arena, "proc/sys/%s", key);
		if (!path)
			return fb_plan_no_memory(err);
		/* As sysctl(8): dots part names, and a slash stands for a dot inside one (eth0/100). */
		for (char *at = path + strlen("proc/sys/"); *at; at++)
			*at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
		r = add(plan, FB_OP_SYSCTL, FB_STAGE_SYSCTL, path, pairs->items[i + 1], 0, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int plan_paths(struct fb_plan *plan, const struct fb_strv *paths, enum fb_op_type type,
		      struct fb_error *err)
{
	for (size_t i = 0; i < paths->count; i++) {
		const char *target = fb_plan_target(plan, paths->items[i]);

		if (!target || !*target)
			return FB_FAIL_CODE(err, FB_STAGE_MASK, EINVAL, "config", paths->items[i],
					    "can't be masked or read-only");
		if (add(plan, type, FB_STAGE_MASK, target, NULL, 0, err) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* What needs the finished tree. The pivot comes last of all mounts: mount(2), where it has to stand in for the new calls, names
 * its targets through the host's procfs. Settings are written before /proc/sys turns read-only. */
static int plan_finish_root(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	int r = plan_sysctls(plan, err);

	if (r == 0)
		r = plan_paths(plan, &spec->readonly_paths, FB_OP_READONLY_PATH, err);
	if (r == 0)
		r = plan_paths(plan, &spec->masked_paths, FB_OP_MASK_PATH, err);
	/* Without an upper the root is read-only as it is. */
	if (r == 0 && spec->root_readonly && !(spec->engine.lower.count && !spec->engine.upper))
		r = add(plan, FB_OP_ROOT_READONLY, FB_STAGE_ROOTFS, NULL, NULL, 0, err);
	if (r == 0)
		r = fb_plan_pivot(plan, err);
	if (r == 0 && spec->hostname)
		r = add(plan, FB_OP_HOSTNAME, FB_STAGE_HOSTNAME, NULL, spec->hostname, 0, err);
	if (r == 0 && spec->domainname)
		r = add(plan, FB_OP_DOMAINNAME, FB_STAGE_HOSTNAME, NULL, spec->domainname, 0, err);
	return r;
}

/* The parent runs its hooks here, when the process has all its mounts and the root is still the host's; then ours follow. */
static int plan_hooks(struct fb_plan *plan, struct fb_error *err)
{
	int r = 0;

	if (plan->has_hooks)
		r = fb_plan_stop(plan, FB_OP_MEET, FB_STAGE_HOOK, FB_MEET_HOOKS, err);
	if (r == 0 && plan->has_hooks && plan->spec->hooks[FB_HOOK_CREATE_CONTAINER].count)
		r = fb_plan_stop(plan, FB_OP_HOOKS, FB_STAGE_HOOK, FB_HOOK_CREATE_CONTAINER, err);
	return r;
}

static int plan_container(struct fb_plan *plan, struct fb_error *err)
{
	int r = fb_plan_namespaces(plan, err);

	if (r == 0)
		r = plan_self(plan, err);
	if (r == 0)
		r = plan_cgroups(plan, err);
	if (r == 0)
		r = fb_plan_joins(plan, err);
	/* The mappings are waited for with the caller's ids still on: sources and root may lie below directories of mode 0700. */
	if (r == 0 && plan->map_ids)
		r = add(plan, FB_OP_AWAIT_PARENT, FB_STAGE_USERNS, NULL, NULL, 0, err);
	if (r == 0)
		r = add(plan, FB_OP_NEW_SESSION, FB_STAGE_CLONE, NULL, NULL, 0, err);
	if (r == 0 && !plan->request->no_new_keyring)
		r = add(plan, FB_OP_KEYRING, FB_STAGE_CLONE, NULL, NULL, 0, err);
	if (r == 0 && plan->namespaces & CLONE_NEWNET)
		r = add(plan, FB_OP_LOOPBACK, FB_STAGE_NETWORK, NULL, NULL, 0, err);
	if (r == 0)
		r = fb_plan_mounts(plan, err);
	if (r == 0)
		r = plan_hooks(plan, err);
	return r < 0 ? r : plan_finish_root(plan, err);
}

/* The first CPUs are those of a process that is in no group yet. */
static int plan_joining_cgroups(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_process_spec *own = &plan->spec->process, *process = plan->process;
	bool given = process->cpu_affinity_initial || process->cpu_affinity_final;
	const struct fb_process_spec *affinity = given ? process : own;
	int r = fb_plan_affinity(plan, affinity->cpu_affinity_initial, err);

	plan->join_by_write = affinity->cpu_affinity_initial;
	if (r == 0)
		r = plan_cgroups(plan, err);
	if (r == 0)
		r = fb_plan_affinity(plan, affinity->cpu_affinity_final, err);
	return r < 0 ? r : fb_plan_scheduling(plan, err);
}

/* exec. Without a mount namespace of its own the container is a chroot, and so is what joins it. */
static int plan_joining(struct fb_plan *plan, struct fb_error *err)
{
	bool rooted;
	int r = plan_self(plan, err);

	if (r == 0)
		r = plan_joining_cgroups(plan, err);
	if (r == 0)
		r = fb_plan_join_target(plan, err);
	rooted = plan->apart & CLONE_NEWNS;
	if (r == 0)
		r = add(plan, FB_OP_NEW_SESSION, FB_STAGE_CLONE, NULL, NULL, 0, err);
	if (r == 0 && !plan->request->no_new_keyring)
		r = add(plan, FB_OP_KEYRING, FB_STAGE_CLONE, NULL, NULL, 0, err);
	if (r == 0)
		r = add(plan, FB_OP_ROOT_OPEN, FB_STAGE_JOIN, rooted ? "/" : plan->spec->root_path, NULL, 0, err);
	if (r == 0 && plan->process->terminal)
		r = add(plan, FB_OP_CONSOLE, FB_STAGE_CONSOLE, NULL, NULL, 0, err);
	if (r == 0 && !rooted)
		r = add(plan, FB_OP_PIVOT, FB_STAGE_PIVOT, NULL, NULL, FB_PIVOT_CHROOT, err);
	return r;
}

int fb_plan_build(const struct fb_launch_request *request, struct fb_plan *ret_plan, struct fb_error *err)
{
	struct fb_plan plan = {.request = request, .spec = request->spec, .pid_namespace = -1, .user_namespace = -1, .beside = -1};
	struct rlimit files;
	int r;

	plan.process = request->process ? request->process : &request->spec->process;
	plan.fd_limit = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (unsigned)files.rlim_cur : 1024;
	r = fb_plan_rights(&plan, err);
	if (r == 0)
		r = fb_meet_open(&plan, err);
	if (r == 0)
		r = request->process ? plan_joining(&plan, err) : plan_container(&plan, err);
	if (r == 0)
		r = fb_plan_process(&plan, err);
	if (r < 0) {
		fb_plan_free(&plan);
		return r;
	}
	*ret_plan = plan;
	return 0;
}

void fb_plan_free(struct fb_plan *plan)
{
	for (size_t i = 0; i < plan->fd_count; i++)
		close(plan->fds[i]);
	if (plan->passwd)
		munmap(plan->passwd, 2 * (FB_PASSWD_MAX_BYTES + 1));
	fb_arena_free(&plan->arena);
	memset(plan, 0, sizeof(*plan));
}
