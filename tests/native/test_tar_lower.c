/* Extraction over lower layers: what the archive builds on and does not hold (7 and 21 of part A of
 * the promises). */
#include <sys/eventfd.h>

#include "tar_place_test.h"

#define LAYERS 3

static int lower[LAYERS] = {-1, -1, -1}; /* topmost first */
static int gate = -1;

static int below(int layer, const char *name, char path[512])
{
	snprintf(path, 512, "%s/lower%d/%s", base_path, layer, name);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static void put(int layer, const char *name, const char *text)
{
	char path[512];
	fb_auto_close int fd = below(layer, name, path);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void put_dir(int layer, const char *name, mode_t mode, bool is_opaque)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/lower%d/%s", base_path, layer, name);
	CHECK(mkdir(path, mode) == 0 && chmod(path, mode) == 0);
	CHECK(!is_opaque || setxattr(path, "trusted.overlay.opaque", "y", 1, 0) == 0);
}

static void put_whiteout(int layer, const char *name)
{
	CHECK(mknodat(lower[layer], name, S_IFCHR, 0) == 0);
}

static void clean_layers(void)
{
	char name[16];

	for (int i = 0; i < LAYERS; i++) {
		snprintf(name, sizeof(name), "lower%d", i);
		if (lower[i] >= 0)
			close(lower[i]);
		CHECK(fb_remove_tree(base, name, &err) == 0);
		lower[i] = -1;
	}
}

static void fresh_layers(void)
{
	char name[16];

	clean_layers();
	for (int i = 0; i < LAYERS; i++) {
		snprintf(name, sizeof(name), "lower%d", i);
		CHECK(mkdirat(base, name, 0755) == 0);
		lower[i] = openat(base, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
}

static int run_over(int line, struct make *m)
{
	const struct fb_extract_options over = {.mode = FB_EXTRACT_LAYER,
						.limits = limits,
						.lower = lower,
						.lower_count = LAYERS,
						.copy = -1,
						.gate = gate};
	fb_auto_close int archive = -1;
	int r;

	mk_end(m);
	fresh();
	archive = mk_fd(m->data, m->length);
	r = fb_extract(archive, root, &over, &result, &err);
	check_canaries(line, false);
	mk_free(m);
	return r;
}
#define RUN_OVER(m) run_over(__LINE__, (m))

static bool below_holds(int layer, const char *name, const char *text, nlink_t links)
{
	fb_auto_close int fd = openat(lower[layer], name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char got[64];
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == links &&
	       read(fd, got, sizeof(got)) == (ssize_t)strlen(text) &&
	       memcmp(got, text, strlen(text)) == 0;
}

static void test_implicit_parents(void)
{
	const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 6, .tv_nsec = 7}};
	struct make m = {0};
	char path[512];

	fresh_layers();
	put_dir(0, "a", 0700, false);
	put_dir(1, "a", 0755, false);
	put_dir(1, "a/b", 01777, false);
	CHECK(fchownat(lower[1], "a/b", 12, 13, 0) == 0 &&
	      utimensat(lower[1], "a/b", times, 0) == 0);
	snprintf(path, sizeof(path), "%s/lower1/a/b", base_path);
	CHECK(setxattr(path, "user.note", "kept", 4, 0) == 0);
	CHECK(symlinkat("../out", lower[0], "l") == 0);
	put_whiteout(0, "w");
	put_dir(1, "w", 0700, false);
	put_dir(0, "o", 0711, true);
	put_dir(1, "o", 0755, false);
	put_dir(1, "o/inner", 0700, false);
	mk_file(&m, "a/b/c/file", "f");
	mk_file(&m, "l/file", "f");
	mk_file(&m, "w/file", "f");
	mk_file(&m, "o/inner/file", "f");
	mk_file(&m, ".wh.a2", "");
	umask(0077);
	CHECK(RUN_OVER(&m) == 0);
	umask(0022);
	CHECK((at("a").st_mode & 07777) == 0700 && (at("a/b").st_mode & 07777) == 01777 &&
	      at("a/b").st_gid == 13 && xattr_is("a/b", "user.note", "kept"));
	CHECK(at("a/b").st_mtim.tv_nsec == 7 && (at("a/b/c").st_mode & 07777) == 0755);
	CHECK((at("l").st_mode & 07777) == 0755 && (at("w").st_mode & 07777) == 0755);
	/* The opaque directory hides the one below, and its mark is not the new layer's. */
	CHECK((at("o").st_mode & 07777) == 0711 && !opaque("o") &&
	      (at("o/inner").st_mode & 07777) == 0755);
}

static void test_an_unlisted_root(void)
{
	const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 6, .tv_nsec = 7}};
	struct make m = {0};

	fresh_layers();
	CHECK(fchownat(lower[0], ".", 12, 13, 0) == 0 && fchmodat(lower[0], ".", 01711, 0) == 0);
	CHECK(utimensat(lower[0], ".", times, 0) == 0);
	mk_file(&m, "file", "f");
	CHECK(RUN_OVER(&m) == 0);
	CHECK((at(".").st_mode & 07777) == 01711 && at(".").st_gid == 13 &&
	      at(".").st_mtim.tv_nsec == 7);
	mk_dir(&m, "./", 0750);
	mk_file(&m, "file", "f");
	CHECK(RUN_OVER(&m) == 0);
	CHECK((at(".").st_mode & 07777) == 0750 && at(".").st_gid == 0 &&
	      at(".").st_mtim.tv_nsec == 0);
}

