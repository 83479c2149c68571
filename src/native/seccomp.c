#include "seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "blake2b.h"
#include "cleanup.h"
#include "io.h"
#include "seccomp_ranges.h"

#define FORMAT                                                                                     \
	3 /* of the cache entry and of what is made from a profile: a change of either makes old   \
	     entries unreachable */
#define X32_BIT 0x40000000u
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV /* 5.19 */
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif
#define MAX_ARCHITECTURES 32
#define STUB_MAX (7 * (MAX_ARCHITECTURES + 1))
#define TREE_FROM                                                                                  \
	32 /* calls; libseccomp 2.5's tree is wrong for no rule at all and of no use for few */

struct entry_header {
	char magic[8];
	uint32_t length; /* instructions that follow */
	uint32_t format;
	unsigned char digest[FB_BLAKE2B_SIZE]; /* of key and program: an entry under another name is
						  damaged too */
};

static const char entry_magic[8] = "fbseccmp";

static void cleanup_context(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}

static int fail(struct fb_error *err, int code, const char *call, const char *path,
		const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_SECCOMP_COMPILE, code, call, path, detail);
}

/* --- the key --- */

static void hash_number(struct fb_blake2b *hash, uint64_t number)
{
	fb_blake2b_update(hash, &number, sizeof(number));
}

static void hash_rule(struct fb_blake2b *hash, const struct fb_seccomp_rule *rule)
{
	hash_number(hash, rule->action);
	hash_number(hash, rule->names.count);
	for (size_t i = 0; i < rule->names.count; i++)
		fb_blake2b_update(hash, rule->names.items[i], strlen(rule->names.items[i]) + 1);
	hash_number(hash, rule->arg_count);
	for (size_t i = 0; i < rule->arg_count; i++) {
		hash_number(hash, rule->args[i].index);
		hash_number(hash, rule->args[i].value);
		hash_number(hash, rule->args[i].value_two);
		hash_number(hash, (uint64_t)rule->args[i].op);
	}
}

/* All that the program depends on, every list preceded by its length. The flags are not in the
 * program. */
static void make_key(const struct fb_seccomp_spec *spec, unsigned char ret_key[FB_BLAKE2B_SIZE])
{
	const struct scmp_version *version = seccomp_version();
	struct fb_blake2b hash;

	fb_blake2b_init(&hash);
	hash_number(&hash, FORMAT);
	hash_number(&hash, (uint64_t)version->major << 32 | version->minor << 16 | version->micro);
	hash_number(&hash, seccomp_arch_native());
	hash_number(&hash, spec->default_action);
	hash_number(&hash, spec->architecture_count);
	for (size_t i = 0; i < spec->architecture_count; i++)
		hash_number(&hash, spec->architectures[i]);
	hash_number(&hash, spec->rule_count);
	for (size_t i = 0; i < spec->rule_count; i++)
		hash_rule(&hash, &spec->rules[i]);
	fb_blake2b_final(&hash, ret_key);
}

/* --- the cache --- */

static void entry_digest(const unsigned char *key, const struct sock_filter *filter, size_t length,
			 unsigned char ret_digest[FB_BLAKE2B_SIZE])
{
	struct fb_blake2b hash;

	fb_blake2b_init(&hash);
	fb_blake2b_update(&hash, key, FB_BLAKE2B_SIZE);
	fb_blake2b_update(&hash, filter, length * sizeof(*filter));
	fb_blake2b_final(&hash, ret_digest);
}

static void entry_name(const unsigned char *key, char name[2 * FB_BLAKE2B_SIZE + 1])
{
	for (int i = 0; i < FB_BLAKE2B_SIZE; i++)
		snprintf(name + 2 * i, 3, "%02x", key[i]);
}

/* 1 when the entry is there and whole. */
static int load_entry(int cache, const unsigned char *key, struct fb_arena *arena,
		      struct fb_seccomp_program *ret_program)
{
	unsigned char digest[FB_BLAKE2B_SIZE];
	char name[2 * FB_BLAKE2B_SIZE + 1];
	fb_auto_free char *text = NULL;
	struct entry_header header;
	struct sock_filter *filter;
	ssize_t got;

