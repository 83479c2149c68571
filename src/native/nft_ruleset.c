/* The two tables, and what is constant in them. Everything that comes and goes is an element (nft_elements.c).
 *
 * To see what a rule says: nft list ruleset.
 */
#include "nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "nft_batch.h"

/* An empty chain of this name tells the layout; a change of anything below needs another number. */
#define LAYOUT "layout-2"

/* ---- words that the rules below are said in ---- */

static struct fb_nft_rule in(struct fb_nft_batch *batch, const char *chain)
{
	return fb_nft_rule(batch, NFPROTO_INET, FB_NFT_TABLE, chain, false);
}

static struct fb_nft_rule at_port(struct fb_nft_batch *batch, const char *chain)
{
	return fb_nft_rule(batch, NFPROTO_BRIDGE, FB_NFT_TABLE, chain, false);
}

static void then(struct fb_nft_rule *rule, int code, const char *chain)
{
	fb_nft_verdict(rule, code, chain);
	fb_nft_rule_end(rule);
}

static void interface(struct fb_nft_rule *rule, int key, const char *set, bool inverse)
{
	fb_nft_meta(rule, key, 0);
	fb_nft_lookup(rule, set, 0, inverse);
}

static void interface_is(struct fb_nft_rule *rule, int key, int op, const char *name)
{
	char whole[16] = "";

	strncpy(whole, name, sizeof(whole) - 1);
	fb_nft_meta(rule, key, 0);
	fb_nft_compare(rule, 0, op, whole, sizeof(whole));
}

static void same_bridge(struct fb_nft_rule *rule)
{
	fb_nft_meta(rule, NFT_META_IIFNAME, 0);
	fb_nft_meta(rule, NFT_META_OIFNAME, 4);
	fb_nft_lookup(rule, "same", 0, false);
}

static void family(struct fb_nft_rule *rule, uint8_t number)
{
	fb_nft_meta(rule, NFT_META_NFPROTO, 0);
	fb_nft_compare(rule, 0, NFT_CMP_EQ, &number, 1);
}

static void conntrack(struct fb_nft_rule *rule, int key, uint32_t bits)
{
	static const uint32_t none;

	fb_nft_ct(rule, key, 0);
	fb_nft_mask(rule, 0, &bits, sizeof(bits));
	fb_nft_compare(rule, 0, NFT_CMP_NEQ, &none, sizeof(none));
}

static void network(struct fb_nft_rule *rule, unsigned offset, unsigned length, int to)
{
	fb_nft_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, length, to);
}

static void loopback4(struct fb_nft_rule *rule, unsigned offset)
{
	static const uint8_t loopback = 127;

	family(rule, NFPROTO_IPV4);
	network(rule, offset, 1, 0);
	fb_nft_compare(rule, 0, NFT_CMP_EQ, &loopback, 1);
}

/* ---- table inet fastbox ---- */

/* With route_localnet on our bridges the kernel itself no longer refuses 127.0.0.0/8 from outside. */
static void add_raw(struct fb_nft_batch *batch)
{
	static const unsigned offsets[] = {16, 12}; /* destination, source */
	static const uint32_t local = RTN_LOCAL;
	struct fb_nft_rule rule;

	fb_nft_base_chain(batch, NFPROTO_INET, "raw", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
	for (int i = 0; i < 2; i++) {
		rule = in(batch, "raw");
		interface_is(&rule, NFT_META_IIFNAME, NFT_CMP_NEQ, "lo");
		loopback4(&rule, offsets[i]);
		then(&rule, NF_DROP, NULL);
	}
	/* With br_netfilter a packet meets the rules on the shard first, and what is decided there for its connection (that it needs no
	 * masquerading) is not decided again on the bridge. The veth between them makes it new. What is for the host is decided there: the
	 * bridge could not send it back to where it came from. */
	rule = in(batch, "raw");
	interface(&rule, NFT_META_IIFNAME, "shards", false);
	fb_nft_fib_type(&rule, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_NEQ, &local, sizeof(local));
	fb_nft_plain(&rule, "notrack");
	fb_nft_rule_end(&rule);
}

/* The exact address first, then any. [::1] is left alone: IPv6 has no route_localnet, so whoever listens there relays. */
static void add_publish(struct fb_nft_batch *batch)
{
	static const unsigned char loopback6[16] = {[15] = 1};
	struct fb_nft_rule rule;

	fb_nft_chain(batch, NFPROTO_INET, FB_NFT_TABLE, "publish");
	rule = in(batch, "publish");
	family(&rule, NFPROTO_IPV4);
	network(&rule, 16, 4, 0);
	fb_nft_meta(&rule, NFT_META_L4PROTO, 1);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 2);
	fb_nft_map(&rule, "publish4", 0, 0);
	fb_nft_dnat(&rule, NFPROTO_IPV4, 0, 1);
	fb_nft_rule_end(&rule);

	rule = in(batch, "publish");
	family(&rule, NFPROTO_IPV4);
	fb_nft_meta(&rule, NFT_META_L4PROTO, 0);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	fb_nft_map(&rule, "publish4_any", 0, 0);
	fb_nft_dnat(&rule, NFPROTO_IPV4, 0, 1);
	fb_nft_rule_end(&rule);

	rule = in(batch, "publish");
	family(&rule, NFPROTO_IPV6);
	network(&rule, 24, 16, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, loopback6, sizeof(loopback6));
	then(&rule, NFT_RETURN, NULL);

	rule = in(batch, "publish");
	family(&rule, NFPROTO_IPV6);
	network(&rule, 24, 16, 0);
	fb_nft_meta(&rule, NFT_META_L4PROTO, 4);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 5);
	fb_nft_map(&rule, "publish6", 0, 0);
	fb_nft_dnat(&rule, NFPROTO_IPV6, 0, 4);
	fb_nft_rule_end(&rule);

	rule = in(batch, "publish");
	family(&rule, NFPROTO_IPV6);
	fb_nft_meta(&rule, NFT_META_L4PROTO, 0);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 1);
	fb_nft_map(&rule, "publish6_any", 0, 0);
	fb_nft_dnat(&rule, NFPROTO_IPV6, 0, 4);
	fb_nft_rule_end(&rule);
}