static void test_links_to_lower_files(void)
{
	const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 6, .tv_nsec = 7}};
	struct make m = {0};
	char path[512];
	struct stat st;

	fresh_layers();
	put_dir(2, "d", 0750, false);
	put(2, "d/f", "lowest");
	put(1, "top", "middle");
	put(2, "top", "lowest");
	CHECK(fchownat(lower[2], "d/f", 12, 13, 0) == 0 &&
	      fchmodat(lower[2], "d/f", 04751, 0) == 0);
	snprintf(path, sizeof(path), "%s/lower2/d/f", base_path);
	CHECK(setxattr(path, "user.note", "kept", 4, 0) == 0);
	CHECK(utimensat(lower[2], "d/f", times, 0) == 0 && symlinkat("d/f", lower[2], "s") == 0);
	CHECK(mkfifoat(lower[2], "p", 0600) == 0);
	mk_hard(&m, "e/g", "d/f");
	mk_hard(&m, "h", "/d/f");
	mk_hard(&m, "i", "e/g");
	mk_hard(&m, "t", "top");
	mk_hard(&m, "s2", "s");
	mk_hard(&m, "p2", "p");
	CHECK(RUN_OVER(&m) == 0);
	st = at("h");
	CHECK(holds("d/f", "lowest") && at("d/f").st_ino == st.st_ino && st.st_nlink == 4);
	CHECK(at("e/g").st_ino == st.st_ino && at("i").st_ino == st.st_ino);
	CHECK((st.st_mode & 07777) == 04751 && st.st_uid == 12 && st.st_gid == 13);
	CHECK(st.st_mtim.tv_nsec == 7 && xattr_is("h", "user.note", "kept"));
	CHECK((at("d").st_mode & 07777) == 0750);
	CHECK(holds("t", "middle") && holds("top", "middle"));
	CHECK(S_ISLNK(at("s2").st_mode) && at("s2").st_ino == at("s").st_ino);
	CHECK(S_ISFIFO(at("p2").st_mode) && at("p2").st_ino == at("p").st_ino);
	CHECK(result.data_size == 12);
	/* The layers below are as they were. */
	CHECK(below_holds(2, "d/f", "lowest", 1) && below_holds(1, "top", "middle", 1));
}

static void test_links_to_hidden_files(void)
{
	static const char *const hidden[] = {"w",      "wd/f", "o/f", "file/f", "l/f",
					     "own/f",  "gone", "d",   "d/none", "nothing",
					     "owno/f", "link"};
	struct make m = {0};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		fresh_layers();
		for (int layer = 1; layer < LAYERS; layer++) {
			put(layer, "w", "x");
			for (const char *const *name =
				 (const char *const[]){"wd", "o", "file", "own", "d", "owno", NULL};
			     *name; name++) {
				char path[32];

				put_dir(layer, *name, 0755, false);
				snprintf(path, sizeof(path), "%s/f", *name);
				put(layer, path, "x");
			}
		}
		put(2, "gone", "x");
		put_whiteout(0, "w");
		put_whiteout(0, "wd");
		put_whiteout(1, "gone");
		put_dir(0, "o", 0755, true);
		put(0, "file", "no directory");
		CHECK(symlinkat("d", lower[0], "l") == 0);
		mk_file(&m, "own", "no directory here");
		mk_dir(&m, "owno", 0755);
		mk_file(&m, "owno/.wh..wh..opq", "");
		mk_hard(&m, "link", hidden[i]);
		CHECK(RUN_OVER(&m) < 0 && strcmp(err.path, "link") == 0 && missing("link"));
	}
}