	entry_name(key, name);
	got = fb_read_file(cache, name, sizeof(header) + BPF_MAXINSNS * sizeof(*filter), &text);
	if (got < (ssize_t)sizeof(header))
		return 0;
	memcpy(&header, text, sizeof(header));
	if (memcmp(header.magic, entry_magic, sizeof(entry_magic)) || header.format != FORMAT ||
	    header.length == 0 || header.length > BPF_MAXINSNS ||
	    (size_t)got != sizeof(header) + header.length * sizeof(*filter))
		return 0;
	filter = fb_arena_alloc(arena, header.length * sizeof(*filter));
	if (!filter)
		return 0;
	memcpy(filter, text + sizeof(header), header.length * sizeof(*filter));
	entry_digest(key, filter, header.length, digest);
	if (memcmp(digest, header.digest, sizeof(digest)))
		return 0;
	ret_program->filter = filter;
	ret_program->length = (unsigned short)header.length;
	return 1;
}

/* A cache that can't be written changes only speed: no error. */
static void store_entry(int cache, const unsigned char *key,
			const struct fb_seccomp_program *program)
{
	size_t bytes = program->length * sizeof(*program->filter);
	struct entry_header header = {.length = program->length, .format = FORMAT};
	fb_auto_free char *entry = malloc(sizeof(header) + bytes);
	char name[2 * FB_BLAKE2B_SIZE + 1];

	if (!entry)
		return;
	memcpy(header.magic, entry_magic, sizeof(header.magic));
	entry_digest(key, program->filter, program->length, header.digest);
	memcpy(entry, &header, sizeof(header));
	memcpy(entry + sizeof(header), program->filter, bytes);
	entry_name(key, name);
	fb_write_file(cache, name, entry, sizeof(header) + bytes, 0);
}

/* --- rules --- */

static bool same_index_twice(const struct fb_seccomp_rule *rule)
{
	for (size_t i = 0; i < rule->arg_count; i++)
		for (size_t j = 0; j < i; j++)
			if (rule->args[i].index == rule->args[j].index)
				return true;
	return false;
}

static int add_call(scmp_filter_ctx context, const struct fb_seccomp_rule *rule, int call,
		    const struct scmp_arg_cmp *args)
{
	unsigned count = (unsigned)rule->arg_count;
	int r = 0;

	if (!same_index_twice(rule))
		return seccomp_rule_add_array(context, rule->action, call, count, args);
	/* The kernel's filter can't ask twice about one argument, so profiles mean "or" by it, as
	 * runc reads them. */
	for (unsigned i = 0; i < count && r == 0; i++)
		r = seccomp_rule_add_array(context, rule->action, call, 1, &args[i]);
	return r;
}

static int add_rule(scmp_filter_ctx context, const struct fb_seccomp_rule *rule,
		    struct fb_error *err)
{
	struct scmp_arg_cmp args[16];

	if (rule->arg_count > sizeof(args) / sizeof(args[0]))
		return fail(err, E2BIG, "seccomp", NULL, "a rule has more than 16 conditions");
	for (size_t i = 0; i < rule->arg_count; i++) {
		if (rule->args[i].index > 5)
			return fail(err, EINVAL, "seccomp", NULL,
				    "a system call has arguments 0 to 5");
		args[i] =
		    (struct scmp_arg_cmp){rule->args[i].index, (enum scmp_compare)rule->args[i].op,
					  rule->args[i].value, rule->args[i].value_two};
	}
	for (size_t i = 0; i < rule->names.count; i++) {
		int call = seccomp_syscall_resolve_name(rule->names.items[i]);
		int r;

		if (call == __NR_SCMP_ERROR)
			continue; /* newer than the library: so it is beyond the newest known too,
				     and answers ENOSYS */
		r = add_call(context, rule, call, args);
		if (r < 0)
			return fail(err, -r, "seccomp_rule_add", rule->names.items[i], NULL);
	}
	return 0;
}

