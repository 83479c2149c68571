/* Extraction of hostile archives, by the rows of part A of the promises: names and links that lead
 * out (1 to 7), whiteouts (8 to 10), nodes (11, 12). */
#include "tar_place_test.h"

/* ---- 1 to 5: names and links that lead out ---- */

static void mk_any(struct make *m, const char *name, char type)
{
	if (type == '0') {
		mk_file(m, name, "evil");
		mk_owner(m, 7, 7);
		return;
	}
	mk_header(m, name, type, 04777, 0,
		  type == '1'	? "seed"
		  : type == '2' ? "/etc/passwd"
				: NULL);
	mk_owner(m, 7, 7);
	if (type == '3' || type == '4')
		mk_device(m, 1, 3);
}

static void test_names(void)
{
	static const char *const out[] = {
	    "../canary", "a/../../canary", "../../etc/x", "..",
	    "a/..",	 "./..",	   "/../canary",  "a/b/../../../canary"};
	static const char *const in[] = {"/abs", "//abs2", "./a/./b//c", "/./d/", "...", "..x"};
	struct make m = {0};

	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		for (const char *type = "0123456"; *type; type++) {
			mk_file(&m, "seed", "s");
			mk_any(&m, out[i], *type);
			CHECK(FRESH_RUN(&m) == -EXDEV && strcmp(err.path, out[i]) == 0);
		}
		mk_pax(&m, 'x', "path", out[i], NULL);
		mk_file(&m, "fine", "evil");
		CHECK(FRESH_RUN(&m) == -EXDEV && missing("fine"));
		mk_meta(&m, 'L', out[i], strlen(out[i]) + 1);
		mk_file(&m, "fine", "evil");
		CHECK(FRESH_RUN(&m) == -EXDEV);
		mk_pax(&m, 'x', "GNU.sparse.name", out[i], "GNU.sparse.size", "4", "GNU.sparse.map",
		       "0,4", NULL);
		mk_file(&m, "fine", "evil");
		CHECK(FRESH_RUN(&m) == -EXDEV);
	}
	mk_file(&m, "canary", "evil");
	mk_poke(&m, 345, "..", 3);
	CHECK(FRESH_RUN(&m) == -EXDEV);
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		mk_file(&m, in[i], in[i]);
	CHECK(FRESH_RUN(&m) == 0 && holds("abs", "/abs") && holds("abs2", "//abs2") &&
	      holds("a/b/c", "./a/./b//c"));
	CHECK(holds("d", "/./d/") && holds("...", "...") && holds("..x", "..x") &&
	      result.entries == 6);
}

static void test_planted_links(void)
{
	static const char below_types[] = "0123456wo";
	char absolute[256];
	const char *targets[] = {"../out",
				 "../../../../../../../../../../../../etc",
				 "/proc/self/root/etc",
				 "/proc/self/cwd",
				 "/proc/self/fd/3",
				 ".",
				 "..",
				 "/",
				 "l",
				 "nowhere",
				 absolute};
	struct make m = {0};

	snprintf(absolute, sizeof(absolute), "%s/out", base_path);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		for (int early = 0; early < 2; early++) { /* the link is of an earlier layer */
			for (const char *type = below_types; *type; type++) {
				fresh();
				if (early)
					CHECK(symlinkat(targets[i], root, "l") == 0);
				else
					mk_symlink(&m, "l", targets[i]);
				mk_file(&m, "seed", "s");
				if (*type == 'w')
					mk_file(&m, "l/.wh.file", "");
				else if (*type == 'o')
					mk_file(&m, "l/.wh..wh..opq", "");
				else
					mk_any(&m, "l/file", *type);
				(void)RUN(&m); /* refused, or inside: what counts is the canary */
			}
		}
	}
	for (const char *type = "013456"; *type;
	     type++) { /* the link itself is replaced, never what it names */
		mk_file(&m, "seed", "s");
		mk_symlink(&m, "l", "../canary");
		mk_symlink(&m, "d", "../out");
		mk_pax(&m, 'x', "SCHILY.xattr.user.evil", "1", NULL);
		mk_any(&m, "l", *type);
		mk_pax(&m, 'x', "SCHILY.xattr.user.evil", "1", NULL);
		mk_any(&m, "d", *type);
		CHECK(FRESH_RUN(&m) == 0 && !S_ISLNK(at("l").st_mode) && !S_ISLNK(at("d").st_mode));
	}
	mk_symlink(&m, "l", "../canary"); /* chown and utimes of the link, no further */
	mk_owner(&m, 9, 9);
	CHECK(FRESH_RUN(&m) == 0 && at("l").st_uid == 9 && at("l").st_mtim.tv_sec == 1000000000);
}