static void test_copies_count(void)
{
	struct make m = {0};
	char path[512];
	int fd;

	fresh_layers();
	fd = below(0, "sparse", path);
	CHECK(ftruncate(fd, (off_t)1 << 40) == 0 && pwrite(fd, "begin", 5, 1 << 20) == 5);
	close(fd);
	mk_hard(&m, "copy", "sparse");
	CHECK(RUN_OVER(&m) == 0 && at("copy").st_size == (off_t)1 << 40);
	CHECK(at("copy").st_blocks < 256 && result.data_size < 1 << 17);
	put(0, "a", "0123456789");
	put(0, "b", "0123456789");
	limits.max_bytes = 15;
	mk_hard(&m, "a2", "a");
	CHECK(RUN_OVER(&m) == 0);
	mk_hard(&m, "a2", "a");
	mk_hard(&m, "a3", "a"); /* it is this layer's by now */
	mk_hard(&m, "b2", "b");
	CHECK(RUN_OVER(&m) == -EFBIG && strcmp(err.path, "b2") == 0);
	limits.max_bytes = 0;
}

/* A directory is made for what lies in it, and listed later, replaced, or removed. */
static void test_listed_after_all(void)
{
	struct make m = {0};
	char path[512];

	fresh_layers();
	for (const char *const *name = (const char *const[]){"d", "f", "g", "h", NULL}; *name; name++)
		put_dir(0, *name, 0711, false);
	snprintf(path, sizeof(path), "%s/lower0/d", base_path);
	CHECK(setxattr(path, "user.note", "kept", 4, 0) == 0);
	mk_file(&m, "d/file", "1");
	mk_file(&m, "f/file", "1");
	mk_file(&m, "g/file", "1");
	mk_file(&m, "h/file", "1");
	mk_dir(&m, "d", 0750);
	mk_file(&m, "f", "a file now");
	mk_file(&m, "g", "for a while");
	mk_dir(&m, "g", 0700);
	CHECK(RUN_OVER(&m) == 0);
	CHECK((at("d").st_mode & 07777) == 0750 && xattr_is("d", "user.note", NULL));
	CHECK(at("d").st_mtim.tv_sec == 1000000000 && holds("f", "a file now"));
	CHECK((at("g").st_mode & 07777) == 0700 && opaque("g"));
	CHECK((at("h").st_mode & 07777) == 0711);
}

/* Directories with paths of 2 kB that are not listed. */
static void test_more_than_is_noted(void)
{
	struct make m = {0};
	char name[2200], *end = name;

	fresh_layers();
	put_dir(0, "last", 0711, false);
	put_dir(0, "first", 0711, false);
	mk_file(&m, "first/file", "1");
	for (int i = 0; i < 2000; i++)
		*end++ = i % 200 == 199 ? '/' : 'n';
	for (int i = 0; i < 2300; i++) {
		sprintf(end, "%d/file", i);
		mk_pax(&m, 'x', "path", name, NULL);
		mk_file(&m, "x", "");
	}
	mk_file(&m, "last/file", "1");
	CHECK(RUN_OVER(&m) == 0);
	CHECK((at("first").st_mode & 07777) == 0711 && (at("last").st_mode & 07777) == 0711);
}

int main(void)
{
	int r = place_begin();

	if (r)
		return r;
	/* Once with layers that are said to be complete, once with a gate, so that all that can wait waits. */
	for (int pass = 0; pass < 2; pass++) {
		test_implicit_parents();
		test_listed_after_all();
		test_an_unlisted_root();
		test_links_to_lower_files();
		test_links_to_hidden_files();
		test_copies_count();
		clean_layers();
		if (pass == 0)
			gate = eventfd(1, EFD_CLOEXEC);
	}
	test_more_than_is_noted();
	clean_layers();
	close(gate);
	return place_end();
}
