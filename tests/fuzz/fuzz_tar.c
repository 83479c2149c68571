/* From a layer's bytes to files: decompression, parser, extraction into a tmpfs, removal.
 *
 * The directory is made below $TMPDIR, which should be a tmpfs. The first byte of the input picks
 * the mode, and whether there is a layer below. A canary beside the root is checked after each
 * input: reaching it is a crash, and so is a change to the layer below.
 */
#include <sys/stat.h>

#include "fuzz.h"
#include "tar_extract.h"

/* What nobody may touch: outside the root, and in the layer below it. */
static const char *const watched[] = {"canary", "lower", "lower/d", "lower/d/f"};
#define WATCHED (sizeof(watched) / sizeof(watched[0]))

static int base = -1, lower = -1;
static struct timespec before[WATCHED];
static unsigned long accepted;

static void watch(struct timespec ret_changed[WATCHED])
{
	struct stat st;

	for (size_t i = 0; i < WATCHED; i++) {
		stop_unless(fstatat(base, watched[i], &st, AT_SYMLINK_NOFOLLOW) == 0);
		ret_changed[i] = st.st_ctim;
	}
}

static void make_file(const char *name)
{
	fb_auto_close int fd = openat(base, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	stop_unless(fd >= 0 && write(fd, "alive", 5) == 5);
}

static void begin(void)
{
	const char *parent = getenv("TMPDIR");
	char path[128];

	snprintf(path, sizeof(path), "%.90s/fuzz_tar.XXXXXX", parent ? parent : "/dev/shm");
	stop_unless(mkdtemp(path) != NULL);
	fprintf(stderr, "in %s\n", path);
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stop_unless(mkdirat(base, "lower", 0755) == 0 && mkdirat(base, "lower/d", 0711) == 0);
	make_file("canary");
	make_file("lower/d/f");
	lower = openat(base, "lower", O_PATH | O_DIRECTORY | O_CLOEXEC);
	stop_unless(lower >= 0);
	watch(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fb_extract_options options = {
	    .limits = {.max_bytes = 16 << 20, .max_entries = 1000, .max_packed = 1 << 20},
	    .copy = -1, .gate = -1};
	struct fb_extract_result result;
	struct fb_error err = {0};
	struct timespec now[WATCHED];
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
	options.lower = &lower;
	options.lower_count = data[0] & 2 ? 1 : 0;
	r = fb_extract(archive, root, &options, &result, &err);
	accepted += r == 0;
	stop_unless(r == 0 || (r < 0 && err.code == -r));
	for (const char *c = err.path; *c; c++)
		stop_unless(*c >= ' ' && *c < 0x7f);
	close(archive);
	close(root);
	stop_unless(fb_remove_tree(base, "root", &err) == 0);
	watch(now);
	stop_unless(memcmp(now, before, sizeof(now)) == 0);
	return 0;
}

#ifdef FUZZ_STANDALONE

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "tar_random.h"

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

/* Changes that keep the checksums of headers right reach far deeper than those that don't: what has digits where a header has its
 * checksum is taken for one. */
static void resum(struct make *m)
{
	for (size_t at = 1; at + 512 <= m->length; at += 512) {
		const uint8_t *sum = m->data + at + 148;

		m->header = at;
		if (sum[0] >= '0' && sum[0] <= '7' && sum[5] >= '0' && sum[5] <= '7')
			mk_sum(m);
	}
}

static void change_bytes(struct make *m)
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
	uint64_t changes = 1 + random_below(3);

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
}

/* Archives with one feature each, so that none is hidden behind another's failure; then many at random. */
void fuzz_begin(void)
{
	for (; seed_count < SEEDS_MAX / 2; seed_count++) {
		struct make m = {0};
		uint8_t mode = (uint8_t)(seed_count & 3);

		seed_count < 16 ? random_sparse(&m) : random_entry(&m);
		mk_end(&m);
		mk_bytes(&seeds[seed_count], &mode, 1);
		mk_bytes(&seeds[seed_count], m.data, m.length);
		mk_free(&m);
	}
}

const struct make *fuzz_seed(void)
{
	return &seeds[random_below((uint64_t)seed_count)];
}

/* Mostly a new archive, since the ways to make one are more than the seeds. Half of them stay as made; a change in one that is
 * packed would nearly always be a bad checksum (fuzz_inflate is for those). */
void fuzz_mutate(struct make *m)
{
	struct make plain = {0};

	if (random_below(8)) {
		random_archive(&plain); /* by itself: blocks are counted from its beginning */
		m->length = 1;
		mk_bytes(m, plain.data, plain.length);
		mk_free(&plain);
	}
	if (m->length > 1024 && random_below(2))
		change_bytes(m);
	m->data[0] = (uint8_t)random_below(4);
	if (random_below(16) == 0 && m->length > 1) {
		plain = *m;
		*m = packed(&plain, random_below(2));
		m->data[0] = plain.data[0];
		mk_free(&plain);
	}
}

void fuzz_end(void)
{
	struct fb_error err = {0};

	fprintf(stderr, "%lu accepted\n", accepted);
	stop_unless(unlinkat(base, "canary", 0) == 0 && fb_remove_tree(base, "lower", &err) == 0);
}

#endif
