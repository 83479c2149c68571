/* The shortened filter against the one that it was made of: both are interpreted for every number that could tell them apart. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "seccomp_ranges.h"

#define X32 0x40000000u
#define NUMBERS 620 /* beyond the newest call of any architecture below */

static uint32_t state = 1;

static uint32_t random_below(uint32_t most)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % most;
}

/* Cautious: what the kernel would refuse is an answer that no filter gives. */
static uint32_t run(const struct sock_filter *filter, size_t length, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t at = 0; at < length; at++) {
		const struct sock_filter *i = &filter[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 || i->k + 4 > sizeof(*data))
				return 1;
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
		case BPF_ALU | BPF_OR | BPF_K: a |= i->k; break;
		case BPF_JMP | BPF_JA: at += i->k; break;
		case BPF_JMP | BPF_JEQ | BPF_K: at += a == i->k ? i->jt : i->jf; break;
		case BPF_JMP | BPF_JGT | BPF_K: at += a > i->k ? i->jt : i->jf; break;
		case BPF_JMP | BPF_JGE | BPF_K: at += a >= i->k ? i->jt : i->jf; break;
		case BPF_JMP | BPF_JSET | BPF_K: at += a & i->k ? i->jt : i->jf; break;
		case BPF_RET | BPF_K: return i->k;
		default: return 1;
		}
	}
	return 1;
}

static uint32_t some_argument(void)
{
	static const uint32_t usual[] = {0, 1, 2, 7, 8, 0xff, 0x7e020000, 0xffffffff};

	return random_below(4) ? usual[random_below(8)] : random_below(64);
}

static bool same(const struct sock_filter *a, size_t a_length, const struct sock_filter *b, size_t b_length, uint32_t arch,
		 uint32_t number)
{
	struct seccomp_data data = {.nr = (int)number, .arch = arch};

	for (int round = 0; round < 6; round++) {
		uint32_t answer = run(a, a_length, &data);

		if (answer == 1 || answer != run(b, b_length, &data)) {
			fprintf(stderr, "arch %x number %u: %x and %x\n", arch, number, answer, run(b, b_length, &data));
			return false;
		}
		for (int i = 0; i < 6; i++)
			data.args[i] = some_argument() | (uint64_t)(random_below(3) ? 0 : some_argument()) << 32;
	}
	return true;
}

/* Every number near 0 and near each constant of the filter, for each architecture and for two that it does not know. */
static bool same_everywhere(const struct sock_filter *a, size_t a_length, const struct sock_filter *b, size_t b_length)
{
	static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 0xffffffff};

	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		for (uint32_t number = 0; number < NUMBERS; number++)
			if (!same(a, a_length, b, b_length, archs[i], number) ||
			    !same(a, a_length, b, b_length, archs[i], X32 + number) ||
			    !same(a, a_length, b, b_length, archs[i], 2 * X32 + number) ||
			    !same(a, a_length, b, b_length, archs[i], 0u - 1 - number))
				return false;
		for (size_t at = 0; at < a_length; at++)
			for (uint32_t off = 0; off < 3; off++)
				if (!same(a, a_length, b, b_length, archs[i], a[at].k + off - 1))
					return false;
	}
	return true;
}

static size_t export(scmp_filter_ctx context, struct sock_filter *filter)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	ssize_t n = seccomp_export_bpf(context, fd) < 0 ? -1 : pread(fd, filter, BPF_MAXINSNS * sizeof(*filter), 0);

	close(fd);
	return n < 0 ? 0 : (size_t)n / sizeof(*filter);
}

static uint32_t some_action(void)
{
	const uint32_t actions[] = {SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1 + random_below(40)), SCMP_ACT_KILL_PROCESS, SCMP_ACT_LOG,
				    SCMP_ACT_TRAP};

	return actions[random_below(5)];
}

/* A profile of up to 450 calls in runs, as real ones have them, some of which look at arguments. */
static size_t some_profile(struct sock_filter *filter, bool docker_like)
{
	uint32_t normal = docker_like ? SCMP_ACT_ERRNO(1) : some_action(), action = SCMP_ACT_ALLOW;
	scmp_filter_ctx context = seccomp_init(normal);
	bool inside = false;
	size_t length;

	(void)seccomp_arch_add(context, SCMP_ARCH_X86_64);
	(void)seccomp_arch_add(context, SCMP_ARCH_X86);
	(void)seccomp_arch_add(context, SCMP_ARCH_X32);
	if (random_below(2))
		(void)seccomp_arch_add(context, SCMP_ARCH_AARCH64);
	(void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, docker_like || random_below(2) ? 2 : 1);
	for (int call = 0; call < 450; call++) {
		struct scmp_arg_cmp args[2];

		if (random_below(12) == 0) {
			inside = !inside;
			action = docker_like ? SCMP_ACT_ALLOW : some_action();
		}
		if (!inside || action == normal)
			continue;
		for (unsigned i = 0; i < 2; i++)
			args[i] = (struct scmp_arg_cmp){random_below(3) + 3 * i, SCMP_CMP_NE + random_below(7), some_argument(), some_argument()};
		(void)seccomp_rule_add_array(context, action, call, random_below(20) ? 0 : 1 + random_below(2), args);
	}
	length = export(context, filter);
	seccomp_release(context);
	return length;
}

