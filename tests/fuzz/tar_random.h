/* Archives that are mostly right and never the same: every kind of entry and of extended header, names that meet each other,
 * and in a few places a number or a text that breaks the rules. */
#ifndef TAR_RANDOM_H
#define TAR_RANDOM_H

#include "fuzz.h"

#define SEGMENTS_MAX 60
#define PICK(table) ((table)[random_below(sizeof(table) / sizeof((table)[0]))])

static bool one_in(uint64_t n)
{
	return random_below(n) == 0;
}

static const char *random_name(void)
{
	static const char *const above[] = {"d", "d", "d", "a", "b", "l", "up", "out"}; /* l and up are links, mostly */
	static const char *const last[] = {"f", "f", "g", "h", "l", "c", "e", "s"};
	static const char *const markers[] = {".wh.f", ".wh.d", ".wh.l", ".wh..wh..opq", ".wh..wh.plnk"};
	static const char *const odd[] = {"",	"/",	  ".",	 "..",	   "/abs",	"d/../f", "d//f/",	   "./d/./f", "..//x",
					  ".wh.", ".wh...", "d/.", "d/l/x", "\xff\n\x1b", "l/../x", "d/.wh..wh.x/f", "\\x"};
	static char text[4600];

	if (one_in(60))
		return PICK(odd);
	if (one_in(150)) { /* longer than a name or a path may be, or just not */
		size_t length = one_in(2) ? 250 + random_below(10) : 4090 + random_below(10);

		memset(text, 'n', length);
		for (size_t at = 200; length > 260 && at < length; at += 200)
			text[at] = '/';
		text[length] = '\0';
		return text;
	}
	text[0] = '\0';
	for (uint64_t depth = 1 + random_below(2) * (1 + random_below(2)); depth--;) {
		bool leaf = depth ? one_in(100) : !one_in(10);

		strcat(text, !leaf ? PICK(above) : one_in(8) ? PICK(markers) : PICK(last));
		strcat(text, depth ? "/" : "");
	}
	return text;
}

static const char *random_number(void)
{
	static const char *const odd[] = {"", "-1", "0", "4294967294", "4294967295", "18446744073709551616", "9223372036854775807", "4611686018427387905", "1.", "x", "00", " 1", "1e9"};
	static char text[24];

	if (one_in(50))
		return PICK(odd);
	snprintf(text, sizeof(text), "%u", (unsigned)random_below(2000));
	return text;
}

static const char *random_time(void)
{
	static const char *const times[] = {"0", "1.5", "-1.25", "1700000000.123456789012", "-0", "1.", ""};
	static const char *const odd[] = {"9223372036854775807", "4611686018427387903.9", ".5", "1.x", "--1", "-", "18446744073709551617"};

	return one_in(40) ? PICK(odd) : PICK(times);
}

struct records {
	char text[16 << 10];
	size_t length;
};

static void add_record(struct records *r, const char *key, const void *value, size_t length)
{
	size_t begin = r->length;

	if (length + strlen(key) + 64 > sizeof(r->text) - r->length)
		return;
	r->length += mk_record(r->text + r->length, sizeof(r->text) - r->length, key, value, length);
	if (one_in(300)) /* a length that lies */
		r->text[begin] = (char)('0' + random_below(10));
}

static void add_text(struct records *r, const char *key, const char *value)
{
	add_record(r, key, value, strlen(value));
}

static void random_record(struct records *r)
{
	static const char *const xattrs[] = {"SCHILY.xattr.user.a", "SCHILY.xattr.trusted.b", "SCHILY.xattr.trusted.overlay.opaque", "SCHILY.xattr.trusted.overlay.redirect",
					     "SCHILY.xattr.security.capability", "SCHILY.xattr.user.a"};
	static const char *const odd[] = {"SCHILY.xattr.system.posix_acl_access", "SCHILY.xattr.", "SCHILY.xattr.nowhere"};
	static const char capability[] = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0";

	switch (random_below(10)) {
	case 0:
		add_text(r, "path", random_name());
		break;
	case 1:
		add_text(r, "linkpath", random_name());
		break;
	case 2:
		add_text(r, one_in(2) ? "uid" : "gid", random_number());
		break;
	case 3:
		add_text(r, one_in(2) ? "mtime" : "atime", random_time());
		break;
	case 4:
	case 5:
		add_record(r, one_in(30) ? PICK(odd) : PICK(xattrs), capability, one_in(30) ? random_below(sizeof(capability)) : sizeof(capability));
		break;
	case 6:
		add_text(r, one_in(2) ? "comment" : "LIBARCHIVE.creationtime", "some text");
		break;
	case 7:
		if (one_in(10))
			add_text(r, "size", random_number());
		break;
	case 8:
		if (one_in(40))
			add_text(r, "GNU.sparse.unknown", "1");
		break;
	default:
		for (unsigned i = 0; one_in(20) && i < 300; i++) { /* more attributes than one entry may have */
			char key[64];

			snprintf(key, sizeof(key), "SCHILY.xattr.user.%u", i);
			add_text(r, key, "v");
		}
	}
}

