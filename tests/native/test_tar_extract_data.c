/* Extraction, the other half of part A of the promises: metadata (13, 20 to 22), sparse files (17),
 * compression and limits (18, 19), size and end of the archive (23, 24). */
#include <isa-l/igzip_lib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <zstd.h>

#include "tar_place_test.h"

/* ---- 13, 14, 20 to 22: metadata ---- */

static void test_metadata(void)
{
	static const uint8_t capability[20] = {
	    1, 0, 0, 2, 0, 4}; /* effective, version 2, CAP_NET_BIND_SERVICE */
	char text[512];
	size_t n;
	struct make m = {0};

	mk_header(&m, "suid", '0', 06755, 0, NULL);
	mk_owner(&m, 1000, 1001);
	mk_dir(&m, "sticky", 03777);
	mk_owner(&m, 0, 1001);
	mk_file(&m, "sticky/inherits", "x"); /* the directory's group must not win */
	n = mk_record(text, sizeof(text), "SCHILY.xattr.security.capability", capability,
		      sizeof(capability));
	n += mk_record(text + n, sizeof(text) - n, "mtime", "1234567890.987654321", 20);
	n += mk_record(text + n, sizeof(text) - n, "atime", "1234567891.5", 12);
	mk_meta(&m, 'x', text, n);
	mk_file(&m, "caps", "binary");
	mk_owner(&m, 1000, 0);
	mk_pax(&m, 'x', "mtime", "3.000000004", "uid", "4294967294", "gid", "4294967294", NULL);
	mk_symlink(&m, "link", "suid");
	umask(0077);
	CHECK(FRESH_RUN(&m) == 0);
	umask(0022);
	CHECK((at("suid").st_mode & 07777) == 06755 && at("suid").st_uid == 1000 &&
	      at("suid").st_gid == 1001);
	CHECK((at("sticky").st_mode & 07777) == 03777 && at("sticky/inherits").st_gid == 0);
	CHECK((at("sticky/inherits").st_mode & 07777) == 0644);
	CHECK(at("caps").st_mtim.tv_sec == 1234567890 && at("caps").st_mtim.tv_nsec == 987654321);
	CHECK(at("caps").st_atim.tv_sec == 1234567891 && at("caps").st_uid == 1000);
	snprintf(text, sizeof(text), "%s/root/caps", base_path);
	CHECK(getxattr(text, "security.capability", text, sizeof(text)) == 20 || errno == ENOTSUP);
	CHECK(at("link").st_uid == 4294967294u && at("link").st_gid == 4294967294u &&
	      at("link").st_mtim.tv_nsec == 4);
	mk_pax(&m, 'x', "uid", "4294967295", NULL);
	mk_file(&m, "root-by-wrap", "");
	CHECK(FRESH_RUN(&m) == -EINVAL && missing("root-by-wrap"));
}

static void test_directory_times(void)
{
	struct make m = {0};
	char name[64];

	for (int i = 0; i < 2000; i++) { /* more than stdio's buffer */
		snprintf(name, sizeof(name), "directory-%d/sub", i);
		mk_dir(&m, name, 0755);
	}
	mk_dir(&m, "directory-7", 0755);
	mk_file(&m, "directory-7/sub/file", "late");
	mk_dir(&m, "moved", 0755);
	mk_symlink(&m, "moved", "elsewhere");
	mk_dir(&m, "elsewhere", 0755);
	CHECK(FRESH_RUN(&m) == 0 && at("directory-7").st_mtim.tv_sec == 1000000000);
	CHECK(at("directory-7/sub").st_mtim.tv_sec == 1000000000 &&
	      at("directory-1999/sub").st_mtim.tv_sec == 1000000000);
	CHECK(at("directory-8").st_mtim.tv_sec > 1000000000); /* no entry of its own */
}

