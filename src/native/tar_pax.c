#include "tar_pax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fb_tar_set_text(struct fb_tar_text *text, const char *data, size_t length)
{
	if (length >= text->room) {
		size_t room = length + 1 < 256 ? 256 : length + 1;
		char *grown = realloc(text->text, room);

		if (!grown)
			return -ENOMEM;
		text->text = grown;
		text->room = room;
	}
	memcpy(text->text, data, length);
	text->text[length] = '\0';
	text->length = length;
	return 0;
}

int fb_tar_decimal(const char *text, size_t length, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (length == 0)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9)
			return -EINVAL;
		if (value > (max - digit) / 10 || max < digit)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return 0;
}

int fb_tar_id(uint64_t value, uint32_t *ret_id)
{
	/* 2^32-1 means "leave it alone" to chown: the file would keep root as its owner. */
	if (value >= UINT32_MAX)
		return -EINVAL;
	*ret_id = (uint32_t)value;
	return 0;
}

static int parse_id(const char *value, size_t length, uint32_t *ret_id)
{
	uint64_t number;

	if (fb_tar_decimal(value, length, UINT32_MAX, &number) < 0)
		return -EINVAL;
	return fb_tar_id(number, ret_id);
}

/* "-?digits[.digits]", cut to nanoseconds towards the past as POSIX asks. */
static int parse_time(const char *value, size_t length, struct timespec *ret_time)
{
	bool negative = length && value[0] == '-';
	const char *end = value + length, *at = value + negative;
	const char *dot = memchr(at, '.', (size_t)(end - at));
	const char *whole_end = dot ? dot : end;
	uint64_t whole;
	long nanoseconds = 0, unit = 100000000;

	if (fb_tar_decimal(at, (size_t)(whole_end - at), INT64_MAX / 2, &whole) < 0)
		return -EINVAL;
	for (at = dot ? dot + 1 : end; at < end; at++, unit /= 10) {
		if (*at < '0' || *at > '9')
			return -EINVAL;
		nanoseconds += (*at - '0') * unit;
	}
	ret_time->tv_sec = negative ? -(time_t)whole : (time_t)whole;
	ret_time->tv_nsec = nanoseconds;
	if (negative && nanoseconds) {
		ret_time->tv_sec--;
		ret_time->tv_nsec = 1000000000 - nanoseconds;
	}
	return 0;
}

int fb_pax_add_segment(struct fb_pax *pax, uint64_t offset, uint64_t length)
{
	if (pax->segment_count == FB_TAR_SPARSE_MAX)
		return -EFBIG;
	if (pax->segment_count == pax->segment_room) {
		size_t room = pax->segment_room ? pax->segment_room * 2 : 64;
		struct fb_tar_segment *grown = realloc(pax->segments, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		pax->segments = grown;
		pax->segment_room = room;
	}
	pax->segments[pax->segment_count++] = (struct fb_tar_segment){offset, length};
	return 0;
}

bool fb_pax_segments_fit(const struct fb_tar_segment *segments, size_t count, uint64_t data,
			 uint64_t real)
{
	uint64_t end = 0, sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (segments[i].offset < end || segments[i].offset > real ||
		    segments[i].length > real - segments[i].offset)
			return false;
		end = segments[i].offset + segments[i].length;
		sum += segments[i].length; /* at most `real`, since they don't overlap */
	}
	return sum == data;
}

/* 0.0: the map comes as alternating records. */
static int sparse_half(struct fb_pax *pax, const char *value, size_t length, bool offset)
{
	uint64_t number;
	int r;

	pax->sparse_map = true;
	if (fb_tar_decimal(value, length, FB_TAR_REAL_MAX, &number) < 0 ||
	    offset == pax->half_segment)
		return -EINVAL;
	pax->half_segment = offset;
	if (offset) {
		r = fb_pax_add_segment(pax, number, 0);
		return r;
	}
	pax->segments[pax->segment_count - 1].length = number;
	return 0;
}

