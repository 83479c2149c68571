/* From a layer's bytes to files: decompression, parser, extraction into a tmpfs, removal.
 *
 * The directory is made below $TMPDIR, which should be a tmpfs. The first byte of the input picks
 * the mode. A canary beside the root is checked after each input: reaching it is a crash.
 */
#include <sys/stat.h>

#include "fuzz.h"
#include "tar_extract.h"

static int base = -1;
static struct timespec canary_changed;

static struct timespec canary_now(void)
{
	struct stat st;

	stop_unless(fstatat(base, "canary", &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st.st_ctim;
}

static void begin(void)
{
	const char *parent = getenv("TMPDIR");
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%.90s/fuzz_tar.XXXXXX", parent ? parent : "/dev/shm");
	stop_unless(mkdtemp(path) != NULL);
	fprintf(stderr, "in %s\n", path);
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(base, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	stop_unless(fd >= 0 && write(fd, "alive", 5) == 5);
	close(fd);
	canary_changed = canary_now();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fb_extract_options options = {
	    .limits = {.max_bytes = 16 << 20, .max_entries = 1000, .max_packed = 1 << 20},
	    .gate = -1};
	struct fb_extract_result result;
	struct fb_error err = {0};
	struct timespec now;
	int archive, root, r;

	if (base < 0)
		begin();
	if (size == 0)
		return 0;
	stop_unless(mkdirat(base, "root", 0755) == 0);
	root = openat(base, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	stop_unless(symlinkat("../canary", root, "out") == 0 && symlinkat("..", root, "up") == 0);
	archive = mk_fd(data + 1, size - 1);
	options.mode = data[0] & 1 ? FB_EXTRACT_PLAIN : FB_EXTRACT_LAYER;
	r = fb_extract(archive, root, &options, &result, &err);
	stop_unless(r == 0 || (r < 0 && err.code == -r));
	for (const char *c = err.path; *c; c++)
		stop_unless(*c >= ' ' && *c < 0x7f);
	close(archive);
	close(root);
	stop_unless(fb_remove_tree(base, "root", &err) == 0);
	now = canary_now();
	stop_unless(memcmp(&now, &canary_changed, sizeof(now)) == 0);
	return 0;
}

#ifdef FUZZ_STANDALONE

#include <isa-l/igzip_lib.h>
#include <zstd.h>

static struct make rich_archive(void)
{
	struct make m = {0};

	mk_bytes(&m, "\0", 1);
	mk_dir(&m, "d/", 0755);
	mk_file(&m, "d/f", "some text");
	mk_pax(&m, 'x', "path", "d/longer", "mtime", "1.5", "SCHILY.xattr.user.a", "v", "uid", "7",
	       NULL);
	mk_file(&m, "short", "x");
	mk_hard(&m, "d/hard", "d/f");
	mk_symlink(&m, "l", "../up/canary");
	mk_meta(&m, 'L', "up/l/long", 10);
	mk_file(&m, "y", "more");
	mk_file(&m, "d/.wh.f", "");
	mk_file(&m, "d/.wh..wh..opq", "");
	mk_header(&m, "p", '6', 0600, 0, NULL);
	mk_pax(&m, 'x', "GNU.sparse.size", "3000", "GNU.sparse.map", "100,3,2000,5",
	       "GNU.sparse.name", "s1", NULL);
	mk_file(&m, "sparse", "aaabbbbb");
	mk_pax(&m, 'x', "GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.realsize",
	       "9000", NULL);
	mk_header(&m, "s2", '0', 0644, 516, NULL);
	mk_bytes(&m, "1\n20\n4\n", 7);
	m.length--, mk_pad(&m);
	mk_bytes(&m, "data", 4);
	mk_pad(&m);
	mk_end(&m);
	return m;
}

/* The same archive, packed: the mode byte stays in front. */
static struct make packed(const struct make *m, bool gzip)
{
	struct isal_zstream stream;
	struct make out = {0};

	mk_bytes(&out, NULL, m->length * 2 + 1024);
	if (!gzip) {
		out.length =
		    1 + ZSTD_compress(out.data + 1, out.length - 1, m->data + 1, m->length - 1, 3);
		return out;
	}
	isal_deflate_stateless_init(&stream);
	stream.gzip_flag = IGZIP_GZIP;
	stream.end_of_stream = 1;
	stream.next_in = m->data + 1;
	stream.avail_in = (uint32_t)m->length - 1;
	stream.next_out = out.data + 1;
	stream.avail_out = (uint32_t)out.length - 1;
	stop_unless(isal_deflate_stateless(&stream) == COMP_OK);
	out.length = 1 + stream.total_out;
	return out;
}

/* Changes that keep the checksums of headers right reach far deeper than those that don't. */
static void resum(struct make *m)
{
	for (size_t at = 1; at + 512 <= m->length; at += 512) {
		m->header = at;
		if (memcmp(m->data + at + 257, "ustar", 5) == 0)
			mk_sum(m);
	}
}

void fuzz_mutate(struct make *m)
{
	static const char *const words[] = {"..",
					    "/",
					    "../",
					    ".wh.",
					    ".wh..wh..opq",
					    "77777777777",
					    "-1",
					    "\x80",
					    "\xff\xff\xff\xff",
					    "l/",
					    "up/",
					    "d",
					    "0",
					    "1",
					    "2",
					    "5",
					    "x",
					    "S",
					    "L",
					    "99999999999",
					    "\n",
					    "="};
	uint64_t changes = 1 + random_below(8);

	while (changes--) {
		size_t where = random_below(m->length), block = where & ~(size_t)511;
		static const unsigned short fields[] = {0,   100, 108, 116, 124, 136, 156, 157,
							257, 329, 337, 345, 386, 482, 483};
		const char *word = words[random_below(sizeof(words) / sizeof(words[0]))];

		if (random_below(2))
			where =
			    block + 1 + fields[random_below(sizeof(fields) / sizeof(fields[0]))];
		switch (random_below(4)) {
		case 0:
			m->data[where % m->length] ^= (uint8_t)(1u << random_below(8));
			break;
		case 1:
			if (where + strlen(word) <= m->length)
				memcpy(m->data + where, word, strlen(word));
			break;
		case 2: /* a block over another */
			block = random_below(m->length / 512);
			if ((block + 1) * 512 < m->length && where / 512 * 512 + 513 <= m->length)
				memmove(m->data + 1 + where / 512 * 512, m->data + 1 + block * 512,
					512);
			break;
		default:
			if (random_below(20) == 0)
				m->length = 1 + random_below(m->length);
		}
	}
	if (random_below(8))
		resum(m);
	m->data[0] = (uint8_t)random_below(2);
}

void fuzz_begin(void)
{
	seeds[0] = rich_archive();
	seeds[1] = packed(&seeds[0], true);
	seeds[2] = packed(&seeds[0], false);
	seed_count = 3;
}

/* Mostly the plain one: a change in a packed archive is nearly always a bad checksum. */
const struct make *fuzz_seed(void)
{
	return &seeds[random_below(4) ? 0 : random_below((uint64_t)seed_count)];
}

void fuzz_end(void)
{
	stop_unless(unlinkat(base, "canary", 0) == 0);
}

#endif
