#include "bpf_device.h"

#include <linux/bpf.h>
#include <string.h>

#include "cleanup.h"
#include "sys.h"

#define RULE_MAX 9 /* instructions of one rule at most */
#define RULES_MAX 4096
#define ATTACHED_MAX 64 /* programs on one group: the kernel's own limit */

/* Registers: 1 the context, 2 the accesses asked for that no rule has decided yet, 3 type, 4 major,
 * 5 minor. */
struct program {
	struct bpf_insn *at;
	size_t length;
};

static void emit(struct program *p, unsigned code, unsigned target, int16_t offset, int32_t value)
{
	p->at[p->length++] = (struct bpf_insn){.code = (uint8_t)code,
					       .dst_reg = target & 15,
					       .src_reg = BPF_REG_1 & 15,
					       .off = offset,
					       .imm = value};
}

static void emit_load(struct program *p, unsigned target, size_t offset)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, target, (int16_t)offset, 0);
}

/* Immediate forms leave the source register 0, or the verifier refuses them. */
static void emit_now(struct program *p, unsigned code, unsigned target, int16_t offset,
		     int32_t value)
{
	emit(p, code | BPF_K, target, offset, value);
	p->at[p->length - 1].src_reg = 0;
}

static void emit_return(struct program *p, int32_t allowed)
{
	emit_now(p, BPF_ALU64 | BPF_MOV, BPF_REG_0, 0, allowed);
	emit_now(p, BPF_JMP | BPF_EXIT, 0, 0, 0);
}

static int32_t kernel_access(unsigned access)
{
	return (access & FB_ACCESS_READ ? BPF_DEVCG_ACC_READ : 0) |
	       (access & FB_ACCESS_WRITE ? BPF_DEVCG_ACC_WRITE : 0) |
	       (access & FB_ACCESS_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0);
}

static void emit_rule(struct program *p, const struct fb_device_rule *rule)
{
	int32_t access = kernel_access(rule->access);
	size_t misses[3], miss_count = 0;

	if (rule->type != 'a') {
		misses[miss_count++] = p->length;
		emit_now(p, BPF_JMP | BPF_JNE, BPF_REG_3, 0,
			 rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (rule->major >= 0) {
		misses[miss_count++] = p->length;
		emit_now(p, BPF_JMP | BPF_JNE, BPF_REG_4, 0, (int32_t)rule->major);
	}
	if (rule->minor >= 0) {
		misses[miss_count++] = p->length;
		emit_now(p, BPF_JMP | BPF_JNE, BPF_REG_5, 0, (int32_t)rule->minor);
	}
	if (rule->allow) {
		emit_now(p, BPF_ALU64 | BPF_AND, BPF_REG_2, 0, ~access);
		emit_now(p, BPF_JMP | BPF_JNE, BPF_REG_2, 2, 0);
		emit_return(p, 1);
	} else {
		emit_now(p, BPF_JMP | BPF_JSET, BPF_REG_2, 1, access);
		emit_now(p, BPF_JMP | BPF_JA, 0, 2, 0);
		emit_return(p, 0);
	}
	for (size_t i = 0; i < miss_count; i++)
		p->at[misses[i]].off = (int16_t)(p->length - misses[i] - 1);
}

static void build(struct program *p, const struct fb_device_rule *rules, size_t count)
{
	emit_load(p, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	emit_load(p, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
	emit_load(p, BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
	/* access_type is access << 16 | type */
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, 0, 0);
	p->at[p->length - 1].src_reg = BPF_REG_2 & 15;
	emit_now(p, BPF_ALU64 | BPF_AND, BPF_REG_3, 0, 0xffff);
	emit_now(p, BPF_ALU64 | BPF_RSH, BPF_REG_2, 0, 16);
	/* Backwards, since the last rule that matches decides. What comes before a rule for
	 * everything can't be reached, and the verifier refuses code that it can't reach. */
	for (size_t i = count; i-- > 0;) {
		bool everything =
		    rules[i].type == 'a' && rules[i].major < 0 && rules[i].minor < 0 &&
		    rules[i].access == (FB_ACCESS_READ | FB_ACCESS_WRITE | FB_ACCESS_MKNOD);

		if (everything) {
			emit_return(p, rules[i].allow);
			return;
		}
		if (rules[i].access)
			emit_rule(p, &rules[i]);
	}
	emit_return(p, 0);
}

static int bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int load(const struct fb_device_rule *rules, size_t count, struct fb_error *err)
{
	fb_auto_free struct bpf_insn *code = calloc(count * RULE_MAX + 8, sizeof(*code));
	struct program program = {.at = code};
	union bpf_attr attributes;
	int fd;

	if (!code)
		return FB_FAIL(err, FB_STAGE_CGROUP, "malloc", NULL);
	build(&program, rules, count);
	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uintptr_t)code;
	attributes.insn_cnt = (uint32_t)program.length;
	attributes.license = (uintptr_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &attributes);
	return fd < 0 ? FB_FAIL(err, FB_STAGE_CGROUP, "bpf(PROG_LOAD)", "device rule") : fd;
}

/* Others' programs, above us or later ones below, must agree with ours rather than replace it. */
static int attach(int group_fd, int program_fd, int replaced_fd, struct fb_error *err)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)group_fd;
	attributes.attach_bpf_fd = (uint32_t)program_fd;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	if (replaced_fd >= 0) {
		attributes.attach_flags |= BPF_F_REPLACE; /* 5.6 */
		attributes.replace_bpf_fd = (uint32_t)replaced_fd;
	}
	if (bpf(BPF_PROG_ATTACH, &attributes) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "bpf(PROG_ATTACH)", "device rule");
	return 0;
}

static int detach(int group_fd, int program_fd, struct fb_error *err)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)group_fd;
	attributes.attach_bpf_fd = (uint32_t)program_fd;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	if (bpf(BPF_PROG_DETACH, &attributes) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "bpf(PROG_DETACH)", "device rule");
	return 0;
}

