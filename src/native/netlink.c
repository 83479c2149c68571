#include "netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"

#define ANSWER_BYTES ((size_t)32768) /* what the kernel takes for a dump's pieces */
#define NLA_AT(nl, at) ((struct nlattr *)(void *)((nl)->data + (at)))

int fb_netlink_open(struct fb_netlink *nl, struct fb_error *err)
{
	static const int on = 1;

	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	nl->first = 1;
	nl->length = nl->count = 0;
	nl->full = false;
	if (nl->fd < 0)
		return FB_FAIL(err, FB_STAGE_NETWORK, "socket", "rtnetlink");
	/* An error's words (4.12), and not the whole message again; without them it is known by its number. */
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

void fb_netlink_close(struct fb_netlink *nl)
{
	fb_cleanup_fd(&nl->fd);
}

static struct nlmsghdr *last_message(struct fb_netlink *nl)
{
	char *at = nl->data;

	for (size_t i = 1; i < nl->count; i++)
		at += NLMSG_ALIGN(((struct nlmsghdr *)(void *)at)->nlmsg_len);
	return (void *)at;
}

/* Room for `size` bytes at the end, zeroed up to the alignment; NULL when there is none. */
static void *grow(struct fb_netlink *nl, size_t size)
{
	size_t room = NLMSG_ALIGN(size);
	char *at = nl->data + nl->length;

	if (nl->full || room > sizeof(nl->data) - nl->length) {
		nl->full = true;
		return NULL;
	}
	memset(at, 0, room);
	nl->length += room;
	return at;
}

void fb_netlink_message(struct fb_netlink *nl, int type, int flags, const void *body, size_t size, const char *call,
			const char *path)
{
	struct nlmsghdr *header = NULL;

	if (nl->count < FB_NETLINK_MESSAGES)
		header = grow(nl, NLMSG_SPACE(size));
	if (!header) {
		nl->full = true;
		return;
	}
	*header = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = (uint16_t)type,
				    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
				    .nlmsg_seq = nl->first + (uint32_t)nl->count};
	memcpy(NLMSG_DATA(header), body, size);
	nl->about[nl->count++] = (struct fb_netlink_about){call, path};
}

void fb_netlink_put(struct fb_netlink *nl, int type, const void *data, size_t size)
{
	struct nlattr *attribute = nl->count ? grow(nl, NLA_HDRLEN + size) : NULL;

	if (!attribute) {
		nl->full = true;
		return;
	}
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
	attribute->nla_type = (uint16_t)type;
	if (size)
		memcpy((char *)attribute + NLA_HDRLEN, data, size);
	last_message(nl)->nlmsg_len = (uint32_t)(nl->data + nl->length - (char *)last_message(nl));
}

void fb_netlink_put_u8(struct fb_netlink *nl, int type, uint8_t value)
{
	fb_netlink_put(nl, type, &value, sizeof(value));
}

void fb_netlink_put_u16(struct fb_netlink *nl, int type, uint16_t value)
{
	fb_netlink_put(nl, type, &value, sizeof(value));
}

void fb_netlink_put_u32(struct fb_netlink *nl, int type, uint32_t value)
{
	fb_netlink_put(nl, type, &value, sizeof(value));
}

void fb_netlink_put_text(struct fb_netlink *nl, int type, const char *text)
{
	fb_netlink_put(nl, type, text, strlen(text) + 1);
}

size_t fb_netlink_nest(struct fb_netlink *nl, int type, const void *body, size_t size)
{
	size_t at = nl->length;

	fb_netlink_put(nl, type | NLA_F_NESTED, body, size);
	return at;
}

void fb_netlink_nest_end(struct fb_netlink *nl, size_t nest)
{
	if (!nl->full)
		NLA_AT(nl, nest)->nla_len = (uint16_t)(nl->length - nest);
}

