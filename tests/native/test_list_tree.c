/* fb_list_tree: the order, what a limit refuses, and nothing that is left when directories vanish; many names, so that all arrays grow. */
#include "list_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"

#define COUNT 300

static char base[] = "/tmp/fastbox-test-list-XXXXXX";
static struct fb_error err;
static int root;

static void touch(const char *name)
{
	fb_auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	CHECK(fd >= 0);
}

/* 1 when `wanted` are the paths, each with a blank behind it. */
static int is(const char *path, bool deep, const char *wanted)
{
	struct fb_listing listing;
	char text[256] = "";
	int r = fb_list_tree(root, path, deep, COUNT, &listing, &err);

	for (size_t i = 0; r == 0 && i < listing.ordered; i++) {
		strcat(text, listing.text + listing.entries[listing.order[i]].path);
		strcat(text, " ");
	}
	fb_listing_free(&listing);
	return r == 0 ? strcmp(text, wanted) == 0 : r;
}

static void test_order(void)
{
	CHECK(is("", true, "") == 1);
	CHECK(mkdirat(root, "b", 0755) == 0 && mkdirat(root, "b/y", 0755) == 0 && mkdirat(root, "b.c", 0755) == 0);
	touch("b/y/z");
	touch("b/a");
	touch("b.c/x");
	touch("\xff");
	CHECK(symlinkat("b", root, "in") == 0 && symlinkat("/tmp", root, "out") == 0);
	CHECK(is("", true, "b b/a b/y b/y/z b.c b.c/x in out \xff ") == 1);
	CHECK(is("", false, "b b.c in out \xff ") == 1);
	CHECK(is("b", true, "b/a b/y b/y/z ") == 1 && is("b/y", false, "b/y/z ") == 1);
	CHECK(is("in", true, "") == 1 && is("out", true, "") == 1 && is("none", true, "") == 1 && is("b/a", true, "") == 1);
}

static void test_links(void)
{
	struct fb_listing listing;

	CHECK(fb_list_tree(root, "", false, COUNT, &listing, &err) == 0 && listing.ordered == 5);
	CHECK(strcmp(listing.text + listing.entries[listing.order[3]].link, "/tmp") == 0);
	CHECK(strcmp(listing.text + listing.entries[listing.order[0]].link, "") == 0);
	fb_listing_free(&listing);
}

static void test_many(void)
{
	struct fb_listing listing;
	char name[32];

	CHECK(mkdirat(root, "many", 0755) == 0);
	for (int i = COUNT - 1; i >= 0; i--) {
		snprintf(name, sizeof(name), i % 3 ? "many/%03d" : "many/%03d.d", i);
		if (i % 3)
			touch(name);
		else
			CHECK(mkdirat(root, name, 0755) == 0);
	}
	CHECK(fb_list_tree(root, "many", true, COUNT, &listing, &err) == 0 && listing.ordered == COUNT && listing.count == COUNT);
	for (size_t i = 1; i < listing.ordered; i++)
		CHECK(strcmp(listing.text + listing.entries[listing.order[i - 1]].path,
			     listing.text + listing.entries[listing.order[i]].path) < 0);
	fb_listing_free(&listing);
	CHECK(fb_list_tree(root, "many", true, COUNT - 1, &listing, &err) == -E2BIG);
	fb_listing_free(&listing);
	CHECK(fb_list_tree(-1, "", true, COUNT, &listing, &err) == -EBADF);
	fb_listing_free(&listing);
}

int main(void)
{
	fb_auto_close int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	if (!mkdtemp(base))
		return 77;
	root = open(base, O_RDONLY | O_DIRECTORY);
	test_order();
	test_links();
	test_many();
	close(root);
	CHECK(fb_remove_tree(tmp, base + 5, &err) == 0);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
