/* Network features, each in a network namespace that ends with its process. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "probe.h"

struct message {
	_Alignas(struct nlmsghdr) char data[512];
	size_t length;
};

static struct nlmsghdr *begin(struct message *message, int type, int flags, const void *body, size_t size)
{
	struct nlmsghdr *header = (void *)(message->data + message->length);

	*header = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_SPACE(size), .nlmsg_type = (uint16_t)type,
				    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = 1};
	memcpy(NLMSG_DATA(header), body, size);
	message->length += NLMSG_SPACE(size);
	return header;
}

static struct rtattr *attribute(struct message *message, struct nlmsghdr *header, int type, const char *text)
{
	size_t size = text ? strlen(text) + 1 : 0;
	struct rtattr *at = (void *)(message->data + message->length);

	*at = (struct rtattr){.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = (unsigned short)type};
	if (text)
		memcpy(RTA_DATA(at), text, size);
	message->length += RTA_SPACE(size);
	header->nlmsg_len += (uint32_t)RTA_SPACE(size);
	return at;
}

/* Send all at once and take the first acknowledgement that says anything. */
static int converse(int protocol, const struct message *message)
{
	fb_auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	_Alignas(struct nlmsghdr) char answer[1024];
	const struct nlmsghdr *header = (const void *)answer;
	ssize_t n;

	if (fd < 0 || send(fd, message->data, message->length, 0) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(struct nlmsgerr)) || header->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

/* ip link add type KIND; the probe is called "net.KIND". */
static int add_link(const struct fb_probe_places *places, const char *name)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	struct message message = {.length = 0};
	struct nlmsghdr *header = begin(&message, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	struct rtattr *nest = attribute(&message, header, IFLA_LINKINFO, NULL);
	size_t before = message.length;

	(void)places;
	attribute(&message, header, IFLA_INFO_KIND, name + strlen("net."));
	nest->rta_len = (unsigned short)(nest->rta_len + message.length - before);
	return converse(NETLINK_ROUTE, &message);
}

/* nft add table inet fastbox: a transaction of one command. */
static int add_table(const struct fb_probe_places *places, const char *name)
{
	struct nfgenmsg all = {.version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
	struct nfgenmsg inet = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
	struct message message = {.length = 0};
	struct nlmsghdr *header;

	(void)places;
	(void)name;
	begin(&message, NFNL_MSG_BATCH_BEGIN, 0, &all, sizeof(all));
	header = begin(&message, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_ACK | NLM_F_CREATE, &inet, sizeof(inet));
	attribute(&message, header, NFTA_TABLE_NAME, "fastbox");
	begin(&message, NFNL_MSG_BATCH_END, 0, &all, sizeof(all));
	return converse(NETLINK_NETFILTER, &message);
}

static int loopback_up(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	(void)places;
	(void)name;
	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int open_tun(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	(void)places;
	(void)name;
	return fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : 0;
}

const struct fb_probe fb_net_probes[] = {
	{"net.loopback", CLONE_NEWNET, loopback_up},
	{"net.bridge", CLONE_NEWNET, add_link},
	{"net.veth", CLONE_NEWNET, add_link},
	{"net.nft", CLONE_NEWNET, add_table},
	{"net.tun", CLONE_NEWNET, open_tun},
	{NULL, 0, NULL},
};