static void test_odd_names(void)
{
	struct make m = {0};
	char text[400];

	mk_file(&m, "caf\xe9\x01\x1b[2J", "latin");
	mk_file(&m, "new\nline", "n");
	CHECK(FRESH_RUN(&m) == 0 && holds("caf\xe9\x01\x1b[2J", "latin") &&
	      holds("new\nline", "n"));
	mk_hard(&m, "evil\x1b]0;title\x07\n\xff", "nothing");
	CHECK(FRESH_RUN(&m) == -ENOENT &&
	      strcmp(err.path, "evil\\x1b]0;title\\x07\\x0a\\xff") == 0);
	memset(text, 'n', 300), text[300] = '\0';
	mk_pax(&m, 'x', "path", text, NULL);
	mk_file(&m, "x", "");
	CHECK(FRESH_RUN(&m) == -ENAMETOOLONG);
	text[255] = '\0';
	mk_pax(&m, 'x', "path", text, NULL);
	mk_file(&m, "x", "long");
	CHECK(FRESH_RUN(&m) == 0 && holds(text, "long"));
	mk_symlink(&m, "empty", "");
	CHECK(FRESH_RUN(&m) == -ENOENT && strcmp(err.path, "empty") == 0);
}

/* ---- 17: sparse files ---- */

static void test_sparse(void)
{
	struct make m = {0};

	mk_pax(&m, 'x', "GNU.sparse.size", "1099511627776", "GNU.sparse.map",
	       "4096,4,1099511627772,4", NULL);
	mk_file(&m, "tera", "aaaabbbb");
	mk_pax(&m, 'x', "GNU.sparse.size", "5000", "GNU.sparse.map", "", NULL);
	mk_file(&m, "hole", "");
	mk_pax(&m, 'x', "GNU.sparse.size", "12", "GNU.sparse.map", "0,0,4,4,12,0", NULL);
	mk_file(&m, "small", "text");
	CHECK(FRESH_RUN(&m) == 0 && at("tera").st_size == (off_t)1 << 40 &&
	      at("tera").st_blocks <= 64);
	CHECK(at("hole").st_size == 5000 && at("hole").st_blocks == 0 && result.data_size == 12);
	CHECK(at("small").st_size == 12);
	mk_pax(&m, 'x', "GNU.sparse.size", "4611686018427387904", "GNU.sparse.map", "0,4", NULL);
	mk_file(&m, "exa", "text");
	CHECK(FRESH_RUN(&m) < 0 || at("exa").st_blocks <= 64); /* as the file system can */
}

/* ---- 18, 19: compression and limits ---- */

static struct make gzip(const void *data, size_t length)
{
	struct isal_zstream stream;
	struct make out = {0};

	mk_bytes(&out, NULL, length + length / 8 + 1024);
	isal_deflate_stateless_init(&stream);
	stream.gzip_flag = IGZIP_GZIP;
	stream.end_of_stream = 1;
	stream.next_in = (uint8_t *)(uintptr_t)data;
	stream.avail_in = (uint32_t)length;
	stream.next_out = out.data;
	stream.avail_out = (uint32_t)out.length;
	CHECK(isal_deflate_stateless(&stream) == COMP_OK);
	out.length = stream.total_out;
	return out;
}

static struct make zstd(const void *data, size_t length)
{
	struct make out = {0};

	mk_bytes(&out, NULL, ZSTD_compressBound(length));
	out.length = ZSTD_compress(out.data, out.length, data, length, 3);
	return out;
}

static struct make sample(void)
{
	struct make m = {0};
	char *text = malloc(700000);

	for (unsigned i = 0; i < 700000; i++)
		text[i] = (char)('a' + i * i % 7919 % 26);
	text[699999] = '\0';
	mk_file(&m, "large", text);
	mk_file(&m, "small", "s");
	mk_end(&m);
	free(text);
	return m;
}

static int extract_fresh(const struct make *m)
{
	fresh();
	return extract_bytes(m->data, m->length, FB_EXTRACT_LAYER);
}

