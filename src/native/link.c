#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cleanup.h"

#define BATCH_FULL (FB_NETLINK_MESSAGES - 24) /* the messages of one endpoint, of FB_NETWORK_ADDRESSES addresses, still fit */

unsigned fb_link_index(int socket, const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	/* Any socket answers this for its namespace, one of netlink too. */
	return ioctl(socket, SIOCGIFINDEX, &request) < 0 ? 0 : (unsigned)request.ifr_ifindex;
}

int fb_link_setting(const char *family, const char *name, const char *key, const char *value)
{
	char path[128];
	fb_auto_close int fd = -1;
	size_t length = strlen(value);

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, value, length) == (ssize_t)length ? 0 : -errno;
}

bool fb_address_shares(const struct fb_address *one, const struct fb_address *other, unsigned bits)
{
	const unsigned char *a = (const void *)&one->v4, *b = (const void *)&other->v4;
	unsigned left = bits % 8;

	if (one->family != other->family || memcmp(a, b, bits / 8) != 0)
		return false;
	return !left || ((a[bits / 8] ^ b[bits / 8]) & (0xff << (8 - left)) & 0xff) == 0;
}

static size_t address_size(const struct fb_address *address)
{
	return address->family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

void fb_link_up(struct fb_netlink *nl, unsigned index, const char *name)
{
	struct ifinfomsg info = {.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	fb_netlink_message(nl, RTM_NEWLINK, 0, &info, sizeof(info), "link up", name);
}

void fb_link_delete(struct fb_netlink *nl, const char *name)
{
	struct ifinfomsg info = {0};

	fb_netlink_message(nl, RTM_DELLINK, 0, &info, sizeof(info), "link delete", name);
	fb_netlink_put_text(nl, IFLA_IFNAME, name);
}

void fb_link_address(struct fb_netlink *nl, unsigned index, const struct fb_address *address, int flags, const char *name)
{
	struct ifaddrmsg body = {.ifa_family = (unsigned char)address->family, .ifa_prefixlen = address->prefix,
				 .ifa_index = index};

	/* Nobody else has it: the lease says so. Without a look around it can be used at once. */
	if (address->family == AF_INET6)
		body.ifa_flags = IFA_F_NODAD;
	fb_netlink_message(nl, RTM_NEWADDR, NLM_F_CREATE | flags, &body, sizeof(body), "address add", name);
	fb_netlink_put(nl, IFA_LOCAL, &address->v4, address_size(address));
	fb_netlink_put(nl, IFA_ADDRESS, &address->v4, address_size(address));
	if (address->family == AF_INET && address->prefix < 31)
		fb_netlink_put_u32(nl, IFA_BROADCAST, address->v4.s_addr | htonl(0xffffffffU >> address->prefix));
}

static bool is_reached(const struct fb_endpoint *endpoint, const struct fb_address *gateway)
{
	for (size_t i = 0; i < endpoint->address_count; i++)
		if (fb_address_shares(&endpoint->addresses[i], gateway, endpoint->addresses[i].family == gateway->family ?
										    endpoint->addresses[i].prefix : 0))
			return true;
	return false;
}

/* Without a gateway's address (0.0.0.0, ::) everything is on the link itself, as on ipvlan's l3. */
static void put_route(struct fb_netlink *nl, unsigned index, const struct fb_endpoint *endpoint,
		      const struct fb_address *gateway)
{
	static const struct in6_addr none = {0};
	bool direct = memcmp(&gateway->v6, &none, address_size(gateway)) == 0;
	struct rtmsg body = {.rtm_family = (unsigned char)gateway->family, .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST,
			     .rtm_scope = direct && gateway->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE};

	if (!direct && !is_reached(endpoint, gateway))
		body.rtm_flags = RTNH_F_ONLINK;
	fb_netlink_message(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body), "route add", endpoint->name);
	if (!direct)
		fb_netlink_put(nl, RTA_GATEWAY, &gateway->v4, address_size(gateway));
	fb_netlink_put_u32(nl, RTA_OIF, index);
}

/* What both ends of a veth have. One queue is enough for who does not receive by NAPI, and each more costs entries of sysfs. */
static void put_common(struct fb_netlink *nl, const char *name, const struct fb_endpoint *endpoint)
{
	fb_netlink_put_text(nl, IFLA_IFNAME, name);
	if (endpoint->mtu)
		fb_netlink_put_u32(nl, IFLA_MTU, endpoint->mtu);
	if (endpoint->kind == FB_LINK_VETH && !endpoint->napi) {
		fb_netlink_put_u32(nl, IFLA_NUM_TX_QUEUES, 1);
		fb_netlink_put_u32(nl, IFLA_NUM_RX_QUEUES, 1);
	}
}

static void put_inner(struct fb_netlink *nl, int network_namespace, const struct fb_endpoint *endpoint)
{
	put_common(nl, endpoint->name, endpoint);
	if (endpoint->has_mac)
		fb_netlink_put(nl, IFLA_ADDRESS, endpoint->mac, sizeof(endpoint->mac));
	fb_netlink_put_u32(nl, IFLA_NET_NS_FD, (uint32_t)network_namespace);
}

/* The end that stays is a port at once, and up: while the other end is down that means nothing yet. */
static void put_veth(struct fb_netlink *nl, unsigned bridge, int network_namespace, const struct fb_endpoint *endpoint)
{
	struct ifinfomsg info = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, peer = {0};
	size_t link, data, other;

	fb_netlink_message(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info), "link add veth", endpoint->host);
	put_common(nl, endpoint->host, endpoint);
	fb_netlink_put_u32(nl, IFLA_MASTER, bridge);
	link = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_KIND, "veth");
	data = fb_netlink_nest(nl, IFLA_INFO_DATA, NULL, 0);
	other = fb_netlink_nest(nl, VETH_INFO_PEER, &peer, sizeof(peer));
	put_inner(nl, network_namespace, endpoint);
	fb_netlink_nest_end(nl, other);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, link);
}