/* --- ENOSYS for calls newer than the profile --- */

/* The largest call number that the profile names for `arch`, 0 when none. */
static uint32_t newest_call(const struct fb_seccomp_spec *spec, uint32_t arch)
{
	uint32_t newest = 0;

	for (size_t i = 0; i < spec->rule_count; i++) {
		const struct fb_strv *names = &spec->rules[i].names;

		for (size_t j = 0; j < names->count; j++) {
			int call = seccomp_syscall_resolve_name_arch(arch, names->items[j]);

			if (call > 0 && (uint32_t)call > newest)
				newest = (uint32_t)call;
		}
	}
	return newest;
}

/* For calls of one architecture: above the newest -> ENOSYS; the rest falls through to what
 * follows. */
static size_t stub_section(uint32_t arch, uint32_t newest, struct sock_filter *out)
{
	/* x32 shares x86_64's token; a bit of the number tells them apart. */
	bool x32 = arch == SCMP_ARCH_X32, split = x32 || arch == SCMP_ARCH_X86_64;
	uint32_t token = x32 ? AUDIT_ARCH_X86_64 : arch;
	size_t n = 0;

	out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						offsetof(struct seccomp_data, arch));
	out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, token, 0, split ? 4 : 3);
	out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						offsetof(struct seccomp_data, nr));
	if (split)
		out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT,
							x32 ? 0 : 2, x32 ? 2 : 0);
	out[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest, 0, 1);
	out[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SCMP_ACT_ERRNO(ENOSYS));
	return n;
}

/* A C library tries a new call and falls back on ENOSYS; EPERM, docker's default answer, would be
 * taken for the kernel's word. A default that lets calls through needs no help, and a tracer knows
 * itself what to do. */
static size_t make_stub(const struct fb_seccomp_spec *spec, struct sock_filter *out)
{
	uint32_t native = seccomp_arch_native(),
		 action = spec->default_action & SECCOMP_RET_ACTION_FULL;
	size_t n = 0;

	if (action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG || action == SECCOMP_RET_TRACE ||
	    spec->default_action == SCMP_ACT_ERRNO(ENOSYS))
		return 0;
	for (size_t i = 0; i <= spec->architecture_count; i++) {
		uint32_t arch = i ? spec->architectures[i - 1] : native, newest;

		if (i && (arch == native || arch == SCMP_ARCH_NATIVE))
			continue;
		newest = newest_call(spec, arch);
		if (newest)
			n += stub_section(arch, newest, out + n);
	}
	return n;
}

/* --- the program --- */

static int export_program(scmp_filter_ctx context, const struct fb_seccomp_spec *spec,
			  struct fb_arena *arena, struct fb_seccomp_program *ret_program,
			  struct fb_error *err)
{
	fb_auto_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct sock_filter stub[STUB_MAX], *filter;
	size_t stub_length, length;
	ssize_t bytes;
	int r;

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_SECCOMP_COMPILE, "memfd_create", NULL);
	r = seccomp_export_bpf(context, fd);
	if (r < 0)
		return fail(err, -r, "seccomp_export_bpf", NULL, NULL);
	bytes = lseek(fd, 0, SEEK_END);
	if (bytes <= 0 || lseek(fd, 0, SEEK_SET) < 0)
		return fail(err, EIO, "seccomp_export_bpf", NULL, "the program is empty");
	stub_length = make_stub(spec, stub);
	length = stub_length + (size_t)bytes / sizeof(*filter);
	if (length > BPF_MAXINSNS)
		return fail(err, E2BIG, "seccomp", NULL,
			    "the compiled filter is over the kernel's 4096 instructions");
	filter = fb_arena_alloc(arena, length * sizeof(*filter));
	if (!filter)
		return FB_FAIL(err, FB_STAGE_SECCOMP_COMPILE, "malloc", NULL);
	/* Its jumps are relative and it begins by loading the architecture, so it can follow other
	 * code as it is. */
	memcpy(filter, stub, stub_length * sizeof(*filter));
	if (fb_read_all(fd, filter + stub_length, (size_t)bytes) != bytes)
		return fail(err, EIO, "read", NULL, "the compiled filter is cut short");
	ret_program->filter = filter;
	ret_program->length = (unsigned short)fb_seccomp_to_ranges(filter, length);
	return 0;
}