static void test_digests(void)
{
	struct make m = sample(), packed[2] = {gzip(m.data, m.length), zstd(m.data, m.length)};
	uint8_t diff[32], digest[32];
	uint64_t size;

	for (int i = -1; i < 2; i++) {
		const struct make *in = i < 0 ? &m : &packed[i];
		fb_auto_close int fd = mk_fd(in->data, in->length);

		CHECK(extract_fresh(in) == 0 && holds("small", "s") &&
		      at("large").st_size == 699999);
		CHECK(fb_digest_fd(fd, digest, &size, &err) == 0 && size == in->length);
		CHECK(memcmp(digest, result.packed_digest, 32) == 0 &&
		      result.packed_size == in->length);
		if (i < 0)
			memcpy(diff, digest, 32);
		CHECK(memcmp(diff, result.diff_digest, 32) == 0 && result.tar_size == m.length);
	}
	mk_free(&m), mk_free(&packed[0]), mk_free(&packed[1]);
}

static void test_gzip(void)
{
	struct make m = sample(), a = gzip(m.data, 1000), b = gzip(m.data + 1000, m.length - 1000),
		    z = {0}, twice;
	size_t member;

	mk_bytes(&z, a.data, a.length); /* two members, cut in the middle of a header */
	mk_bytes(&z, b.data, b.length);
	member = z.length;
	CHECK(extract_fresh(&z) == 0 && at("large").st_size == 699999 &&
	      result.tar_size == m.length);
	mk_bytes(&z, NULL, 5000);
	CHECK(extract_fresh(&z) == 0 && result.packed_size == z.length);
	z.data[z.length - 1] = 0x1f;
	CHECK(extract_fresh(&z) == -EBADMSG && err.stage == FB_STAGE_INFLATE);
	z.length = member;
	mk_bytes(&z, "junk", 4);
	CHECK(extract_fresh(&z) == -EBADMSG);
	for (size_t cut = member - 1; cut > 20; cut -= cut / 13 + 1) {
		z.length = cut;
		CHECK(cut == a.length || extract_fresh(&z) == -EBADMSG);
	}
	z.length = member;
	for (size_t back = 1; back <= 8; back++) { /* checksum and length at the end */
		z.data[member - back] ^= 1;
		CHECK(extract_fresh(&z) == -EBADMSG && err.stage == FB_STAGE_INFLATE);
		z.data[member - back] ^= 1;
	}
	z.data[a.length + b.length / 2] ^= 0x10;
	CHECK(extract_fresh(&z) < 0);
	twice = gzip(b.data, b.length);
	CHECK(extract_fresh(&twice) == -EBADMSG && err.stage == FB_STAGE_TAR);
	mk_free(&m), mk_free(&a), mk_free(&b), mk_free(&z), mk_free(&twice);
}

/* A pipe may end a read anywhere, also between the fields of a member's header. */
static void test_gzip_header_in_pieces(void)
{
	static const char fields[] = "\5\0extraname\0comment"; /* and the NUL that ends it */
	struct make m = {0}, packed, z = {0};
	int ends[2];

	mk_file(&m, "f", "text");
	mk_end(&m);
	packed = gzip(m.data, m.length);
	packed.data[3] = 0x1c;
	mk_bytes(&z, packed.data, 10);
	mk_bytes(&z, fields, sizeof(fields));
	mk_bytes(&z, packed.data + 10, packed.length - 10);
	for (size_t piece = 1; piece < 10; piece++) {
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
		for (size_t at = 0, n; at < z.length; at += n) {
			n = at < 40 ? piece : z.length - at;
			CHECK(write(ends[1], z.data + at, n) == (ssize_t)n);
		}
		close(ends[1]);
		fresh();
		CHECK(extract_fd(ends[0], FB_EXTRACT_LAYER) == 0 && holds("f", "text"));
		close(ends[0]);
	}
	mk_free(&m), mk_free(&packed), mk_free(&z);
}

