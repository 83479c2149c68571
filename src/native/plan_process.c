/* Everything about the process itself: words, environment, ids, filter, command. */
#include <string.h>
#include <sys/mman.h>

#include "meet.h"
#include "plan.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *find_env(const struct fb_process_spec *process, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = process->env.count; i-- > 0;)
		if (strncmp(process->env.items[i], name, length) == 0 && process->env.items[i][length] == '=')
			return process->env.items[i] + length + 1;
	return NULL;
}

/* A name that is given twice has its last value, as with the other runtimes: getenv would find the first. Names are found by a hash, since a
 * document may have a hundred thousand of them. */
static int plan_environment(struct fb_plan *plan, const struct fb_strv *env, struct fb_error *err)
{
	size_t slots = 16, count = 0;
	uint32_t *table;

	while (slots < 2 * env->count)
		slots *= 2;
	table = fb_arena_alloc(&plan->arena, slots * sizeof(*table));
	plan->envp = fb_arena_alloc(&plan->arena, (env->count + 2) * sizeof(char *));
	if (!table || !plan->envp)
		return fb_plan_no_memory(err);
	for (size_t i = 0; i < env->count; i++) {
		const char *item = env->items[i];
		size_t length = strcspn(item, "="), at = 2166136261u;

		for (size_t c = 0; c < length; c++)
			at = (at ^ (unsigned char)item[c]) * 16777619u;
		for (at &= slots - 1; table[at]; at = (at + 1) & (slots - 1))
			if (strncmp(plan->envp[table[at] - 1], item, length) == 0 &&
			    strcspn(plan->envp[table[at] - 1], "=") == length)
				break;
		if (!table[at])
			table[at] = (uint32_t)++count;
		plan->envp[table[at] - 1] = env->items[i];
	}
	plan->env_count = count;
	return 0;
}

/* argv with the init program before it; envp with a slot for HOME, which is known only inside. */
static int plan_words(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_process_spec *process = plan->process;
	bool init = plan->spec->engine.init && !plan->request->process;
	size_t at = 0;

	plan->argv = fb_arena_alloc(&plan->arena, (process->args.count + 3) * sizeof(char *));
	if (!plan->argv)
		return fb_plan_no_memory(err);
	if (init) {
		plan->argv[at++] = fb_arena_strdup(&plan->arena, FB_INIT_PATH);
		plan->argv[at++] = fb_arena_strdup(&plan->arena, "--");
		if (!plan->argv[0] || !plan->argv[1])
			return fb_plan_no_memory(err);
	}
	memcpy(plan->argv + at, process->args.items, process->args.count * sizeof(char *));
	plan->home_missing = !find_env(process, "HOME");
	return plan_environment(plan, &process->env, err);
}

/* Where execvp would look, in the container's own PATH; an empty element is the working directory. */
static int plan_candidates(struct fb_plan *plan, struct fb_error *err)
{
	const char *name = plan->argv[0], *path = find_env(plan->process, "PATH");
	size_t count = 1, at = 0;

	path = path ? path : DEFAULT_PATH;
	for (const char *c = path; *c; c++)
		count += *c == ':';
	plan->candidates = fb_arena_alloc(&plan->arena, (count + 1) * sizeof(char *));
	if (!plan->candidates)
		return fb_plan_no_memory(err);
	if (strchr(name, '/') || !*name) {
		plan->candidates[0] = plan->argv[0];
		return 0;
	}
	for (; count--; path += *path == ':') {
		size_t length = strcspn(path, ":");

		plan->candidates[at] = fb_arena_printf(&plan->arena, "%.*s%s%s", (int)length, path,
						       length ? "/" : "./", name);
		if (!plan->candidates[at++])
			return fb_plan_no_memory(err);
		path += length;
	}
	return 0;
}