/* Settings of a port are not taken by the message that makes it. A packet may go back where it came from, since with br_netfilter a container
 * that calls itself by its published port is bridged. */
static void put_port(struct fb_netlink *nl, const struct fb_endpoint *endpoint)
{
	struct ifinfomsg info = {0};
	size_t nest, data;

	fb_netlink_message(nl, RTM_NEWLINK, 0, &info, sizeof(info), "link set bridge port", endpoint->host);
	fb_netlink_put_text(nl, IFLA_IFNAME, endpoint->host);
	nest = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_SLAVE_KIND, "bridge");
	data = fb_netlink_nest(nl, IFLA_INFO_SLAVE_DATA, NULL, 0);
	fb_netlink_put_u8(nl, IFLA_BRPORT_MODE, 1);
	if (endpoint->isolated)
		fb_netlink_put_u8(nl, IFLA_BRPORT_ISOLATED, 1);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, nest);
	/* A port has no address of its own, which would only announce itself. A message by itself: without IPv6 the kernel refuses it. */
	fb_netlink_message(nl, RTM_NEWLINK, 0, &info, sizeof(info), "link set", endpoint->host);
	fb_netlink_put_text(nl, IFLA_IFNAME, endpoint->host);
	nest = fb_netlink_nest(nl, IFLA_AF_SPEC, NULL, 0);
	data = fb_netlink_nest(nl, AF_INET6, NULL, 0);
	fb_netlink_put_u8(nl, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, nest);
}

/* The bridge need not learn by flooding where it is, nor does it from a last life of the same address, which may still be ending on another port
 * and answer: the entry sticks to this port (5.0), and goes with it. No other container can take it over either. */
static void put_place(struct fb_netlink *nl, const struct fb_endpoint *endpoint)
{
	struct ndmsg body = {.ndm_family = AF_BRIDGE, .ndm_ifindex = (int)fb_link_index(nl->fd, endpoint->host),
			     .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER | NTF_STICKY};

	fb_netlink_message(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body), "bridge entry add", endpoint->host);
	fb_netlink_put(nl, NDA_LLADDR, endpoint->mac, sizeof(endpoint->mac));
}

static const struct mode {
	enum fb_link_kind kind;
	const char *name;
	uint32_t value;
} modes[] = {
	{FB_LINK_MACVLAN, "", MACVLAN_MODE_BRIDGE},	   {FB_LINK_MACVLAN, "bridge", MACVLAN_MODE_BRIDGE},
	{FB_LINK_MACVLAN, "private", MACVLAN_MODE_PRIVATE}, {FB_LINK_MACVLAN, "vepa", MACVLAN_MODE_VEPA},
	{FB_LINK_MACVLAN, "passthru", MACVLAN_MODE_PASSTHRU}, {FB_LINK_IPVLAN, "", IPVLAN_MODE_L2},
	{FB_LINK_IPVLAN, "l2", IPVLAN_MODE_L2},		   {FB_LINK_IPVLAN, "l3", IPVLAN_MODE_L3},
	{FB_LINK_IPVLAN, "l3s", IPVLAN_MODE_L3S},
};

