#include "log_read.h"

#include <string.h>

#include "log_json.h"

#define LOCAL_MAX ((size_t)1 << 20) /* a record that says it is longer is none */

static size_t be32(const char *at)
{
	const unsigned char *s = (const unsigned char *)at;

	return (size_t)s[0] << 24 | (size_t)s[1] << 16 | (size_t)s[2] << 8 | s[3];
}

static bool varint(const char **at, const char *end, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		unsigned char c = (unsigned char)*(*at)++;

		*ret |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

/* One field of a message: a number, or bytes. */
static bool field(const char **at, const char *end, uint64_t *ret_tag, uint64_t *ret_value, const char **ret_bytes)
{
	if (!varint(at, end, ret_tag) || !varint(at, end, ret_value))
		return false;
	if ((*ret_tag & 7) == 0)
		return true;
	if ((*ret_tag & 7) != 2 || *ret_value > (uint64_t)(end - *at))
		return false;
	*ret_bytes = *at;
	*at += *ret_value;
	return true;
}

static bool is_last(const char *at, const char *end)
{
	const char *bytes = NULL;
	uint64_t tag, value;

	while (at < end && field(&at, end, &tag, &value, &bytes))
		if (tag == (1 << 3))
			return value != 0;
	return false;
}

static bool read_entry(const char *at, const char *end, struct fb_log_record *record)
{
	const char *bytes = NULL;
	uint64_t tag, value;

	*record = (struct fb_log_record){.ended = true, .text = at};
	while (at < end) {
		if (!field(&at, end, &tag, &value, &bytes))
			return false;
		if (tag == (1 << 3 | 2)) {
			record->stream = value == 6 && memcmp(bytes, "stderr", 6) == 0 ? 2 : 1;
		} else if (tag == 2 << 3) {
			record->when = (int64_t)value;
		} else if (tag == (3 << 3 | 2)) {
			record->text = bytes;
			record->length = (size_t)value;
		} else if (tag == 4 << 3) {
			record->ended &= value == 0;
		} else if (tag == (5 << 3 | 2)) {
			record->ended = is_last(bytes, bytes + value);
		}
	}
	return record->stream != 0;
}

static size_t read_local(const char *data, size_t length, struct fb_log_record *record, bool *ret_found)
{
	size_t size;

	for (size_t at = 0; at + 4 <= length; at++) {
		size = be32(data + at);
		if (size > LOCAL_MAX || size == 0)
			continue; /* no record: look on, byte for byte */
		/* Each begins with its source: what looks like a large size does not hide all that follows. */
		if (at + 4 < length && data[at + 4] != (1 << 3 | 2))
			continue;
		if (size + 8 > length - at)
			return at;
		if (be32(data + at + 4 + size) != size)
			continue;
		*ret_found = read_entry(data + at + 4, data + at + 4 + size, record);
		return at + size + 8;
	}
	return length < 4 ? 0 : length - 3;
}

static size_t read_line(const char *data, size_t length, char *to, struct fb_log_record *record, bool *ret_found)
{
	const char *newline = memchr(data, '\n', length);

	if (!newline)
		return 0;
	*ret_found = fb_log_json_line(data, (size_t)(newline - data), to, record);
	return (size_t)(newline - data) + 1;
}

size_t fb_log_read(enum fb_log_kind kind, const char *data, size_t length, char *to, struct fb_log_record *ret_record,
		   bool *ret_found)
{
	*ret_found = false;
	return kind == FB_LOG_KIND_JSON ? read_line(data, length, to, ret_record, ret_found) :
					  read_local(data, length, ret_record, ret_found);
}
