/* fb_trash_empty: which volumes end with a container. Works in a fresh directory below /tmp (or $TMPDIR). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "cleanup.h"
#include "tar_extract.h"
#include "trash.h"

static struct fb_error err;
static char ours[65], others[65], mine[65], shared[65], doomed[65];

static void make_id(char id[65], char letter)
{
	memset(id, letter, 64);
	id[64] = '\0';
}

__attribute__((format(printf, 3, 4))) static int at(int base, bool directory, const char *format, ...)
{
	char path[512];
	va_list args;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (directory)
		return mkdirat(base, path, 0700);
	fd = openat(base, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : close(fd);
}

__attribute__((format(printf, 2, 3))) static bool there(int base, const char *format, ...)
{
	char path[512];
	struct stat st;
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	return fstatat(base, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_volume(int base, const char *name, const char *user)
{
	CHECK(at(base, true, "volumes/%s", name) == 0);
	CHECK(at(base, true, "volumes/%s/_data", name) == 0);
	CHECK(at(base, false, "volumes/%s/_data/file", name) == 0);
	CHECK(at(base, true, "volumes/%s/users", name) == 0);
	if (user)
		CHECK(at(base, false, "volumes/%s/users/%s", name, user) == 0);
}

static void make_trash(int base)
{
	CHECK(at(base, true, "tmp/rm-%s", ours) == 0);
	CHECK(at(base, true, "tmp/rm-%s/volumes", ours) == 0);
}

static void list(int base, const char *name)
{
	CHECK(at(base, true, "tmp/rm-%s/volumes/%s", ours, name) == 0);
}

static void test_who_ends(int base, int tmp)
{
	make_trash(base);
	make_volume(base, mine, ours);
	make_volume(base, shared, ours);
	CHECK(at(base, false, "volumes/%s/users/%s", shared, others) == 0);
	make_volume(base, doomed, ours);
	list(base, mine);
	list(base, shared);
	list(base, "not-an-id");
	CHECK(fb_trash_empty(tmp, ours, &err) == 0);
	CHECK(!there(base, "volumes/%s", mine));
	CHECK(there(base, "volumes/%s/_data/file", shared));
	CHECK(there(base, "volumes/%s/users/%s", shared, others));
	CHECK(!there(base, "volumes/%s/users/%s", shared, ours));
	CHECK(there(base, "volumes/%s/_data/file", doomed)); /* not in the list */
	CHECK(!there(base, "tmp/rm-%s", ours));
}

/* Between any two of its calls it may have died: with the file gone, with `users` gone, with the volume in the trash. */
static void test_after_a_death(int base, int tmp)
{
	make_trash(base);
	make_volume(base, mine, NULL);
	list(base, mine);
	CHECK(fb_trash_empty(tmp, ours, &err) == 0 && !there(base, "volumes/%s", mine));

	make_trash(base);
	make_volume(base, mine, NULL);
	list(base, mine);
	{
		char users[128];

		snprintf(users, sizeof(users), "volumes/%s/users", mine);
		CHECK(unlinkat(base, users, AT_REMOVEDIR) == 0);
	}
	CHECK(fb_trash_empty(tmp, ours, &err) == 0 && !there(base, "volumes/%s", mine));

	make_trash(base);
	list(base, mine);
	CHECK(at(base, true, "tmp/rm-%s/volumes/%s", ours, mine) < 0 && errno == EEXIST);
	CHECK(fb_trash_empty(tmp, ours, &err) == 0 && !there(base, "tmp/rm-%s", ours));
}

static void test_odd(int base, int tmp)
{
	CHECK(fb_trash_empty(tmp, ours, &err) == 0); /* nothing there */
	CHECK(fb_trash_empty(tmp, "../volumes", &err) == -EINVAL);
	CHECK(fb_trash_empty(tmp, "", &err) == -EINVAL);
	make_trash(base);
	CHECK(at(base, true, "tmp/rm-%s/upper", ours) == 0);
	CHECK(fb_trash_empty(tmp, ours, &err) == 0 && !there(base, "tmp/rm-%s", ours));
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[256];
	fb_auto_close int base = -1, trash = -1;

	make_id(ours, 'a');
	make_id(others, 'b');
	make_id(mine, 'c');
	make_id(shared, 'd');
	make_id(doomed, 'e');
	snprintf(path, sizeof(path), "%s/fastbox-trash-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(path) != NULL);
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(base, "tmp", 0700) == 0 && mkdirat(base, "volumes", 0700) == 0);
	trash = openat(base, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_who_ends(base, trash);
	test_after_a_death(base, trash);
	test_odd(base, trash);
	CHECK(fb_remove_tree(AT_FDCWD, path, &err) == 0);
	return failures ? 1 : 0;
}
