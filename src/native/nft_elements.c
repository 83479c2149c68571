/* What comes and goes in the tables: networks, the guards of endpoints, published ports; and a container's own redirect. */
#include "nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "nft_batch.h"

struct element {
	int family;
	const char *set;
	unsigned char key[40], data[20];
	size_t key_length, data_length; /* each part begins at a multiple of four */
	bool exclusive;			/* nothing but the element keeps others away */
};

static void part(unsigned char *to, size_t *length, const void *data, size_t size)
{
	memcpy(to + *length, data, size);
	*length += (size + 3) & ~(size_t)3;
}

static void key(struct element *element, const void *data, size_t size)
{
	part(element->key, &element->key_length, data, size);
}

static void key_interface(struct element *element, const char *name)
{
	char whole[16] = "";

	strncpy(whole, name, sizeof(whole) - 1);
	key(element, whole, sizeof(whole));
}

static void put_data(struct fb_nft_batch *batch, int type, const unsigned char *data, size_t length)
{
	size_t nest = fb_nft_nest(batch, type);

	fb_nft_put(batch, NFTA_DATA_VALUE, data, length);
	fb_nft_end(batch, nest);
}

/* `timeout`: milliseconds that it stays; 0: until it is taken away, also when it was about to end. */
static void put(struct fb_nft_batch *batch, int type, const struct element *element, uint64_t timeout)
{
	size_t list, entry;

	fb_nft_message(batch, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, element->family);
	fb_nft_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, FB_NFT_TABLE);
	fb_nft_put_text(batch, NFTA_SET_ELEM_LIST_SET, element->set);
	list = fb_nft_nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
	entry = fb_nft_nest(batch, NFTA_LIST_ELEM);
	put_data(batch, NFTA_SET_ELEM_KEY, element->key, element->key_length);
	if (type == NFT_MSG_NEWSETELEM) {
		if (element->data_length)
			put_data(batch, NFTA_SET_ELEM_DATA, element->data, element->data_length);
		timeout = htobe64(timeout);
		fb_nft_put(batch, NFTA_SET_ELEM_TIMEOUT, &timeout, sizeof(timeout));
	}
	fb_nft_end(batch, entry);
	fb_nft_end(batch, list);
}

static void put_new(struct fb_nft_batch *batch, const struct element *element)
{
	put(batch, NFT_MSG_NEWSETELEM, element, 0);
}

/* Since Linux 6.12 adding an element anew changes when it ends. */
static bool can_end(void)
{
	struct utsname name;
	unsigned major, minor;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 12));
}

/* Nothing is deleted if it can be helped: what is deleted is freed after the grace period of RCU, and whoever closes a socket of
 * nfnetlink meanwhile (so each process that ends) waits for that, with the lock of all other transactions in its hand: at most 70 in a
 * second, measured. So an element is told to end in a millisecond, and the kernel collects it later.
 *
 * Both ways take what may or may not be there, and in a map only what has this data: adding what is there is no error, and adding other
 * data is one. */
static void put_away(struct fb_nft_batch *batch, const struct element *element)
{
	if (can_end()) {
		put(batch, NFT_MSG_NEWSETELEM, element, 1);
	} else {
		put_new(batch, element);
		put(batch, NFT_MSG_DELSETELEM, element, 0);
	}
}

static bool clash(int rc)
{
	return rc == -EEXIST || rc == -EBUSY;
}

/* ---- networks ---- */

static int see(const struct nlmsghdr *answer, void *to)
{
	(void)answer, (void)to;
	return 0;
}

static bool there(const struct element *element)
{
	fb_auto_batch struct fb_nft_batch batch = {0};

	put(&batch, NFT_MSG_GETSETELEM, element, 0);
	return fb_nft_ask(&batch, see, NULL) == 0;
}

/* Without tables there is nothing to take away. */
static int finish(struct fb_nft_batch *batch, bool add, struct fb_error *err)
{
	struct fb_error mine;
	int rc = fb_nft_commit(batch, &mine);

	if (!add && rc == -ENOENT)
		return 0;
	if (rc < 0)
		*err = mine;
	return rc;
}

int fb_nft_network(const struct fb_nft_network *network, bool add, struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	struct element name = {.family = NFPROTO_INET}, twice = {.family = NFPROTO_INET, .set = "same"};
	const struct {
		const char *set;
		bool member;
	} sets[] = {{"bridges", true}, {"masq", network->masquerade}, {"internal", network->internal}, {"noicc", !network->icc}};

	key_interface(&name, network->bridge);
	key_interface(&twice, network->bridge);
	key_interface(&twice, network->bridge);
	fb_nft_open(&batch, 0);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		name.set = sets[i].set;
		if (add && sets[i].member)
			put_new(&batch, &name);
		else if (!add || there(&name)) /* a bridge of this name that nobody has taken back, of another kind */
			put_away(&batch, &name);
	}
	if (add)
		put_new(&batch, &twice);
	else
		put_away(&batch, &twice);
	return finish(&batch, add, err);
}