static void test_zstd(void)
{
	struct make m = sample(), a = zstd(m.data, 1000), b = zstd(m.data + 1000, m.length - 1000),
		    z = {0};

	mk_bytes(&z, "\x50\x2a\x4d\x18\3\0\0\0abc", 11); /* a skippable frame */
	mk_bytes(&z, a.data, a.length);
	mk_bytes(&z, "\x5f\x2a\x4d\x18\0\0\0\0", 8);
	mk_bytes(&z, b.data, b.length);
	CHECK(extract_fresh(&z) == 0 && result.tar_size == m.length && holds("small", "s"));
	mk_bytes(&z, "junkjunk", 8);
	CHECK(extract_fresh(&z) == -EBADMSG);
	for (size_t cut = z.length - 9; cut > 30 + a.length; cut -= cut / 13 + 1) {
		z.length = cut;
		CHECK(extract_fresh(&z) == -EBADMSG);
	}
	mk_free(&m), mk_free(&a), mk_free(&b), mk_free(&z);
}

static void test_limits(void)
{
	struct make m = sample(), z = gzip(m.data, m.length), empty = {0};

	CHECK(extract_fresh(&empty) == -EBADMSG);
	limits.max_bytes = 699999;
	CHECK(extract_fresh(&m) == -EFBIG && strcmp(err.path, "small") == 0);
	limits.max_bytes = 700000;
	CHECK(extract_fresh(&m) == 0);
	limits = (struct fb_extract_limits){.max_entries = 1};
	CHECK(extract_fresh(&m) == -EFBIG);
	limits = (struct fb_extract_limits){.max_packed = z.length - 1};
	CHECK(extract_fresh(&z) == -EFBIG);
	limits = (struct fb_extract_limits){.max_packed = z.length, .max_entries = 2};
	CHECK(extract_fresh(&z) == 0 && result.entries == 2 && result.data_size == 700000);
	limits = (struct fb_extract_limits){0};
	mk_free(&m), mk_free(&z);
}