static void test_links_inside(void)
{
	struct make m = {0};

	mk_dir(&m, "usr/lib/", 0755);
	mk_symlink(&m, "lib", "usr/lib");
	mk_symlink(&m, "abs", "/usr/lib");
	mk_symlink(&m, "up", "../../../usr");
	mk_file(&m, "lib/one", "1");
	mk_file(&m, "abs/two", "2");
	mk_file(&m, "up/lib/three", "3");
	CHECK(FRESH_RUN(&m) == 0 && holds("usr/lib/one", "1") && holds("usr/lib/two", "2"));
	CHECK(holds("usr/lib/three", "3") && S_ISLNK(at("lib").st_mode));
	mk_symlink(&m, "l", "nowhere");
	mk_file(&m, "l/x", "x");
	CHECK(FRESH_RUN(&m) == -ENOENT && missing("nowhere"));
	mk_dir(&m, "d",
	       0755); /* the parent is known by name and descriptor when it becomes a link */
	mk_dir(&m, "e", 0755);
	mk_file(&m, "d/one", "1");
	mk_symlink(&m, "d", "e");
	mk_file(&m, "d/two", "2");
	CHECK(FRESH_RUN(&m) == 0 && missing("e/one") && holds("e/two", "2"));
	mk_symlink(&m, "d", "../out");
	mk_dir(&m, "d", 0755);
	mk_file(&m, "d/file", "inside");
	CHECK(FRESH_RUN(&m) == 0 && S_ISDIR(at("d").st_mode) && holds("d/file", "inside"));
}

static void test_root_entry(void)
{
	static const char *const names[] = {"./", "/", ".", "/.", "././"};
	struct make m = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (const char *type = "012346"; *type; type++) {
			mk_file(&m, "seed", "s");
			mk_any(&m, names[i], *type);
			CHECK(FRESH_RUN(&m) == -EXDEV);
		}
		mk_dir(&m, names[i], 0711);
		mk_owner(&m, 3, 4);
		mk_file(&m, "f", "");
		CHECK(FRESH_RUN(&m) == 0 && (at(".").st_mode & 07777) == 0711 &&
		      at(".").st_gid == 4);
		CHECK(at(".").st_mtim.tv_sec == 1000000000);
	}
}

/* ---- 6, 7: hard links ---- */

static void test_hard_links(void)
{
	static const char *const bad[] = {"nothing", "d",	  "self", "./self", "d/",  "/", ".",
					  "d/../f",  "../canary", "",	  "l/file", "f/x", "w"};
	struct make m = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		mk_dir(&m, "d", 0755);
		mk_file(&m, "f", "text");
		mk_symlink(&m, "l", "../out");
		mk_file(&m, ".wh.w", "");
		mk_hard(&m, "self", bad[i]);
		CHECK(FRESH_RUN(&m) < 0 && strcmp(err.path, "self") == 0 && missing("self"));
	}
	mk_file(&m, "self", "text");
	mk_hard(&m, "self", "/self");
	CHECK(FRESH_RUN(&m) == -EINVAL && holds("self", "text"));
	mk_symlink(&m, "l", "../canary");
	mk_hard(&m, "hard", "l");
	CHECK(FRESH_RUN(&m) == 0 && S_ISLNK(at("hard").st_mode) &&
	      at("hard").st_ino == at("l").st_ino);
	mk_file(&m, "a", "text");
	mk_hard(&m, "b", "a");
	mk_hard(&m, "dir/c", "/b");
	mk_hard(&m, "dir/d", "dir/c");
	mk_hard(&m, "dir/d", "a");
	CHECK(FRESH_RUN(&m) == 0 && at("a").st_nlink == 4 && at("dir/d").st_ino == at("a").st_ino);
	mk_file(&m, "b", "new");
	CHECK(RUN(&m) == 0 && holds("a", "text") && holds("b", "new") && at("a").st_nlink == 3);
}