/* 0.1: "offset,length,offset,length,...", possibly empty. */
static int sparse_list(struct fb_pax *pax, const char *value, size_t length)
{
	const char *end = value + length;
	uint64_t numbers[2];

	pax->sparse_map = true;
	pax->segment_count = 0;
	while (value < end) {
		for (int i = 0; i < 2; i++) {
			const char *comma = memchr(value, ',', (size_t)(end - value));
			const char *stop = comma ? comma : end;

			if (fb_tar_decimal(value, (size_t)(stop - value), FB_TAR_REAL_MAX,
					   &numbers[i]) < 0)
				return -EINVAL;
			if (i == 0 && !comma)
				return -EINVAL;
			value = comma ? comma + 1 : end;
			if (comma && value == end)
				return -EINVAL;
		}
		if (fb_pax_add_segment(pax, numbers[0], numbers[1]) < 0)
			return -EFBIG;
	}
	return 0;
}

static int sparse_record(struct fb_pax *pax, const char *key, const char *value, size_t length)
{
	uint64_t ignored;

	if (strcmp(key, "offset") == 0)
		return sparse_half(pax, value, length, true);
	if (strcmp(key, "numbytes") == 0)
		return sparse_half(pax, value, length, false);
	if (strcmp(key, "map") == 0)
		return sparse_list(pax, value, length);
	if (strcmp(key, "numblocks") == 0) /* the map itself is counted */
		return fb_tar_decimal(value, length, FB_TAR_SPARSE_MAX, &ignored);
	if (strcmp(key, "name") == 0) {
		if (length == 0 || memchr(value, '\0', length))
			return -EINVAL;
		pax->has_sparse_name = true;
		return fb_tar_set_text(&pax->sparse_name, value, length);
	}
	if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0) {
		pax->has_sparse_size = true;
		return fb_tar_decimal(value, length, FB_TAR_REAL_MAX, &pax->sparse_size);
	}
	pax->sparse_one = true; /* whether 1.0 is what they say is judged when both are known */
	if (strcmp(key, "major") == 0)
		return fb_tar_decimal(value, length, 1000, &pax->sparse_major);
	if (strcmp(key, "minor") == 0)
		return fb_tar_decimal(value, length, 1000, &pax->sparse_minor);
	return -ENOTSUP;
}

static int set_name(struct fb_tar_text *text, bool *has, const char *value, size_t length)
{
	if (memchr(value, '\0', length))
		return -EINVAL;
	*has = length != 0; /* an empty value takes the record back */
	return fb_tar_set_text(text, value, length);
}

static int add_xattr(struct fb_pax *pax, const char *name, const char *value, size_t length)
{
	struct fb_tar_xattr *to = NULL;

	if (*name == '\0')
		return -EINVAL;
	for (size_t i = 0; i < pax->xattr_count && !to; i++)
		if (strcmp(pax->xattrs[i].name, name) == 0)
			to = &pax->xattrs[i];
	if (!to && pax->xattr_count == FB_TAR_XATTR_MAX)
		return -EFBIG;
	if (!to)
		to = &pax->xattrs[pax->xattr_count++];
	*to = (struct fb_tar_xattr){name, (const uint8_t *)value, length};
	return 0;
}

static int owner_or_time(struct fb_pax *pax, const char *key, const char *value, size_t length)
{
	bool *has;
	int r;

	if (strcmp(key, "uid") == 0)
		has = &pax->has_uid, r = length ? parse_id(value, length, &pax->uid) : 0;
	else if (strcmp(key, "gid") == 0)
		has = &pax->has_gid, r = length ? parse_id(value, length, &pax->gid) : 0;
	else if (strcmp(key, "mtime") == 0)
		has = &pax->has_mtime, r = length ? parse_time(value, length, &pax->mtime) : 0;
	else if (strcmp(key, "atime") == 0)
		has = &pax->has_atime, r = length ? parse_time(value, length, &pax->atime) : 0;
	else
		return 1;
	*has = length != 0;
	return r;
}

