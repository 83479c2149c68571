/* Other programs' tables. Docker's policy for what is forwarded is to drop, firewalld ends with a refusal; a drop is final whichever
 * table accepts, so a chain of ours is called first in theirs. It has the form that iptables itself writes, and its tools read on.
 *
 * What reaches our bridges is decided by our own table, which is passed as well: here all of it is let by.
 */
#include "nft.h"

#include <errno.h>
#include <string.h>

#include "nft_batch.h"

#define CHAIN "FASTBOX"

static const struct place {
	int family;
	const char *table, *chain;
	bool whatever; /* the policy is: rules refuse at the end */
} places[] = {
	{NFPROTO_IPV4, "filter", "DOCKER-USER", true}, /* docker keeps what is in it; before FORWARD, which docker puts itself in front of */
	{NFPROTO_IPV4, "filter", "FORWARD", false},
	{NFPROTO_IPV6, "filter", "DOCKER-USER", true},
	{NFPROTO_IPV6, "filter", "FORWARD", false},
	{NFPROTO_INET, "firewalld", "filter_FORWARD", true},
};

struct chain {
	bool there;
	uint32_t policy, use; /* use: its rules, and the rules that call it */
};

static int see(const struct nlmsghdr *answer, void *to)
{
	struct chain *chain = to;

	chain->there = true;
	chain->policy = fb_nft_number(fb_nft_attribute(answer, NFTA_CHAIN_POLICY), NF_ACCEPT);
	chain->use = fb_nft_number(fb_nft_attribute(answer, NFTA_CHAIN_USE), 0);
	return 0;
}

static struct chain look(int family, const char *table, const char *name)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	struct chain chain = {0};

	fb_nft_message(&batch, NFT_MSG_GETCHAIN, 0, family);
	fb_nft_put_text(&batch, NFTA_CHAIN_TABLE, table);
	fb_nft_put_text(&batch, NFTA_CHAIN_NAME, name);
	if (fb_nft_ask(&batch, see, &chain) < 0)
		chain.there = false;
	return chain;
}

#define RULES 4

static void fill(struct fb_nft_batch *batch, const struct place *place)
{
	static const struct {
		int key;
		const char *name;
		size_t length; /* of what is compared: less than the name's whole for iptables' "fb-+" */
	} rules[RULES] = {
		{NFT_META_OIFNAME, "fastbox0", 9}, {NFT_META_OIFNAME, "fb-", 3},
		{NFT_META_IIFNAME, "fastbox0", 9}, {NFT_META_IIFNAME, "fb-", 3},
	};

	for (int i = 0; i < RULES; i++) {
		struct fb_nft_rule rule = fb_nft_rule(batch, place->family, place->table, CHAIN, false);

		fb_nft_meta(&rule, rules[i].key, 0);
		fb_nft_compare(&rule, 0, NFT_CMP_EQ, rules[i].name, rules[i].length);
		fb_nft_plain(&rule, "counter");
		fb_nft_verdict(&rule, NF_ACCEPT, NULL);
		fb_nft_rule_end(&rule);
	}
}

static void call(struct fb_nft_batch *batch, const struct place *place)
{
	struct fb_nft_rule rule = fb_nft_rule(batch, place->family, place->table, place->chain, true);

	fb_nft_plain(&rule, "counter");
	fb_nft_verdict(&rule, NFT_JUMP, CHAIN);
	fb_nft_rule_end(&rule);
}

/* The chain appears with its rules and its call, or not at all: one that another process has just made is EEXIST. */
static int make(const struct place *place, struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};

	fb_nft_open(&batch, 0);
	fb_nft_message(&batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, place->family);
	fb_nft_put_text(&batch, NFTA_CHAIN_TABLE, place->table);
	fb_nft_put_text(&batch, NFTA_CHAIN_NAME, CHAIN);
	fill(&batch, place);
	call(&batch, place);
	return fb_nft_commit(&batch, err);
}

/* Somebody has emptied the chain, or the one that calls it. */
static int mend(const struct place *place, struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	int rc;

	fb_nft_open(&batch, 0);
	fb_nft_message(&batch, NFT_MSG_DELRULE, 0, place->family);
	fb_nft_put_text(&batch, NFTA_RULE_TABLE, place->table);
	fb_nft_put_text(&batch, NFTA_RULE_CHAIN, CHAIN);
	fill(&batch, place);
	rc = fb_nft_commit(&batch, err);
	if (rc < 0 || look(place->family, place->table, CHAIN).use > RULES)
		return rc;
	fb_nft_open(&batch, 0);
	call(&batch, place);
	return fb_nft_commit(&batch, err);
}

/* Whoever the table belongs to may change it at the same time: what vanished under our hands needs no rules. It may also keep others out
 * (firewalld's "owner" flag, EPERM): then its own settings have to let our bridges pass, and all else works. */
static int coexist(const struct place *place, struct fb_error *err)
{
	struct fb_error mine;
	struct chain ours = look(place->family, place->table, CHAIN);
	int rc;

	if (ours.use > RULES)
		return 0;
	rc = ours.there ? mend(place, &mine) : make(place, &mine);
	if (rc == 0 || rc == -EEXIST || rc == -ENOENT || rc == -EPERM)
		return 0;
	*err = mine;
	return rc;
}

int fb_nft_coexist(struct fb_error *err)
{
	int done = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *place = &places[i];
		struct chain theirs;
		int rc;

		if (place->family == done) /* docker's own chain was there */
			continue;
		theirs = look(place->family, place->table, place->chain);
		if (!theirs.there || (!place->whatever && theirs.policy != NF_DROP))
			continue;
		rc = coexist(place, err);
		if (rc < 0)
			return rc;
		done = place->family;
	}
	return 0;
}