int fb_nft_shard(const char *shard, bool internal, bool add, struct fb_error *err)
{
	static const char *const sets[] = {"shards", "same", "internal"};
	fb_auto_batch struct fb_nft_batch batch = {0};

	fb_nft_open(&batch, 0);
	for (int i = 0; i < 3; i++) {
		struct element name = {.family = NFPROTO_INET, .set = sets[i]};

		key_interface(&name, shard);
		if (i == 1)
			key_interface(&name, shard);
		if (add && (i < 2 || internal))
			put_new(&batch, &name);
		else if (!add || there(&name))
			put_away(&batch, &name);
	}
	return finish(&batch, add, err);
}

/* ---- containers ---- */

typedef int visit(const struct element *element, void *to);

static int visit_guard(const struct fb_endpoint *endpoint, visit *each, void *to)
{
	struct element port = {.family = NFPROTO_BRIDGE, .set = "ports"}, own = {.family = NFPROTO_BRIDGE, .set = "own"};
	int rc;

	key_interface(&port, endpoint->host);
	key_interface(&own, endpoint->host);
	key(&own, endpoint->mac, sizeof(endpoint->mac));
	rc = each(&own, to);
	for (size_t i = 0; rc == 0 && i < endpoint->address_count; i++) {
		const struct fb_address *address = &endpoint->addresses[i];
		struct element one = own;

		one.set = address->family == AF_INET6 ? "own6" : "own4";
		key(&one, &address->v6, address->family == AF_INET6 ? 16 : 4);
		rc = each(&one, to);
		if (rc == 0 && address->family == AF_INET6) {
			one.set = "target6";
			rc = each(&one, to);
		}
	}
	return rc ? rc : each(&port, to);
}

static bool any_address(const struct fb_address *host)
{
	return host->family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&host->v6) : host->v4.s_addr == INADDR_ANY;
}

static int visit_port(const struct fb_port *port, const struct fb_address *host, visit *each, void *to)
{
	const struct fb_address *target = host->family == AF_INET6 ? &port->address6 : &port->address;
	struct element element = {.family = NFPROTO_INET, .exclusive = port->protocol == IPPROTO_SCTP};
	size_t size = host->family == AF_INET6 ? 16 : 4;
	bool any = any_address(host);
	uint8_t protocol = (uint8_t)port->protocol;
	uint16_t number = htons(port->taken), inner = htons(port->port);

	/* Without an address of this family, and for [::1], whoever listens on the socket relays. */
	if (target->family != host->family || (host->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&host->v6)))
		return 0;
	if (host->family == AF_INET6)
		element.set = any ? "publish6_any" : "publish6";
	else
		element.set = any ? "publish4_any" : "publish4";
	if (!any)
		key(&element, &host->v6, size);
	key(&element, &protocol, sizeof(protocol));
	key(&element, &number, sizeof(number));
	part(element.data, &element.data_length, &target->v6, size);
	part(element.data, &element.data_length, &inner, sizeof(inner));
	return each(&element, to);
}

/* That its address is published at all: once for all ports, which mostly have the same. */
static int visit_self(const struct fb_address *address, const struct fb_address *before, visit *each, void *to)
{
	size_t size = address->family == AF_INET6 ? 16 : 4;
	struct element self = {.family = NFPROTO_INET, .set = address->family == AF_INET6 ? "self6" : "self4"};

	if (!address->family || (before && before->family == address->family && !memcmp(&before->v6, &address->v6, size)))
		return 0;
	key(&self, &address->v6, size);
	key(&self, &address->v6, size);
	return each(&self, to);
}

static int visit_ports(const struct fb_network_spec *spec, visit *each, void *to)
{
	const struct fb_port *before = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < spec->port_count; i++) {
		const struct fb_port *port = &spec->ports[i];

		if (!port->taken)
			continue;
		for (size_t j = 0; rc == 0 && j < port->host_count; j++)
			rc = visit_port(port, &port->hosts[j], each, to);
		if (rc == 0)
			rc = visit_self(&port->address, before ? &before->address : NULL, each, to);
		if (rc == 0)
			rc = visit_self(&port->address6, before ? &before->address6 : NULL, each, to);
		before = port;
	}
	return rc;
}

static int visit_all(const struct fb_network_spec *spec, visit *each, void *to)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < spec->endpoint_count; i++)
		if (spec->endpoints[i].guard && spec->endpoints[i].kind == FB_LINK_VETH && spec->endpoints[i].host)
			rc = visit_guard(&spec->endpoints[i], each, to);
	return rc ? rc : visit_ports(spec, each, to);
}

