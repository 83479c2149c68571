#include "stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "held.h"

#define FAIL(code, call) FB_FAIL_CODE(err, FB_STAGE_RELEASE, (code), (call), path, NULL)

/* ELOOP, ENOTDIR: something else is on the way to it. */
static bool is_gone(int code)
{
	return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

/* rmdir looks for itself. */
static int remove_directory(int parent, const char *name, const char *path, struct fb_error *err)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 1;
	return is_gone(errno) || errno == ENOTEMPTY || errno == EEXIST ? 0 : FAIL(errno, "rmdir");
}

static int remove_file(int parent, const char *name, const char *path, struct fb_error *err)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return is_gone(errno) ? 0 : FAIL(errno, "fstatat");
	if (!S_ISREG(st.st_mode) || st.st_size != 0 || st.st_nlink != 1)
		return 0;
	return unlinkat(parent, name, 0) == 0 ? 1 : is_gone(errno) ? 0 : FAIL(errno, "unlink");
}

int fb_remove_stub(int root, const char *path, uint32_t kind, struct fb_error *err)
{
	struct fb_held held;
	const char *name;
	int parent, r;

	if (kind != S_IFDIR && kind != S_IFREG)
		return FAIL(EINVAL, "remove");
	fb_held_begin(&held, root);
	parent = fb_held_parent(&held, path, &name);
	if (parent < 0)
		r = is_gone(-parent) ? 0 : FAIL(-parent, "openat2");
	else
		r = kind == S_IFDIR ? remove_directory(parent, name, path, err) : remove_file(parent, name, path, err);
	fb_held_end(&held);
	return r;
}
