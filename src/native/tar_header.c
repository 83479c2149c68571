#include <string.h>

#include "tar_parse.h"

/* Fields of a header block: where and how long. */
static const struct fb_tar_field F_NAME = {0, 100}, F_MODE = {100, 8}, F_UID = {108, 8},
				 F_GID = {116, 8}, F_SIZE = {124, 12}, F_MTIME = {136, 12},
				 F_SUM = {148, 8}, F_LINK = {157, 100}, F_MAJOR = {329, 8},
				 F_MINOR = {337, 8}, F_PREFIX = {345, 155},
				 F_STAR_PREFIX = {345, 131};
#define MAGIC_AT 257

const char *fb_tar_safe_name(const char *name, char ret_text[FB_TAR_SAFE_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = FB_TAR_SAFE_SIZE - 1, length;

	name = name ? name : "";
	length = strlen(name);
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

int fb_tar_bad(struct fb_error *err, int line, int code, const char *name, const char *detail)
{
	char safe[FB_TAR_SAFE_SIZE];

	return fb_fail_code(err, FB_STAGE_TAR, line, code, "tar", fb_tar_safe_name(name, safe),
			    detail);
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
int fb_tar_number(const uint8_t *block, struct fb_tar_field field, int64_t *ret_value)
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
bool fb_tar_checksum_fits(const uint8_t block[FB_TAR_BLOCK])
{
	int64_t stored, sum = 0, signed_sum = 0;

	for (unsigned i = 0; i < FB_TAR_BLOCK; i++) {
		uint8_t byte =
		    i >= F_SUM.offset && i < F_SUM.offset + F_SUM.length ? ' ' : block[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	return fb_tar_number(block, F_SUM, &stored) == 0 && (stored == sum || stored == signed_sum);
}

int fb_tar_header_size(struct fb_tar *tar, uint64_t *ret_size, struct fb_error *err)
{
	int64_t size;

	if (fb_tar_number(tar->block, F_SIZE, &size) < 0 || size < 0)
		return BAD(err, EBADMSG, tar->entry.name, "a size that is not a number");
	if ((uint64_t)size > FB_TAR_REAL_MAX)
		return BAD(err, EFBIG, tar->entry.name, "a size beyond every limit");
	*ret_size = (uint64_t)size;
	return 0;
}

bool fb_tar_is_gnu(const uint8_t *block)
{
	return memcmp(block + MAGIC_AT, "ustar  ", 8) == 0;
}

static bool is_ustar(const uint8_t *block)
{
	return memcmp(block + MAGIC_AT, "ustar", 6) == 0;
}

static const char *field_text(const uint8_t *block, struct fb_tar_field field, size_t *ret_length)
{
	const char *text = (const char *)block + field.offset;

	*ret_length = strnlen(text, field.length);
	return text;
}

static int set_name(struct fb_tar *tar)
{
	const struct fb_tar_field prefix_field =
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

	if (fb_tar_number(tar->block, F_UID, &uid) < 0 ||
	    fb_tar_number(tar->block, F_GID, &gid) < 0 ||
	    fb_tar_number(tar->block, F_MODE, &mode) < 0)
		return BAD(err, EINVAL, entry->name, "an owner or a mode that is not a number");
	uid = local->has_uid ? local->uid : global->has_uid ? global->uid : uid;
	gid = local->has_gid ? local->gid : global->has_gid ? global->gid : gid;
	if (uid < 0 || gid < 0 || fb_tar_id((uint64_t)uid, &entry->uid) < 0 ||
	    fb_tar_id((uint64_t)gid, &entry->gid) < 0)
		return BAD(err, EINVAL, entry->name, "an owner outside of 0 to 4294967294");
	/* Some writers leave the type's bits in the mode. */
	if (mode < 0)
		return BAD(err, EINVAL, entry->name, "a mode that is not possible");
	entry->mode = (mode_t)mode & 07777;
	return 0;
}

static int set_times(struct fb_tar *tar, struct fb_error *err)
{
	const struct fb_pax *local = &tar->local, *global = &tar->global;
	struct fb_tar_entry *entry = &tar->entry;
	int64_t seconds;

	if (fb_tar_number(tar->block, F_MTIME, &seconds) < 0)
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
	uint8_t type = tar->block[FB_TAR_TYPE_AT];
	int64_t major, minor;

	if (type >= '1' && type <= '6') {
		entry->type = type;
	} else if (type == '\0' && tar->name.text[tar->name.length - 1] == '/') {
		entry->type = FB_TAR_DIRECTORY; /* as v7 wrote them */
	} else if (type == '\0' || type == '0' || type == '7' ||
		   (type == 'S' && fb_tar_is_gnu(tar->block))) {
		entry->type = FB_TAR_FILE;
	} else {
		return BAD(err, ENOTSUP, entry->name, "a kind of entry that is not known");
	}
	if (type != FB_TAR_CHAR && type != FB_TAR_BLOCKDEV)
		return 0;
	if (fb_tar_number(tar->block, F_MAJOR, &major) < 0 ||
	    fb_tar_number(tar->block, F_MINOR, &minor) < 0 || major < 0 || major >= 1 << 12 ||
	    minor < 0 || minor >= 1 << 20)
		return BAD(err, EINVAL, entry->name, "a device number that is not possible");
	entry->major = (unsigned)major;
	entry->minor = (unsigned)minor;
	return 0;
}

static int set_size(struct fb_tar *tar, struct fb_error *err)
{
	struct fb_tar_entry *entry = &tar->entry;
	uint8_t type = tar->block[FB_TAR_TYPE_AT];
	uint64_t size = 0;
	int r = fb_tar_header_size(tar, &size, err);

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
	tar->padding = fb_tar_padding(size);
	entry->size = entry->real_size = size;
	return 0;
}

int fb_tar_fill_entry(struct fb_tar *tar, struct fb_error *err)
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
		r = fb_tar_set_sparse(tar, err);
	if (r < 0)
		return r;
	tar->entry.xattrs = tar->local.xattrs;
	tar->entry.xattr_count = tar->local.xattr_count;
	return 1;
}