static int mode_of(const struct fb_endpoint *endpoint, uint32_t *ret_value, struct fb_error *err)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (modes[i].kind == endpoint->kind && strcmp(modes[i].name, endpoint->mode) == 0) {
			*ret_value = modes[i].value;
			return 0;
		}
	return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EINVAL, "link add", endpoint->link, "unknown mode");
}

/* Born where it belongs: its name is the container's alone. */
static int put_vlan(struct fb_netlink *nl, unsigned parent, int network_namespace, const struct fb_endpoint *endpoint,
		    struct fb_error *err)
{
	bool macvlan = endpoint->kind == FB_LINK_MACVLAN;
	struct ifinfomsg info = {0};
	size_t link, data;
	uint32_t mode = 0;
	int r = mode_of(endpoint, &mode, err);

	if (r < 0)
		return r;
	fb_netlink_message(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info),
			   macvlan ? "link add macvlan" : "link add ipvlan", endpoint->link);
	put_inner(nl, network_namespace, endpoint);
	fb_netlink_put_u32(nl, IFLA_LINK, parent);
	link = fb_netlink_nest(nl, IFLA_LINKINFO, NULL, 0);
	fb_netlink_put_text(nl, IFLA_INFO_KIND, macvlan ? "macvlan" : "ipvlan");
	data = fb_netlink_nest(nl, IFLA_INFO_DATA, NULL, 0);
	if (macvlan)
		fb_netlink_put_u32(nl, IFLA_MACVLAN_MODE, mode);
	else
		fb_netlink_put_u16(nl, IFLA_IPVLAN_MODE, (uint16_t)mode);
	fb_netlink_nest_end(nl, data);
	fb_netlink_nest_end(nl, link);
	return 0;
}

static int flush(struct fb_netlink *nl, size_t most, struct fb_error *err)
{
	return nl->count > most ? fb_netlink_send(nl, EAFNOSUPPORT, err) : 0;
}

/* Its namespace is ending, and the link with it, but that takes the kernel tens of milliseconds: only its name is needed. One that is up can't be
 * renamed before Linux 6.2; one that has gone meanwhile is what was wanted. */
static int move_last_life(struct fb_netlink *host, const struct fb_endpoint *endpoint, struct fb_error *err)
{
	struct ifinfomsg info = {.ifi_index = (int)fb_link_index(host->fd, endpoint->host)};
	int r;

	if (!info.ifi_index)
		return 0;
	/* The kernel chooses the number. */
	fb_netlink_message(host, RTM_NEWLINK, 0, &info, sizeof(info), "link rename", endpoint->host);
	fb_netlink_put_text(host, IFLA_IFNAME, "fbx%d");
	r = fb_netlink_send(host, ENODEV, NULL);
	if (r == 0)
		return 0;
	fb_link_delete(host, endpoint->host);
	return fb_netlink_send(host, ENODEV, err);
}

static int make(struct fb_netlink *host, int network_namespace, const struct fb_endpoint *endpoint, bool again,
		struct fb_error *err)
{
	unsigned other = fb_link_index(host->fd, endpoint->link);
	int r = 0;

	if (!other)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENODEV, "link add", endpoint->link,
				    endpoint->kind == FB_LINK_VETH ? "the network's bridge is missing" : "the parent is missing");
	if (endpoint->kind != FB_LINK_VETH)
		return put_vlan(host, other, network_namespace, endpoint, err);
	if (again)
		r = flush(host, 0, err);
	if (r == 0 && again)
		r = move_last_life(host, endpoint, err);
	if (r == 0) {
		put_veth(host, other, network_namespace, endpoint);
		put_port(host, endpoint);
	}
	return r;
}

/* A veth end that has NAPI takes packets from a queue of its own; GRO is what switches that on, while it is down. */
static int receive_by_napi(int socket, const struct fb_endpoint *endpoint, struct fb_error *err)
{
	struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 1};
	struct ifreq request = {.ifr_data = (void *)&value};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", endpoint->name);
	return ioctl(socket, SIOCETHTOOL, &request) < 0 ? FB_FAIL(err, FB_STAGE_NETWORK, "ioctl(SIOCETHTOOL)", endpoint->name) : 0;
}

