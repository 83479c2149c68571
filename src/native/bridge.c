#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "link.h"

#define FAIL(code, path, detail) FB_FAIL_CODE(err, FB_STAGE_NETWORK, (code), "bridge", (path), (detail))

static uint64_t hash(const char *text)
{
	uint64_t value = 14695981039346656037ULL; /* FNV-1a */

	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 1099511628211ULL;
	return value;
}

/* The two ends, of names that follow from the shard's. */
static void pair_name(const char *shard, char end, char name[IFNAMSIZ])
{
	snprintf(name, IFNAMSIZ, "fbs%010llx%c", (unsigned long long)(hash(shard) & 0xffffffffffULL), end);
}

/* Of the address, as those of the containers: who comes back with it finds that his neighbours still know him. */
static void choose_mac(const struct fb_bridge *bridge, unsigned char mac[6])
{
	uint32_t last = (uint32_t)hash(bridge->name);

	memcpy(mac, (unsigned char[]){0x02, 0xfb}, 2);
	for (size_t i = 0; i < bridge->address_count; i++)
		if (bridge->addresses[i].family == AF_INET) {
			last = bridge->addresses[i].v4.s_addr;
			mac[1] = 0x42;
			break;
		}
	memcpy(mac + 2, &last, 4);
}

struct found {
	unsigned flags;
	bool bridge;
};

static const struct rtattr *find(const struct rtattr *at, size_t length, unsigned short type)
{
	for (; RTA_OK(at, length); at = RTA_NEXT(at, length))
		if ((at->rta_type & NLA_TYPE_MASK) == type)
			return at;
	return NULL;
}

static int take_link(void *context, const struct nlmsghdr *header)
{
	struct found *found = context;
	const struct ifinfomsg *info = NLMSG_DATA(header);
	const struct rtattr *at;

	if (header->nlmsg_type != RTM_NEWLINK || header->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return 0;
	found->flags = info->ifi_flags;
	at = find(IFLA_RTA(info), IFLA_PAYLOAD(header), IFLA_LINKINFO);
	at = at ? find(RTA_DATA(at), RTA_PAYLOAD(at), IFLA_INFO_KIND) : NULL;
	found->bridge = at && strncmp(RTA_DATA(at), "bridge", RTA_PAYLOAD(at)) == 0;
	return 0;
}

/* 1: it is there and complete; 0: it is not, or somebody is making it; negative: it is something else, or can't be asked for. */
static int look(struct fb_netlink *nl, const char *name, struct fb_error *err)
{
	struct ifinfomsg info = {0};
	struct found found = {0};
	struct fb_error ignored = {0};
	int r;

	fb_netlink_message(nl, RTM_GETLINK, 0, &info, sizeof(info), "link get", name);
	fb_netlink_put_text(nl, IFLA_IFNAME, name);
	r = fb_netlink_ask(nl, take_link, &found, &ignored);
	if (r == -ENODEV)
		return 0;
	if (r < 0) {
		if (err)
			*err = ignored;
		return r;
	}
	if (!found.bridge)
		return FAIL(EEXIST, name, "an interface that is no bridge has this name");
	return (found.flags & IFF_UP) != 0;
}

/* 1, or 0 when another was faster. */
static int create(struct fb_netlink *nl, const struct fb_bridge *bridge, struct fb_error *err)
{
	struct ifinfomsg info = {0};
	struct fb_error error = {0};
	unsigned char mac[6];
	size_t link, data;
	int r;

	choose_mac(bridge, mac);
	/* A shard only carries frames: a container could use its MAC as a way past the rules, which know the main bridge. */
	if (bridge->main)
		info.ifi_flags = info.ifi_change = IFF_NOARP;
	fb_netlink_message(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info), "link add bridge", bridge->name);
	fb_netlink_put_text(nl, IFLA_IFNAME, bridge->name);
	/* One that is set stays; otherwise it would be the least of the ports', and change with them. */
	fb_netlink_put(nl, IFLA_ADDRESS, mac, sizeof(mac));
	if (bridge->mtu)
		fb_netlink_put_u32(nl, IFLA_MTU, bridge->mtu);
	link = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_KIND, "bridge");
	data = fb_netlink_nest(nl, IFLA_INFO_DATA, NULL, 0);
	fb_netlink_put_u32(nl, IFLA_BR_STP_STATE, 0);
	fb_netlink_put_u8(nl, IFLA_BR_MCAST_SNOOPING, 0);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, link);
	r = fb_netlink_send(nl, 0, &error);
	if (r == 0 || r == -EEXIST)
		return r == 0;
	if (err)
		*err = error;
	return r;
}

