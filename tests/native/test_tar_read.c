/* The parser alone: what it reads from good archives, and that every bad one is refused. No file is
 * touched. */
#include <errno.h>

#include "tar_make.h"
#include "tar_read.h"

static int failures;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (%s: %s)\n", __FILE__, __LINE__, #condition,    \
				err.path, err.detail);                                             \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static struct fb_error err;

struct source {
	const uint8_t *data;
	size_t length, step;
};

static ssize_t pull(void *context, const uint8_t **ret_data, struct fb_error *error)
{
	struct source *s = context;
	size_t n = s->step && s->step < s->length ? s->step : s->length;

	(void)error;
	*ret_data = s->data;
	s->data += n;
	s->length -= n;
	return (ssize_t)n;
}

static struct source source;
static struct fb_tar *tar;
static const struct fb_tar_entry *entry;

/* The first entry of what was made; pieces of `step` bytes. */
static int first(const struct make *m, size_t step)
{
	fb_tar_close(tar);
	source = (struct source){m->data, m->length, step};
	if (fb_tar_open(pull, &source, &tar, &err) < 0)
		return -1;
	return fb_tar_next(tar, &entry, &err);
}

/* The whole archive: 0, or the error. */
static int all(const struct make *m, size_t step)
{
	int r = first(m, step);

	while (r > 0) {
		const uint8_t *data;
		ssize_t got;

		do
			got = fb_tar_data(tar, &data, &err);
		while (got > 0);
		r = got < 0 ? (int)got : fb_tar_next(tar, &entry, &err);
	}
	return r < 0 ? r : fb_tar_drain(tar, &err);
}

static void test_plain(void)
{
	struct make m = {0};

	mk_file(&m, "hello", "content");
	mk_owner(&m, 1000, 2097151);
	mk_poke(&m, 345, "some/prefix", 12);
	mk_end(&m);
	for (size_t step = 0; step < 600; step += 37) {
		const uint8_t *data;

		CHECK(first(&m, step) == 1);
		CHECK(strcmp(entry->name, "some/prefix/hello") == 0 && entry->type == FB_TAR_FILE);
		CHECK(entry->mode == 0644 && entry->uid == 1000 && entry->gid == 2097151);
		CHECK(entry->mtime.tv_sec == 1000000000 && entry->size == 7 && !entry->sparse);
		CHECK(fb_tar_data(tar, &data, &err) > 0 && data[0] == 'c');
		CHECK(fb_tar_next(tar, &entry, &err) == 0 && fb_tar_next(tar, &entry, &err) == 0);
		CHECK(fb_tar_drain(tar, &err) == 0 && source.length == 0);
	}
	mk_free(&m);
}

static void test_old_formats(void)
{
	struct make m = {0};
	char full[101];

	memset(full, 'n', 100), full[100] = '\0';
	mk_header(&m, full, '\0', 0100600, 0,
		  NULL); /* v7: no magic, no prefix, type bits in the mode */
	mk_poke(&m, 257, "\0\0\0\0\0\0\0\0", 8);
	mk_poke(&m, 345, "ignored", 8);
	mk_header(&m, "dir/", '\0', 0700, 0, NULL);
	mk_header(&m, "star", '0', 0644, 0, NULL); /* star keeps times behind a shorter prefix */
	mk_poke(&m, 345, "p", 2);
	mk_poke(&m, 476, "00000000000", 12);
	mk_poke(&m, 508, "tar", 4);
	mk_header(&m, "spaces", '7', 0644, 0, NULL);
	mk_poke(&m, 108, "  644 \0 ", 8);
	mk_header(&m, "dir-with-size", '5', 0755, 512, NULL);
	mk_end(&m);
	CHECK(first(&m, 0) == 1 && strcmp(entry->name, full) == 0 && entry->mode == 0600);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->type == FB_TAR_DIRECTORY);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && strcmp(entry->name, "p/star") == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->uid == 0644 &&
	      entry->type == FB_TAR_FILE);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->size == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 0);
	mk_free(&m);
}

