/* Extended metadata of tar: pax records and sparse maps. Parts of the reader, see tar_read.h. */
#ifndef FB_TAR_PAX_H
#define FB_TAR_PAX_H

#include "tar_read.h"

struct fb_tar_text { /* a string that keeps its memory from entry to entry */
	char *text;
	size_t length, room;
};

struct fb_pax {
	bool has_path, has_link, has_size, has_uid, has_gid, has_mtime, has_atime;
	struct fb_tar_text path, link;
	uint64_t size;
	uid_t uid;
	gid_t gid;
	struct timespec mtime, atime;
	struct fb_tar_text records; /* what the extended attributes point into */
	struct fb_tar_xattr xattrs[FB_TAR_XATTR_MAX];
	size_t xattr_count;
	/* GNU.sparse.*: 0.0 and 0.1 bring the map here, 1.0 has it before the data. */
	bool has_sparse_name, has_sparse_size, sparse_map, sparse_one, half_segment;
	struct fb_tar_text sparse_name;
	uint64_t sparse_size, sparse_major, sparse_minor;
	struct fb_tar_segment *segments;
	size_t segment_count, segment_room;
};

int fb_tar_set_text(struct fb_tar_text *text, const char *data, size_t length);

/* Digits only; -EINVAL on anything else, -ERANGE beyond `max`. */
int fb_tar_decimal(const char *text, size_t length, uint64_t max, uint64_t *ret_value);
int fb_tar_id(uint64_t value, uint32_t *ret_id); /* -EINVAL above 2^32-2 */

/* Forget a local header. */
void fb_pax_reset(struct fb_pax *pax);
void fb_pax_free(struct fb_pax *pax);
/* Read the records of one header. A global header may only hold what is harmless for every entry:
 * owners and times. On failure *ret_detail says what was wrong. */
int fb_pax_parse(struct fb_pax *pax, const char *data, size_t length, bool global,
		 const char **ret_detail);
int fb_pax_add_segment(struct fb_pax *pax, uint64_t offset, uint64_t length);
/* Ascending, apart, inside the file, and together exactly the data. */
bool fb_pax_segments_fit(const struct fb_tar_segment *segments, size_t count, uint64_t data,
			 uint64_t real);

#endif