static int set(const struct fb_bridge *bridge, const char *family, const char *key, const char *value, struct fb_error *err)
{
	int r = fb_link_setting(family, bridge->name, key, value);
	char path[64];

	/* A kernel without IPv6 has none of its files. */
	if (r == 0 || (r == -ENOENT && strcmp(family, "ipv6") == 0 && !bridge->ipv6))
		return 0;
	snprintf(path, sizeof(path), "net.%s.conf.%s.%s", family, bridge->name, key);
	return FB_FAIL_CODE(err, FB_STAGE_NETWORK, -r, "write", path, NULL);
}

static int set_all(const struct fb_bridge *bridge, struct fb_error *err)
{
	int r = set(bridge, "ipv4", "route_localnet", "1", err);

	/* With br_netfilter what a shard carries is looked at as what it would route, and its sources are the main bridge's. */
	if (r == 0 && bridge->main)
		r = set(bridge, "ipv4", "rp_filter", "0", err);

	/* CVE-2020-13401: a container's router advertisement must not change the host's routes. */
	if (r == 0)
		r = set(bridge, "ipv6", "accept_ra", "0", err);
	if (r == 0)
		r = bridge->ipv6 ? set(bridge, "ipv6", "accept_dad", "0", err) : set(bridge, "ipv6", "disable_ipv6", "1", err);
	return r;
}

static bool read_one(const char *path, char *ret_value)
{
	fb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, ret_value, 1) == 1;
}

static int write_one(const char *path, const char *value, struct fb_error *err)
{
	fb_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, value, 1) == 1 ? 0 : FB_FAIL(err, FB_STAGE_NETWORK, "write", path);
}

/* A router takes no advertisements any more, and the host would lose its own default route: where it took them, it goes on. */
static void keep_advertisements(void)
{
	fb_auto_dir DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[320], value = '0';

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "all") == 0 || strcmp(entry->d_name, "default") == 0 ||
		    strcmp(entry->d_name, "lo") == 0)
			continue;
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", entry->d_name);
		if (read_one(path, &value) && value == '1')
			(void)write_one(path, "2", NULL);
	}
}

/* Only ever raised. */
static void raise_to(const char *path, long wanted)
{
	char value[24] = "";
	fb_auto_close int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || read(fd, value, sizeof(value) - 1) <= 0 || strtol(value, NULL, 10) >= wanted)
		return;
	snprintf(value, sizeof(value), "%ld", wanted);
	(void)!pwrite(fd, value, strlen(value), 0);
}

/* Two bounds of the host's that a network of more than one shard meets. There is one table of neighbours for all network namespaces, of 1,024
 * entries by default: with two for each pair that talks, 512 containers that know one server fill it, and the next gets "no route to host". And a
 * processor queues 1,000 packets, so that a broadcast into more ports than that never reaches the last ones. */
static void raise_bounds(void)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	static const long neighbours[] = {8192, 32768, 65536};
	char path[64];

	for (size_t family = 0; family < 2; family++) {
		/* The largest first: none may ever be more than the next. */
		for (int i = 2; i >= 0; i--) {
			snprintf(path, sizeof(path), "/proc/sys/net/%s/neigh/default/gc_thresh%d", families[family], i + 1);
			raise_to(path, neighbours[i]);
		}
	}
	raise_to("/proc/sys/net/core/netdev_max_backlog", 65536);
}

static int forward(bool ipv6, struct fb_error *err)
{
	static const char v4[] = "/proc/sys/net/ipv4/ip_forward", v6[] = "/proc/sys/net/ipv6/conf/all/forwarding";
	char value = '0';
	int r = 0;

	if (!read_one(v4, &value) || value == '0')
		r = write_one(v4, "1", err);
	if (r < 0 || !ipv6)
		return r;
	value = '0';
	if (read_one(v6, &value) && value != '0')
		return 0;
	keep_advertisements();
	return write_one(v6, "1", err);
}