/* The programs on the group itself; how many. */
static int find_attached(int group_fd, uint32_t *ids, struct fb_error *err)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.query.target_fd = (uint32_t)group_fd;
	attributes.query.attach_type = BPF_CGROUP_DEVICE;
	attributes.query.prog_ids = (uintptr_t)ids;
	attributes.query.prog_cnt = ATTACHED_MAX;
	if (bpf(BPF_PROG_QUERY, &attributes) < 0)
		return FB_FAIL(err, FB_STAGE_CGROUP, "bpf(PROG_QUERY)", "device rule");
	return (int)attributes.query.prog_cnt;
}

static int open_program(uint32_t id)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
}

/* All programs on a group must agree, so a new one beside an old one could never allow what that did not. */
static int replace_all(int group_fd, int program_fd, struct fb_error *err)
{
	uint32_t ids[ATTACHED_MAX] = {0};
	int count = find_attached(group_fd, ids, err), r = count < 0 ? count : 0;

	if (count == 1) {
		fb_auto_close int old = open_program(ids[0]);

		if (old >= 0 && attach(group_fd, program_fd, old, NULL) == 0)
			return 0;
	}
	if (r == 0)
		r = attach(group_fd, program_fd, -1, err);
	for (int i = 0; r == 0 && i < count; i++) {
		fb_auto_close int old = open_program(ids[i]);

		r = old < 0 ? FB_FAIL(err, FB_STAGE_CGROUP, "bpf(GET_FD_BY_ID)", "device rule") :
			      detach(group_fd, old, err);
	}
	return r;
}

int fb_bpf_device_attach(int group_fd, const struct fb_device_rule *rules, size_t count, bool replace,
			 struct fb_error *err)
{
	fb_auto_close int program_fd = -1;

	if (count > RULES_MAX)
		return FB_FAIL_CODE(err, FB_STAGE_CGROUP, E2BIG, "bpf", NULL,
				    "more than 4096 device rules");
	program_fd = load(rules, count, err);
	if (program_fd < 0)
		return program_fd;
	return replace ? replace_all(group_fd, program_fd, err) : attach(group_fd, program_fd, -1, err);
}