static void random_records(struct make *m, char type)
{
	struct records r = {.length = 0};

	for (uint64_t n = random_below(5); n--;)
		random_record(&r);
	mk_meta(m, type, r.text, r.length);
}

/* What stands before an entry. */
static void random_meta(struct make *m)
{
	const char *name;

	if (one_in(3))
		random_records(m, 'x');
	if (one_in(12)) {
		name = random_name();
		mk_meta(m, 'L', name, strlen(name) + 1);
	}
	if (one_in(12)) {
		name = random_name();
		mk_meta(m, 'K', name, strlen(name) + 1);
	}
	if (one_in(40)) {
		struct records r = {.length = 0};

		add_text(&r, "mtime", random_time());
		add_text(&r, one_in(2) ? "uid" : "comment", random_number());
		mk_meta(m, 'g', r.text, r.length);
	}
	if (one_in(60))
		mk_meta(m, one_in(2) ? 'V' : 'X', "volume", random_below(7));
}

/* Numbers beyond octal's reach: base 256. */
static void binary_number(struct make *m, size_t at, size_t width)
{
	uint8_t field[12] = {0x80};

	field[width - 1] = (uint8_t)random_below(256);
	field[width - 2] = (uint8_t)random_below(4);
	if (one_in(20))
		field[one_in(2) ? 0 : 1] = 0xff;
	mk_poke(m, at, field, width);
}

static void random_fields(struct make *m)
{
	if (one_in(3))
		mk_owner(m, (unsigned)random_below(70000), (unsigned)random_below(70000));
	if (one_in(12))
		binary_number(m, one_in(2) ? 108 : 116, 8);
	if (one_in(12))
		binary_number(m, 136, 12);
	if (one_in(12))
		mk_poke(m, 345, one_in(2) ? "d" : "a/b", 2);
	if (one_in(40))
		mk_poke(m, 508, "tar", 4);
	if (one_in(12)) /* v7 */
		mk_poke(m, 257, "\0\0\0\0\0\0\0", 8);
}

struct map {
	uint64_t offset[SEGMENTS_MAX], length[SEGMENTS_MAX], data, real;
	unsigned count;
};

static struct map random_map(void)
{
	struct map map = {.count = (unsigned)random_below(one_in(6) ? SEGMENTS_MAX : 6)};

	for (unsigned i = 0; i < map.count; i++) {
		map.offset[i] = map.real + random_below(3000);
		map.length[i] = random_below(one_in(3) ? 1200 : 20);
		map.real = map.offset[i] + map.length[i];
		map.data += map.length[i];
	}
	map.real += random_below(2) * random_below(9000);
	if (map.count && one_in(20)) {
		unsigned i = (unsigned)random_below(map.count);

		*(one_in(2) ? &map.offset[i] : &map.length[i]) += one_in(2) ? 1 : (uint64_t)1 << random_below(63);
	}
	if (one_in(30))
		map.real = (uint64_t)1 << random_below(63);
	return map;
}

static void data(struct make *m, uint64_t length)
{
	for (; length > 4; length -= 4)
		mk_bytes(m, "data", 4);
	mk_bytes(m, "more", length);
	mk_pad(m);
}

static void add_decimal(struct records *r, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	add_text(r, key, text);
}

/* 0.0: a record for each number; 0.1: one for all. */
static void sparse_zero(struct make *m, const struct map *map, bool one_record)
{
	struct records r = {.length = 0};
	char list[4096] = "";

	add_decimal(&r, "GNU.sparse.size", map->real);
	add_decimal(&r, "GNU.sparse.numblocks", map->count);
	if (one_in(2))
		add_text(&r, "GNU.sparse.name", random_name());
	for (unsigned i = 0; i < map->count && !one_record; i++) {
		add_decimal(&r, "GNU.sparse.offset", map->offset[i]);
		if (!one_in(100))
			add_decimal(&r, "GNU.sparse.numbytes", map->length[i]);
	}
	for (unsigned i = 0, at = 0; i < map->count && one_record; i++)
		at += (unsigned)snprintf(list + at, sizeof(list) - at, "%s%llu,%llu", i ? "," : "", (unsigned long long)map->offset[i],
					 (unsigned long long)map->length[i]);
	if (one_record)
		add_text(&r, "GNU.sparse.map", list);
	mk_meta(m, 'x', r.text, r.length);
	mk_header(m, random_name(), '0', 0644, map->data, NULL);
	data(m, map->data);
}

