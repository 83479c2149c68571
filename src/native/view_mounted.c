#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "inroot.h"
#include "thread.h"
#include "view.h"

#define FAIL(code, call, path) FB_FAIL_CODE(err, FB_STAGE_VIEW, (code), (call), (path), NULL)

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* A page holds hundreds of layers when each is named by its descriptor. */
static int set_lower_at_once(int fs, const struct fb_view_mount *view, struct fb_error *err)
{
	char text[256];
	size_t length = 0;

	for (size_t i = 0; i < view->lower_count; i++) {
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", i ? ":" : "",
					   view->lower[i]);
		if (length >= sizeof(text) || strpbrk(view->lower[i], ":\\,"))
			return FAIL(EOPNOTSUPP, "fsconfig(lowerdir+)", view->lower[i]);
	}
	return set(fs, "lowerdir", text) < 0 ? FAIL(errno, "fsconfig(lowerdir)", text) : 0;
}

static int set_lower(int fs, const struct fb_view_mount *view, struct fb_error *err)
{
	for (size_t i = 0; i < view->lower_count; i++) {
		if (set(fs, "lowerdir+", view->lower[i]) == 0)
			continue;
		if (i == 0 && errno == EINVAL) /* before 6.5 */
			return set_lower_at_once(fs, view, err);
		return FAIL(errno, "fsconfig(lowerdir+)", view->lower[i]);
	}
	return 0;
}

/* As the engine mounts it. Volatile: what is copied is as durable as what a process writes; without
 * it (before 5.10) the end of the mount would write out the whole file system. */
static int configure(int fs, const struct fb_view_mount *view, struct fb_error *err)
{
	int r;

	if (set(fs, "source", "overlay") < 0)
		return FAIL(errno, "fsconfig(source)", NULL);
	r = set_lower(fs, view, err);
	if (r < 0)
		return r;
	if (view->upper && set(fs, "upperdir", view->upper) < 0)
		return FAIL(errno, "fsconfig(upperdir)", view->upper);
	if (view->upper && set(fs, "workdir", view->work) < 0)
		return FAIL(errno, "fsconfig(workdir)", view->work);
	if (set(fs, "redirect_dir", "nofollow") < 0 || set(fs, "metacopy", "off") < 0 || set(fs, "index", "off") < 0)
		return FAIL(errno, "fsconfig", NULL);
	if (view->upper)
		(void)fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0);
	return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? FAIL(errno, "fsconfig(CREATE)", view->lower[0])
								    : 0;
}

/* Attached in this thread's own namespace, over the lowest layer, which is the engine's and holds
 * no bind's source. */
static int mount_root(const struct fb_view_mount *view, struct fb_error *err)
{
	const char *place = view->lower[view->lower_count - 1];
	fb_auto_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	fb_auto_close int fd = -1;
	unsigned flags = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID;
	int r;

	if (fs < 0)
		return FAIL(errno, "fsopen", NULL);
	r = configure(fs, view, err);
	if (r < 0)
		return r;
	if (view->read_only || !view->upper)
		flags |= MOUNT_ATTR_RDONLY;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, flags);
	if (fd < 0)
		return FAIL(errno, "fsmount", NULL);
	if (move_mount(fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return FAIL(errno, "move_mount", place);
	return fb_steal_fd(&fd);
}

static int mount_bind(int root, const struct fb_view_bind *bind, struct fb_error *err)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
	fb_auto_close int source = open_tree(AT_FDCWD, bind->source,
					     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	fb_auto_close int target = -1;
	struct stat st;

	if (source < 0 || fstat(source, &st) < 0)
		return FAIL(errno, "open_tree", bind->source);
	target = fb_inroot_make(root, bind->target, S_ISDIR(st.st_mode) ? FB_MAKE_DIRECTORY : FB_MAKE_FILE, false);
	/* What can't be made in a read-only root was not there before, either. */
	if (target == -ENOENT || target == -EROFS)
		return 0;
	if (target < 0)
		return FAIL(-target, "openat2", bind->target);
	if (bind->read_only && mount_setattr(source, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
		return FAIL(errno, "mount_setattr", bind->source);
	if (move_mount(source, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return FAIL(errno, "move_mount", bind->target);
	return 0;
}

static int assemble(const struct fb_view_mount *view, struct fb_error *err)
{
	fb_auto_close int root = -1;
	int r = 0, fd;

	if (unshare(CLONE_FS) < 0 || unshare(CLONE_NEWNS) < 0)
		return FAIL(errno, "unshare", NULL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return FAIL(errno, "mount", "/");
	root = mount_root(view, err);
	if (root < 0)
		return root;
	for (size_t i = 0; r == 0 && i < view->bind_count; i++)
		r = mount_bind(root, &view->binds[i], err);
	if (r < 0)
		return r;
	/* A tree of its own: that of the namespace falls apart with it. */
	fd = open_tree(root, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return fd < 0 ? FAIL(errno, "open_tree", NULL) : fd;
}

struct errand {
	const struct fb_view_mount *view;
	int result;
	struct fb_error *err;
};

static void *do_errand(void *context)
{
	struct errand *errand = context;

	errand->result = assemble(errand->view, errand->err);
	return NULL;
}

int fb_view_mounted(const struct fb_view_mount *view, struct fb_error *err)
{
	struct errand errand = {.view = view, .err = err};
	pthread_t thread;
	int r = fb_thread_start(&thread, do_errand, &errand);

	if (r)
		return FAIL(r, "pthread_create", NULL);
	pthread_join(thread, NULL);
	return errand.result;
}
