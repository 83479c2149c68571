#include "seccomp_ranges.h"

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define ARCHITECTURES 40
#define NR offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define ODD_MOST 4 /* numbers of a block that are asked for one by one */
#define LEAST_BIT (1u << 28) /* a tested bit makes a bound of each of its multiples */

/* What the accumulator may hold before an instruction. */
enum { HOLDS_NOTHING = 1, HOLDS_ARCH = 2, HOLDS_NR = 4, HOLDS_ARGUMENT = 8 };

/* To a call: the action, or from which instruction on it depends on the arguments. */
struct outcome {
	bool depends;
	uint32_t value;
};

struct range {
	uint32_t from;
	size_t leaf;
};

/* Ranges with the same answer, but for a few single numbers between them. */
struct block {
	size_t first, end;
	size_t leaf, odd; /* the usual answer, and how many numbers have another */
};

struct work {
	const struct sock_filter *in;
	size_t length;
	uint8_t *holds;
	uint32_t archs[ARCHITECTURES], *bounds;
	size_t arch_count, bound_count;
	struct sock_filter *out;
	size_t count;
	/* Of the section that is being made: */
	struct range *ranges;
	size_t range_count;
	struct block *blocks;
	size_t block_count;
	struct outcome *leaves;
	size_t *leaf_at, leaf_count;
};

static bool emit(struct work *w, unsigned code, size_t jt, size_t jf, size_t k)
{
	if (w->count >= w->length || jt > UINT8_MAX || jf > UINT8_MAX)
		return false;
	w->out[w->count++] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, (uint32_t)k};
	return true;
}

/* --- what the filter asks for --- */

static void add_bound(struct work *w, uint64_t bound)
{
	if (bound <= UINT32_MAX)
		w->bounds[w->bound_count++] = (uint32_t)bound;
}

static bool note_arch(struct work *w, unsigned operation, uint32_t k)
{
	for (size_t i = 0; i < w->arch_count; i++)
		if (w->archs[i] == k)
			return operation == BPF_JEQ;
	if (operation != BPF_JEQ || w->arch_count == ARCHITECTURES)
		return false;
	w->archs[w->arch_count++] = k;
	return true;
}

static bool note_number(struct work *w, unsigned operation, uint32_t k)
{
	if (operation == BPF_JSET) {
		if (k < LEAST_BIT || k & (k - 1))
			return false;
		for (uint64_t bound = k; bound <= UINT32_MAX; bound += k)
			add_bound(w, bound);
		return true;
	}
	if (operation != BPF_JGT)
		add_bound(w, k);
	if (operation != BPF_JGE)
		add_bound(w, (uint64_t)k + 1);
	return true;
}

static bool flow(struct work *w, size_t to, uint8_t holds)
{
	if (to >= w->length)
		return false;
	w->holds[to] |= holds;
	return true;
}

static bool look_at_jump(struct work *w, size_t at)
{
	const struct sock_filter *i = &w->in[at];
	unsigned operation = BPF_OP(i->code);
	uint8_t holds = w->holds[at];

	if (operation == BPF_JA)
		return flow(w, at + 1 + i->k, holds);
	if (BPF_SRC(i->code) != BPF_K ||
	    !(holds == HOLDS_ARGUMENT || (holds == HOLDS_ARCH && note_arch(w, operation, i->k)) ||
	      (holds == HOLDS_NR && note_number(w, operation, i->k))))
		return false;
	return flow(w, at + 1 + i->jt, holds) && flow(w, at + 1 + i->jf, holds);
}

/* Jumps only lead forward, so one pass in order sees everything that can come to an instruction. What depends on arguments must go on without the
 * number and the architecture: its instructions are taken over as they are. */
static bool look_at(struct work *w, size_t at)
{
	const struct sock_filter *i = &w->in[at];
	uint8_t holds = w->holds[at];

	switch (BPF_CLASS(i->code)) {
	case BPF_RET:
		return i->code == (BPF_RET | BPF_K);
	case BPF_JMP:
		return look_at_jump(w, at);
	case BPF_ALU:
		return i->code == (BPF_ALU | BPF_AND | BPF_K) && holds == HOLDS_ARGUMENT && flow(w, at + 1, holds);
	case BPF_LD:
		if (i->code != (BPF_LD | BPF_W | BPF_ABS) || (holds & HOLDS_ARGUMENT && (i->k == NR || i->k == ARCH)))
			return false;
		return flow(w, at + 1, i->k == NR ? HOLDS_NR : i->k == ARCH ? HOLDS_ARCH : HOLDS_ARGUMENT);
	default:
		return false;
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool look_through(struct work *w)
{
	w->holds[0] = HOLDS_NOTHING;
	add_bound(w, 0);
	for (size_t at = 0; at < w->length; at++)
		if (w->holds[at] && !look_at(w, at))
			return false;
	qsort(w->bounds, w->bound_count, sizeof(*w->bounds), by_number);
	return true;
}

/* --- what it answers --- */

static bool jumps(const struct sock_filter *i, uint32_t value)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return value == i->k;
	case BPF_JGT:
		return value > i->k;
	case BPF_JGE:
		return value >= i->k;
	default:
		return value & i->k;
	}
}