static int collect_new(const struct element *element, void *batch)
{
	put_new(batch, element);
	return 0;
}

static int collect_away(const struct element *element, void *batch)
{
	put_away(batch, element);
	return 0;
}

/* Alone: what another container has by now stays. */
static int take_away(const struct element *element, void *error)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	struct fb_error *err = error, mine = {0};
	int rc;

	fb_nft_open(&batch, 0);
	put_away(&batch, element);
	rc = fb_nft_commit(&batch, &mine);
	if (rc < 0 && rc != -ENOENT && !clash(rc) && !err->code)
		*err = mine; /* the first, and the others are tried as well */
	return 0;
}

/* Alone: a dead container's gives way. */
static int replace(const struct element *element, void *error)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	int rc;

	fb_nft_open(&batch, 0);
	put_new(&batch, element);
	rc = fb_nft_commit(&batch, error);
	if (!clash(rc) || element->exclusive)
		return rc;
	fb_nft_open(&batch, 0);
	put(&batch, NFT_MSG_DELSETELEM, element, 0);
	put_new(&batch, element);
	return fb_nft_commit(&batch, error);
}

static int take_all_away(const struct fb_network_spec *spec, struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	struct fb_error mine = {0};
	int rc;

	fb_nft_open(&batch, 0);
	visit_all(spec, collect_away, &batch);
	if (!batch.sequence)
		return 0;
	rc = fb_nft_commit(&batch, &mine);
	if (rc == 0)
		return 0;
	mine.code = 0;
	visit_all(spec, take_away, &mine);
	if (!mine.code)
		return 0;
	*err = mine;
	return -mine.code;
}

int fb_nft_endpoints(const struct fb_network_spec *spec, bool add, struct fb_error *err)
{
	fb_auto_batch struct fb_nft_batch batch = {0};
	struct fb_error mine, ignored;
	int rc;

	if (!add) {
		rc = take_all_away(spec, err);
		fb_nft_forget(spec, false);
		return rc;
	}
	fb_nft_open(&batch, 0);
	visit_all(spec, collect_new, &batch);
	if (!batch.sequence)
		return 0;
	rc = fb_nft_commit(&batch, &mine);
	if (clash(rc)) {
		rc = visit_all(spec, replace, &mine);
		if (rc < 0)
			take_all_away(spec, &ignored);
	}
	if (rc < 0)
		*err = mine;
	else
		fb_nft_forget(spec, true);
	return rc;
}

/* ---- a container's own namespace ---- */

static void redirect(struct fb_nft_batch *batch, uint8_t protocol, uint16_t port)
{
	static const unsigned char server[4] = {127, 0, 0, 11};
	uint16_t domain = htons(53), ordered = htons(port);
	struct fb_nft_rule rule = fb_nft_rule(batch, NFPROTO_IPV4, FB_NFT_TABLE, "output", false);

	fb_nft_payload(&rule, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, server, sizeof(server));
	fb_nft_meta(&rule, NFT_META_L4PROTO, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &protocol, 1);
	fb_nft_payload(&rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, 0);
	fb_nft_compare(&rule, 0, NFT_CMP_EQ, &domain, sizeof(domain));
	fb_nft_immediate(&rule, 0, server, sizeof(server));
	fb_nft_immediate(&rule, 1, &ordered, sizeof(ordered));
	fb_nft_dnat(&rule, NFPROTO_IPV4, 0, 1);
	fb_nft_rule_end(&rule);
}

int fb_nft_redirect(uint16_t udp_port, uint16_t tcp_port, struct fb_error *err)
{
	static const int types[] = {NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE};
	fb_auto_batch struct fb_nft_batch batch = {0};

	/* A new namespace has no table, and is spared the cost of a deletion; one that is there gives way. */
	for (int first = 2; ; first = 0) {
		int rc;

		fb_nft_open(&batch, 0);
		for (int i = first; i < 3; i++) {
			int flags = NLM_F_CREATE | (first ? NLM_F_EXCL : 0);

			fb_nft_message(&batch, types[i], types[i] == NFT_MSG_NEWTABLE ? flags : 0, NFPROTO_IPV4);
			fb_nft_put_text(&batch, NFTA_TABLE_NAME, FB_NFT_TABLE);
		}
		fb_nft_base_chain(&batch, NFPROTO_IPV4, "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
		redirect(&batch, IPPROTO_UDP, udp_port);
		redirect(&batch, IPPROTO_TCP, tcp_port);
		rc = fb_nft_commit_once(&batch, err);
		if (rc != -EEXIST || !first)
			return rc;
	}
}
