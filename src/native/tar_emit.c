#include "tar_emit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "tar_parse.h"

#define NAME_SIZE 100
#define PREFIX_SIZE 155
#define OCTAL_7 07777777u
#define OCTAL_11 077777777777ull
#define SPARSE_DIRECTORY "GNUSparseFile.0/"
#define FAIL(entry, code, call, detail)                                                            \
	FB_FAIL_CODE(err, FB_STAGE_WRITE, (code), (call), (entry)->name, (detail))

struct text { /* grows; `failed` once it could not */
	char *data;
	size_t length, room;
	bool failed;
};

static void free_text(struct text *text)
{
	free(text->data);
}
#define auto_text __attribute__((cleanup(free_text)))

static void append(struct text *text, const void *data, size_t length)
{
	if (text->length + length > text->room) {
		size_t room = (text->length + length) * 2;
		char *grown = text->failed ? NULL : realloc(text->data, room);

		if (!grown) {
			text->failed = true;
			return;
		}
		text->data = grown;
		text->room = room;
	}
	if (length)
		memcpy(text->data + text->length, data, length);
	text->length += length;
}

static size_t digits(size_t number)
{
	size_t count = 1;

	while (number /= 10)
		count++;
	return count;
}

/* "LENGTH KEY=VALUE\n", where the length counts itself. */
static void add_record(struct text *text, const char *key, const void *value, size_t length)
{
	size_t body = strlen(key) + length + 3, total = body + digits(body);
	char number[24];

	if (digits(total) != digits(body))
		total = body + digits(total);
	append(text, number, (size_t)snprintf(number, sizeof(number), "%zu ", total));
	append(text, key, strlen(key));
	append(text, "=", 1);
	append(text, value, length);
	append(text, "\n", 1);
}

static void add_number(struct text *text, const char *key, uint64_t value)
{
	char number[24];

	add_record(text, key, number, (size_t)snprintf(number, sizeof(number), "%" PRIu64, value));
}

/* Before 1970 a fraction counts backwards: -1.5 is half a second before -1. */
static void add_time(struct text *text, const char *key, struct timespec time)
{
	bool before = time.tv_sec < 0;
	int64_t seconds = time.tv_sec;
	long nanoseconds = time.tv_nsec;
	char number[48];
	int length;

	if (before && nanoseconds) {
		seconds++;
		nanoseconds = 1000000000 - nanoseconds;
	}
	length = snprintf(number, sizeof(number), "%s%" PRIu64, before ? "-" : "",
			  before ? (uint64_t)-seconds : (uint64_t)seconds);
	if (nanoseconds) {
		length +=
		    snprintf(number + length, sizeof(number) - (size_t)length, ".%09ld", nanoseconds);
		while (number[length - 1] == '0')
			length--;
	}
	add_record(text, key, number, (size_t)length);
}

/* "=" ends a key, so that GNU tar writes %3D for it, and %25 for the "%" of such a name. */
static void add_xattr(struct text *text, const struct fb_tar_xattr *xattr)
{
	auto_text struct text key = {0};
	bool escape = strchr(xattr->name, '=') != NULL;

	append(&key, "SCHILY.xattr.", 13);
	for (const char *c = xattr->name; *c; c++)
		if (escape && (*c == '=' || *c == '%'))
			append(&key, *c == '=' ? "%3D" : "%25", 3);
		else
			append(&key, c, 1);
	append(&key, "", 1);
	if (key.failed)
		text->failed = true;
	else
		add_record(text, key.data, xattr->value, xattr->length);
}

/* A name of up to 100 bytes, or one that can be cut at a "/" into 155 and 100. -1: neither; else how
 * long the first part is. */
static ssize_t split_name(const char *name)
{
	size_t length = strlen(name);

	if (length <= NAME_SIZE)
		return 0;
	if (length > PREFIX_SIZE + 1 + NAME_SIZE)
		return -1;
	for (size_t at = length - NAME_SIZE - 1; at < length - 1 && at <= PREFIX_SIZE; at++)
		if (name[at] == '/' && at > 0)
			return (ssize_t)at;
	return -1;
}

