/* The sets and maps of both tables, and their types. Elements may end by themselves: nft_elements.c says what for. */
#include "nft_batch.h"

#include <string.h>

/* Types of nft's: the kernel keeps them, so that the program prints elements as people read them. */
enum type { NONE, ADDRESS4 = 7, ADDRESS6 = 8, ETHER = 9, INTEGER = 4, PROTOCOL = 12, SERVICE = 13, NAME = 41 };
#define TWO(a, b) ((a) << 6 | (b))
#define THREE(a, b, c) ((a) << 12 | (b) << 6 | (c))

static const struct set {
	int family;
	const char *name;
	int type;
	unsigned length; /* bytes; each part of a key begins at a multiple of four */
	int data_type;
	unsigned data_length; /* 0: a set */
} sets[] = {
	{NFPROTO_INET, "bridges", NAME, 16, NONE, 0},
	{NFPROTO_INET, "masq", NAME, 16, NONE, 0},
	{NFPROTO_INET, "internal", NAME, 16, NONE, 0},
	{NFPROTO_INET, "noicc", NAME, 16, NONE, 0},
	{NFPROTO_INET, "same", TWO(NAME, NAME), 32, NONE, 0},
	{NFPROTO_INET, "shards", NAME, 16, NONE, 0},
	{NFPROTO_INET, "self4", TWO(ADDRESS4, ADDRESS4), 8, NONE, 0}, /* a container's, twice */
	{NFPROTO_INET, "self6", TWO(ADDRESS6, ADDRESS6), 32, NONE, 0},
	{NFPROTO_INET, "publish4", THREE(ADDRESS4, PROTOCOL, SERVICE), 12, TWO(ADDRESS4, SERVICE), 8},
	{NFPROTO_INET, "publish4_any", TWO(PROTOCOL, SERVICE), 8, TWO(ADDRESS4, SERVICE), 8},
	{NFPROTO_INET, "publish6", THREE(ADDRESS6, PROTOCOL, SERVICE), 24, TWO(ADDRESS6, SERVICE), 20},
	{NFPROTO_INET, "publish6_any", TWO(PROTOCOL, SERVICE), 8, TWO(ADDRESS6, SERVICE), 20},
	{NFPROTO_BRIDGE, "ports", NAME, 16, NONE, 0},
	{NFPROTO_BRIDGE, "own", TWO(NAME, ETHER), 24, NONE, 0},
	{NFPROTO_BRIDGE, "own4", THREE(NAME, ETHER, ADDRESS4), 28, NONE, 0},
	{NFPROTO_BRIDGE, "own6", THREE(NAME, ETHER, ADDRESS6), 40, NONE, 0},
	{NFPROTO_BRIDGE, "target6", THREE(NAME, ETHER, INTEGER), 40, NONE, 0}, /* as own6 */
};

/* For the program's eyes: what it reads must be what it can write, since people save and restore whole rulesets. Records of type, length
 * and data that nf_tables keeps for it. A name is no number, and what lies in the body of an advertisement has no type, so that the set
 * says where it is taken from: `typeof iifname . ether saddr . @th,64,128`. */
struct record {
	unsigned char type, length; /* 4: `value` is the data; else the next ones are */
	uint32_t value;
};
static const struct record of_name[] = {{0, 4, 1}};
static const struct record of_target[] = {
	{0, 4, 0}, {3, 86, 0}, {0, 4, 13}, {1, 78, 0},			      /* a concatenation of */
	{0, 14, 0}, {0, 4, 9}, {1, 6, 0}, {0, 4, NFT_META_IIFNAME},	      /* meta */
	{1, 20, 0}, {0, 4, 7}, {1, 12, 0}, {0, 4, 17}, {1, 4, 2},	      /* ether saddr */
	{2, 38, 0}, {0, 4, 7}, {1, 30, 0}, {0, 4, 0}, {1, 4, 0}, {2, 4, 3}, {3, 4, 64}, {4, 4, 128},
};

static void put_records(struct fb_nft_batch *batch, const struct record *records, size_t count)
{
	unsigned char data[128];
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		data[length++] = records[i].type;
		data[length++] = records[i].length;
		if (records[i].length == 4) {
			memcpy(data + length, &records[i].value, 4);
			length += 4;
		}
	}
	fb_nft_put(batch, NFTA_SET_USERDATA, data, length);
}

void fb_nft_sets(struct fb_nft_batch *batch, int family)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct set *set = &sets[i];

		if (set->family != family)
			continue;
		fb_nft_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE, family);
		fb_nft_put_text(batch, NFTA_SET_TABLE, FB_NFT_TABLE);
		fb_nft_put_text(batch, NFTA_SET_NAME, set->name);
		fb_nft_put_number(batch, NFTA_SET_FLAGS, NFT_SET_TIMEOUT | (set->data_length ? NFT_SET_MAP : 0));
		fb_nft_put_number(batch, NFTA_SET_KEY_TYPE, (uint32_t)set->type);
		fb_nft_put_number(batch, NFTA_SET_KEY_LEN, set->length);
		if (set->data_length) {
			fb_nft_put_number(batch, NFTA_SET_DATA_TYPE, (uint32_t)set->data_type);
			fb_nft_put_number(batch, NFTA_SET_DATA_LEN, set->data_length);
		}
		fb_nft_put_number(batch, NFTA_SET_ID, (uint32_t)i + 1);
		if (set->type == NAME)
			put_records(batch, of_name, sizeof(of_name) / sizeof(of_name[0]));
		if (set->type == THREE(NAME, ETHER, INTEGER))
			put_records(batch, of_target, sizeof(of_target) / sizeof(of_target[0]));
	}
}
