/* Messages to nf_tables: a batch that grows, and the expressions that rules are made of. For the nft_*.c alone. */
#ifndef FB_NFT_BATCH_H
#define FB_NFT_BATCH_H

#include <netinet/in.h> /* before the kernel's, which then leaves out what is in both */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "network.h"

#define FB_NFT_TABLE "fastbox"

struct fb_nft_batch {
	char *data;
	size_t length, capacity, message; /* message: where the last one begins */
	uint32_t sequence;		  /* of the last one; the batch's own beginning is 0 */
	bool failed;			  /* no memory: told by the sending */
};

void fb_nft_batch_free(struct fb_nft_batch *batch);
#define fb_auto_batch __attribute__((cleanup(fb_nft_batch_free)))

/* Begin a transaction; with a generation it fails with ERESTART when anything was changed since (0: whatever was). */
void fb_nft_open(struct fb_nft_batch *batch, uint32_t generation);
void fb_nft_message(struct fb_nft_batch *batch, int type, int flags, int family);
void fb_nft_conntrack_message(struct fb_nft_batch *batch, int type, int flags, int family); /* for fb_nft_ask */
void fb_nft_put(struct fb_nft_batch *batch, int type, const void *data, size_t length);
void fb_nft_put_text(struct fb_nft_batch *batch, int type, const char *text);
void fb_nft_put_number(struct fb_nft_batch *batch, int type, uint32_t value);
size_t fb_nft_nest(struct fb_nft_batch *batch, int type);
void fb_nft_end(struct fb_nft_batch *batch, size_t nest);
/* End the transaction and send it. The error is the first message's that failed, and names it. The batch is empty afterwards. */
int fb_nft_commit(struct fb_nft_batch *batch, struct fb_error *err);
/* The same, and the process keeps no socket, which would keep the network namespace. */
int fb_nft_commit_once(struct fb_nft_batch *batch, struct fb_error *err);

/* Each answer to what was asked, until `each` returns something else than 0. */
typedef int fb_nft_answer(const struct nlmsghdr *answer, void *to);
/* Send questions (no transaction was opened). A negative errno of the kernel's is the result: ENOENT is one. */
int fb_nft_ask(struct fb_nft_batch *batch, fb_nft_answer *each, void *to);
/* An attribute of an answer (after its nfgenmsg), or of a nest (which may be NULL); NULL: none. */
const struct nlattr *fb_nft_attribute(const struct nlmsghdr *answer, int type);
const struct nlattr *fb_nft_within(const struct nlattr *nest, int type);
uint32_t fb_nft_number(const struct nlattr *attribute, uint32_t otherwise);

/* Let the kernel forget where it sends the datagrams of this spec's published ports (nft_conntrack.c). */
void fb_nft_forget(const struct fb_network_spec *spec, bool add);

/* All sets and maps of one of our two tables (nft_sets.c). */
void fb_nft_sets(struct fb_nft_batch *batch, int family);

/* What rules consist of. Registers are numbered by four bytes: 0 to 15. */
struct fb_nft_rule {
	struct fb_nft_batch *batch;
	size_t expressions;
};

void fb_nft_chain(struct fb_nft_batch *batch, int family, const char *table, const char *name);
void fb_nft_base_chain(struct fb_nft_batch *batch, int family, const char *name, const char *type, int hook, int priority);
struct fb_nft_rule fb_nft_rule(struct fb_nft_batch *batch, int family, const char *table, const char *chain, bool first);
void fb_nft_rule_end(struct fb_nft_rule *rule);
void fb_nft_meta(struct fb_nft_rule *rule, int key, int to);
void fb_nft_ct(struct fb_nft_rule *rule, int key, int to);
void fb_nft_payload(struct fb_nft_rule *rule, int base, unsigned offset, unsigned length, int to);
void fb_nft_compare(struct fb_nft_rule *rule, int from, int op, const void *data, size_t length);
void fb_nft_mask(struct fb_nft_rule *rule, int reg, const void *mask, size_t length);
void fb_nft_lookup(struct fb_nft_rule *rule, const char *set, int from, bool inverse);
void fb_nft_map(struct fb_nft_rule *rule, const char *map, int from, int to);
void fb_nft_fib_type(struct fb_nft_rule *rule, int to); /* of the packet's destination */
void fb_nft_dnat(struct fb_nft_rule *rule, int family, int address, int port);
void fb_nft_plain(struct fb_nft_rule *rule, const char *name); /* masq, counter */
void fb_nft_verdict(struct fb_nft_rule *rule, int code, const char *chain);
void fb_nft_immediate(struct fb_nft_rule *rule, int to, const void *data, size_t length);

#endif