/* A member of a gibibyte of zeros: the header of one file, and its data. */
static int bomb(const struct make *header)
{
	static uint8_t zeros[1 << 20], out[1 << 20], work[ISAL_DEF_LVL1_DEFAULT];
	int fd = memfd_create("bomb", MFD_CLOEXEC);
	struct isal_zstream stream;

	isal_deflate_init(&stream);
	stream.gzip_flag = IGZIP_GZIP;
	stream.level = 1;
	stream.level_buf = work;
	stream.level_buf_size = sizeof(work);
	for (int i = -1; i <= 1024; i++) {
		stream.next_in = i < 0 ? header->data : zeros;
		stream.avail_in = i < 0	      ? (uint32_t)header->length
				  : i == 1024 ? 1024
					      : sizeof(zeros);
		stream.end_of_stream = i == 1024;
		do {
			stream.next_out = out;
			stream.avail_out = sizeof(out);
			CHECK(isal_deflate(&stream) == COMP_OK);
			CHECK(write(fd, out, sizeof(out) - stream.avail_out) >= 0);
		} while (stream.avail_out == 0);
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void test_bomb(void)
{
	fb_auto_close int fd = -1;
	struct rusage before, after;
	struct make m = {0};

	mk_header(&m, ".wh..wh.ignored", '0', 0644, (uint64_t)1 << 30,
		  NULL); /* its data are read, not kept */
	fd = bomb(&m);
	fresh();
	getrusage(RUSAGE_SELF, &before);
	CHECK(extract_fd(fd, FB_EXTRACT_LAYER) == 0 &&
	      result.tar_size > (uint64_t)1 << 30);
	getrusage(RUSAGE_SELF, &after);
#ifndef __SANITIZE_ADDRESS__
	CHECK(after.ru_maxrss - before.ru_maxrss < 16 << 10);
#endif
	lseek(fd, 0, SEEK_SET);
	limits.max_bytes = 1 << 20;
	fresh();
	CHECK(extract_fd(fd, FB_EXTRACT_PLAIN) == -EFBIG);
	CHECK(missing(".wh..wh.ignored")); /* nothing was begun that can't be ended */
	limits.max_bytes = 0;
	mk_free(&m);
}

/* ---- 23, 24 ---- */

static void test_deep_and_wide(void)
{
	struct make m = {0};
	char *deep = malloc(20001), name[64];

	for (int i = 0; i < 10000; i++)
		memcpy(deep + 2L * i, "d/", 2);
	deep[20000] = '\0';
	mk_pax(&m, 'x', "path", deep, NULL);
	mk_file(&m, "x", "");
	CHECK(FRESH_RUN(&m) == -ENAMETOOLONG);
	deep[4094] = '\0';
	mk_pax(&m, 'x', "path", deep, NULL);
	mk_dir(&m, "x", 0755);
	CHECK(FRESH_RUN(&m) == 0 && !missing(deep));
	deep[3000] = '\0'; /* by links, four times as deep as a path can say */
	mk_pax(&m, 'x', "path", deep, NULL);
	mk_dir(&m, "x", 0755);
	for (int i = 1; i < 4; i++) {
		char link[8], next[4096];

		snprintf(link, sizeof(link), "l%d", i);
		snprintf(next, sizeof(next), "%s%s%s", i > 1 ? "l" : "",
			 i == 1	  ? ""
			 : i == 2 ? "1/"
				  : "2/",
			 deep);
		mk_meta(&m, 'K', next, strlen(next) + 1);
		mk_symlink(&m, link, "");
		snprintf(next, sizeof(next), "%s/%s", link, deep);
		mk_pax(&m, 'x', "path", next, NULL);
		mk_dir(&m, "x", 0755);
	}
	CHECK(FRESH_RUN(&m) == 0);
	for (int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "wide/file-%d", i);
		mk_header(&m, name, '0', 0644, 0, NULL);
	}
	CHECK(FRESH_RUN(&m) == 0 && !missing("wide/file-29999") && result.entries == 30000);
	fresh();
	free(deep);
}

static void test_after_the_end(void)
{
	struct make m = {0};
	uint8_t before[32];

	mk_file(&m, "seen", "s");
	mk_end(&m);
	CHECK(extract_fresh(&m) == 0);
	memcpy(before, result.diff_digest, 32);
	mk_file(&m, "hidden", "h");
	CHECK(FRESH_RUN(&m) == 0 && holds("seen", "s") && missing("hidden") && result.entries == 1);
	CHECK(memcmp(before, result.diff_digest, 32) != 0);
}

static void test_copy_digest(void)
{
	static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
	fb_auto_close int in = mk_fd("abc", 3), out = mk_fd("", 0);
	uint8_t digest[32];
	uint64_t size = 0;

	CHECK(fb_copy_digest(in, out, 3, digest, &size, &err) == 0 && size == 3 &&
	      memcmp(digest, abc, 4) == 0);
	lseek(in, 0, SEEK_SET);
	CHECK(fb_copy_digest(in, out, 2, digest, &size, &err) == -EFBIG &&
	      err.stage == FB_STAGE_DIGEST);
	CHECK(fb_digest_fd(-1, digest, &size, &err) == -EBADF);
}

int main(void)
{
	int r = place_begin();

	if (r)
		return r == 77 ? 0 : r;
	test_metadata();
	test_directory_times();
	test_odd_names();
	test_sparse();
	test_digests();
	test_gzip();
	test_gzip_header_in_pieces();
	test_zstd();
	test_limits();
	test_bomb();
	test_deep_and_wide();
	test_after_the_end();
	test_copy_digest();
	return place_end();
}
