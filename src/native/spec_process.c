/* The `process` object: the same one in config.json and in an exec's document. */
#include <string.h>

#include "creds.h"
#include "spec_json.h"

#define ID_MAX (UINT32_MAX - 1) /* 2^32-1 means "no change" to the kernel: never an id */

static int read_ids(const struct fb_node *user, struct fb_process_spec *process)
{
	struct fb_node array;
	size_t count;
	uint32_t mask;
	int r;

	if ((r = fb_json_u32(user, "uid", ID_MAX, &process->uid)) < 0 ||
	    (r = fb_json_u32(user, "gid", ID_MAX, &process->gid)) < 0)
		return r;
	if ((r = fb_json_u32(user, "umask", 0777, &mask)) < 0)
		return r;
	if (r > 0) {
		process->has_umask = true;
		process->umask = mask;
	}
	r = fb_json_array(user, "additionalGids", FB_GROUPS_MAX, &array, &count);
	if (r <= 0)
		return r;
	process->groups = fb_node_alloc(user, count + 1, sizeof(*process->groups));
	if (!process->groups)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_node item = {.in = user->in, .up = &array, .index = i};
		int64_t value;

		item.json = json_object_array_get_idx(array.json, i);
		if (!json_object_is_type(item.json, json_type_int))
			return fb_node_fail(&item, "must be a whole number");
		value = json_object_get_int64(item.json);
		if (value < 0 || value > (int64_t)ID_MAX)
			return fb_node_fail(&item, "is out of range");
		process->groups[i] = (gid_t)value;
	}
	process->group_count = count;
	return 0;
}

/* What this kernel does not know can't be granted: the specification wants a warning, and no failure. */
static int read_capability_set(const struct fb_node *node, const char *key, uint64_t *ret_set, const char **ret_unknown)
{
	struct fb_strv names = {0};
	uint64_t set = 0;
	int r = fb_json_strv(node, key, &names);

	if (r < 0)
		return r;
	for (size_t i = 0; i < names.count; i++) {
		int number = fb_capability_number(names.items[i]);

		if (number < 0 || number > 63)
			*ret_unknown = names.items[i];
		else
			set |= (uint64_t)1 << number;
	}
	*ret_set = set;
	return 0;
}

static int read_capabilities(const struct fb_node *process_node, struct fb_process_spec *process)
{
	struct fb_capabilities *caps = &process->capabilities;
	const char **unknown = &process->unknown_capability;
	struct fb_node node;
	int r = fb_json_object(process_node, "capabilities", &node);

	if (r <= 0)
		return r;
	process->has_capabilities = true;
	if ((r = read_capability_set(&node, "bounding", &caps->bounding, unknown)) < 0 ||
	    (r = read_capability_set(&node, "effective", &caps->effective, unknown)) < 0 ||
	    (r = read_capability_set(&node, "inheritable", &caps->inheritable, unknown)) < 0 ||
	    (r = read_capability_set(&node, "permitted", &caps->permitted, unknown)) < 0 ||
	    (r = read_capability_set(&node, "ambient", &caps->ambient, unknown)) < 0)
		return r;
	/* The kernel would answer EPERM long after, without a name. */
	if (caps->effective & ~caps->permitted)
		return fb_member_fail(&node, "effective", "holds what permitted does not");
	/* The kernel raises nothing else; runc's own template asks for more, so it is cut, not refused. */
	caps->ambient &= caps->permitted & caps->inheritable;
	return 0;
}

static int read_rlimits(const struct fb_node *process_node, struct fb_process_spec *process)
{
	struct fb_node array, item;
	const char *type;
	uint64_t seen = 0;
	size_t count;
	int r = fb_json_array(process_node, "rlimits", 64, &array, &count);

	if (r <= 0)
		return r;
	process->rlimits = fb_node_alloc(&array, count + 1, sizeof(*process->rlimits));
	if (!process->rlimits)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_rlimit *limit = &process->rlimits[i];

		type = "";
		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_string(&item, "type", &type)) < 0)
			return r;
		limit->resource = fb_rlimit_number(type);
		if (limit->resource < 0 || limit->resource > 63)
			return fb_member_fail(&item, "type", "unknown rlimit");
		if (seen & (uint64_t)1 << limit->resource)
			return fb_member_fail(&item, "type", "is given twice");
		seen |= (uint64_t)1 << limit->resource;
		if ((r = fb_json_uint(&item, "soft", UINT64_MAX, &limit->soft)) < 0 ||
		    (r = fb_json_uint(&item, "hard", UINT64_MAX, &limit->hard)) < 0)
			return r;
		if (limit->soft > limit->hard)
			return fb_member_fail(&item, "soft", "is above the hard limit");
	}
	process->rlimit_count = count;
	return 0;
}

static int read_console_size(const struct fb_node *process_node, struct fb_process_spec *process)
{
	struct fb_node node;
	uint32_t rows = 0, columns = 0;
	int r = fb_json_object(process_node, "consoleSize", &node);

	if (r <= 0)
		return r;
	if ((r = fb_json_u32(&node, "height", UINT16_MAX, &rows)) < 0 ||
	    (r = fb_json_u32(&node, "width", UINT16_MAX, &columns)) < 0)
		return r;
	process->rows = (unsigned short)rows;
	process->columns = (unsigned short)columns;
	return 0;
}

int fb_spec_check_env(const struct fb_node *up, const struct fb_strv *env)
{
	for (size_t i = 0; i < env->count; i++)
		if (!strchr(env->items[i], '=') || env->items[i][0] == '=')
			return fb_member_fail(up, "env", "holds an entry that is not NAME=value");
	return 0;
}

static int check_texts(const struct fb_node *node, const struct fb_process_spec *process)
{
	if (!process->args.count)
		return fb_member_fail(node, "args", "must name a command");
	if (!process->cwd || process->cwd[0] != '/')
		return fb_member_fail(node, "cwd", "must be an absolute path");
	return fb_spec_check_env(node, &process->env);
}

int fb_spec_read_process(const struct fb_node *node, struct fb_process_spec *ret_process)
{
	struct fb_process_spec process = {0};
	struct fb_node user;
	int64_t score = 0;
	int r;

	if ((r = fb_json_object(node, "user", &user)) < 0 || (r > 0 && (r = read_ids(&user, &process)) < 0))
		return r;
	if ((r = fb_json_bool(node, "terminal", &process.terminal)) < 0 ||
	    (r = read_console_size(node, &process)) < 0 ||
	    (r = fb_json_strv(node, "args", &process.args)) < 0 ||
	    (r = fb_json_strv(node, "env", &process.env)) < 0 ||
	    (r = fb_json_string(node, "cwd", &process.cwd)) < 0 ||
	    (r = read_capabilities(node, &process)) < 0 || (r = read_rlimits(node, &process)) < 0 ||
	    (r = fb_json_bool(node, "noNewPrivileges", &process.no_new_privileges)) < 0 ||
	    (r = fb_json_string(node, "apparmorProfile", &process.apparmor)) < 0 ||
	    (r = fb_json_string(node, "selinuxLabel", &process.selinux)) < 0 ||
	    (r = fb_spec_read_scheduling(node, &process)) < 0)
		return r;
	if ((r = fb_json_int(node, "oomScoreAdj", -1000, 1000, &score)) < 0)
		return r;
	process.has_oom_score_adj = r > 0;
	process.oom_score_adj = (int)score;
	if ((r = check_texts(node, &process)) < 0)
		return r;
	*ret_process = process;
	return 0;
}
