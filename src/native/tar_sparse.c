#include <string.h>

#include "tar_parse.h"

#define GNU_MAP_AT 386
#define GNU_MAP_ENTRIES 4
#define GNU_EXTENDED_AT 482
#define GNU_EXTENSION_ENTRIES 21
#define GNU_EXTENSION_MORE_AT 504
static const struct fb_tar_field F_GNU_REAL = {483, 12};

/* `count` pairs of offset and length; an empty one ends the map. 1: the map has ended. */
static int gnu_pairs(struct fb_tar *tar, const uint8_t *at, unsigned count, struct fb_error *err)
{
	for (; count; count--, at += 24) {
		int64_t offset, length;

		if (at[0] == '\0')
			return 1;
		if (fb_tar_number(at, (struct fb_tar_field){0, 12}, &offset) < 0 ||
		    fb_tar_number(at, (struct fb_tar_field){12, 12}, &length) < 0 || offset < 0 ||
		    length < 0)
			return BAD(err, EBADMSG, tar->entry.name,
				   "a sparse map that is not made of numbers");
		if (fb_pax_add_segment(&tar->local, (uint64_t)offset, (uint64_t)length) < 0)
			return BAD(err, EFBIG, tar->entry.name,
				   "a sparse map of too many segments");
	}
	return 0;
}

/* The first form of sparse files: the map is in the header and in blocks of its own before the
 * data. */
static int gnu_sparse(struct fb_tar *tar, struct fb_error *err)
{
	uint8_t more_blocks = tar->block[GNU_EXTENDED_AT];
	int64_t real;
	int ended = gnu_pairs(tar, tar->block + GNU_MAP_AT, GNU_MAP_ENTRIES, err);

	if (ended < 0)
		return ended;
	if (fb_tar_number(tar->block, F_GNU_REAL, &real) < 0 || real < 0)
		return BAD(err, EBADMSG, tar->entry.name, "a size that is not a number");
	while (more_blocks) {
		int r = fb_tar_take(tar, tar->block, FB_TAR_BLOCK, err);

		if (r == 0 && !ended)
			r = ended = gnu_pairs(tar, tar->block, GNU_EXTENSION_ENTRIES, err);
		if (r < 0)
			return r;
		more_blocks = tar->block[GNU_EXTENSION_MORE_AT];
	}
	tar->entry.real_size = (uint64_t)real;
	return 0;
}

/* A decimal number and a newline, from the blocks of the data that hold the map; `*at` is the place
 * in the block. */
static int map_number(struct fb_tar *tar, size_t *at, uint64_t *ret_value, struct fb_error *err)
{
	char digits[24];
	size_t length = 0;

	for (;;) {
		if (*at == FB_TAR_BLOCK) {
			int r = tar->data_left < FB_TAR_BLOCK ? -EBADMSG : 0;

			if (r < 0)
				return BAD(err, EBADMSG, tar->entry.name,
					   "a sparse map longer than the data");
			r = fb_tar_take(tar, tar->block, FB_TAR_BLOCK, err);
			if (r < 0)
				return r;
			tar->data_left -= FB_TAR_BLOCK;
			*at = 0;
		}
		if (tar->block[*at] == '\n')
			break;
		if (length == sizeof(digits))
			break;
		digits[length++] = (char)tar->block[(*at)++];
	}
	(*at)++;
	if (fb_tar_decimal(digits, length, FB_TAR_REAL_MAX, ret_value) < 0)
		return BAD(err, EBADMSG, tar->entry.name,
			   "a sparse map that is not made of numbers");
	return 0;
}

/* Sparse format 1.0: the map is the beginning of the data. */
static int pax_sparse_one(struct fb_tar *tar, struct fb_error *err)
{
	size_t at = FB_TAR_BLOCK;
	uint64_t count = 0, offset = 0, length = 0;
	int r = map_number(tar, &at, &count, err);

	if (r == 0 && count > FB_TAR_SPARSE_MAX)
		return BAD(err, EFBIG, tar->entry.name, "a sparse map of too many segments");
	for (; r == 0 && count; count--) {
		r = map_number(tar, &at, &offset, err);
		if (r == 0)
			r = map_number(tar, &at, &length, err);
		if (r == 0 && fb_pax_add_segment(&tar->local, offset, length) < 0)
			return BAD(err, ENOMEM, tar->entry.name, NULL);
	}
	return r;
}

int fb_tar_set_sparse(struct fb_tar *tar, struct fb_error *err)
{
	struct fb_pax *local = &tar->local;
	struct fb_tar_entry *entry = &tar->entry;
	int r = 0;

	entry->sparse = tar->block[FB_TAR_TYPE_AT] == 'S' || local->sparse_map || local->sparse_one;
	if (!entry->sparse || entry->type != FB_TAR_FILE) {
		entry->sparse = false;
		return 0;
	}
	if (tar->block[FB_TAR_TYPE_AT] == 'S') {
		local->segment_count = 0;
		r = gnu_sparse(tar, err);
	} else {
		if (!local->has_sparse_size)
			return BAD(err, EINVAL, entry->name, "a sparse file without a size");
		entry->real_size = local->sparse_size;
		if (local->sparse_one && (local->sparse_major != 1 || local->sparse_minor != 0))
			return BAD(err, ENOTSUP, entry->name, "a sparse format that is not known");
		if (local->sparse_one) {
			local->segment_count = 0;
			r = pax_sparse_one(tar, err);
		}
	}
	if (r < 0)
		return r;
	entry->size = tar->data_left;
	entry->segments = local->segments;
	entry->segment_count = local->segment_count;
	if (entry->real_size > FB_TAR_REAL_MAX)
		return BAD(err, EFBIG, entry->name, "a size beyond every limit");
	if (!fb_pax_segments_fit(entry->segments, entry->segment_count, entry->size,
				 entry->real_size))
		return BAD(err, EBADMSG, entry->name, "a sparse map that does not fit the file");
	return 0;
}