static int set_attributes(scmp_filter_ctx context, const struct fb_seccomp_spec *spec,
			  struct fb_error *err)
{
	size_t calls = 0;
	int r = 0;

	for (size_t i = 0; i < spec->rule_count; i++)
		calls += spec->rules[i].names.count;
	/* The action for foreign architectures stays libseccomp's (kill the thread): what docker
	 * and runc give. */
	if (calls > TREE_FROM)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0);
	return r < 0 ? fail(err, -r, "seccomp_attr_set", NULL, NULL) : 0;
}

static int compile(const struct fb_seccomp_spec *spec, struct fb_arena *arena,
		   struct fb_seccomp_program *ret_program, struct fb_error *err)
{
	__attribute__((cleanup(cleanup_context))) scmp_filter_ctx context = NULL;
	int r;

	if (spec->default_action == SCMP_ACT_NOTIFY)
		return fail(err, EINVAL, "seccomp", NULL,
			    "SCMP_ACT_NOTIFY can't be the default action");
	if (spec->architecture_count > MAX_ARCHITECTURES)
		return fail(err, E2BIG, "seccomp", NULL, "more than 32 architectures");
	context = seccomp_init(spec->default_action);
	if (!context)
		return fail(err, EINVAL, "seccomp_init", NULL, "not a valid default action");
	for (size_t i = 0; i < spec->architecture_count; i++) {
		r = seccomp_arch_add(context, spec->architectures[i]);
		/* Newer than the library, or of the other byte order: no process of this machine makes its calls. */
		if (r == -EINVAL || r == -EDOM)
			continue;
		if (r < 0 && r != -EEXIST)
			return fail(err, -r, "seccomp_arch_add", NULL, NULL);
	}
	r = set_attributes(context, spec, err);
	for (size_t i = 0; r == 0 && i < spec->rule_count; i++)
		if (spec->rules[i].action !=
		    spec->default_action) /* else libseccomp refuses the rule */
			r = add_rule(context, &spec->rules[i], err);
	return r < 0 ? r : export_program(context, spec, arena, ret_program, err);
}

/* The process has one thread, which is what TSYNC is about, and the kernel refuses it together with a listener; the wait of a notification can be
 * asked for only where there are notifications. */
static unsigned kernel_flags(const struct fb_seccomp_spec *spec)
{
	unsigned flags = spec->flags & ~(unsigned)SECCOMP_FILTER_FLAG_TSYNC;

	return flags & SECCOMP_FILTER_FLAG_NEW_LISTENER ? flags : flags & ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
}

int fb_seccomp_compile(const struct fb_seccomp_spec *spec, const char *cache,
		       struct fb_arena *arena, struct fb_seccomp_program *ret_program,
		       struct fb_error *err)
{
	struct fb_seccomp_program program = {.flags = kernel_flags(spec)};
	unsigned char key[FB_BLAKE2B_SIZE];
	fb_auto_close int directory = -1;
	int r;

	if (cache) {
		make_key(spec, key);
		directory = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (directory < 0 && errno == ENOENT && mkdir(cache, 0700) == 0)
			directory = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (directory >= 0 && load_entry(directory, key, arena, &program)) {
			*ret_program = program;
			return 0;
		}
	}
	r = compile(spec, arena, &program, err);
	if (r < 0)
		return r;
	if (directory >= 0)
		store_entry(directory, key, &program);
	*ret_program = program;
	return 0;
}