/* ---- 8 to 11: whiteouts ---- */

static void test_whiteout_names(void)
{
	static const char *const refused[] = {".wh.",	 ".wh..",    ".wh...", "d/.wh.",
					      "d/.wh..", "d/.wh...", ".wh.d/x"};
	static const char *const skipped[] = {".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.plnk/1.2",
					      "d/.wh..wh.orph/x"};
	struct make m = {0};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		mk_file(&m, "d/keep", "k");
		mk_file(&m, refused[i], "");
		CHECK(FRESH_RUN(&m) == -EINVAL && holds("d/keep", "k") && !opaque("d") &&
		      !opaque("."));
	}
	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		mk_file(&m, "d/keep", "k");
		mk_file(&m, skipped[i], "data");
		CHECK(FRESH_RUN(&m) == 0 && missing(skipped[i]) && holds("d/keep", "k"));
	}
	mk_file(&m, ".wh.file", "content");
	mk_file(&m, ".wh..wh..opq", "content");
	fresh();
	CHECK(RUN_PLAIN(&m) == 0 && holds(".wh.file", "content") &&
	      holds(".wh..wh..opq", "content") && !opaque("."));
}

static void test_whiteouts(void)
{
	struct make m = {0};

	mk_file(&m, "d/.wh.gone", "data");
	mk_file(&m, "d/real", "r");
	mk_file(&m, "d/.wh.real", "");
	mk_file(&m, "d/.wh.real2", "");
	mk_file(&m, "d/real2", "r2");
	mk_dir(&m, "d/sub", 0755);
	mk_file(&m, "d/sub/inside", "i");
	mk_file(&m, "d/.wh.sub", "");
	mk_file(&m, "d/.wh.sub2", "");
	mk_file(&m, "d/sub2/inside", "i2");
	mk_file(&m, "d/.wh.sub3", "");
	mk_dir(&m, "d/sub3", 0700);
	mk_file(&m, "d/.wh.gone", "");
	CHECK(FRESH_RUN(&m) == 0 && whiteout("d/gone") && holds("d/real", "r") &&
	      holds("d/real2", "r2"));
	CHECK(opaque("d/sub") && holds("d/sub/inside", "i") && opaque("d/sub2") &&
	      holds("d/sub2/inside", "i2"));
	CHECK(opaque("d/sub3") && (at("d/sub3").st_mode & 07777) == 0700 && !opaque("d"));
	mk_file(&m, "x", "a file first");
	mk_dir(&m, "x", 0755);
	CHECK(FRESH_RUN(&m) == 0 && opaque("x")); /* it replaced all there was */
	mk_file(&m, "o/.wh..wh..opq", "");
	mk_file(&m, "p/f", "f");
	mk_file(&m, "p/.wh..wh..opq", "");
	mk_file(&m, ".wh..wh..opq", "");
	mk_file(&m, ".wh.q", "");
	mk_file(&m, "q/.wh..wh..opq", "");
	CHECK(FRESH_RUN(&m) == 0 && opaque("o") && opaque("p") && holds("p/f", "f") &&
	      opaque(".") && opaque("q"));
	mk_file(&m, "file", "");
	mk_file(&m, "file/.wh..wh..opq", "");
	CHECK(FRESH_RUN(&m) == -ENOTDIR);
}