static void test_profiles(void)
{
	static struct sock_filter before[BPF_MAXINSNS], after[BPF_MAXINSNS];
	int shorter = 0;

	for (int i = 0; i < 20; i++) {
		bool docker_like = i % 2;
		size_t length = some_profile(before, docker_like), count;

		CHECK(length > 0);
		memcpy(after, before, sizeof(before));
		count = fb_seccomp_to_ranges(after, length);
		CHECK(count <= length);
		CHECK(count < length || memcmp(before, after, length * sizeof(*before)) == 0);
		shorter += count < length;
		CHECK(!docker_like || count < length);
		CHECK(same_everywhere(before, length, after, count));
	}
	CHECK(shorter > 12);
}

#define IDLE 24 /* comparisons before it that decide nothing, so that a filter that is understood becomes shorter */

static size_t make(const struct sock_filter *end, size_t length, struct sock_filter *filter)
{
	filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (uint32_t i = 1; i <= IDLE; i++)
		filter[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 100 + i, 0, 0);
	memcpy(filter + 1 + IDLE, end, length * sizeof(*end));
	return 1 + IDLE + length;
}

static void stays(const struct sock_filter *end, size_t length)
{
	struct sock_filter filter[64], copy[64];
	size_t whole = make(end, length, filter);

	memcpy(copy, filter, sizeof(filter));
	CHECK(fb_seccomp_to_ranges(filter, whole) == whole && memcmp(copy, filter, whole * sizeof(*filter)) == 0);
}

static void shrinks(const struct sock_filter *end, size_t length, size_t most)
{
	struct sock_filter before[64], after[64];
	size_t whole = make(end, length, before), count;

	memcpy(after, before, sizeof(before));
	count = fb_seccomp_to_ranges(after, whole);
	CHECK(count <= most && same_everywhere(before, whole, after, count));
}

/* What libseccomp does not write, or seldom. */
static void test_plain(void)
{
	const uint32_t nr = offsetof(struct seccomp_data, nr), arg = offsetof(struct seccomp_data, args);
	const struct sock_filter least[] = {BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 7, 0, 1), BPF_STMT(BPF_RET | BPF_K, 5),
					    BPF_STMT(BPF_RET | BPF_K, 6)};
	const struct sock_filter high_bit[] = {BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32, 0, 1), BPF_STMT(BPF_RET | BPF_K, 5),
					       BPF_STMT(BPF_RET | BPF_K, 6)};
	const struct sock_filter last[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1), BPF_STMT(BPF_RET | BPF_K, 5),
					   BPF_STMT(BPF_RET | BPF_K, 6)};
	const struct sock_filter argument[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 4), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg),
					       BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 7), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 2, 0, 1),
					       BPF_STMT(BPF_RET | BPF_K, 5), BPF_STMT(BPF_RET | BPF_K, 6)};
	const struct sock_filter twice[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 3, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr),
					    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 20, 0, 1), BPF_STMT(BPF_RET | BPF_K, 5),
					    BPF_STMT(BPF_RET | BPF_K, 6)};

	shrinks(least, 3, 4);
	shrinks(high_bit, 3, 7);
	shrinks(last, 3, 4);
	shrinks(argument, 6, 10);
	shrinks(twice, 5, 6);
}

/* What is not understood is left alone. */
static void test_strange(void)
{
	const uint32_t nr = offsetof(struct seccomp_data, nr), arg = offsetof(struct seccomp_data, args);
	struct sock_filter number_after_argument[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 0),
		BPF_STMT(BPF_RET | BPF_K, 5)};
	struct sock_filter low_bit[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
					BPF_STMT(BPF_RET | BPF_K, 5), BPF_STMT(BPF_RET | BPF_K, 6)};
	struct sock_filter arithmetic[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
					   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1), BPF_STMT(BPF_RET | BPF_K, 5),
					   BPF_STMT(BPF_RET | BPF_K, 6)};
	struct sock_filter either[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 1, 0),
				       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1),
				       BPF_STMT(BPF_RET | BPF_K, 5), BPF_STMT(BPF_RET | BPF_K, 6)};
	struct sock_filter memory[] = {BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_RET | BPF_K, 6)};
	struct sock_filter out[] = {BPF_STMT(BPF_JMP | BPF_JA, 7), BPF_STMT(BPF_RET | BPF_K, 6)};
	struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, nr)};
	struct sock_filter answer[] = {BPF_STMT(BPF_RET | BPF_A, 0)};

	stays(number_after_argument, 5);
	stays(low_bit, 4);
	stays(arithmetic, 5);
	stays(either, 6);
	stays(memory, 2);
	stays(out, 2);
	stays(endless, 1);
	stays(answer, 1);
	CHECK(fb_seccomp_to_ranges(answer, 0) == 0);
}

int main(void)
{
	test_profiles();
	test_plain();
	test_strange();
	return failures ? 1 : 0;
}
