#include "tar_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tar_pax.h"

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

/* Fields of a header block: where and how long. */
struct field {
	unsigned short offset, length;
};
static const struct field F_NAME = {0, 100}, F_MODE = {100, 8}, F_UID = {108, 8}, F_GID = {116, 8},
			  F_SIZE = {124, 12}, F_MTIME = {136, 12}, F_SUM = {148, 8},
			  F_LINK = {157, 100}, F_MAJOR = {329, 8}, F_MINOR = {337, 8},
			  F_PREFIX = {345, 155}, F_STAR_PREFIX = {345, 131}, F_GNU_REAL = {483, 12};
#define TYPE_AT 156
#define MAGIC_AT 257
#define GNU_MAP_AT 386
#define GNU_MAP_ENTRIES 4
#define GNU_EXTENDED_AT 482
#define GNU_EXTENSION_ENTRIES 21
#define GNU_EXTENSION_MORE_AT 504

const char *fb_tar_safe_name(const char *name, char ret_text[FB_TAR_SAFE_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t length = name ? strlen(name) : 0, at = FB_TAR_SAFE_SIZE - 1;

	/* From the end, since the error keeps the end; never half an escape. */
	ret_text[at] = '\0';
	while (length--) {
		unsigned char c = (unsigned char)name[length];

		if (c >= ' ' && c < 0x7f && c != '\\') {
			if (at < 1)
				break;
			ret_text[--at] = (char)c;
			continue;
		}
		if (at < 4)
			break;
		at -= 4;
		memcpy(ret_text + at, "\\x", 2);
		ret_text[at + 2] = digits[c >> 4];
		ret_text[at + 3] = digits[c & 15];
	}
	return memmove(ret_text, ret_text + at, FB_TAR_SAFE_SIZE - at);
}

static int bad(struct fb_error *err, int line, int code, const char *name, const char *detail)
{
	char safe[FB_TAR_SAFE_SIZE];

	return fb_fail_code(err, FB_STAGE_TAR, line, code, "tar", fb_tar_safe_name(name, safe),
			    detail);
}
#define BAD(err, code, name, detail) bad((err), __LINE__, (code), (name), (detail))

/* At least one byte in the piece: 1; the end of the stream: 0. */
static int more(struct fb_tar *tar, struct fb_error *err)
{
	ssize_t got;

	if (tar->piece_left)
		return 1;
	got = tar->pull(tar->context, &tar->piece, err);
	if (got < 0)
		return (int)got;
	tar->piece_left = (size_t)got;
	return got > 0;
}

/* Exactly `length` bytes, to `to` or to nowhere. */
static int take(struct fb_tar *tar, void *to, uint64_t length, struct fb_error *err)
{
	uint8_t *at = to;

	while (length) {
		int r = more(tar, err);
		size_t n = tar->piece_left < length ? tar->piece_left : (size_t)length;

		if (r < 0)
			return r;
		if (r == 0)
			return BAD(err, EBADMSG, tar->entry.name, "the archive is cut short");
		if (at) {
			memcpy(at, tar->piece, n);
			at += n;
		}
		tar->piece += n;
		tar->piece_left -= n;
		length -= n;
	}
	return 0;
}

static uint64_t padding_of(uint64_t size)
{
	return -size & (FB_TAR_BLOCK - 1);
}

static int octal(const uint8_t *at, const uint8_t *end, int64_t *ret_value)
{
	uint64_t value = 0;

	while (at < end && (*at == ' ' || *at == '\0'))
		at++;
	for (; at < end && *at >= '0' && *at <= '7'; at++)
		value = value << 3 | (uint64_t)(*at - '0'); /* at most twelve digits, 36 bits */
	if (at < end && *at != ' ' && *at != '\0')
		return -EINVAL;
	*ret_value = (int64_t)value;
	return 0;
}

/* Octal text, or big-endian two's complement marked by the first bit. */
static int number(const uint8_t *block, struct field field, int64_t *ret_value)
{
	const uint8_t *at = block + field.offset, *end = at + field.length;
	bool negative;
	int64_t value;

	if (!(*at & 0x80))
		return octal(at, end, ret_value);
	negative = *at & 0x40;
	value = negative ? (int8_t)*at : *at & 0x3f;
	for (at++; at < end; at++) {
		if (value > INT64_MAX >> 8 || value < INT64_MIN >> 8)
			return -ERANGE;
		value = (int64_t)((uint64_t)value << 8 | *at);
	}
	*ret_value = value;
	return 0;
}

/* Archives of old summed the bytes as signed characters. */
static bool checksum_fits(const uint8_t block[FB_TAR_BLOCK])
{
	int64_t stored, sum = 0, signed_sum = 0;

	for (unsigned i = 0; i < FB_TAR_BLOCK; i++) {
		uint8_t byte =
		    i >= F_SUM.offset && i < F_SUM.offset + F_SUM.length ? ' ' : block[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	return number(block, F_SUM, &stored) == 0 && (stored == sum || stored == signed_sum);
}

static bool all_zero(const uint8_t block[FB_TAR_BLOCK])
{
	static const uint8_t zero[FB_TAR_BLOCK];

	return memcmp(block, zero, FB_TAR_BLOCK) == 0;
}

/* 1: a header; 0: the end marker; the stream may not end any other way. */
static int next_header(struct fb_tar *tar, struct fb_error *err)
{
	bool first = tar->first;
	int r;

	tar->entry.name = NULL;
	tar->first = false;
	r = take(tar, tar->block, FB_TAR_BLOCK, err);
	if (r < 0)
		return r;
	if (all_zero(tar->block)) {
		r = take(tar, tar->block, FB_TAR_BLOCK, err);
		if (r < 0)
			return r;
		if (!all_zero(tar->block))
			return BAD(err, EBADMSG, NULL, "one zero block where two end an archive");
		if (tar->pending)
			return BAD(err, EBADMSG, NULL, "an extended header without its entry");
		tar->ended = true;
		return 0;
	}
	if (!checksum_fits(tar->block))
		return BAD(err, EBADMSG, NULL,
			   first ? "not a tar archive, neither plain nor packed by gzip or zstd"
				 : "the checksum of a header is wrong");
	return 1;
}

static int header_size(struct fb_tar *tar, uint64_t *ret_size, struct fb_error *err)
{
	int64_t size;

	if (number(tar->block, F_SIZE, &size) < 0 || size < 0)
		return BAD(err, EBADMSG, tar->entry.name, "a size that is not a number");
	if ((uint64_t)size > FB_TAR_REAL_MAX)
		return BAD(err, EFBIG, tar->entry.name, "a size beyond every limit");
	*ret_size = (uint64_t)size;
	return 0;
}

/* The data of an extended header, whole, in tar->meta. */
static int read_meta(struct fb_tar *tar, struct fb_error *err)
{
	uint64_t size = 0;
	int r = header_size(tar, &size, err);

	if (r < 0)
		return r;
	if (size > FB_TAR_META_MAX)
		return BAD(err, EFBIG, NULL, "an extended header or a name of more than 1 MiB");
	if (size >= tar->meta.room) {
		char *grown = realloc(tar->meta.text, size + 1);

		if (!grown)
			return BAD(err, ENOMEM, NULL, NULL);
		tar->meta.text = grown;
		tar->meta.room = size + 1;
	}
	r = take(tar, tar->meta.text, size, err);
	if (r == 0)
		r = take(tar, NULL, padding_of(size), err);
	tar->meta.text[size] = '\0';
	tar->meta.length = size;
	return r;
}

static int read_pax(struct fb_tar *tar, struct fb_pax *pax, bool global, struct fb_error *err)
{
	const char *detail;
	int r = read_meta(tar, err);

	if (r < 0)
		return r;
	if (!global)
		fb_pax_reset(pax); /* a second local header replaces the first, as in Go */
	r = fb_pax_parse(pax, tar->meta.text, tar->meta.length, global, &detail);
	return r < 0 ? BAD(err, -r, NULL, detail) : 0;
}

static int read_long(struct fb_tar *tar, struct fb_tar_text *text, bool *has, struct fb_error *err)
{
	int r = read_meta(tar, err);

	if (r < 0)
		return r;
	*has = true;
	if (fb_tar_set_text(text, tar->meta.text, strlen(tar->meta.text)) < 0)
		return BAD(err, ENOMEM, NULL, NULL);
	return 0;
}

static bool is_gnu(const uint8_t *block)
{
	return memcmp(block + MAGIC_AT, "ustar  ", 8) == 0;
}

static bool is_ustar(const uint8_t *block)
{
	return memcmp(block + MAGIC_AT, "ustar", 6) == 0;
}

static const char *field_text(const uint8_t *block, struct field field, size_t *ret_length)
{
	const char *text = (const char *)block + field.offset;

	*ret_length = strnlen(text, field.length);
	return text;
}

static int set_name(struct fb_tar *tar)
{
	const struct field prefix_field =
	    memcmp(tar->block + 508, "tar", 4) == 0 ? F_STAR_PREFIX : F_PREFIX;
	size_t prefix_length, length;
	const char *prefix = field_text(tar->block, prefix_field, &prefix_length);
	const char *name = field_text(tar->block, F_NAME, &length);
	char joined[256];

	if (tar->local.has_sparse_name)
		return fb_tar_set_text(&tar->name, tar->local.sparse_name.text,
				       tar->local.sparse_name.length);
	if (tar->has_long_name)
		return fb_tar_set_text(&tar->name, tar->long_name.text, tar->long_name.length);
	if (tar->local.has_path)
		return fb_tar_set_text(&tar->name, tar->local.path.text, tar->local.path.length);
	if (!is_ustar(tar->block) || prefix_length == 0)
		return fb_tar_set_text(&tar->name, name, length);
	memcpy(joined, prefix, prefix_length);
	joined[prefix_length] = '/';
	memcpy(joined + prefix_length + 1, name, length);
	return fb_tar_set_text(&tar->name, joined, prefix_length + 1 + length);
}

static int set_link(struct fb_tar *tar)
{
	size_t length;
	const char *link = field_text(tar->block, F_LINK, &length);

	if (tar->has_long_link)
		return fb_tar_set_text(&tar->link, tar->long_link.text, tar->long_link.length);
	if (tar->local.has_link)
		return fb_tar_set_text(&tar->link, tar->local.link.text, tar->local.link.length);
	return fb_tar_set_text(&tar->link, link, length);
}

static int set_names(struct fb_tar *tar, struct fb_error *err)
{
	if (set_name(tar) < 0 || set_link(tar) < 0)
		return BAD(err, ENOMEM, NULL, NULL);
	tar->entry.name = tar->name.text;
	tar->entry.link = tar->link.text;
	if (tar->name.length == 0)
		return BAD(err, EINVAL, NULL, "an entry without a name");
	return 0;
}

static int set_owner(struct fb_tar *tar, struct fb_error *err)
{
	const struct fb_pax *local = &tar->local, *global = &tar->global;
	struct fb_tar_entry *entry = &tar->entry;
	int64_t uid, gid, mode;

	if (number(tar->block, F_UID, &uid) < 0 || number(tar->block, F_GID, &gid) < 0 ||
	    number(tar->block, F_MODE, &mode) < 0)
		return BAD(err, EINVAL, entry->name, "an owner or a mode that is not a number");
	uid = local->has_uid ? local->uid : global->has_uid ? global->uid : uid;
	gid = local->has_gid ? local->gid : global->has_gid ? global->gid : gid;
	if (uid < 0 || gid < 0 || fb_tar_id((uint64_t)uid, &entry->uid) < 0 ||
	    fb_tar_id((uint64_t)gid, &entry->gid) < 0)
		return BAD(err, EINVAL, entry->name, "an owner outside of 0 to 4294967294");
	/* Some writers leave the type's bits in the mode. */
	if (mode < 0 || mode > 0177777)
		return BAD(err, EINVAL, entry->name, "a mode that is not possible");
	entry->mode = (mode_t)mode & 07777;
	return 0;
}

static int set_times(struct fb_tar *tar, struct fb_error *err)
{
	const struct fb_pax *local = &tar->local, *global = &tar->global;
	struct fb_tar_entry *entry = &tar->entry;
	int64_t seconds;

	if (number(tar->block, F_MTIME, &seconds) < 0)
		return BAD(err, EINVAL, entry->name, "a time that is not a number");
	entry->mtime = local->has_mtime	   ? local->mtime
		       : global->has_mtime ? global->mtime
					   : (struct timespec){.tv_sec = seconds};
	entry->atime = local->has_atime	   ? local->atime
		       : global->has_atime ? global->atime
					   : entry->mtime;
	return 0;
}

static int set_type(struct fb_tar *tar, struct fb_error *err)
{
	struct fb_tar_entry *entry = &tar->entry;
	uint8_t type = tar->block[TYPE_AT];
	int64_t major, minor;

	if (type >= '1' && type <= '6') {
		entry->type = type;
	} else if (type == '\0' && tar->name.text[tar->name.length - 1] == '/') {
		entry->type = FB_TAR_DIRECTORY; /* as v7 wrote them */
	} else if (type == '\0' || type == '0' || type == '7' ||
		   (type == 'S' && is_gnu(tar->block))) {
		entry->type = FB_TAR_FILE;
	} else {
		return BAD(err, ENOTSUP, entry->name, "a kind of entry that is not known");
	}
	if (type != FB_TAR_CHAR && type != FB_TAR_BLOCKDEV)
		return 0;
	if (number(tar->block, F_MAJOR, &major) < 0 || number(tar->block, F_MINOR, &minor) < 0 ||
	    major < 0 || major >= 1 << 12 || minor < 0 || minor >= 1 << 20)
		return BAD(err, EINVAL, entry->name, "a device number that is not possible");
	entry->major = (unsigned)major;
	entry->minor = (unsigned)minor;
	return 0;
}

static int set_size(struct fb_tar *tar, struct fb_error *err)
{
	struct fb_tar_entry *entry = &tar->entry;
	uint8_t type = tar->block[TYPE_AT];
	uint64_t size = 0;
	int r = header_size(tar, &size, err);

	if (r < 0)
		return r;
	if (tar->local.has_size) {
		/* The field is for readers that don't know pax: the same number, or anything when
		 * it does not fit there. Two sizes that both fit would let two readers see two
		 * different archives. */
		if (size && size != tar->local.size && tar->local.size < (uint64_t)1 << 33)
			return BAD(err, EBADMSG, entry->name,
				   "two sizes that contradict each other");
		size = tar->local.size;
	}
	if (type >= '1' && type <= '6')
		size = 0;
	tar->data_left = size;
	tar->padding = padding_of(size);
	entry->size = entry->real_size = size;
	return 0;
}

/* `count` pairs of offset and length; an empty one ends the map. 1: the map has ended. */
static int gnu_pairs(struct fb_tar *tar, const uint8_t *at, unsigned count, struct fb_error *err)
{
	for (; count; count--, at += 24) {
		int64_t offset, length;

		if (at[0] == '\0')
			return 1;
		if (number(at, (struct field){0, 12}, &offset) < 0 ||
		    number(at, (struct field){12, 12}, &length) < 0 || offset < 0 || length < 0)
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
	if (number(tar->block, F_GNU_REAL, &real) < 0 || real < 0)
		return BAD(err, EBADMSG, tar->entry.name, "a size that is not a number");
	while (more_blocks) {
		int r = take(tar, tar->block, FB_TAR_BLOCK, err);

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
			r = take(tar, tar->block, FB_TAR_BLOCK, err);
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

static int set_sparse(struct fb_tar *tar, struct fb_error *err)
{
	struct fb_pax *local = &tar->local;
	struct fb_tar_entry *entry = &tar->entry;
	int r = 0;

	entry->sparse = tar->block[TYPE_AT] == 'S' || local->sparse_map || local->sparse_one;
	if (!entry->sparse || entry->type != FB_TAR_FILE) {
		entry->sparse = false;
		return 0;
	}
	if (tar->block[TYPE_AT] == 'S') {
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

static int fill_entry(struct fb_tar *tar, struct fb_error *err)
{
	int r = set_names(tar, err);

	if (r == 0)
		r = set_owner(tar, err);
	if (r == 0)
		r = set_times(tar, err);
	if (r == 0)
		r = set_type(tar, err);
	if (r == 0)
		r = set_size(tar, err);
	if (r == 0)
		r = set_sparse(tar, err);
	if (r < 0)
		return r;
	tar->entry.xattrs = tar->local.xattrs;
	tar->entry.xattr_count = tar->local.xattr_count;
	return 1;
}

static int skip_volume_label(struct fb_tar *tar, struct fb_error *err)
{
	uint64_t size = 0;
	int r = header_size(tar, &size, err);

	return r < 0 ? r : take(tar, NULL, size + padding_of(size), err);
}

static int begin_entry(struct fb_tar *tar, struct fb_error *err)
{
	int r = take(tar, NULL, tar->data_left, err);

	if (r == 0)
		r = take(tar, NULL, tar->padding, err);
	tar->data_left = tar->padding = 0;
	tar->entry = (struct fb_tar_entry){0};
	tar->has_long_name = tar->has_long_link = tar->pending = false;
	fb_pax_reset(&tar->local);
	return r;
}

int fb_tar_next(struct fb_tar *tar, const struct fb_tar_entry **ret_entry, struct fb_error *err)
{
	int r = tar->ended ? 0 : begin_entry(tar, err);

	while (r == 0 && !tar->ended) {
		r = next_header(tar, err);
		if (r <= 0)
			break;
		switch (tar->block[TYPE_AT]) {
		case 'x':
		case 'X':
			r = read_pax(tar, &tar->local, false, err);
			break;
		case 'g':
			r = read_pax(tar, &tar->global, true, err);
			continue; /* it may be the last header of all */
		case 'L':
			r = read_long(tar, &tar->long_name, &tar->has_long_name, err);
			break;
		case 'K':
			r = read_long(tar, &tar->long_link, &tar->has_long_link, err);
			break;
		case 'V':
			r = skip_volume_label(tar, err);
			continue;
		default:
			r = fill_entry(tar, err);
			if (r == 1)
				*ret_entry = &tar->entry;
		}
		tar->pending = true;
	}
	return r;
}

ssize_t fb_tar_data(struct fb_tar *tar, const uint8_t **ret_data, struct fb_error *err)
{
	size_t n;
	int r;

	if (tar->data_left == 0)
		return 0;
	r = more(tar, err);
	if (r < 0)
		return r;
	if (r == 0)
		return BAD(err, EBADMSG, tar->entry.name, "the archive is cut short");
	n = tar->piece_left < tar->data_left ? tar->piece_left : (size_t)tar->data_left;
	*ret_data = tar->piece;
	tar->piece += n;
	tar->piece_left -= n;
	tar->data_left -= n;
	return (ssize_t)n;
}

int fb_tar_drain(struct fb_tar *tar, struct fb_error *err)
{
	int r;

	do {
		tar->piece_left = 0;
		r = more(tar, err);
	} while (r > 0);
	return r;
}

int fb_tar_open(fb_tar_pull pull, void *context, struct fb_tar **ret_tar, struct fb_error *err)
{
	struct fb_tar *tar = calloc(1, sizeof(*tar));

	if (!tar)
		return BAD(err, ENOMEM, NULL, NULL);
	tar->pull = pull;
	tar->context = context;
	tar->first = true;
	*ret_tar = tar;
	return 0;
}

void fb_tar_close(struct fb_tar *tar)
{
	if (!tar)
		return;
	fb_pax_free(&tar->local);
	fb_pax_free(&tar->global);
	free(tar->name.text);
	free(tar->link.text);
	free(tar->long_name.text);
	free(tar->long_link.text);
	free(tar->meta.text);
	free(tar);
}