/* `key` ends in a NUL; `value` is bytes. */
static int record(struct fb_pax *pax, const char *key, const char *value, size_t length,
		  bool global)
{
	int r = owner_or_time(pax, key, value, length);

	if (r <= 0)
		return r;
	if (strcmp(key, "path") == 0)
		return global ? -EINVAL : set_name(&pax->path, &pax->has_path, value, length);
	if (strcmp(key, "linkpath") == 0)
		return global ? -EINVAL : set_name(&pax->link, &pax->has_link, value, length);
	if (strcmp(key, "size") == 0) {
		pax->has_size = length != 0;
		if (global)
			return -EINVAL;
		return length ? fb_tar_decimal(value, length, FB_TAR_REAL_MAX, &pax->size) : 0;
	}
	if (strncmp(key, "SCHILY.xattr.", 13) == 0)
		return global ? -EINVAL : add_xattr(pax, key + 13, value, length);
	if (strncmp(key, "GNU.sparse.", 11) == 0)
		return global ? -EINVAL : sparse_record(pax, key + 11, value, length);
	return 0; /* comments, charsets, names of owners, LIBARCHIVE.*: not needed */
}

static const char *const record_problems[] = {
    "a pax record has a length that does not fit",    "a pax record without a key",
    "a pax record with a value that is not possible", "a pax record beyond a limit",
    "a pax record of an unknown sparse format",
};

/* "LENGTH key=value\n", LENGTH counting all of it. */
static int one_record(struct fb_pax *pax, char **at, char *end, bool global,
		      const char **ret_detail)
{
	char *start = *at, *stop, *equals;
	char *space = memchr(start, ' ', (size_t)(end - start) < 20 ? (size_t)(end - start) : 20);
	uint64_t length;
	int r;

	*ret_detail = record_problems[0];
	if (!space ||
	    fb_tar_decimal(start, (size_t)(space - start), (uint64_t)(end - start), &length) < 0)
		return -EBADMSG;
	if (length < (size_t)(space - start) + 4 || start[length - 1] != '\n')
		return -EBADMSG;
	stop = start + length - 1;
	equals = memchr(space + 1, '=', (size_t)(stop - space - 1));
	*ret_detail = record_problems[1];
	if (!equals || equals == space + 1 || memchr(space + 1, '\0', (size_t)(equals - space - 1)))
		return -EBADMSG;
	*equals = '\0';
	r = record(pax, space + 1, equals + 1, (size_t)(stop - equals - 1), global);
	*ret_detail = record_problems[r == -ENOTSUP ? 4 : r == -EFBIG || r == -ERANGE ? 3 : 2];
	if (r == -ERANGE)
		r = -EFBIG;
	*at = start + length;
	return r;
}

int fb_pax_parse(struct fb_pax *pax, const char *data, size_t length, bool global,
		 const char **ret_detail)
{
	char *at, *end;
	int r = fb_tar_set_text(&pax->records, data, length);

	*ret_detail = NULL;
	if (r < 0)
		return r;
	pax->xattr_count = 0; /* they point into the records before */
	at = pax->records.text;
	end = at + length;
	while (r == 0 && at < end)
		r = one_record(pax, &at, end, global, ret_detail);
	if (r == 0 && pax->half_segment) {
		*ret_detail = record_problems[2];
		return -EBADMSG;
	}
	return r;
}

void fb_pax_reset(struct fb_pax *pax)
{
	pax->has_path = pax->has_link = pax->has_size = pax->has_uid = pax->has_gid = false;
	pax->has_mtime = pax->has_atime = pax->has_sparse_name = pax->has_sparse_size = false;
	pax->sparse_map = pax->sparse_one = pax->half_segment = false;
	pax->sparse_major = pax->sparse_minor = 0;
	pax->xattr_count = pax->segment_count = 0;
}

void fb_pax_free(struct fb_pax *pax)
{
	free(pax->path.text);
	free(pax->link.text);
	free(pax->records.text);
	free(pax->sparse_name.text);
	free(pax->segments);
}
