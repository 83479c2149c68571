#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cleanup.h"
#include "thread.h"

/* A page is all that mount(2) takes, and 255 bytes a string all that fsconfig(2) does. */
#define DATA_SIZE 4096
#define STRING_MAX 255
/* As the engine mounts it: an image's metadata never redirects a lookup. */
#define FIXED ",redirect_dir=nofollow,metacopy=off,index=off"

#define FAIL(code, call, path) FB_FAIL_CODE(err, FB_STAGE_VIEW, (code), (call), (path), NULL)

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* What a kernel before 6.5 does not know is ENOSYS, so that the other way is gone. */
static int configure(int fs, const char *const *layers, size_t count, struct fb_error *err)
{
	if (set(fs, "source", "overlay") < 0)
		return -ENOSYS;
	for (size_t i = 0; i < count; i++) {
		if (strlen(layers[i]) > STRING_MAX)
			return -ENOSYS;
		if (set(fs, "lowerdir+", layers[i]) == 0)
			continue;
		return i == 0 && errno == EINVAL ? -ENOSYS
						 : FAIL(errno, "fsconfig(lowerdir+)", layers[i]);
	}
	if (set(fs, "redirect_dir", "nofollow") < 0 || set(fs, "metacopy", "off") < 0 ||
	    set(fs, "index", "off") < 0)
		return FAIL(errno, "fsconfig", NULL);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return FAIL(errno, "fsconfig(CREATE)", layers[0]);
	return 0;
}

static int make_detached(const char *const *layers, size_t count, struct fb_error *err)
{
	fb_auto_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	int r, fd;

	if (fs < 0)
		return errno == ENOSYS || errno == EPERM ? -ENOSYS : FAIL(errno, "fsopen", NULL);
	r = configure(fs, layers, count, err);
	if (r < 0)
		return r;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return fd < 0 ? FAIL(errno, "fsmount", NULL) : fd;
}

/* What a thread does where it can see other mounts than the rest of the process. */
struct errand {
	int (*run)(struct errand *errand, struct fb_error *err);
	const char *const *layers;
	size_t count;
	int proc;
	bool below; /* with what is mounted below the root */
	int result;
	struct fb_error *err;
};

static void *do_errand(void *context)
{
	struct errand *errand = context;
	struct fb_error *err = errand->err;

	errand->result = unshare(CLONE_FS) < 0 ? FAIL(errno, "unshare", NULL)
					       : errand->run(errand, errand->err);
	return NULL;
}

static int send_thread(struct errand *errand, struct fb_error *err)
{
	pthread_t thread;
	int r;

	errand->err = err;
	r = fb_thread_start(&thread, do_errand, errand);
	if (r)
		return FAIL(r, "pthread_create", NULL);
	pthread_join(thread, NULL);
	return errand->result;
}

/* Every directory is named by its descriptor, from /proc/self/fd as working directory, so that
 * hundreds fit in a page and no character needs escaping. */
static int append_layers(struct errand *errand, char data[DATA_SIZE], int *fds,
			 struct fb_error *err)
{
	size_t length = (size_t)snprintf(data, DATA_SIZE, "lowerdir=");

	for (size_t i = 0; i < errand->count; i++) {
		fds[i] = open(errand->layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0)
			return FAIL(errno, "open", errand->layers[i]);
		length += (size_t)snprintf(data + length, DATA_SIZE - length, "%s%d", i ? ":" : "",
					   fds[i]);
		if (length + sizeof(FIXED) >= DATA_SIZE)
			return FAIL(E2BIG, "mount", "too many layers for this kernel");
	}
	memcpy(data + length, FIXED, sizeof(FIXED));
	return 0;
}

/* Over the topmost layer, in a namespace that goes with this thread: the descriptor keeps the mount. */
static int mount_classic(struct errand *errand, struct fb_error *err)
{
	fb_auto_free int *fds = calloc(errand->count, sizeof(*fds));
	const char *place = errand->layers[0];
	char data[DATA_SIZE];
	int r, fd = -1;

	if (!fds)
		return FAIL(ENOMEM, "malloc", NULL);
	memset(fds, -1, errand->count * sizeof(*fds));
	r = unshare(CLONE_NEWNS) < 0 ? FAIL(errno, "unshare", NULL) : 0;
	/* Opened in here: overlayfs takes no directory of another namespace's mounts. */
	if (r == 0)
		r = append_layers(errand, data, fds, err);
	if (r == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = FAIL(errno, "mount", "/");
	if (r == 0 && chdir("/proc/self/fd") < 0)
		r = FAIL(errno, "chdir", "/proc/self/fd");
	if (r == 0 &&
	    mount("overlay", place, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, data) < 0)
		r = FAIL(errno, "mount(overlay)", place);
	if (r == 0 && (fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = FAIL(errno, "open", place);
	for (size_t i = 0; i < errand->count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return r < 0 ? r : fd;
}

int fb_view_layers(const char *const *layers, size_t count, struct fb_error *err)
{
	struct errand errand = {.run = mount_classic, .layers = layers, .count = count};
	int fd = make_detached(layers, count, err);

	return fd == -ENOSYS ? send_thread(&errand, err) : fd;
}

static int clone_root(struct errand *errand, struct fb_error *err)
{
	fb_auto_close int namespace = openat(errand->proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
	int fd;

	if (namespace < 0)
		return FAIL(errno, "open", "ns/mnt");
	if (setns(namespace, CLONE_NEWNS) < 0)
		return FAIL(errno, "setns", NULL);
	fd = open_tree(AT_FDCWD, "/",
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (errand->below ? AT_RECURSIVE : 0));
	return fd < 0 ? FAIL(errno, "open_tree", "/") : fd;
}

int fb_view_process(int proc, bool below, struct fb_error *err)
{
	struct errand errand = {.run = clone_root, .proc = proc, .below = below};

	return send_thread(&errand, err);
}
