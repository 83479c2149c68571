/* rtnetlink in batches: messages are put together, sent by one call and answered by one acknowledgement, and an error names the message
 * that it is about.
 *
 * The kernel works on the messages in order, and goes on after one that fails: who sends a batch throws everything away when it failed.
 */
#ifndef FB_NETLINK_H
#define FB_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define FB_NETLINK_MESSAGES 64
#define FB_NETLINK_BYTES 16384

struct fb_netlink {
	int fd; /* a socket of the network namespace in which it was made; -1: none */
	uint32_t first; /* the number of the batch's first message */
	size_t length, count;
	bool full;
	struct fb_netlink_about { /* not copied: they outlive the batch */
		const char *call, *path;
	} about[FB_NETLINK_MESSAGES];
	_Alignas(struct nlmsghdr) char data[FB_NETLINK_BYTES];
};

/* In the caller's namespace of this moment; later it may go elsewhere, the socket stays. */
int fb_netlink_open(struct fb_netlink *nl, struct fb_error *err);
void fb_netlink_close(struct fb_netlink *nl);

/* Begin the next message of the batch with the header of its family. */
void fb_netlink_message(struct fb_netlink *nl, int type, int flags, const void *body, size_t size, const char *call,
			const char *path);
/* Attributes of the last message. What does not fit makes the whole batch fail when it is sent. */
void fb_netlink_put(struct fb_netlink *nl, int type, const void *data, size_t size);
void fb_netlink_put_u8(struct fb_netlink *nl, int type, uint8_t value);
void fb_netlink_put_u16(struct fb_netlink *nl, int type, uint16_t value);
void fb_netlink_put_u32(struct fb_netlink *nl, int type, uint32_t value);
void fb_netlink_put_text(struct fb_netlink *nl, int type, const char *text);
/* A nest with `body` before its attributes (NULL: none): what is put until its end is inside. */
size_t fb_netlink_nest(struct fb_netlink *nl, int type, const void *body, size_t size);
void fb_netlink_nest_end(struct fb_netlink *nl, size_t nest);

/* Send what there is (nothing: 0) and forget it. Messages that fail with `forgiven` (0: none) have not failed. */
int fb_netlink_send(struct fb_netlink *nl, int forgiven, struct fb_error *err);
/* Send the one message of the batch, a dump or a request with an answer; each message of the answer goes to `take`, whose answer other than
 * 0 is returned once all is read. */
int fb_netlink_ask(struct fb_netlink *nl, int (*take)(void *context, const struct nlmsghdr *message), void *context,
		   struct fb_error *err);

#endif