/* The files are read only when a name has to be looked up or HOME is missing. */
static int plan_user(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_process_spec *process = plan->process;

	plan->user = (struct fb_user_request){.user = process->user, .group_add = &process->group_add};
	if (!process->user && !plan->home_missing)
		return 0;
	if (!process->user) {
		static const struct fb_strv none;

		plan->user.user = fb_arena_printf(&plan->arena, "%u:%u", process->uid, process->gid);
		plan->user.group_add = &none;
		if (!plan->user.user)
			return fb_plan_no_memory(err);
	}
	plan->passwd = mmap(NULL, 2 * (FB_PASSWD_MAX_BYTES + 1), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (plan->passwd == MAP_FAILED) {
		plan->passwd = NULL;
		return fb_plan_no_memory(err);
	}
	plan->group = plan->passwd + FB_PASSWD_MAX_BYTES + 1;
	return 0;
}

/* What an exec's document leaves out is the container's; --privileged is everything, and no filter. */
int fb_plan_rights(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_process_spec *own = &plan->spec->process, *process = plan->process;
	const struct fb_process_spec *limits = process->rlimit_count ? process : own;

	plan->caps = process->has_capabilities ? process->capabilities : own->capabilities;
	if (plan->request->process && plan->request->privileged)
		plan->caps = (struct fb_capabilities){
			.bounding = UINT64_MAX, .effective = UINT64_MAX, .permitted = UINT64_MAX};
	plan->rlimits = limits->rlimits;
	plan->rlimit_count = limits->rlimit_count;
	if (!plan->spec->seccomp || (plan->request->process && plan->request->privileged))
		return 0;
	if (plan->request->filter) {
		plan->filter = *plan->request->filter;
		return 0;
	}
	return fb_seccomp_compile(plan->spec->seccomp, plan->spec->engine.seccomp_cache, &plan->arena,
				  &plan->filter, err);
}

static int add(struct fb_plan *plan, enum fb_op_type type, enum fb_stage stage, uint64_t flags,
	       struct fb_error *err)
{
	struct fb_op *op = fb_plan_add(plan, type, stage);

	if (!op)
		return fb_plan_no_memory(err);
	op->flags = flags;
	op->path = plan->process->cwd;
	return 0;
}

/* The tail, the same for a new container and for exec. The order:
 * - names are looked up, limits raised and the scheduler set with every right still held (exec: before it entered a user namespace);
 * - stdio and the working directory before the ids change, as they may belong to root only;
 * - the bounding set before the ids (needs CAP_SETPCAP), the ids before the capabilities (they clear them);
 * - the filter as late as possible, so that it needs to allow as little as possible of ours: after everything when no_new_privs permits it,
 *   otherwise just before the last capabilities are given up, since it takes CAP_SYS_ADMIN. */
/* Where `create` ends and `start` begins: the ids are the user's, a hook's rights are bounded as the process's will be, and no filter is on yet
 * that would have to allow the waiting. */
static int plan_stops(struct fb_plan *plan, struct fb_error *err)
{
	bool wait = plan->request->wait_for_start;
	bool hooks = plan->has_hooks && plan->spec->hooks[FB_HOOK_START_CONTAINER].count;
	int r = 0;

	if (wait)
		r = add(plan, FB_OP_FIND_COMMAND, FB_STAGE_EXEC, 0, err);
	if (r == 0 && (wait || hooks || plan->listener >= 0))
		r = fb_plan_stop(plan, FB_OP_MEET, FB_STAGE_START, FB_MEET_CREATED, err);
	if (r == 0 && wait)
		r = add(plan, FB_OP_AWAIT_START, FB_STAGE_START, 0, err);
	if (r == 0 && hooks)
		r = fb_plan_stop(plan, FB_OP_HOOKS, FB_STAGE_HOOK, FB_HOOK_START_CONTAINER, err);
	return r;
}

static int plan_tail(struct fb_plan *plan, struct fb_error *err)
{
	bool no_new = plan->process->no_new_privileges || plan->spec->process.no_new_privileges;
	bool filter = plan->filter.length > 0;
	int r = 0;

	plan->keep_caps = plan->caps.ambient || (filter && !no_new);
	if ((r = add(plan, FB_OP_RESOLVE_USER, FB_STAGE_USER, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_RLIMITS, FB_STAGE_RLIMIT, 0, err)) < 0 ||
	    (!plan->request->process && (r = fb_plan_scheduling(plan, err)) < 0) ||
	    (r = add(plan, FB_OP_STDIO, FB_STAGE_STDIO, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_BOUNDING, FB_STAGE_CAPS, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_CWD, FB_STAGE_CWD, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_IDS, FB_STAGE_CREDS, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_UMASK, FB_STAGE_CREDS, 0, err)) < 0 ||
	    (r = add(plan, FB_OP_CLOSE, FB_STAGE_STDIO, 0, err)) < 0 || (r = plan_stops(plan, err)) < 0)
		return r;
	if (filter && !no_new)
		r = add(plan, FB_OP_FILTER, FB_STAGE_SECCOMP, 1, err);
	if (r == 0)
		r = add(plan, FB_OP_CAPABILITIES, FB_STAGE_CAPS, 0, err);
	if (r == 0 && no_new)
		r = add(plan, FB_OP_NO_NEW_PRIVS, FB_STAGE_CAPS, 0, err);
	if (r == 0 && filter && no_new)
		r = add(plan, FB_OP_FILTER, FB_STAGE_SECCOMP, 0, err);
	return r < 0 ? r : add(plan, FB_OP_EXEC, FB_STAGE_EXEC, 0, err);
}

int fb_plan_process(struct fb_plan *plan, struct fb_error *err)
{
	int r = plan_words(plan, err);

	if (r == 0)
		r = plan_candidates(plan, err);
	if (r == 0)
		r = plan_user(plan, err);
	return r < 0 ? r : plan_tail(plan, err);
}