static void add_nat(struct fb_nft_batch *batch)
{
	static const uint32_t local = RTN_LOCAL;
	static const char *const chains[] = {"prerouting", "output"};
	struct fb_nft_rule rule;

	fb_nft_base_chain(batch, NFPROTO_INET, "prerouting", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST);
	fb_nft_base_chain(batch, NFPROTO_INET, "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
	for (int i = 0; i < 2; i++) {
		rule = in(batch, chains[i]);
		fb_nft_fib_type(&rule, 0);
		fb_nft_compare(&rule, 0, NFT_CMP_EQ, &local, sizeof(local));
		then(&rule, NFT_JUMP, "publish");
	}

	fb_nft_base_chain(batch, NFPROTO_INET, "postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
	rule = in(batch, "postrouting");
	interface(&rule, NFT_META_IIFNAME, "masq", false);
	interface(&rule, NFT_META_OIFNAME, "bridges", true);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);

	/* Hairpin: the answer must come back to us, not go straight to the neighbour that asked somebody else. */
	rule = in(batch, "postrouting");
	same_bridge(&rule);
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);

	/* The same where br_netfilter is on: it sends such packets on as bridged ones, which come from nowhere here. Neighbours are answered
	 * through it, too; only who asks itself must not be told its own address. */
	rule = in(batch, "postrouting");
	family(&rule, NFPROTO_IPV4);
	network(&rule, 12, 4, 0);
	network(&rule, 16, 4, 1);
	fb_nft_lookup(&rule, "self4", 0, false);
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);
	rule = in(batch, "postrouting");
	family(&rule, NFPROTO_IPV6);
	network(&rule, 8, 16, 0);
	network(&rule, 24, 16, 4);
	fb_nft_lookup(&rule, "self6", 0, false);
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);

	rule = in(batch, "postrouting"); /* a neighbour would answer a shard's container directly, past the host */
	interface(&rule, NFT_META_IIFNAME, "shards", false);
	interface(&rule, NFT_META_OIFNAME, "bridges", false);
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);

	rule = in(batch, "postrouting");
	loopback4(&rule, 12);
	interface(&rule, NFT_META_OIFNAME, "bridges", false);
	fb_nft_plain(&rule, "masq");
	fb_nft_rule_end(&rule);
}