static void test_long_names(void)
{
	struct make m = {0};
	char name[5000];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	mk_meta(&m, 'L', name, sizeof(name));
	mk_meta(&m, 'K', "target", 7);
	mk_symlink(&m, "short", "shorter");
	mk_pax(&m, 'x', "path", "other", "linkpath", "t2", "size", "0", NULL);
	mk_symlink(&m, "short", "shorter");
	mk_symlink(&m, "plain", "p");
	mk_end(&m);
	CHECK(first(&m, 100) == 1 && strcmp(entry->name, name) == 0 &&
	      strcmp(entry->link, "target") == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && strcmp(entry->name, "other") == 0);
	CHECK(strcmp(entry->link, "t2") == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && strcmp(entry->name, "plain") == 0);
	CHECK(strcmp(entry->link, "p") == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 0);
	mk_free(&m);
}

static void test_pax_values(void)
{
	struct make m = {0};

	mk_pax(&m, 'g', "uid", "77", "comment", "any", "mtime", "5.25", NULL);
	mk_pax(&m, 'x', "mtime", "-1.25", "atime", "1700000000.123456789999", "uid", "4294967294",
	       "gid", "8", "SCHILY.xattr.user.a", "one", "SCHILY.xattr.user.a", "two",
	       "SCHILY.xattr.user.e", "", "LIBARCHIVE.xattr.user.b", "b25l", "uname", "who", NULL);
	mk_file(&m, "f", "");
	mk_file(&m, "g", "");
	mk_pax(&m, 'g', "uid", "", "mtime", "", NULL);
	mk_file(&m, "h", "");
	mk_pax(&m, 'g', "comment", "last", NULL);
	mk_end(&m);
	CHECK(first(&m, 0) == 1 && entry->mtime.tv_sec == -2 && entry->mtime.tv_nsec == 750000000);
	CHECK(entry->atime.tv_sec == 1700000000 && entry->atime.tv_nsec == 123456789);
	CHECK(entry->uid == 4294967294u && entry->gid == 8 && entry->xattr_count == 2);
	CHECK(strcmp(entry->xattrs[0].name, "user.a") == 0 &&
	      memcmp(entry->xattrs[0].value, "two", 3) == 0);
	CHECK(entry->xattrs[1].length == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->uid == 77 && entry->mtime.tv_sec == 5);
	CHECK(entry->mtime.tv_nsec == 250000000 && entry->xattr_count == 0);
	CHECK(fb_tar_next(tar, &entry, &err) == 1 && entry->uid == 0 &&
	      entry->mtime.tv_sec == 1000000000);
	CHECK(fb_tar_next(tar, &entry, &err) == 0);
	mk_free(&m);
}

static void test_base256(void)
{
	struct make m = {0};

	mk_file(&m, "big", "");
	mk_poke(&m, 124, "\x80\0\0\0\0\0\0\x02\0\0\0\0", 12); /* 8 GiB */
	mk_poke(&m, 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12);
	mk_poke(&m, 108, "\x80\0\0\0\xff\xff\xff\xfe", 8);
	CHECK(first(&m, 0) == 1 && entry->size == (uint64_t)8 << 30 && entry->mtime.tv_sec == -2);
	CHECK(entry->uid == 4294967294u);
	mk_free(&m);
	mk_pax(&m, 'x', "size", "1099511627776", NULL);
	mk_file(&m, "bigger", "");
	mk_poke(&m, 124, "77777777777", 12);
	CHECK(first(&m, 0) == 1 && entry->size == (uint64_t)1 << 40);
	mk_free(&m);
}

static bool two_segments(void)
{
	const uint8_t *data;

	return entry->sparse && entry->real_size == 3000 && entry->segment_count == 2 &&
	       entry->size == 8 && entry->segments[0].offset == 100 &&
	       entry->segments[0].length == 3 && entry->segments[1].offset == 2000 &&
	       entry->segments[1].length == 5 && fb_tar_data(tar, &data, &err) > 0 &&
	       data[0] == 'a' && strcmp(entry->name, "name") == 0;
}

static void sparse_old(struct make *m)
{
	mk_header(m, "name", 'S', 0644, 8, NULL);
	mk_poke(m, 257, "ustar  ", 8);
	mk_poke(m, 386,
		"00000000144\0"
		"00000000003",
		24);
	mk_poke(m, 410,
		"00000003720\0"
		"00000000005",
		24);
	mk_poke(m, 483, "00000005670", 12);
	mk_bytes(m, "aaabbbbb", 8);
	mk_pad(m);
}