/* Without an address of the family the interface has none of it, as docker has it. The setting that says so costs the more the more namespaces
 * there are, when it is opened in a procfs that all of them are seen in: a container's own process sets it in its own procfs, and until then no
 * address is made up. */
static int leave_out_ipv6(struct fb_netlink *inside, unsigned index, const struct fb_endpoint *endpoint, bool fresh, struct fb_error *err)
{
	struct ifinfomsg info = {.ifi_index = (int)index};
	size_t nest, inner;
	int r;

	if (!fresh) {
		r = fb_link_setting("ipv6", endpoint->name, "disable_ipv6", "1");
		/* A kernel without IPv6 has no such file. */
		return r == 0 || r == -ENOENT ? 0 : FB_FAIL_CODE(err, FB_STAGE_NETWORK, -r, "write", "disable_ipv6", NULL);
	}
	fb_netlink_message(inside, RTM_NEWLINK, 0, &info, sizeof(info), "link set", endpoint->name);
	nest = fb_netlink_nest(inside, IFLA_AF_SPEC, NULL, 0);
	inner = fb_netlink_nest(inside, AF_INET6, NULL, 0);
	fb_netlink_put_u8(inside, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	fb_netlink_nest_end(inside, inner);
	fb_netlink_nest_end(inside, nest);
	return 0;
}

bool fb_endpoint_has_ipv6(const struct fb_endpoint *endpoint)
{
	bool has = false;

	for (size_t i = 0; i < endpoint->address_count; i++)
		has |= endpoint->addresses[i].family == AF_INET6;
	return has;
}

static int furnish(struct fb_netlink *inside, const struct fb_endpoint *endpoint, bool fresh, struct fb_error *err)
{
	unsigned index = fb_link_index(inside->fd, endpoint->name);
	int r = 0;

	if (!index)
		return FB_FAIL(err, FB_STAGE_NETWORK, "ioctl(SIOCGIFINDEX)", endpoint->name);
	if (endpoint->napi && endpoint->kind == FB_LINK_VETH)
		r = receive_by_napi(inside->fd, endpoint, err);
	if (r == 0 && !fb_endpoint_has_ipv6(endpoint))
		r = leave_out_ipv6(inside, index, endpoint, fresh, err);
	if (r < 0)
		return r;
	fb_link_up(inside, index, endpoint->name);
	for (size_t i = 0; i < endpoint->address_count; i++)
		fb_link_address(inside, index, &endpoint->addresses[i], NLM_F_EXCL, endpoint->name);
	for (size_t i = 0; i < 2; i++)
		if (endpoint->gateways[i].family)
			put_route(inside, index, endpoint, &endpoint->gateways[i]);
	return 0;
}

int fb_links_make(struct fb_netlink *host, struct fb_netlink *inside, int network_namespace,
		  const struct fb_endpoint *endpoints, size_t count, bool again, bool fresh, struct fb_error *err)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = make(host, network_namespace, &endpoints[i], again, err);
		if (r == 0)
			r = flush(host, BATCH_FULL, err);
	}
	if (r == 0)
		r = flush(host, 0, err);
	for (size_t i = 0; i < count && r == 0; i++) {
		if (endpoints[i].kind == FB_LINK_VETH && endpoints[i].has_mac)
			put_place(host, &endpoints[i]);
		r = flush(host, i + 1 < count ? BATCH_FULL : 0, err);
	}
	if (r == 0 && fresh)
		fb_link_up(inside, 1, "lo");
	for (size_t i = 0; i < count && r == 0; i++) {
		r = furnish(inside, &endpoints[i], fresh, err);
		if (r == 0)
			r = flush(inside, BATCH_FULL, err);
	}
	return r == 0 ? flush(inside, 0, err) : r;
}

/* By the host's end, whose name nobody in the container can change. */
int fb_link_remove(struct fb_netlink *host, struct fb_netlink *inside, const struct fb_endpoint *endpoint, struct fb_error *err)
{
	struct fb_netlink *nl = endpoint->kind == FB_LINK_VETH ? host : inside;

	fb_link_delete(nl, endpoint->kind == FB_LINK_VETH ? endpoint->host : endpoint->name);
	return fb_netlink_send(nl, ENODEV, err);
}
