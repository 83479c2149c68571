/* Conversations with nf_tables over nfnetlink: transactions and questions. */
#include "nft_batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

void fb_nft_batch_free(struct fb_nft_batch *batch)
{
	free(batch->data);
	*batch = (struct fb_nft_batch){0};
}

/* Room for this much, zeroed; offsets stay right when the memory moves, pointers do not. */
static void *grow(struct fb_nft_batch *batch, size_t size)
{
	size_t padded = NLMSG_ALIGN(size);
	char *at;

	if (batch->failed)
		return NULL;
	if (batch->length + padded > batch->capacity) {
		size_t capacity = (batch->length + padded) * 2 < 4096 ? 4096 : (batch->length + padded) * 2;
		char *data = realloc(batch->data, capacity);

		if (!data) {
			batch->failed = true;
			return NULL;
		}
		batch->data = data, batch->capacity = capacity;
	}
	at = batch->data + batch->length;
	memset(at, 0, padded);
	batch->length += padded;
	return at;
}

static struct nlmsghdr *last(const struct fb_nft_batch *batch)
{
	return (struct nlmsghdr *)(void *)(batch->data + batch->message);
}

static void begin(struct fb_nft_batch *batch, int type, int flags, int family, uint32_t sequence, int resource)
{
	size_t at = batch->length;
	char *data = grow(batch, NLMSG_HDRLEN + sizeof(struct nfgenmsg));
	struct nfgenmsg body = {.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0, .res_id = htons((uint16_t)resource)};
	struct nlmsghdr header = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + sizeof(body)), .nlmsg_type = (uint16_t)type,
				  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = sequence};

	if (!data)
		return;
	batch->message = at;
	memcpy(data, &header, sizeof(header));
	memcpy(data + NLMSG_HDRLEN, &body, sizeof(body));
}

void fb_nft_open(struct fb_nft_batch *batch, uint32_t generation)
{
	batch->length = 0, batch->sequence = 0;
	begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, 0, NFNL_SUBSYS_NFTABLES);
	if (generation)
		fb_nft_put_number(batch, NFNL_BATCH_GENID, generation);
}

void fb_nft_message(struct fb_nft_batch *batch, int type, int flags, int family)
{
	begin(batch, NFNL_SUBSYS_NFTABLES << 8 | type, flags, family, ++batch->sequence, 0);
}

void fb_nft_conntrack_message(struct fb_nft_batch *batch, int type, int flags, int family)
{
	begin(batch, NFNL_SUBSYS_CTNETLINK << 8 | type, flags, family, ++batch->sequence, 0);
}

static void put(struct fb_nft_batch *batch, int type, const void *data, size_t length)
{
	struct nlattr attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = (uint16_t)type};
	char *at = grow(batch, NLA_HDRLEN + length);

	if (!at)
		return;
	memcpy(at, &attribute, sizeof(attribute));
	if (length)
		memcpy(at + NLA_HDRLEN, data, length);
	last(batch)->nlmsg_len = (uint32_t)(batch->length - batch->message);
}

void fb_nft_put(struct fb_nft_batch *batch, int type, const void *data, size_t length)
{
	put(batch, type, data, length);
}

void fb_nft_put_text(struct fb_nft_batch *batch, int type, const char *text)
{
	put(batch, type, text, strlen(text) + 1);
}

void fb_nft_put_number(struct fb_nft_batch *batch, int type, uint32_t value)
{
	uint32_t number = htonl(value);

	put(batch, type, &number, sizeof(number));
}

