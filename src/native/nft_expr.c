/* Chains and rules as nf_tables wants them: each expression is a name and a nest of attributes. */
#include "nft_batch.h"

#include <linux/netfilter/nf_tables.h>

#define REGISTER(n) ((uint32_t)(NFT_REG32_00 + (n)))

void fb_nft_chain(struct fb_nft_batch *batch, int family, const char *table, const char *name)
{
	fb_nft_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
	fb_nft_put_text(batch, NFTA_CHAIN_TABLE, table);
	fb_nft_put_text(batch, NFTA_CHAIN_NAME, name);
}

void fb_nft_base_chain(struct fb_nft_batch *batch, int family, const char *name, const char *type, int hook, int priority)
{
	size_t nest;

	fb_nft_chain(batch, family, FB_NFT_TABLE, name);
	nest = fb_nft_nest(batch, NFTA_CHAIN_HOOK);
	fb_nft_put_number(batch, NFTA_HOOK_HOOKNUM, (uint32_t)hook);
	fb_nft_put_number(batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	fb_nft_end(batch, nest);
	fb_nft_put_number(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
	fb_nft_put_text(batch, NFTA_CHAIN_TYPE, type);
}

struct fb_nft_rule fb_nft_rule(struct fb_nft_batch *batch, int family, const char *table, const char *chain, bool first)
{
	/* Without NLM_F_APPEND a rule is put before all others. */
	fb_nft_message(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | (first ? 0 : NLM_F_APPEND), family);
	fb_nft_put_text(batch, NFTA_RULE_TABLE, table);
	fb_nft_put_text(batch, NFTA_RULE_CHAIN, chain);
	return (struct fb_nft_rule){batch, fb_nft_nest(batch, NFTA_RULE_EXPRESSIONS)};
}

void fb_nft_rule_end(struct fb_nft_rule *rule)
{
	fb_nft_end(rule->batch, rule->expressions);
}

struct expression {
	size_t element, data;
};

static struct expression open_expression(struct fb_nft_rule *rule, const char *name)
{
	struct expression at = {.element = fb_nft_nest(rule->batch, NFTA_LIST_ELEM)};

	fb_nft_put_text(rule->batch, NFTA_EXPR_NAME, name);
	at.data = fb_nft_nest(rule->batch, NFTA_EXPR_DATA);
	return at;
}

static void close_expression(struct fb_nft_rule *rule, struct expression at)
{
	fb_nft_end(rule->batch, at.data);
	fb_nft_end(rule->batch, at.element);
}

static void put_data(struct fb_nft_batch *batch, int type, const void *data, size_t length)
{
	size_t nest = fb_nft_nest(batch, type);

	fb_nft_put(batch, NFTA_DATA_VALUE, data, length);
	fb_nft_end(batch, nest);
}

void fb_nft_meta(struct fb_nft_rule *rule, int key, int to)
{
	struct expression at = open_expression(rule, "meta");

	fb_nft_put_number(rule->batch, NFTA_META_KEY, (uint32_t)key);
	fb_nft_put_number(rule->batch, NFTA_META_DREG, REGISTER(to));
	close_expression(rule, at);
}

void fb_nft_ct(struct fb_nft_rule *rule, int key, int to)
{
	struct expression at = open_expression(rule, "ct");

	fb_nft_put_number(rule->batch, NFTA_CT_KEY, (uint32_t)key);
	fb_nft_put_number(rule->batch, NFTA_CT_DREG, REGISTER(to));
	close_expression(rule, at);
}

void fb_nft_payload(struct fb_nft_rule *rule, int base, unsigned offset, unsigned length, int to)
{
	struct expression at = open_expression(rule, "payload");

	fb_nft_put_number(rule->batch, NFTA_PAYLOAD_DREG, REGISTER(to));
	fb_nft_put_number(rule->batch, NFTA_PAYLOAD_BASE, (uint32_t)base);
	fb_nft_put_number(rule->batch, NFTA_PAYLOAD_OFFSET, offset);
	fb_nft_put_number(rule->batch, NFTA_PAYLOAD_LEN, length);
	close_expression(rule, at);
}

void fb_nft_compare(struct fb_nft_rule *rule, int from, int op, const void *data, size_t length)
{
	struct expression at = open_expression(rule, "cmp");

	fb_nft_put_number(rule->batch, NFTA_CMP_SREG, REGISTER(from));
	fb_nft_put_number(rule->batch, NFTA_CMP_OP, (uint32_t)op);
	put_data(rule->batch, NFTA_CMP_DATA, data, length);
	close_expression(rule, at);
}

void fb_nft_mask(struct fb_nft_rule *rule, int reg, const void *mask, size_t length)
{
	static const unsigned char nothing[16];
	struct expression at = open_expression(rule, "bitwise");

	fb_nft_put_number(rule->batch, NFTA_BITWISE_SREG, REGISTER(reg));
	fb_nft_put_number(rule->batch, NFTA_BITWISE_DREG, REGISTER(reg));
	fb_nft_put_number(rule->batch, NFTA_BITWISE_LEN, (uint32_t)length);
	put_data(rule->batch, NFTA_BITWISE_MASK, mask, length);
	put_data(rule->batch, NFTA_BITWISE_XOR, nothing, length);
	close_expression(rule, at);
}

void fb_nft_lookup(struct fb_nft_rule *rule, const char *set, int from, bool inverse)
{
	struct expression at = open_expression(rule, "lookup");

	fb_nft_put_text(rule->batch, NFTA_LOOKUP_SET, set);
	fb_nft_put_number(rule->batch, NFTA_LOOKUP_SREG, REGISTER(from));
	if (inverse)
		fb_nft_put_number(rule->batch, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	close_expression(rule, at);
}

void fb_nft_map(struct fb_nft_rule *rule, const char *map, int from, int to)
{
	struct expression at = open_expression(rule, "lookup");

	fb_nft_put_text(rule->batch, NFTA_LOOKUP_SET, map);
	fb_nft_put_number(rule->batch, NFTA_LOOKUP_SREG, REGISTER(from));
	fb_nft_put_number(rule->batch, NFTA_LOOKUP_DREG, REGISTER(to));
	close_expression(rule, at);
}

void fb_nft_fib_type(struct fb_nft_rule *rule, int to)
{
	struct expression at = open_expression(rule, "fib");

	fb_nft_put_number(rule->batch, NFTA_FIB_DREG, REGISTER(to));
	fb_nft_put_number(rule->batch, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	fb_nft_put_number(rule->batch, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	close_expression(rule, at);
}

void fb_nft_dnat(struct fb_nft_rule *rule, int family, int address, int port)
{
	struct expression at = open_expression(rule, "nat");

	fb_nft_put_number(rule->batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	fb_nft_put_number(rule->batch, NFTA_NAT_FAMILY, (uint32_t)family);
	fb_nft_put_number(rule->batch, NFTA_NAT_REG_ADDR_MIN, REGISTER(address));
	fb_nft_put_number(rule->batch, NFTA_NAT_REG_PROTO_MIN, REGISTER(port));
	close_expression(rule, at);
}

void fb_nft_plain(struct fb_nft_rule *rule, const char *name)
{
	struct expression at = open_expression(rule, name);

	close_expression(rule, at);
}

void fb_nft_immediate(struct fb_nft_rule *rule, int to, const void *data, size_t length)
{
	struct expression at = open_expression(rule, "immediate");

	fb_nft_put_number(rule->batch, NFTA_IMMEDIATE_DREG, REGISTER(to));
	put_data(rule->batch, NFTA_IMMEDIATE_DATA, data, length);
	close_expression(rule, at);
}

void fb_nft_verdict(struct fb_nft_rule *rule, int code, const char *chain)
{
	struct expression at = open_expression(rule, "immediate");
	size_t data, verdict;

	fb_nft_put_number(rule->batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = fb_nft_nest(rule->batch, NFTA_IMMEDIATE_DATA);
	verdict = fb_nft_nest(rule->batch, NFTA_DATA_VERDICT);
	fb_nft_put_number(rule->batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		fb_nft_put_text(rule->batch, NFTA_VERDICT_CHAIN, chain);
	fb_nft_end(rule->batch, verdict);
	fb_nft_end(rule->batch, data);
	close_expression(rule, at);
}