static void test_sparse(void)
{
	static const char map[] = "2\n100\n3\n2000\n5\n";
	struct make m = {0};

	sparse_old(&m);
	mk_pax(&m, 'x', "GNU.sparse.size", "3000", "GNU.sparse.numblocks", "2", "GNU.sparse.offset",
	       "100", "GNU.sparse.numbytes", "3", "GNU.sparse.offset", "2000",
	       "GNU.sparse.numbytes", "5", NULL);
	mk_file(&m, "name", "aaabbbbb");
	mk_pax(&m, 'x', "GNU.sparse.size", "3000", "GNU.sparse.map", "100,3,2000,5",
	       "GNU.sparse.name", "name", NULL);
	mk_file(&m, "GNUSparseFile.1/name", "aaabbbbb");
	mk_pax(&m, 'x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "name",
	       "GNU.sparse.realsize", "3000", NULL);
	mk_header(&m, "GNUSparseFile.1/name", '0', 0644, 520, NULL);
	mk_bytes(&m, map, sizeof(map) - 1);
	mk_pad(&m);
	mk_bytes(&m, "aaabbbbb", 8);
	mk_pad(&m);
	mk_end(&m);
	CHECK(first(&m, 0) == 1 && two_segments());
	for (int i = 0; i < 3; i++)
		CHECK(fb_tar_next(tar, &entry, &err) == 1 && two_segments());
	CHECK(fb_tar_next(tar, &entry, &err) == 0);
	CHECK(all(&m, 1) == 0);
	mk_free(&m);
}

/* A sparse map in extension blocks: 4 + 21 + 2 segments. */
static void test_sparse_extended(void)
{
	uint8_t blocks[1024] = {0};
	struct make m = {0};

	mk_header(&m, "name", 'S', 0644, 27, NULL);
	mk_poke(&m, 257, "ustar  ", 8);
	for (int i = 0; i < 27; i++) {
		size_t at = i < 4 ? 0 : i < 25 ? (size_t)(i - 4) * 24 : 512 + (size_t)(i - 25) * 24;
		char pair[25];

		snprintf(pair, sizeof(pair), "%011o%c%011o", i * 10, 0, 1);
		if (i < 4)
			mk_poke(&m, 386 + (size_t)i * 24, pair, 24);
		else
			memcpy(blocks + at, pair, 24);
	}
	blocks[504] = 1;
	mk_poke(&m, 482, "\1", 1);
	mk_poke(&m, 483, "00000001000", 12);
	mk_bytes(&m, blocks, sizeof(blocks));
	mk_bytes(&m, "abcdefghijklmnopqrstuvwxyz0", 27);
	mk_pad(&m);
	mk_end(&m);
	CHECK(first(&m, 0) == 1 && entry->segment_count == 27 && entry->segments[26].offset == 260);
	CHECK(all(&m, 13) == 0);
	mk_free(&m);
}

/* One header with one field changed. */
static int poked(char type, size_t at, const char *data, size_t length)
{
	struct make m = {0};
	int r;

	mk_header(&m, "name", type, 0644, 0, "link");
	mk_poke(&m, at, data, length);
	mk_end(&m);
	r = all(&m, 0);
	mk_free(&m);
	return r;
}