/* Begin the message for one end that is there. */
static void put_end(struct fb_netlink *nl, const char *name)
{
	struct ifinfomsg info = {0};

	fb_netlink_message(nl, RTM_NEWLINK, 0, &info, sizeof(info), "link set", name);
	fb_netlink_put_text(nl, IFLA_IFNAME, name);
}

static void put_end_without_address(struct fb_netlink *nl, const char *name)
{
	size_t nest, inner;

	put_end(nl, name);
	nest = fb_netlink_nest(nl, IFLA_AF_SPEC, NULL, 0);
	inner = fb_netlink_nest(nl, AF_INET6, NULL, 0);
	fb_netlink_put_u8(nl, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	fb_netlink_nest_end(nl, inner);
	fb_netlink_nest_end(nl, nest);
}

static void put_isolated(struct fb_netlink *nl, const char *name, bool isolated)
{
	size_t nest, inner;

	put_end(nl, name);
	nest = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_SLAVE_KIND, "bridge");
	inner = fb_netlink_nest(nl, IFLA_INFO_SLAVE_DATA, NULL, 0);
	fb_netlink_put_u8(nl, IFLA_BRPORT_ISOLATED, isolated);
	fb_netlink_nest_end(nl, inner);
	fb_netlink_nest_end(nl, nest);
}

static void put_pair(struct fb_netlink *nl, const char *one, const char *other, unsigned mtu)
{
	struct ifinfomsg info = {0};
	size_t link, data, peer;

	fb_netlink_message(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info), "link add veth", one);
	fb_netlink_put_text(nl, IFLA_IFNAME, one);
	if (mtu)
		fb_netlink_put_u32(nl, IFLA_MTU, mtu);
	link = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_KIND, "veth");
	data = fb_netlink_nest(nl, IFLA_INFO_DATA, NULL, 0);
	peer = fb_netlink_nest(nl, VETH_INFO_PEER, &info, sizeof(info));
	fb_netlink_put_text(nl, IFLA_IFNAME, other);
	if (mtu)
		fb_netlink_put_u32(nl, IFLA_MTU, mtu);
	fb_netlink_nest_end(nl, peer);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, link);
}

/* Each step may have been done by somebody who makes the same bridge. The end in the main bridge is isolated when the containers are: from one
 * shard's nobody else's are reached, while within a shard the way to the main bridge is open to all. */
static int join_main(struct fb_netlink *nl, const struct fb_bridge *bridge, unsigned index, struct fb_error *err)
{
	unsigned main = fb_link_index(nl->fd, bridge->main);
	char ends[2][IFNAMSIZ];
	int r;

	if (!main)
		return FAIL(ENODEV, bridge->main, "the bridge of which this is a part is missing");
	raise_bounds();
	for (int i = 0; i < 2; i++)
		pair_name(bridge->name, "ab"[i], ends[i]);
	put_pair(nl, ends[0], ends[1], bridge->mtu);
	r = fb_netlink_send(nl, EEXIST, err);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		put_end_without_address(nl, ends[i]);
	if ((r = fb_netlink_send(nl, EAFNOSUPPORT, err)) < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		put_end(nl, ends[i]);
		fb_netlink_put_u32(nl, IFLA_MASTER, i ? main : index);
	}
	put_isolated(nl, ends[1], bridge->isolated);
	for (int i = 0; i < 2; i++)
		fb_link_up(nl, fb_link_index(nl->fd, ends[i]), ends[i]);
	return fb_netlink_send(nl, 0, err);
}

static int furnish(struct fb_netlink *nl, const struct fb_bridge *bridge, struct fb_error *err)
{
	unsigned index = fb_link_index(nl->fd, bridge->name);
	int r;

	if (!index)
		return FAIL(ENODEV, bridge->name, "it was removed meanwhile");
	r = set_all(bridge, err);
	for (size_t i = 0; i < bridge->address_count; i++)
		fb_link_address(nl, index, &bridge->addresses[i], NLM_F_REPLACE, bridge->name);
	if (r == 0)
		r = fb_netlink_send(nl, 0, err);
	if (r == 0 && bridge->main)
		r = join_main(nl, bridge, index, err);
	if (r == 0)
		r = forward(bridge->ipv6, err);
	if (r < 0)
		return r;
	/* The last step is what others take as the sign that all is done. */
	fb_link_up(nl, index, bridge->name);
	return fb_netlink_send(nl, 0, err);
}