static void test_control_xattrs(void)
{
	static const char *const names[] = {"trusted.overlay.opaque", "trusted.overlay.redirect",
					    "user.overlay.opaque",    "trusted.overlay.whiteout",
					    "user.overlay.whiteout",  "trusted.other"};
	struct make m = {0};
	char key[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(key, sizeof(key), "SCHILY.xattr.%s", names[i]);
		mk_pax(&m, 'x', key, "y", "SCHILY.xattr.user.kept", "k", NULL);
		mk_dir(&m, "d", 0755);
		mk_pax(&m, 'x', key, "y", "SCHILY.xattr.user.kept", "k", NULL);
		mk_file(&m, "f", "");
		mk_pax(&m, 'x', key, "y", NULL);
		mk_symlink(&m, "l", "f");
		mk_pax(&m, 'x', key, "y", NULL);
		mk_dir(&m, "./", 0755);
		CHECK(FRESH_RUN(&m) == 0 && xattr_is("d", names[i], NULL) &&
		      xattr_is("f", names[i], NULL));
		CHECK(xattr_is("l", names[i], NULL) && xattr_is(".", names[i], NULL));
		CHECK(xattr_is("f", "user.kept", "k") && xattr_is("d", "user.kept", "k"));
	}
}

static void test_nodes(void)
{
	struct make m = {0};

	mk_header(&m, "null", '3', 0666, 0, NULL);
	mk_device(&m, 0, 0);
	CHECK(FRESH_RUN(&m) == -EINVAL && missing("null"));
	mk_header(&m, "null", '3', 0666, 0, NULL);
	mk_device(&m, 0, 0);
	fresh();
	CHECK(RUN_PLAIN(&m) == -EINVAL && missing("null"));
	mk_header(&m, "null", '3', 0666, 0, NULL);
	mk_device(&m, 1, 3);
	mk_owner(&m, 5, 6);
	mk_header(&m, "disk", '4', 04640, 0, NULL);
	mk_device(&m, 259, 1048575);
	mk_header(&m, "pipe", '6', 01622, 0, NULL);
	mk_hard(&m, "pipe2", "pipe");
	CHECK(FRESH_RUN(&m) == 0 && at("null").st_mode == (S_IFCHR | 0666) &&
	      at("null").st_rdev == makedev(1, 3));
	CHECK(at("null").st_gid == 6 && at("disk").st_mode == (S_IFBLK | 04640) &&
	      at("disk").st_rdev == makedev(259, 1048575));
	CHECK(at("pipe").st_mode == (S_IFIFO | 01622) && at("pipe2").st_ino == at("pipe").st_ino);
	CHECK(at("disk").st_mtim.tv_sec == 1000000000);
}

/* ---- 12: every kind in the way of every kind; fifos would hang if one were opened ---- */

static void test_replace(void)
{
	struct make m = {0};

	for (const char *old = "023456"; *old; old++) {
		for (const char *new = "0123456"; *new; new ++) {
			mk_file(&m, "seed", "s");
			mk_any(&m, "x", *old);
			if (*old == '5')
				mk_file(&m, "x/deep/file", "f");
			mk_any(&m, "x", *new);
			CHECK(FRESH_RUN(&m) == 0);
			if (*new == '5')
				CHECK(S_ISDIR(at("x").st_mode) && at("x").st_uid == 7 &&
				      missing("x/deep") == (*old != '5'));
			if (*new == '1')
				CHECK(at("x").st_ino == at("seed").st_ino);
			if (*new == '0')
				CHECK(holds("x", "evil"));
			if (*old != '5' && *old != '2' &&
			    *new == '6') { /* below what is no directory */
				mk_any(&m, "x", *old);
				mk_file(&m, "x/y", "");
				CHECK(FRESH_RUN(&m) == -ENOTDIR);
			}
		}
	}
}

int main(void)
{
	int r = place_begin();

	if (r)
		return r == 77 ? 0 : r;
	test_names();
	test_planted_links();
	test_links_inside();
	test_root_entry();
	test_hard_links();
	test_whiteout_names();
	test_whiteouts();
	test_control_xattrs();
	test_nodes();
	test_replace();
	return place_end();
}