static void test_bad_fields(void)
{
	CHECK(poked('0', 124, "0000000000z", 12) == -EBADMSG);
	CHECK(poked('0', 124, "-0000000001", 12) == -EBADMSG);
	CHECK(poked('0', 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12) == -EBADMSG);
	CHECK(poked('0', 124, "\x80\0\0\1\0\0\0\0\0\0\0\0", 12) == -EBADMSG);
	CHECK(poked('0', 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12) == -EFBIG);
	CHECK(poked('0', 124, "77777777777", 12) == -EBADMSG); /* cut short */
	CHECK(poked('0', 108, "\x80\0\0\0\xff\xff\xff\xff", 8) == -EINVAL);
	CHECK(poked('0', 108, "\x80\0\0\1\0\0\0\0", 8) == -EINVAL);
	CHECK(poked('0', 116, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) == -EINVAL);
	CHECK(poked('0', 116, "9", 2) == -EINVAL);
	CHECK(poked('0', 100, "abc", 4) == -EINVAL);
	CHECK(poked('0', 136, "x", 2) == -EINVAL);
	CHECK(poked('3', 329, "7777777", 8) == -EINVAL);
	CHECK(poked('4', 337, "7777777", 8) == -EINVAL);
	CHECK(poked('0', 0, "", 1) == -EINVAL);
	CHECK(poked('Q', 0, "n", 1) == -ENOTSUP);
	CHECK(poked('M', 0, "n", 1) == -ENOTSUP);
	CHECK(poked('S', 0, "n", 1) == -ENOTSUP);
	CHECK(poked('V', 0, "n", 1) == 0);
	CHECK(poked('x', 0, "n", 1) == -EBADMSG && poked('L', 0, "n", 1) == -EBADMSG);
}

/* One pax record set before a file of 8 bytes. */
static int with_pax(const char *text, size_t length)
{
	struct make m = {0};
	int r;

	mk_meta(&m, 'x', text, length);
	mk_file(&m, "name", "aaabbbbb");
	mk_end(&m);
	r = all(&m, 0);
	mk_free(&m);
	return r;
}

static int with_record(const char *key, const char *value)
{
	char text[512];

	return with_pax(text, mk_record(text, sizeof(text), key, value, strlen(value)));
}

static void test_bad_pax(void)
{
	CHECK(with_pax("", 0) == 0 && with_pax("11 path=ab\n", 11) == 0);
	CHECK(with_pax("12 path=ab\n", 11) == -EBADMSG && with_pax("10 path=ab\n", 11) == -EBADMSG);
	CHECK(with_pax("99999999999999999999999 path=ab\n", 32) == -EBADMSG);
	CHECK(with_pax("-1 path=ab\n", 11) == -EBADMSG && with_pax("0 path=ab\n", 10) == -EBADMSG);
	CHECK(with_pax("4 a\n", 4) == -EBADMSG && with_pax("5 =a\n", 5) == -EBADMSG);
	CHECK(with_pax("\0\0\0\0", 4) == -EBADMSG && with_pax("11path=abc\n", 11) == -EBADMSG);
	CHECK(with_pax("12 path=a\0b\n", 12) == -EINVAL && with_pax("11 path=abc", 11) == -EBADMSG);
	CHECK(with_record("size", "8") == 0 && with_record("size", "9") == -EBADMSG);
	CHECK(with_record("size", "-1") == -EINVAL && with_record("size", "8 ") == -EINVAL);
	CHECK(with_record("size", "99999999999999999999") == -EFBIG);
	CHECK(with_record("size", "18446744073709551624") == -EFBIG);
	CHECK(with_record("uid", "4294967295") == -EINVAL &&
	      with_record("uid", "4294967296") == -EINVAL);
	CHECK(with_record("uid", "18446744073709551616") == -EINVAL &&
	      with_record("gid", "-1") == -EINVAL);
	CHECK(with_record("gid", "0x0") == -EINVAL && with_record("gid", "+1") == -EINVAL);
	CHECK(with_record("mtime", "1e9") == -EINVAL && with_record("mtime", "--1") == -EINVAL);
	CHECK(with_record("mtime", "9999999999999999999") == -EINVAL &&
	      with_record("mtime", ".") == -EINVAL);
	CHECK(with_record("SCHILY.xattr.", "x") == -EINVAL);
}