static int delete(struct fb_netlink *nl, const char *name, struct fb_error *err)
{
	char end[IFNAMSIZ];

	pair_name(name, 'a', end);
	fb_link_delete(nl, name);
	fb_link_delete(nl, end);
	return fb_netlink_send(nl, ENODEV, err);
}

static int ensure(struct fb_netlink *nl, const struct fb_bridge *bridge, struct fb_error *err)
{
	int there = look(nl, bridge->name, err), made, r;

	if (there)
		return there < 0 ? there : 0;
	made = create(nl, bridge, err);
	if (made < 0)
		return made;
	r = furnish(nl, bridge, err);
	if (r < 0 && made)
		(void)delete(nl, bridge->name, NULL);
	return r < 0 ? r : made;
}

int fb_bridge_ensure(const struct fb_bridge *bridge, struct fb_error *err)
{
	struct fb_netlink nl;
	int r;

	if (bridge->address_count > FB_NETWORK_ADDRESSES)
		return FAIL(E2BIG, bridge->name, "too many addresses");
	r = fb_netlink_open(&nl, err);
	if (r == 0)
		r = ensure(&nl, bridge, err);
	fb_netlink_close(&nl);
	return r;
}

int fb_bridge_delete(const char *name, struct fb_error *err)
{
	struct fb_netlink nl;
	int r = fb_netlink_open(&nl, err);

	if (r == 0)
		r = delete(&nl, name, err);
	fb_netlink_close(&nl);
	return r;
}

struct clash {
	const struct fb_address *subnet;
	char *route;
	size_t size;
};

static void show(const struct clash *clash, const struct fb_address *route, const struct rtattr *device)
{
	char address[FB_ADDRESS_SIZE], name[IFNAMSIZ] = "";

	fb_address_format(route, address);
	if (device)
		(void)if_indextoname(*(const unsigned *)RTA_DATA(device), name);
	snprintf(clash->route, clash->size, "%s/%u%s%s", address, route->prefix, *name ? " dev " : "", name);
}

static int take_route(void *context, const struct nlmsghdr *header)
{
	const struct clash *clash = context;
	const struct rtmsg *body = NLMSG_DATA(header);
	struct fb_address route = {.family = clash->subnet->family};
	size_t size = route.family == AF_INET ? sizeof(route.v4) : sizeof(route.v6), length = RTM_PAYLOAD(header);
	const struct rtattr *at;

	if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len < NLMSG_LENGTH(sizeof(*body)) || body->rtm_table != RT_TABLE_MAIN ||
	    body->rtm_family != route.family || !body->rtm_dst_len || body->rtm_type == RTN_MULTICAST || body->rtm_flags & RTM_F_CLONED)
		return 0;
	at = find(RTM_RTA(body), length, RTA_DST);
	if (!at || RTA_PAYLOAD(at) != size)
		return 0;
	memcpy(&route.v4, RTA_DATA(at), size);
	route.prefix = body->rtm_dst_len;
	if (!fb_address_shares(&route, clash->subnet, route.prefix < clash->subnet->prefix ? route.prefix : clash->subnet->prefix))
		return 0;
	show(clash, &route, find(RTM_RTA(body), length, RTA_OIF));
	return 1;
}

int fb_route_clash(const struct fb_address *subnet, char *ret_route, size_t size, struct fb_error *err)
{
	static const int on = 1;
	struct rtmsg body = {.rtm_family = (unsigned char)subnet->family, .rtm_table = RT_TABLE_MAIN};
	struct clash clash = {subnet, ret_route, size};
	struct fb_netlink nl;
	int r = fb_netlink_open(&nl, err);

	*ret_route = '\0';
	if (r == 0) {
		/* Each address has up to three routes of the local table: from 4.20 on the kernel leaves them out itself. */
		(void)setsockopt(nl.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
		fb_netlink_message(&nl, RTM_GETROUTE, NLM_F_DUMP, &body, sizeof(body), "route get", NULL);
		r = fb_netlink_ask(&nl, take_route, &clash, err);
	}
	fb_netlink_close(&nl);
	return r < 0 ? r : 0;
}