size_t fb_nft_nest(struct fb_nft_batch *batch, int type)
{
	size_t at = batch->length;

	put(batch, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void fb_nft_end(struct fb_nft_batch *batch, size_t nest)
{
	uint16_t length = (uint16_t)(batch->length - nest);

	if (!batch->failed)
		memcpy(batch->data + nest, &length, sizeof(length)); /* nla_len is the first member */
}

/* ---- the other side ---- */

/* Closing a socket of nfnetlink's waits until the kernel has freed what was deleted lately, by anybody: some 15 ms. So a process keeps
 * one, of the namespace that it was in last, and never shares it: neither with another thread nor with what was forked off. */
static struct kept {
	int fd; /* plus one: 0 is none */
	pid_t owner;
	ino_t namespace;
} kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

/* An exchange, so that no thread waits for another's conversation. */
static struct kept swap(struct kept with)
{
	struct kept was;

	pthread_mutex_lock(&kept_lock);
	was = kept, kept = with;
	pthread_mutex_unlock(&kept_lock);
	return was;
}

static ino_t namespace(void)
{
	struct stat status;

	return stat("/proc/thread-self/ns/net", &status) < 0 ? 0 : status.st_ino;
}

static int open_socket(void)
{
	fb_auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int on = 1;

	if (fd < 0)
		return -errno;
	/* Errors need not bring back the message that they are about. */
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fb_steal_fd(&fd);
}

/* A socket of this namespace: the kept one if there is one. */
static struct kept take(bool keep)
{
	struct kept mine = {.owner = getpid(), .namespace = keep ? namespace() : 0}, was = {0};

	if (mine.namespace) {
		was = swap(was);
		if (was.fd && was.owner == mine.owner && was.namespace == mine.namespace)
			return was;
		if (was.fd)
			close(was.fd - 1);
	}
	mine.fd = open_socket() + 1;
	return mine;
}

static void give(struct kept mine)
{
	if (mine.fd > 0 && mine.namespace)
		mine = swap(mine);
	if (mine.fd > 0)
		close(mine.fd - 1);
}

static int say(int fd, const struct fb_nft_batch *batch)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int size = (int)batch->length + 4096;

	if (batch->length > 64 << 10) /* a message must fit into the buffer at once */
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return sendto(fd, batch->data, batch->length, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0 ? -errno : 0;
}

static const char *const messages[NFT_MSG_MAX] = {
	[NFT_MSG_NEWTABLE] = "nftables add table",	[NFT_MSG_DELTABLE] = "nftables delete table",
	[NFT_MSG_NEWCHAIN] = "nftables add chain",	[NFT_MSG_DELCHAIN] = "nftables delete chain",
	[NFT_MSG_NEWRULE] = "nftables add rule",	[NFT_MSG_DELRULE] = "nftables delete rule",
	[NFT_MSG_NEWSET] = "nftables add set",		[NFT_MSG_DELSET] = "nftables delete set",
	[NFT_MSG_NEWSETELEM] = "nftables add element", [NFT_MSG_DELSETELEM] = "nftables delete element",
};

static const struct nlattr *find(const char *at, size_t length, int type)
{
	while (length >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)at;
		size_t step = NLA_ALIGN(attribute->nla_len);

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > length)
			return NULL;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
		if (step >= length)
			return NULL;
		at += step, length -= step;
	}
	return NULL;
}

const struct nlattr *fb_nft_attribute(const struct nlmsghdr *answer, int type)
{
	size_t header = NLMSG_HDRLEN + sizeof(struct nfgenmsg);

	if (answer->nlmsg_len < header)
		return NULL;
	return find((const char *)answer + header, answer->nlmsg_len - header, type);
}

const struct nlattr *fb_nft_within(const struct nlattr *nest, int type)
{
	return nest ? find((const char *)nest + NLA_HDRLEN, nest->nla_len - (size_t)NLA_HDRLEN, type) : NULL;
}

uint32_t fb_nft_number(const struct nlattr *attribute, uint32_t otherwise)
{
	uint32_t value;

	if (!attribute || attribute->nla_len < NLA_HDRLEN + sizeof(value))
		return otherwise;
	memcpy(&value, (const char *)attribute + NLA_HDRLEN, sizeof(value));
	return ntohl(value);
}

/* "inet fastbox publish4": what the message of this number was about. Its first attribute is the table, the name comes later. */
static int refused(const struct fb_nft_batch *batch, uint32_t sequence, int code, struct fb_error *err)
{
	const struct nlmsghdr *header = NULL;
	const struct nlattr *table, *name;
	const char *call = "nftables";
	char about[160] = "transaction";

	for (size_t at = 0; sequence && at < batch->length; at += NLMSG_ALIGN(header->nlmsg_len)) {
		header = (const void *)(batch->data + at);
		if (header->nlmsg_seq == sequence)
			break;
	}
	if (header) {
		int type = header->nlmsg_type & 0xff, family = ((const struct nfgenmsg *)NLMSG_DATA(header))->nfgen_family;
		bool chain = type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN;

		table = fb_nft_attribute(header, NFTA_SET_TABLE);
		name = fb_nft_attribute(header, chain ? NFTA_CHAIN_NAME : NFTA_SET_NAME);
		if (type == NFT_MSG_NEWTABLE || type == NFT_MSG_DELTABLE)
			name = NULL;
		if (type < NFT_MSG_MAX && messages[type])
			call = messages[type];
		snprintf(about, sizeof(about), "%s %s %s", family == NFPROTO_BRIDGE ? "bridge" : family == NFPROTO_INET ? "inet" : "ip",
			 table ? (const char *)table + NLA_HDRLEN : "", name ? (const char *)name + NLA_HDRLEN : "");
	}
	return FB_FAIL_CODE(err, FB_STAGE_NETWORK, code, call, about, NULL);
}