static void test_bad_sparse(void)
{
	static const char *const maps[] = {"0,9",
					   "0,7",
					   "5,3,4,5",
					   "0,8,3000,1",
					   "2993,8",
					   "1",
					   "1,",
					   "a,8",
					   "0,8,",
					   ",",
					   "-1,8",
					   "4611686018427387904,8",
					   "18446744073709551615,8"};
	static const char *const ones[] = {
	    "",	      "1",	   "9999999\n",
	    "1\n0\n", "1\n0\n9\n", "x\n",
	    "-1\n",   "0\n",	   "1\n0000000000000000000000000000000000000\n8\n",
	    "\n\n\n"};
	char text[512];
	size_t n;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		n = mk_record(text, sizeof(text), "GNU.sparse.map", maps[i], strlen(maps[i]));
		n += mk_record(text + n, sizeof(text) - n, "GNU.sparse.size", "3000", 4);
		CHECK(with_pax(text, n) < 0);
	}
	CHECK(with_record("GNU.sparse.map", "0,8") == -EINVAL); /* no size */
	CHECK(with_record("GNU.sparse.offset", "1") < 0 &&
	      with_record("GNU.sparse.numbytes", "1") < 0);
	CHECK(with_record("GNU.sparse.major", "2") < 0 &&
	      with_record("GNU.sparse.what", "2") == -ENOTSUP);
	CHECK(with_record("GNU.sparse.numblocks", "99999999") == -EFBIG);
	for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++) {
		struct make m = {0};

		mk_pax(&m, 'x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0",
		       "GNU.sparse.realsize", "100", NULL);
		mk_header(&m, "f", '0', 0644, 520, NULL);
		mk_bytes(&m, ones[i], strlen(ones[i]));
		mk_pad(&m);
		mk_bytes(&m, NULL, 1024);
		mk_end(&m);
		CHECK(all(&m, 0) < 0);
		mk_free(&m);
	}
}

/* PROMISES A15: every place where an archive can be cut, and every header with a bit changed. */
static void test_truncation(void)
{
	struct make m = {0}, whole;

	mk_pax(&m, 'x', "path", "p", NULL);
	mk_file(&m, "file", "some text");
	mk_meta(&m, 'L', "longer", 7);
	mk_dir(&m, "dir", 0755);
	sparse_old(&m);
	mk_end(&m);
	CHECK(all(&m, 0) == 0);
	whole = m;
	for (m.length = 0; m.length < whole.length; m.length++)
		CHECK(all(&m, 0) == -EBADMSG);
	m = whole;
	for (size_t at = m.header; at < m.header + 512; at++) {
		if (at - m.header == 155) /* behind the NUL that ends the sum, and not part of it */
			continue;
		m.data[at] ^= 1;
		CHECK(all(&m, 0) == -EBADMSG);
		m.data[at] ^= 1;
	}
	m.data[m.length - 1] = 1; /* one zero block only */
	CHECK(all(&m, 0) == -EBADMSG);
	mk_free(&m);
}

/* PROMISES A16: the claim alone must not cost memory or time. */
static void test_claims(void)
{
	static const char types[] = "xgLK";
	struct make m = {0};

	for (int i = 0; types[i]; i++) {
		mk_header(&m, "meta", types[i], 0644, (uint64_t)1 << 30, NULL);
		mk_end(&m);
		CHECK(all(&m, 0) == -EFBIG);
		mk_free(&m);
	}
}

static void test_signed_sum(void)
{
	struct make m = {0};
	int sum = 0;

	mk_file(&m, "caf\xe9", "");
	for (int i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : (int8_t)m.data[i];
	snprintf((char *)m.data + 148, 8, "%06o", sum);
	mk_end(&m);
	CHECK(all(&m, 0) == 0);
	mk_free(&m);
}

static void test_safe_name(void)
{
	char text[FB_TAR_SAFE_SIZE], name[400];

	CHECK(strcmp(fb_tar_safe_name("a\x1b[2J\\\xff/b", text), "a\\x1b[2J\\x5c\\xff/b") == 0);
	CHECK(strcmp(fb_tar_safe_name(NULL, text), "") == 0 &&
	      strcmp(fb_tar_safe_name("", text), "") == 0);
	memset(name, '\n', sizeof(name)), name[399] = '\0';
	CHECK(strlen(fb_tar_safe_name(name, text)) == 156);
	memset(name, 'n', sizeof(name) - 1);
	CHECK(strlen(fb_tar_safe_name(name, text)) == FB_TAR_SAFE_SIZE - 1);
}

int main(void)
{
	test_plain();
	test_old_formats();
	test_long_names();
	test_pax_values();
	test_base256();
	test_sparse();
	test_sparse_extended();
	test_bad_fields();
	test_bad_pax();
	test_bad_sparse();
	test_truncation();
	test_claims();
	test_signed_sum();
	test_safe_name();
	fb_tar_close(tar);
	return failures != 0;
}