/* Octal digits with zeros before them, and a NUL. */
static void put_number(uint8_t *block, struct fb_tar_field field, uint64_t value)
{
	for (unsigned at = field.offset + field.length - 1u; at-- > field.offset; value >>= 3)
		block[at] = (uint8_t)('0' + (value & 7));
	block[field.offset + field.length - 1] = '\0';
}

static void put_text(uint8_t *block, size_t at, size_t size, const char *text, size_t length)
{
	memcpy(block + at, text, length < size ? length : size);
}

static void put_sum(uint8_t *block)
{
	unsigned sum = 0;
	char text[16];

	memset(block + 148, ' ', 8);
	for (int i = 0; i < FB_TAR_BLOCK; i++)
		sum += block[i];
	snprintf(text, sizeof(text), "%06o", sum & 0777777);
	memcpy(block + 148, text, 7);
}

static const struct fb_tar_field F_MODE = {100, 8}, F_UID = {108, 8}, F_GID = {116, 8},
				 F_SIZE = {124, 12}, F_MTIME = {136, 12}, F_MAJOR = {329, 8},
				 F_MINOR = {337, 8};

/* What does not fit is 0 here, and in a record before. */
static void fill_block(uint8_t *block, const struct fb_tar_entry *entry, const char *name,
		       uint64_t size)
{
	ssize_t cut = split_name(name);
	bool node = entry->type == FB_TAR_CHAR || entry->type == FB_TAR_BLOCKDEV;
	int64_t mtime = entry->mtime.tv_sec;

	memset(block, 0, FB_TAR_BLOCK);
	if (cut > 0) {
		put_text(block, 345, PREFIX_SIZE, name, (size_t)cut);
		name += cut + 1;
	}
	put_text(block, 0, NAME_SIZE, name, strlen(name));
	put_number(block, F_MODE, entry->mode & 07777);
	put_number(block, F_UID, entry->uid <= OCTAL_7 ? entry->uid : 0);
	put_number(block, F_GID, entry->gid <= OCTAL_7 ? entry->gid : 0);
	put_number(block, F_SIZE, size <= OCTAL_11 ? size : 0);
	put_number(block, F_MTIME, mtime >= 0 && (uint64_t)mtime <= OCTAL_11 ? (uint64_t)mtime : 0);
	block[FB_TAR_TYPE_AT] = (uint8_t)entry->type;
	if (entry->link)
		put_text(block, 157, NAME_SIZE, entry->link, strlen(entry->link));
	memcpy(block + 257, "ustar\00000", 8);
	put_number(block, F_MAJOR, node ? entry->major : 0);
	put_number(block, F_MINOR, node ? entry->minor : 0);
	put_sum(block);
}

static void add_records(struct text *text, const struct fb_tar_entry *entry, uint64_t size)
{
	if (entry->sparse) {
		add_number(text, "GNU.sparse.major", 1);
		add_number(text, "GNU.sparse.minor", 0);
		add_record(text, "GNU.sparse.name", entry->name, strlen(entry->name));
		add_number(text, "GNU.sparse.realsize", entry->real_size);
	} else if (split_name(entry->name) < 0) {
		add_record(text, "path", entry->name, strlen(entry->name));
	}
	if (entry->link && strlen(entry->link) > NAME_SIZE)
		add_record(text, "linkpath", entry->link, strlen(entry->link));
	if (entry->uid > OCTAL_7)
		add_number(text, "uid", entry->uid);
	if (entry->gid > OCTAL_7)
		add_number(text, "gid", entry->gid);
	if (size > OCTAL_11)
		add_number(text, "size", size);
	if (entry->mtime.tv_nsec || entry->mtime.tv_sec < 0 ||
	    (uint64_t)entry->mtime.tv_sec > OCTAL_11)
		add_time(text, "mtime", entry->mtime);
	for (size_t i = 0; i < entry->xattr_count; i++)
		add_xattr(text, &entry->xattrs[i]);
}

