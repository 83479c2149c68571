/* Who sends datagrams from one port again and again has one connection for the kernel, and a connection keeps the address that it was
 * given at its first packet: of a container that is gone, or none, from before the port was published. So those are forgotten when a
 * UDP port comes or goes. Nothing fails because of it: where the kernel does not let us, they end by themselves when it is quiet.
 *
 * The kernel has no index for this: it walks its whole table, which takes 13 ms where that has 262,144 buckets. So it is asked once
 * for all ports (and once more for IPv6 where the container has it, since it refuses to look for both).
 */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

/* The kernel's numbers of what a dump is filtered by (nf_internals.h; since Linux 5.8, before that it is told of all). */
#define FILTER_PROTOCOL (1 << 3)
#define FILTER_TARGET_PORT (1 << 5)

struct search {
	struct fb_nft_batch deletions;
	const struct fb_network_spec *spec;
	bool add;
};

static uint16_t port_of(const struct nlattr *tuple, int type)
{
	const struct nlattr *port = fb_nft_within(fb_nft_within(tuple, CTA_TUPLE_PROTO), type);
	uint16_t number = 0;

	if (port && port->nla_len >= NLA_HDRLEN + sizeof(number))
		memcpy(&number, (const char *)port + NLA_HDRLEN, sizeof(number));
	return ntohs(number);
}

static bool of_udp(const struct nlattr *tuple)
{
	const struct nlattr *protocol = fb_nft_within(fb_nft_within(tuple, CTA_TUPLE_PROTO), CTA_PROTO_NUM);

	return protocol && protocol->nla_len > NLA_HDRLEN && *((const char *)protocol + NLA_HDRLEN) == IPPROTO_UDP;
}

/* Is it the container that has the port now who answers? */
static bool answers(const struct fb_port *port, int family, const struct nlattr *reply)
{
	bool v6 = family == AF_INET6;
	const struct fb_address *us = v6 ? &port->address6 : &port->address;
	const struct nlattr *source = fb_nft_within(fb_nft_within(reply, CTA_TUPLE_IP), v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC);
	size_t size = v6 ? 16 : 4;

	return source && source->nla_len >= NLA_HDRLEN + size && memcmp((const char *)source + NLA_HDRLEN, &us->v6, size) == 0 &&
	       port_of(reply, CTA_PROTO_SRC_PORT) == port->port;
}

/* Others have connections to the same port of somebody else: those are not sent on to another address, but have another source. */
static bool stale(const struct search *search, int family, const struct nlmsghdr *answer, const struct nlattr *original)
{
	uint32_t status = fb_nft_number(fb_nft_attribute(answer, CTA_STATUS), 0);
	bool elsewhere = (status & IPS_SRC_NAT) && !(status & IPS_DST_NAT);
	uint16_t number = port_of(original, CTA_PROTO_DST_PORT);

	for (size_t i = 0; i < search->spec->port_count; i++) {
		const struct fb_port *port = &search->spec->ports[i];
		bool ours;

		if (port->protocol != IPPROTO_UDP || !port->taken || port->taken != number)
			continue;
		ours = answers(port, family, fb_nft_attribute(answer, CTA_TUPLE_REPLY));
		if (search->add ? !ours && !elsewhere : ours)
			return true;
	}
	return false;
}

static int see(const struct nlmsghdr *answer, void *to)
{
	struct search *search = to;
	const struct nlattr *original = fb_nft_attribute(answer, CTA_TUPLE_ORIG), *id = fb_nft_attribute(answer, CTA_ID);
	int family = ((const struct nfgenmsg *)NLMSG_DATA(answer))->nfgen_family;

	if (!original || !of_udp(original) || !stale(search, family, answer, original))
		return 0;
	fb_nft_conntrack_message(&search->deletions, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);
	fb_nft_put(&search->deletions, CTA_TUPLE_ORIG | NLA_F_NESTED, (const char *)original + NLA_HDRLEN, original->nla_len - (size_t)NLA_HDRLEN);
	if (id) /* not one that has come since with the same addresses */
		fb_nft_put(&search->deletions, CTA_ID, (const char *)id + NLA_HDRLEN, id->nla_len - (size_t)NLA_HDRLEN);
	return 0;
}

static int nothing(const struct nlmsghdr *answer, void *to)
{
	(void)answer, (void)to;
	return 0;
}

/* `only`: the one port that it is about, if it is one. */
static void ask(struct fb_nft_batch *question, int family, uint16_t only)
{
	uint32_t flags = FILTER_PROTOCOL | (only ? FILTER_TARGET_PORT : 0), none = 0; /* in the host's order */
	uint16_t number = htons(only);
	uint8_t protocol = IPPROTO_UDP;
	size_t nest, inner;

	fb_nft_conntrack_message(question, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
	nest = fb_nft_nest(question, CTA_TUPLE_ORIG);
	inner = fb_nft_nest(question, CTA_TUPLE_PROTO);
	fb_nft_put(question, CTA_PROTO_NUM, &protocol, sizeof(protocol));
	if (only)
		fb_nft_put(question, CTA_PROTO_DST_PORT, &number, sizeof(number));
	fb_nft_end(question, inner);
	fb_nft_end(question, nest);
	nest = fb_nft_nest(question, CTA_FILTER);
	fb_nft_put(question, CTA_FILTER_ORIG_FLAGS, &flags, sizeof(flags));
	fb_nft_put(question, CTA_FILTER_REPLY_FLAGS, &none, sizeof(none));
	fb_nft_end(question, nest);
}

void fb_nft_forget(const struct fb_network_spec *spec, bool add)
{
	fb_auto_batch struct fb_nft_batch question = {0};
	struct search search = {.spec = spec, .add = add};
	bool v4 = false, v6 = false;
	unsigned count = 0;
	uint16_t only = 0;

	for (size_t i = 0; i < spec->port_count; i++) {
		const struct fb_port *port = &spec->ports[i];

		if (port->protocol != IPPROTO_UDP || !port->taken)
			continue;
		only = port->taken, count++;
		for (size_t j = 0; j < port->host_count; j++) {
			v4 |= port->hosts[j].family == AF_INET;
			v6 |= port->hosts[j].family == AF_INET6 && port->address6.family == AF_INET6;
		}
	}
	for (int family = AF_INET; family; family = family == AF_INET ? AF_INET6 : 0) {
		if (!(family == AF_INET ? v4 : v6))
			continue;
		ask(&question, family, count == 1 ? only : 0);
		fb_nft_ask(&question, see, &search);
	}
	if (search.deletions.sequence)
		fb_nft_ask(&search.deletions, nothing, NULL);
	fb_nft_batch_free(&search.deletions);
}