static void add_forward(struct fb_nft_batch *batch)
{
	struct fb_nft_rule rule;

	/* Bridged packets come by here as well, where br_netfilter is on. */
	fb_nft_chain(batch, NFPROTO_INET, FB_NFT_TABLE, "same_bridge");
	rule = in(batch, "same_bridge");
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	then(&rule, NF_ACCEPT, NULL);
	rule = in(batch, "same_bridge");
	interface(&rule, NFT_META_IIFNAME, "noicc", false);
	then(&rule, NF_DROP, NULL);

	fb_nft_base_chain(batch, NFPROTO_INET, "forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
	rule = in(batch, "forward");
	conntrack(&rule, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	then(&rule, NF_ACCEPT, NULL);
	rule = in(batch, "forward");
	same_bridge(&rule);
	then(&rule, NFT_GOTO, "same_bridge");
	rule = in(batch, "forward");
	interface(&rule, NFT_META_IIFNAME, "internal", false);
	then(&rule, NF_DROP, NULL);
	rule = in(batch, "forward");
	interface(&rule, NFT_META_OIFNAME, "internal", false);
	then(&rule, NF_DROP, NULL);
	rule = in(batch, "forward");
	conntrack(&rule, NFT_CT_STATUS, IPS_DST_NAT);
	then(&rule, NF_ACCEPT, NULL);
	/* Who sends to a shard's MAC address would have it routed past the rules, which know the bridge. */
	rule = in(batch, "forward");
	interface(&rule, NFT_META_IIFNAME, "shards", false);
	then(&rule, NF_DROP, NULL);
	rule = in(batch, "forward");
	interface(&rule, NFT_META_OIFNAME, "bridges", false);
	then(&rule, NF_DROP, NULL);
	/* Docker's rules refuse what came neither through a published port nor from docker's networks, and are told to let ours out
	 * (nft_coexist.c). Of its bridges only this one has a name that is nobody else's. */
	rule = in(batch, "forward");
	interface(&rule, NFT_META_IIFNAME, "bridges", false);
	interface_is(&rule, NFT_META_OIFNAME, NFT_CMP_EQ, "docker0");
	then(&rule, NF_DROP, NULL);
}

/* ---- table bridge fastbox: what may leave a guarded port ---- */

static void port_and(struct fb_nft_rule *rule, int base, unsigned ether)
{
	fb_nft_meta(rule, NFT_META_IIFNAME, 0);
	fb_nft_payload(rule, base, ether, 6, 4);
}

/* Only frames whose protocol the kernel takes for this one: a tagged frame has its inner one, and is held to it as well. */
static struct fb_nft_rule protocol(struct fb_nft_batch *batch, const char *chain, uint16_t number)
{
	struct fb_nft_rule rule = at_port(batch, chain);
	uint16_t ordered = htons(number);

	fb_nft_meta(&rule, NFT_META_PROTOCOL, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &ordered, sizeof(ordered));
	return rule;
}

static struct fb_nft_rule neighbour(struct fb_nft_batch *batch, uint8_t type)
{
	static const uint8_t icmp = IPPROTO_ICMPV6;
	struct fb_nft_rule rule = protocol(batch, "guard", ETH_P_IPV6);

	fb_nft_meta(&rule, NFT_META_L4PROTO, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &icmp, 1);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &type, 1);
	return rule;
}

static void link_local(struct fb_nft_rule *rule, int base, unsigned offset)
{
	static const unsigned char mask[2] = {0xff, 0xc0}, prefix[2] = {0xfe, 0x80};

	fb_nft_payload(rule, base, offset, 2, 0);
	fb_nft_mask(rule, 0, mask, 2);
	fb_nft_compare(rule, 0, NFT_CMP_EQ, prefix, 2);
}

static void add_source6(struct fb_nft_batch *batch)
{
	static const unsigned char none[16];
	struct fb_nft_rule rule;

	fb_nft_chain(batch, NFPROTO_BRIDGE, FB_NFT_TABLE, "source6");
	rule = protocol(batch, "source6", ETH_P_IPV6);
	port_and(&rule, NFT_PAYLOAD_LL_HEADER, 6);
	network(&rule, 8, 16, 6);
	fb_nft_lookup(&rule, "own6", 0, false);
	then(&rule, NF_ACCEPT, NULL);
	rule = protocol(batch, "source6", ETH_P_IPV6);
	link_local(&rule, NFT_PAYLOAD_NETWORK_HEADER, 8);
	then(&rule, NF_ACCEPT, NULL);
	rule = protocol(batch, "source6", ETH_P_IPV6); /* asking whether an address is free */
	network(&rule, 8, 16, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, none, sizeof(none));
	then(&rule, NF_ACCEPT, NULL);
	rule = at_port(batch, "source6");
	then(&rule, NF_DROP, NULL);

	/* A neighbour's advertisement says in its body whose address it is. */
	fb_nft_chain(batch, NFPROTO_BRIDGE, FB_NFT_TABLE, "advertised");
	rule = at_port(batch, "advertised");
	link_local(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 8);
	then(&rule, NFT_GOTO, "source6");
	rule = at_port(batch, "advertised");
	port_and(&rule, NFT_PAYLOAD_LL_HEADER, 6);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16, 6);
	fb_nft_lookup(&rule, "target6", 0, false);
	then(&rule, NFT_GOTO, "source6");
	rule = at_port(batch, "advertised");
	then(&rule, NF_DROP, NULL);
}

static void add_arp(struct fb_nft_batch *batch)
{
	static const uint32_t none;
	struct fb_nft_rule rule = protocol(batch, "guard", ETH_P_ARP);

	port_and(&rule, NFT_PAYLOAD_NETWORK_HEADER, 8);
	network(&rule, 14, 4, 6);
	fb_nft_lookup(&rule, "own4", 0, false);
	then(&rule, NF_ACCEPT, NULL);
	rule = protocol(batch, "guard", ETH_P_ARP); /* asking whether an address is free */
	port_and(&rule, NFT_PAYLOAD_NETWORK_HEADER, 8);
	fb_nft_lookup(&rule, "own", 0, false);
	network(&rule, 14, 4, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &none, sizeof(none));
	then(&rule, NF_ACCEPT, NULL);
}