/* 1.0: the map is at the head of the data. */
static void sparse_one(struct make *m, const struct map *map)
{
	struct records r = {.length = 0};
	struct make text = {0};
	char line[64];

	add_text(&r, "GNU.sparse.major", one_in(30) ? random_number() : "1");
	add_text(&r, "GNU.sparse.minor", one_in(30) ? random_number() : "0");
	add_decimal(&r, "GNU.sparse.realsize", map->real);
	if (one_in(2))
		add_text(&r, "GNU.sparse.name", random_name());
	mk_bytes(&text, line, (size_t)snprintf(line, sizeof(line), "%u\n", map->count));
	for (unsigned i = 0; i < map->count; i++)
		mk_bytes(&text, line, (size_t)snprintf(line, sizeof(line), "%llu\n%llu\n", (unsigned long long)map->offset[i], (unsigned long long)map->length[i]));
	mk_pad(&text);
	mk_meta(m, 'x', r.text, r.length);
	mk_header(m, random_name(), '0', 0644, text.length + map->data, NULL);
	mk_bytes(m, text.data, text.length);
	data(m, map->data);
	mk_free(&text);
}

static void octal_12(struct make *m, size_t at, uint64_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%011llo", (unsigned long long)value & 077777777777);
	memcpy(m->data + at, text, 12);
}

/* GNU's own: four segments in the header, 21 in each block after it. */
static void sparse_gnu(struct make *m, const struct map *map)
{
	size_t at;

	mk_header(m, random_name(), 'S', 0644, map->data, NULL);
	memcpy(m->data + m->header + 257, "ustar  ", 8);
	at = m->header + 386;
	for (unsigned i = 0; i < map->count; i++, at += 24) {
		if (i == 4 || (i > 4 && (i - 4) % 21 == 0)) {
			m->data[i == 4 ? m->header + 482 : m->length - 8] = 1;
			at = m->length;
			mk_bytes(m, NULL, 512);
		}
		octal_12(m, at, map->offset[i]);
		octal_12(m, at + 12, map->length[i]);
	}
	octal_12(m, m->header + 483, map->real);
	mk_sum(m);
	data(m, map->data);
}

static void random_sparse(struct make *m)
{
	struct map map = random_map();
	uint64_t stated = map.data;

	map.data = stated & 0xffff; /* what a broken map asks for may be anything */
	switch (random_below(4)) {
	case 0:
		sparse_zero(m, &map, false);
		break;
	case 1:
		sparse_zero(m, &map, true);
		break;
	case 2:
		sparse_one(m, &map);
		break;
	default:
		sparse_gnu(m, &map);
	}
}

static void random_file(struct make *m)
{
	uint64_t size = random_below(one_in(10) ? 3000 : 30);

	mk_header(m, random_name(), one_in(20) ? '7' : one_in(20) ? '\0' : '0', one_in(4) ? (unsigned)random_below(010000) : 0644, size, NULL);
	random_fields(m);
	if (one_in(30))
		binary_number(m, 124, 12);
	data(m, size);
}

static void random_entry(struct make *m)
{
	char name[128];

	random_meta(m);
	switch (random_below(14)) {
	case 0:
	case 1:
	case 2:
		snprintf(name, sizeof(name), "%.90s%s", random_name(), one_in(2) ? "/" : "");
		mk_header(m, name, one_in(10) ? '\0' : '5', (unsigned)random_below(010000), one_in(20) ? 7 : 0, NULL);
		random_fields(m);
		break;
	case 3:
	case 4:
		snprintf(name, sizeof(name), "%.90s", random_name());
		mk_symlink(m, name, one_in(4) ? "../up/canary" : one_in(4) ? ".." : random_name());
		break;
	case 5:
	case 6:
		snprintf(name, sizeof(name), "%.90s", random_name());
		mk_hard(m, name, one_in(6) ? random_name() : one_in(2) ? "d/f" : "f");
		break;
	case 7:
		mk_header(m, random_name(), (char)('3' + random_below(4)), 0600, 0, NULL);
		mk_device(m, (unsigned)random_below(one_in(30) ? 1 << 13 : 3), (unsigned)random_below(300));
		break;
	case 8:
	case 9:
		random_sparse(m);
		break;
	default:
		random_file(m);
	}
}

/* A few names that the others refer to, then anything. */
static void random_archive(struct make *m)
{
	if (!one_in(10)) {
		mk_dir(m, "d/", 0755);
		mk_file(m, "d/f", "text");
		mk_file(m, "f", "text");
	}
	for (uint64_t entries = 1 + random_below(one_in(4) ? 40 : 8); entries--;)
		random_entry(m);
	if (one_in(40))
		mk_pax(m, 'g', "comment", "at the end", NULL);
	mk_bytes(m, NULL, one_in(20) ? 512 : 1024);
	if (one_in(20))
		random_file(m); /* after the end */
}

#endif