static struct outcome ask(const struct work *w, uint32_t arch, uint32_t number)
{
	uint32_t value = 0;

	for (size_t at = 0;; at++) {
		const struct sock_filter *i = &w->in[at];

		if (BPF_CLASS(i->code) == BPF_RET)
			return (struct outcome){false, i->k};
		if (BPF_CLASS(i->code) == BPF_LD) {
			if (i->k != NR && i->k != ARCH)
				return (struct outcome){true, (uint32_t)at};
			value = i->k == NR ? number : arch;
		} else {
			at += BPF_OP(i->code) == BPF_JA ? i->k : jumps(i, value) ? i->jt : i->jf;
		}
	}
}

static size_t leaf_of(struct work *w, struct outcome outcome)
{
	size_t i = 0;

	while (i < w->leaf_count && (w->leaves[i].depends != outcome.depends || w->leaves[i].value != outcome.value))
		i++;
	if (i == w->leaf_count)
		w->leaves[w->leaf_count++] = outcome;
	return i;
}

static void find_ranges(struct work *w, uint32_t arch)
{
	w->range_count = w->leaf_count = 0;
	for (size_t i = 0; i < w->bound_count; i++) {
		size_t leaf = leaf_of(w, ask(w, arch, w->bounds[i]));

		if (!w->range_count || w->ranges[w->range_count - 1].leaf != leaf)
			w->ranges[w->range_count++] = (struct range){w->bounds[i], leaf};
	}
}

static bool is_single(const struct work *w, size_t range)
{
	return range + 1 < w->range_count && w->ranges[range + 1].from == w->ranges[range].from + 1;
}

/* As far as one usual answer goes. */
static struct block block_of(const struct work *w, size_t first, size_t leaf)
{
	struct block found = {first, first, leaf, 0};
	size_t odd = 0;

	for (size_t i = first; i < w->range_count; i++) {
		if (w->ranges[i].leaf == leaf)
			found = (struct block){first, i + 1, leaf, odd};
		else if (!is_single(w, i) || ++odd > ODD_MOST)
			break;
	}
	return found;
}

static void find_blocks(struct work *w)
{
	w->block_count = 0;
	for (size_t i = 0; i < w->range_count; i = w->blocks[w->block_count++].end) {
		struct block same = block_of(w, i, w->ranges[i].leaf);
		struct block next = i + 1 < w->range_count ? block_of(w, i, w->ranges[i + 1].leaf) : same;

		w->blocks[w->block_count] = next.end > same.end ? next : same;
	}
}

/* --- the new filter --- */

/* From where a call's answer depends on its arguments: what can be reached, in its order, so that no jump becomes longer. */
static bool emit_dependent(struct work *w, size_t from)
{
	fb_auto_free size_t *place = calloc(w->length, sizeof(*place)); /* 1 is the first; 0: not reached */
	size_t count = 1;
	bool ok = place;

	if (ok)
		place[from] = 1;
	for (size_t at = from; ok && at < w->length; at++) {
		const struct sock_filter *i = &w->in[at];

		if (!place[at])
			continue;
		place[at] = count++;
		if (BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) == BPF_JA)
			place[at + 1 + i->k] = 1;
		else if (BPF_CLASS(i->code) == BPF_JMP)
			place[at + 1 + i->jt] = place[at + 1 + i->jf] = 1;
		else if (BPF_CLASS(i->code) != BPF_RET)
			place[at + 1] = 1;
	}
	for (size_t at = from; ok && at < w->length; at++) {
		const struct sock_filter *i = &w->in[at];
		size_t next = place[at] + 1;

		if (!place[at])
			continue;
		if (BPF_CLASS(i->code) != BPF_JMP)
			ok = emit(w, i->code, 0, 0, i->k);
		else if (BPF_OP(i->code) == BPF_JA)
			ok = emit(w, i->code, 0, 0, place[at + 1 + i->k] - next);
		else
			ok = emit(w, i->code, place[at + 1 + i->jt] - next, place[at + 1 + i->jf] - next, i->k);
	}
	return ok;
}

/* The answers lie behind the tree, one instruction each, so that every jump reaches them; of those that depend on arguments it leads on. */
static bool emit_leaves(struct work *w, size_t tree)
{
	bool ok = true;

	for (size_t i = 0; ok && i < w->leaf_count; i++) {
		w->leaf_at[i] = w->count - tree;
		ok = w->leaves[i].depends ? emit(w, BPF_JMP | BPF_JA, 0, 0, 0) : emit(w, BPF_RET | BPF_K, 0, 0, w->leaves[i].value);
	}
	for (size_t i = 0; ok && i < w->leaf_count; i++) {
		size_t leaf = tree + w->leaf_at[i];

		if (!w->leaves[i].depends)
			continue;
		w->out[leaf].k = (uint32_t)(w->count - leaf - 1);
		ok = emit_dependent(w, w->leaves[i].value);
	}
	return ok;
}