/* The commonest first: IPv4 with its own address costs two look-ups. */
static void add_guard(struct fb_nft_batch *batch)
{
	struct fb_nft_rule rule;

	fb_nft_chain(batch, NFPROTO_BRIDGE, FB_NFT_TABLE, "guard");
	add_source6(batch);
	rule = protocol(batch, "guard", ETH_P_IP);
	port_and(&rule, NFT_PAYLOAD_LL_HEADER, 6);
	network(&rule, 12, 4, 6);
	fb_nft_lookup(&rule, "own4", 0, false);
	then(&rule, NF_ACCEPT, NULL);
	rule = at_port(batch, "guard");
	port_and(&rule, NFT_PAYLOAD_LL_HEADER, 6);
	fb_nft_lookup(&rule, "own", 0, true);
	then(&rule, NF_DROP, NULL);
	add_arp(batch);
	rule = neighbour(batch, 136); /* advertisement */
	then(&rule, NFT_GOTO, "advertised");
	rule = neighbour(batch, 134); /* a router's: it would take over the others' routes */
	then(&rule, NF_DROP, NULL);
	rule = neighbour(batch, 137); /* redirect */
	then(&rule, NF_DROP, NULL);
	rule = at_port(batch, "guard");
	then(&rule, NFT_GOTO, "source6");

	fb_nft_base_chain(batch, NFPROTO_BRIDGE, "prerouting", "filter", NF_BR_PRE_ROUTING, NF_BR_PRI_NAT_DST_BRIDGED);
	rule = at_port(batch, "prerouting");
	interface(&rule, NFT_META_IIFNAME, "ports", false);
	then(&rule, NFT_GOTO, "guard");
}

/* ---- both ---- */

static int see_chain(const struct nlmsghdr *answer, void *count)
{
	(void)answer;
	++*(int *)count;
	return 0;
}

bool fb_nft_present(void)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	static const int families[] = {NFPROTO_INET, NFPROTO_BRIDGE};
	int count = 0;

	for (int i = 0; i < 2; i++) {
		fb_nft_message(&batch, NFT_MSG_GETCHAIN, 0, families[i]);
		fb_nft_put_text(&batch, NFTA_CHAIN_TABLE, FB_NFT_TABLE);
		fb_nft_put_text(&batch, NFTA_CHAIN_NAME, LAYOUT);
	}
	return fb_nft_ask(&batch, see_chain, &count) == 0 && count == 2;
}

static int see_generation(const struct nlmsghdr *answer, void *generation)
{
	*(uint32_t *)generation = fb_nft_number(fb_nft_attribute(answer, NFTA_GEN_ID), 0);
	return 0;
}

static void table(struct fb_nft_batch *batch, int type, int of)
{
	fb_nft_message(batch, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0, of);
	fb_nft_put_text(batch, NFTA_TABLE_NAME, FB_NFT_TABLE);
}

static void start_table(struct fb_nft_batch *batch, int of)
{
	table(batch, NFT_MSG_NEWTABLE, of); /* so that there is one to delete */
	table(batch, NFT_MSG_DELTABLE, of);
	table(batch, NFT_MSG_NEWTABLE, of);
	fb_nft_chain(batch, of, FB_NFT_TABLE, LAYOUT);
	fb_nft_sets(batch, of);
}

/* Nothing may have changed since the generation was read, which was before the tables were looked for: else this would delete the
 * elements of somebody who has just made them. */
int fb_nft_base(struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};

	for (int attempt = 0;; attempt++) {
		uint32_t generation = 0;
		int rc;

		fb_nft_message(&batch, NFT_MSG_GETGEN, 0, AF_UNSPEC);
		rc = fb_nft_ask(&batch, see_generation, &generation);
		if (rc < 0)
			return FB_FAIL_CODE(err, FB_STAGE_NETWORK, -rc, "nftables", "generation", NULL);
		if (fb_nft_present()) {
			rc = fb_nft_coexist(err);
			return rc < 0 ? rc : 0;
		}
		fb_nft_open(&batch, generation);
		start_table(&batch, NFPROTO_INET);
		add_raw(&batch);
		add_publish(&batch);
		add_nat(&batch);
		add_forward(&batch);
		start_table(&batch, NFPROTO_BRIDGE);
		add_guard(&batch);
		rc = fb_nft_commit(&batch, err);
		if (rc == 0) {
			rc = fb_nft_coexist(err);
			return rc < 0 ? rc : 1;
		}
		if (rc != -ERESTART || attempt == 1000)
			return rc;
	}
}
