/* What the files of the tar reader share: tar_read.c (the stream), tar_header.c (one block),
 * tar_pax.c (records), tar_sparse.c. */
#ifndef FB_TAR_PARSE_H
#define FB_TAR_PARSE_H

#include <errno.h>

#include "tar_pax.h"
#include "tar_read.h"

struct fb_tar {
	fb_tar_pull pull;
	void *context;
	const uint8_t *piece;
	size_t piece_left;
	uint64_t data_left, padding; /* of the current entry */
	bool first, ended;
	uint8_t block[FB_TAR_BLOCK];
	struct fb_pax local, global;
	bool has_long_name, has_long_link, pending; /* pending: metadata without its entry yet */
	struct fb_tar_text name, link, long_name, long_link, meta;
	struct fb_tar_entry entry;
};

struct fb_tar_field {
	unsigned short offset, length;
};
#define FB_TAR_TYPE_AT 156

static inline uint64_t fb_tar_padding(uint64_t size)
{
	return -size & (FB_TAR_BLOCK - 1);
}

int fb_tar_bad(struct fb_error *err, int line, int code, const char *name, const char *detail);
#define BAD(err, code, name, detail) fb_tar_bad((err), __LINE__, (code), (name), (detail))

/* Exactly `length` bytes of the stream, to `to` or, when it is NULL, to nowhere. */
int fb_tar_take(struct fb_tar *tar, void *to, uint64_t length, struct fb_error *err);
/* -EINVAL: not a number, -ERANGE: too large for 64 bits. */
int fb_tar_number(const uint8_t *block, struct fb_tar_field field, int64_t *ret_value);
bool fb_tar_checksum_fits(const uint8_t block[FB_TAR_BLOCK]);
bool fb_tar_is_gnu(const uint8_t *block);
int fb_tar_header_size(struct fb_tar *tar, uint64_t *ret_size, struct fb_error *err);
/* From the header in tar->block and the metadata before it. 1, as fb_tar_next returns. */
int fb_tar_fill_entry(struct fb_tar *tar, struct fb_error *err);
/* Reads the map of a sparse file, from wherever its format keeps it. */
int fb_tar_set_sparse(struct fb_tar *tar, struct fb_error *err);

#endif