/* All answers are there when the sending has returned, so nothing is waited for; all are read, since the socket is used again. A batch's
 * commit can fail after its messages: then the error has the number of its beginning. */
static int outcome(int fd, const struct fb_nft_batch *batch, struct fb_error *err)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	bool done = false, bad = false;
	uint32_t sequence = 0;
	int code = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == ENOBUFS)) /* more errors than fit: the first is what counts */
			continue;
		if (n < 0)
			break;
		for (const struct nlmsghdr *at = (const void *)answer; NLMSG_OK(at, (size_t)n); at = NLMSG_NEXT(at, n)) {
			const struct nlmsgerr *error = NLMSG_DATA(at);

			if (bad || at->nlmsg_type != NLMSG_ERROR || at->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
				continue;
			bad = error->error != 0;
			if (bad)
				code = -error->error, sequence = at->nlmsg_seq;
			done |= at->nlmsg_seq == batch->sequence;
		}
	}
	if (bad)
		return refused(batch, sequence, code, err);
	return done ? 0 : FB_FAIL_CODE(err, FB_STAGE_NETWORK, EPROTO, "nftables", "transaction", "not acknowledged");
}

static int commit(struct fb_nft_batch *batch, bool keep, struct fb_error *err)
{
	struct kept with;
	int rc;

	if (!batch->failed)
		last(batch)->nlmsg_flags |= NLM_F_ACK;
	begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, batch->sequence + 1, NFNL_SUBSYS_NFTABLES);
	if (batch->failed)
		return FB_FAIL_CODE(err, FB_STAGE_NETWORK, ENOMEM, "malloc", "nftables", NULL);
	with = take(keep);
	rc = with.fd > 0 ? say(with.fd - 1, batch) : with.fd - 1;
	if (rc < 0)
		rc = FB_FAIL_CODE(err, FB_STAGE_NETWORK, -rc, "sendto", "nftables", NULL);
	else
		rc = outcome(with.fd - 1, batch, err);
	give(with);
	batch->length = 0, batch->sequence = 0;
	return rc;
}

int fb_nft_commit(struct fb_nft_batch *batch, struct fb_error *err)
{
	return commit(batch, true, err);
}

int fb_nft_commit_once(struct fb_nft_batch *batch, struct fb_error *err)
{
	return commit(batch, false, err);
}

/* Answers until all questions have had theirs; what comes after one that ended it is read and not told. */
static int answers(int fd, uint32_t asked, fb_nft_answer *each, void *to)
{
	_Alignas(struct nlmsghdr) char answer[32 << 10];
	int rc = 0;
	ssize_t n;

	for (uint32_t answered = 0; answered < asked;) {
		n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (const struct nlmsghdr *at = (const void *)answer; NLMSG_OK(at, (size_t)n); at = NLMSG_NEXT(at, n)) {
			if (!rc && at->nlmsg_type == NLMSG_ERROR)
				rc = ((const struct nlmsgerr *)NLMSG_DATA(at))->error;
			else if (!rc && at->nlmsg_type != NLMSG_DONE)
				rc = each(at, to);
			answered += !(at->nlmsg_flags & NLM_F_MULTI) || at->nlmsg_type == NLMSG_DONE;
		}
	}
	return rc;
}

int fb_nft_ask(struct fb_nft_batch *batch, fb_nft_answer *each, void *to)
{
	uint32_t asked = batch->sequence;
	struct kept with;
	int rc;

	if (batch->failed)
		return -ENOMEM;
	with = take(true);
	rc = with.fd > 0 ? say(with.fd - 1, batch) : with.fd - 1;
	batch->length = 0, batch->sequence = 0;
	if (rc == 0)
		rc = answers(with.fd - 1, asked, each, to);
	give(with);
	return rc;
}
