/* The `linux.seccomp` object. The numbers are the kernel's own, which libseccomp's SCMP_ACT_* and SCMP_ARCH_* equal. */
#include <elf.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "spec_json.h"
#include "words.h"

#define ARCH_X32 0x4000003eu /* libseccomp's: EM_X86_64, little endian, 32 bit */
#ifndef AUDIT_ARCH_LOONGARCH64
#define AUDIT_ARCH_LOONGARCH64 (258 | __AUDIT_ARCH_64BIT | __AUDIT_ARCH_LE)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif

static const struct fb_word actions[] = {
	{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
	{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
	{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
	{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
	{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
	{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
	{"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
	{0},
};

static const struct fb_word architectures[] = {
	{"SCMP_ARCH_X86", AUDIT_ARCH_I386},
	{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64},
	{"SCMP_ARCH_X32", ARCH_X32},
	{"SCMP_ARCH_ARM", AUDIT_ARCH_ARM},
	{"SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64},
	{"SCMP_ARCH_MIPS", AUDIT_ARCH_MIPS},
	{"SCMP_ARCH_MIPS64", AUDIT_ARCH_MIPS64},
	{"SCMP_ARCH_MIPS64N32", AUDIT_ARCH_MIPS64N32},
	{"SCMP_ARCH_MIPSEL", AUDIT_ARCH_MIPSEL},
	{"SCMP_ARCH_MIPSEL64", AUDIT_ARCH_MIPSEL64},
	{"SCMP_ARCH_MIPSEL64N32", AUDIT_ARCH_MIPSEL64N32},
	{"SCMP_ARCH_PPC", AUDIT_ARCH_PPC},
	{"SCMP_ARCH_PPC64", AUDIT_ARCH_PPC64},
	{"SCMP_ARCH_PPC64LE", AUDIT_ARCH_PPC64LE},
	{"SCMP_ARCH_S390", AUDIT_ARCH_S390},
	{"SCMP_ARCH_S390X", AUDIT_ARCH_S390X},
	{"SCMP_ARCH_PARISC", AUDIT_ARCH_PARISC},
	{"SCMP_ARCH_PARISC64", AUDIT_ARCH_PARISC64},
	{"SCMP_ARCH_RISCV64", AUDIT_ARCH_RISCV64},
	{"SCMP_ARCH_LOONGARCH64", AUDIT_ARCH_LOONGARCH64},
	{"SCMP_ARCH_M68K", AUDIT_ARCH_M68K},
	{"SCMP_ARCH_SH", AUDIT_ARCH_SHEL},
	{"SCMP_ARCH_SHEB", AUDIT_ARCH_SH},
	{0},
};

static const struct fb_word flags[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	{0},
};

static const struct fb_word operators[] = {
	{"SCMP_CMP_NE", 1},
	{"SCMP_CMP_LT", 2},
	{"SCMP_CMP_LE", 3},
	{"SCMP_CMP_EQ", 4},
	{"SCMP_CMP_GE", 5},
	{"SCMP_CMP_GT", 6},
	{"SCMP_CMP_MASKED_EQ", 7},
	{0},
};

/* EPERM is what the specification wants where no errno is given. */
static int read_action(const struct fb_node *node, const char *key, const char *errno_key,
		       uint32_t *ret_action)
{
	uint64_t action = 0;
	uint32_t data = EPERM;
	int r;

	if ((r = fb_json_word(node, key, actions, "unknown seccomp action", &action)) <= 0)
		return r < 0 ? r : fb_member_fail(node, key, "is missing");
	if ((r = fb_json_u32(node, errno_key, 4095, &data)) < 0)
		return r;
	if (r > 0 && action != SECCOMP_RET_ERRNO && action != SECCOMP_RET_TRACE)
		return fb_member_fail(node, errno_key, "does not go with this action");
	if (action == SECCOMP_RET_ERRNO || action == SECCOMP_RET_TRACE)
		action |= data;
	*ret_action = (uint32_t)action;
	return 0;
}

static int read_args(const struct fb_node *rule_node, struct fb_seccomp_rule *rule)
{
	struct fb_node array, item;
	uint64_t op;
	size_t count;
	int r = fb_json_array(rule_node, "args", 32, &array, &count);

	if (r <= 0)
		return r;
	rule->args = fb_node_alloc(&array, count + 1, sizeof(*rule->args));
	if (!rule->args)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_seccomp_arg *arg = &rule->args[i];

		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_u32(&item, "index", 5, &arg->index)) < 0 ||
		    (r = fb_json_uint(&item, "value", UINT64_MAX, &arg->value)) < 0 ||
		    (r = fb_json_uint(&item, "valueTwo", UINT64_MAX, &arg->value_two)) < 0)
			return r;
		r = fb_json_word(&item, "op", operators, "unknown seccomp operator", &op);
		if (r <= 0)
			return r < 0 ? r : fb_member_fail(&item, "op", "is missing");
		arg->op = (int)op;
	}
	rule->arg_count = count;
	return 0;
}

static int read_rules(const struct fb_node *node, struct fb_seccomp_spec *seccomp)
{
	struct fb_node array, item;
	size_t count;
	int r = fb_json_array(node, "syscalls", 4096, &array, &count);

	if (r <= 0)
		return r;
	seccomp->rules = fb_node_alloc(&array, count + 1, sizeof(*seccomp->rules));
	if (!seccomp->rules)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct fb_seccomp_rule *rule = &seccomp->rules[i];

		if ((r = fb_json_item(&array, i, &item)) < 0 ||
		    (r = fb_json_strv(&item, "names", &rule->names)) < 0 ||
		    (r = read_action(&item, "action", "errnoRet", &rule->action)) < 0 ||
		    (r = read_args(&item, rule)) < 0)
			return r;
		if (!rule->names.count)
			return fb_member_fail(&item, "names", "must name a system call");
	}
	seccomp->rule_count = count;
	return 0;
}

static int read_architectures(const struct fb_node *node, struct fb_seccomp_spec *seccomp)
{
	struct fb_strv names = {0};
	uint64_t value = 0;
	int r = fb_json_strv(node, "architectures", &names);

	if (r < 0)
		return r;
	seccomp->architectures = fb_node_alloc(node, names.count + 1, sizeof(uint32_t));
	if (!seccomp->architectures)
		return -ENOMEM;
	for (size_t i = 0; i < names.count; i++) {
		if (!fb_word_find(architectures, names.items[i], &value))
			return fb_member_fail(node, "architectures", "unknown architecture");
		seccomp->architectures[i] = (uint32_t)value;
	}
	seccomp->architecture_count = names.count;
	return 0;
}

static int read_listener(const struct fb_node *node, struct fb_seccomp_spec *seccomp)
{
	bool notify = false;
	int r;

	if ((r = fb_json_text(node, "listenerPath", &seccomp->listener_path)) < 0 ||
	    (r = fb_json_text(node, "listenerMetadata", &seccomp->listener_metadata)) < 0)
		return r;
	if (seccomp->listener_metadata && !seccomp->listener_path)
		return fb_member_fail(node, "listenerMetadata", "needs a listenerPath");
	/* Nobody could answer for the calls by which the listener is handed over. */
	if (seccomp->default_action == SECCOMP_RET_USER_NOTIF)
		return fb_member_fail(node, "defaultAction", "can't be SCMP_ACT_NOTIFY");
	for (size_t i = 0; i < seccomp->rule_count; i++)
		notify = notify || seccomp->rules[i].action == SECCOMP_RET_USER_NOTIF;
	if (notify && !seccomp->listener_path)
		return fb_member_fail(node, "listenerPath", "is needed by SCMP_ACT_NOTIFY");
	if (notify && seccomp->listener_path[0] != '/')
		return fb_member_fail(node, "listenerPath", "must be an absolute path");
	if (notify)
		seccomp->flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	return 0;
}

int fb_spec_read_seccomp(const struct fb_node *node, struct fb_seccomp_spec *ret_seccomp)
{
	struct fb_seccomp_spec seccomp = {0};
	uint64_t bits = 0;
	int r;

	if ((r = read_action(node, "defaultAction", "defaultErrnoRet", &seccomp.default_action)) < 0 ||
	    (r = read_architectures(node, &seccomp)) < 0 ||
	    (r = fb_json_flags(node, "flags", flags, "unknown seccomp flag", &bits)) < 0)
		return r;
	seccomp.flags = (unsigned)bits;
	if ((r = read_rules(node, &seccomp)) < 0 || (r = read_listener(node, &seccomp)) < 0)
		return r;
	*ret_seccomp = seccomp;
	return 0;
}

const char *fb_seccomp_word(enum fb_seccomp_words which, size_t index)
{
	static const struct {
		const struct fb_word *words;
		size_t count;
	} tables[] = {
		[FB_SECCOMP_ACTIONS] = {actions, sizeof(actions) / sizeof(actions[0])},
		[FB_SECCOMP_OPERATORS] = {operators, sizeof(operators) / sizeof(operators[0])},
		[FB_SECCOMP_ARCHITECTURES] = {architectures, sizeof(architectures) / sizeof(architectures[0])},
		[FB_SECCOMP_FLAGS] = {flags, sizeof(flags) / sizeof(flags[0])},
	};

	return index < tables[which].count ? tables[which].words[index].name : NULL;
}