/* The kernel's own words, behind the error and as much of the message as it gives back. */
static const char *words_of(const struct nlmsghdr *header)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(*error));

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		at += NLMSG_ALIGN(error->msg.nlmsg_len - NLMSG_HDRLEN);
	while (at + NLA_HDRLEN <= header->nlmsg_len) {
		const struct nlattr *attribute = (const void *)((const char *)header + at);
		const char *text = (const char *)attribute + NLA_HDRLEN;

		if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > header->nlmsg_len)
			break;
		if (attribute->nla_type == NLMSGERR_ATTR_MSG &&
		    strnlen(text, attribute->nla_len - NLA_HDRLEN) < (size_t)attribute->nla_len - NLA_HDRLEN)
			return text;
		at += NLA_ALIGN(attribute->nla_len);
	}
	return NULL;
}

static int transmit(struct fb_netlink *nl, struct fb_error *err)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec iov = {nl->data, nl->length};
	struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nl->full)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, EMSGSIZE, "sendmsg", "rtnetlink", "the batch is too large");
	do
		n = sendmsg(nl->fd, &message, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? FB_FAIL(err, FB_STAGE_NETWORK, "sendmsg", "rtnetlink") : 0;
}

static ssize_t receive(const struct fb_netlink *nl, void *answer, struct fb_error *err)
{
	ssize_t n;

	do
		n = recv(nl->fd, answer, ANSWER_BYTES, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? FB_FAIL(err, FB_STAGE_NETWORK, "recv", "rtnetlink") : n;
}

/* What is read and sent, and what became of it. */
struct reading {
	struct fb_netlink *nl;
	int forgiven, result;
	int (*take)(void *context, const struct nlmsghdr *message);
	void *context;
	bool over, failed;
	struct fb_error *err;
};

static void read_error(struct reading *reading, const struct nlmsghdr *header)
{
	const struct fb_netlink *nl = reading->nl;
	const struct nlmsgerr *error = NLMSG_DATA(header);
	size_t index = header->nlmsg_seq - nl->first;

	reading->over = index + 1 == nl->count;
	if (error->error == 0 || error->error == -reading->forgiven || reading->failed)
		return;
	reading->failed = true;
	reading->result = FB_FAIL_CODE(reading->err, FB_STAGE_NETWORK, -error->error, nl->about[index].call,
				       nl->about[index].path, words_of(header));
}

static void read_message(struct reading *reading, const struct nlmsghdr *header)
{
	if (header->nlmsg_seq - reading->nl->first >= reading->nl->count)
		return; /* of a batch before, whose answers nobody wanted any more */
	if (header->nlmsg_type == NLMSG_ERROR && header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
		read_error(reading, header);
	} else if (header->nlmsg_type == NLMSG_DONE) {
		reading->over = true;
	} else if (reading->take) {
		if (reading->result == 0)
			reading->result = reading->take(reading->context, header);
		reading->over |= !(header->nlmsg_flags & NLM_F_MULTI);
	}
}

static int converse(struct reading *reading)
{
	struct fb_netlink *nl = reading->nl;
	_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
	int r = transmit(nl, reading->err);

	while (r == 0 && !reading->over) {
		ssize_t length = receive(nl, answer, reading->err);

		if (length < 0)
			r = (int)length;
		for (const struct nlmsghdr *header = (void *)answer;
		     length > 0 && NLMSG_OK(header, (size_t)length) && !reading->over; header = NLMSG_NEXT(header, length))
			read_message(reading, header);
	}
	nl->first += (uint32_t)nl->count;
	nl->length = nl->count = 0;
	nl->full = false;
	return r < 0 ? r : reading->result;
}

int fb_netlink_send(struct fb_netlink *nl, int forgiven, struct fb_error *err)
{
	struct reading reading = {.nl = nl, .forgiven = forgiven, .err = err};

	if (!nl->count && !nl->full)
		return 0;
	/* Errors are told in any case, and answers come in order. */
	if (!nl->full)
		last_message(nl)->nlmsg_flags |= NLM_F_ACK;
	return converse(&reading);
}

int fb_netlink_ask(struct fb_netlink *nl, int (*take)(void *context, const struct nlmsghdr *message), void *context,
		   struct fb_error *err)
{
	struct reading reading = {.nl = nl, .take = take, .context = context, .err = err};

	return converse(&reading);
}