static int emit_records(struct fb_pack *pack, const struct fb_tar_entry *entry,
			const struct text *text, struct fb_error *err)
{
	const struct fb_tar_entry meta = {.type = (enum fb_tar_type)'x', .mode = 0644};
	uint8_t block[FB_TAR_BLOCK];
	int r;

	if (text->failed)
		return FAIL(entry, ENOMEM, "malloc", NULL);
	if (text->length > FB_TAR_META_MAX)
		return FAIL(entry, EFBIG, "tar", "more extended attributes than an archive can hold");
	fill_block(block, &meta, "PaxHeaders.0/records", text->length);
	r = fb_pack_write(pack, block, sizeof(block), err);
	if (r == 0)
		r = fb_pack_write(pack, text->data, text->length, err);
	return r < 0 ? r : fb_emit_padding(pack, text->length, err);
}

/* Sparse format 1.0: decimal numbers, a line each, before the data and padded as they are. */
static void sparse_map(struct text *map, const struct fb_tar_entry *entry)
{
	char line[64];

	append(map, line, (size_t)snprintf(line, sizeof(line), "%zu\n", entry->segment_count));
	for (size_t i = 0; i < entry->segment_count; i++)
		append(map, line,
		       (size_t)snprintf(line, sizeof(line), "%" PRIu64 "\n%" PRIu64 "\n",
					entry->segments[i].offset, entry->segments[i].length));
	memset(line, 0, sizeof(line));
	while (map->length % FB_TAR_BLOCK && !map->failed) {
		size_t left = FB_TAR_BLOCK - map->length % FB_TAR_BLOCK;

		append(map, line, left < sizeof(line) ? left : sizeof(line));
	}
}

int fb_emit_header(struct fb_pack *pack, const struct fb_tar_entry *entry, struct fb_error *err)
{
	auto_text struct text records = {0}, map = {0};
	uint64_t size = entry->type == FB_TAR_FILE ? entry->size : 0;
	const char *base = strrchr(entry->name, '/');
	char sparse_name[NAME_SIZE + 1];
	uint8_t block[FB_TAR_BLOCK];
	int r = 0;

	if (entry->sparse) {
		sparse_map(&map, entry);
		if (map.failed)
			return FAIL(entry, ENOMEM, "malloc", NULL);
		size += map.length;
		snprintf(sparse_name, sizeof(sparse_name), SPARSE_DIRECTORY "%.80s",
			 base ? base + 1 : entry->name);
	}
	add_records(&records, entry, size);
	if (records.length || records.failed)
		r = emit_records(pack, entry, &records, err);
	fill_block(block, entry, entry->sparse ? sparse_name : entry->name, size);
	if (r == 0)
		r = fb_pack_write(pack, block, sizeof(block), err);
	return r < 0 || !map.length ? r : fb_pack_write(pack, map.data, map.length, err);
}

int fb_emit_zeros(struct fb_pack *pack, uint64_t count, struct fb_error *err)
{
	while (count) {
		size_t room;
		uint8_t *to;
		int r = fb_pack_room(pack, &to, &room, err);

		if (r < 0)
			return r;
		if (room > count)
			room = (size_t)count;
		memset(to, 0, room);
		fb_pack_filled(pack, room);
		count -= room;
	}
	return 0;
}

int fb_emit_padding(struct fb_pack *pack, uint64_t size, struct fb_error *err)
{
	return fb_emit_zeros(pack, fb_tar_padding(size), err);
}

int fb_emit_end(struct fb_pack *pack, struct fb_error *err)
{
	return fb_emit_zeros(pack, (uint64_t)2 * FB_TAR_BLOCK, err);
}