/* Of blocks [first, end): the bounds between them, and the single numbers in them. */
static size_t tree_size(const struct work *w, size_t first, size_t end)
{
	size_t size = end - first - 1;

	for (size_t i = first; i < end; i++)
		size += w->blocks[i].odd;
	return size;
}

/* The last comparison falls through to nothing: its two ends are answers, as those of the tree are. */
static bool emit_block(struct work *w, size_t tree, const struct block *block)
{
	size_t left = block->odd;

	for (size_t i = block->first; i < block->end; i++) {
		size_t next = w->count + 1;

		if (w->ranges[i].leaf == block->leaf)
			continue;
		if (!emit(w, BPF_JMP | BPF_JEQ | BPF_K, tree + w->leaf_at[w->ranges[i].leaf] - next,
			  --left ? 0 : tree + w->leaf_at[block->leaf] - next, w->ranges[i].from))
			return false;
	}
	return true;
}

/* A balanced tree over blocks [first, end). */
static bool emit_tree(struct work *w, size_t tree, size_t first, size_t end)
{
	size_t middle = first + (end - first) / 2, next = w->count + 1, left, no, yes;

	if (end - first == 1)
		return emit_block(w, tree, &w->blocks[first]);
	left = tree_size(w, first, middle);
	no = left ? next : tree + w->leaf_at[w->blocks[first].leaf];
	yes = tree_size(w, middle, end) ? next + left : tree + w->leaf_at[w->blocks[middle].leaf];
	return emit(w, BPF_JMP | BPF_JGE | BPF_K, yes - next, no - next, w->ranges[w->blocks[middle].first].from) &&
	       emit_tree(w, tree, first, middle) && emit_tree(w, tree, middle, end);
}

/* The leaves are made first, for their places, and the tree then goes before them. */
static bool emit_section(struct work *w, uint32_t arch)
{
	size_t tree, end;

	find_ranges(w, arch);
	find_blocks(w);
	if (w->range_count > 1 && !emit(w, BPF_LD | BPF_W | BPF_ABS, 0, 0, NR))
		return false;
	tree = w->count;
	w->count += tree_size(w, 0, w->block_count);
	if (!emit_leaves(w, tree))
		return false;
	end = w->count;
	w->count = tree;
	if (!emit_tree(w, tree, 0, w->block_count))
		return false;
	w->count = end;
	return true;
}

static uint32_t other_arch(const struct work *w)
{
	uint32_t arch = 0;

	for (size_t i = 0; i < w->arch_count; i++)
		if (w->archs[i] == arch) {
			arch++;
			i = (size_t)-1;
		}
	return arch;
}

static bool emit_all(struct work *w)
{
	if (w->arch_count && !emit(w, BPF_LD | BPF_W | BPF_ABS, 0, 0, ARCH))
		return false;
	for (size_t i = 0; i < w->arch_count; i++) {
		size_t over;

		if (!emit(w, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, w->archs[i]) || !emit(w, BPF_JMP | BPF_JA, 0, 0, 0))
			return false;
		over = w->count;
		if (!emit_section(w, w->archs[i]))
			return false;
		w->out[over - 1].k = (uint32_t)(w->count - over);
	}
	return emit_section(w, other_arch(w));
}

size_t fb_seccomp_to_ranges(struct sock_filter *filter, size_t length)
{
	size_t most = 16 * length + 1; /* bounds: one or two of a comparison, up to 15 of a bit */
	struct work w = {.in = filter, .length = length};
	fb_auto_free uint8_t *holds = calloc(length, 1);
	fb_auto_free uint32_t *bounds = calloc(most, sizeof(*bounds));
	fb_auto_free struct range *ranges = calloc(most, sizeof(*ranges));
	fb_auto_free struct block *blocks = calloc(most, sizeof(*blocks));
	fb_auto_free struct outcome *leaves = calloc(most, sizeof(*leaves));
	fb_auto_free size_t *leaf_at = calloc(most, sizeof(*leaf_at));
	fb_auto_free struct sock_filter *out = calloc(length, sizeof(*out));

	if (!length || !holds || !bounds || !ranges || !blocks || !leaves || !leaf_at || !out)
		return length;
	w.holds = holds;
	w.bounds = bounds;
	w.ranges = ranges;
	w.blocks = blocks;
	w.leaves = leaves;
	w.leaf_at = leaf_at;
	w.out = out;
	if (!look_through(&w) || !emit_all(&w) || w.count >= length)
		return length;
	memcpy(filter, out, w.count * sizeof(*out));
	return w.count;
}
