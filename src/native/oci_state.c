/* The directory of a container and its state.json.
 *
 * A directory without state.json belongs to a create that runs (it holds the lock) or that was killed. Whoever gets the lock of such a one
 * may remove it or make it their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "cgroup_systemd.h"
#include "cleanup.h"
#include "io.h"
#include "oci.h"
#include "oci_internal.h"
#include "quote.h"
#include "record.h"
#include "sys.h"

#define STATE_MAX_BYTES ((size_t)256 * 1024)

static int fail(struct fb_error *err, int code, const char *call, const char *path)
{
	return FB_FAIL_CODE(err, FB_STAGE_RECORD, code, call, path, NULL);
}

static int fail_plain(struct fb_error *err, int code, const char *detail, const char *id)
{
	return FB_FAIL_CODE(err, FB_STAGE_RECORD, code, "", id, detail);
}

bool fb_oci_id_valid(const char *id)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.,";
	size_t length = strlen(id);

	return length >= 1 && length <= 1024 && strspn(id, allowed) == length && strcmp(id, ".") != 0 &&
	       strcmp(id, "..") != 0;
}

static int check_id(const char *id, struct fb_error *err)
{
	if (!*id)
		return fail_plain(err, EINVAL, "container id cannot be empty", "");
	return fb_oci_id_valid(id) ? 0 : fail_plain(err, EINVAL, "invalid container ID format", id);
}

/* 0700, and sticky: below XDG_RUNTIME_DIR that keeps a cleaner of old files away. */
static int make_root(const char *root, struct fb_error *err)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s", root) >= (int)sizeof(path))
		return fail(err, ENAMETOOLONG, "mkdir", root);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return fail(err, errno, "mkdir", path);
		*slash = '/';
	}
	return mkdir(path, 01700) < 0 && errno != EEXIST ? fail(err, errno, "mkdir", root) : 0;
}

/* The name may have gone to another directory while the lock was waited for. */
static bool is_still(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

/* A locked descriptor of `path`, which still is its name. */
static int open_locked(const char *path, int how)
{
	for (int tries = 0; tries < 64; tries++) {
		fb_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r;

		if (fd < 0)
			return -errno;
		do
			r = flock(fd, how);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
		if (is_still(fd, path))
			return fb_steal_fd(&fd);
	}
	return -EAGAIN;
}

static bool has(int directory, const char *name)
{
	return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static char *join(const char *root, const char *id)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", root, id) < 0 ? NULL : path;
}

static void state_clear(struct fb_oci_state *state, const char *id)
{
	memset(state, 0, sizeof(*state));
	snprintf(state->id, sizeof(state->id), "%s", id);
	state->directory = -1;
	state->cgroup.into = -1;
}

/* 0: made; 1: somebody's directory is in the way, complete or not. */
static int make_directory(const char *root, const char *path, struct fb_error *err)
{
	int r;

	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno == ENOENT) {
		if ((r = make_root(root, err)) < 0)
			return r;
		if (mkdir(path, 0700) == 0)
			return 0;
	}
	return errno == EEXIST ? 1 : fail(err, errno, "mkdir", path);
}

static char *now_text(void)
{
	char text[FB_TIME_SIZE];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	fb_time_format(&now, text);
	return strdup(text);
}

int fb_oci_state_new(const struct fb_oci *oci, const char *id, struct fb_oci_state *ret_state, struct fb_error *err)
{
	fb_auto_free char *path = NULL, *created = now_text();
	fb_auto_close int fd = -1;
	int r = check_id(id, err), made;

	if (r < 0)
		return r;
	if (!created || !(path = join(oci->root, id)))
		return fail(err, ENOMEM, "malloc", "");
	if ((made = make_directory(oci->root, path, err)) < 0)
		return made;
	/* Ours already, or what a killed create left: then nobody holds its lock, and it has no state. */
	fd = open_locked(path, LOCK_EX | LOCK_NB);
	if (fd == -EWOULDBLOCK || (fd >= 0 && has(fd, "state.json")) || fd == -ENOTDIR)
		return fail_plain(err, EEXIST, "container with given ID already exists", id);
	if (fd < 0) {
		if (made == 0)
			(void)rmdir(path);
		return fail(err, -fd, "open", path);
	}
	state_clear(ret_state, id);
	ret_state->directory = fb_steal_fd(&fd);
	ret_state->locked = true;
	ret_state->owner = geteuid();
	ret_state->path = path;
	ret_state->created = created;
	path = created = NULL;
	return 0;
}

static int remove_directory(int fd, const char *path)
{
	static const char *const files[] = {"state.json", "state.json.tmp", "config.json", "config.json.tmp", "start"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (unlinkat(fd, files[i], 0) < 0 && errno != ENOENT)
			return -errno;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int fb_oci_state_open(const struct fb_oci *oci, const char *id, bool change, struct fb_oci_state *ret_state,
		      struct fb_error *err)
{
	fb_auto_free char *path = NULL, *text = NULL;
	fb_auto_close int fd = -1;
	struct fb_oci_state state;
	struct stat st;
	ssize_t length;
	int r = check_id(id, err);

	if (r < 0)
		return r;
	if (!(path = join(oci->root, id)))
		return fail(err, ENOMEM, "malloc", "");
	fd = change ? open_locked(path, LOCK_EX) : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && !change)
		fd = -errno;
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENAMETOOLONG)
		return fail_plain(err, ENOENT, "container does not exist", id);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(err, fd < 0 ? -fd : errno, "open", path);
	length = fb_read_file(fd, "state.json", STATE_MAX_BYTES, &text);
	if (length == -ENOENT) {
		if (change)
			(void)remove_directory(fd, path);
		return fail_plain(err, ENOENT, "container does not exist", id);
	}
	if (length < 0)
		return fail(err, (int)-length, "read the state of container", id);
	state_clear(&state, id);
	state.owner = st.st_uid;
	if ((r = fb_oci_state_parse(text, (size_t)length, &state, err)) < 0) {
		fb_oci_state_close(&state);
		return r;
	}
	state.directory = fb_steal_fd(&fd);
	state.locked = change;
	state.path = path;
	path = NULL;
	*ret_state = state;
	return 0;
}

int fb_oci_state_write(const struct fb_oci_state *state, struct fb_error *err)
{
	fb_auto_free char *text = fb_oci_state_format(state, err);
	int r;

	if (!text)
		return -EIO;
	r = fb_write_file(state->directory, "state.json", text, strlen(text), 0);
	return r < 0 ? fail(err, -r, "write the state of container", state->id) : 0;
}

static bool is_alive(const struct fb_oci_state *state)
{
	char now;

	return state->pid > 0 && state->start_time && fb_record_start_time(state->pid, &now) == state->start_time && now != 'Z' && now != 'X';
}

enum fb_oci_status fb_oci_state_status(const struct fb_oci_state *state)
{
	/* No process yet: either somebody is at it, who holds the lock, or was killed. */
	if (!state->pid && !state->locked) {
		if (flock(state->directory, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
			return FB_OCI_CREATING;
		(void)flock(state->directory, LOCK_UN);
	}
	if (!is_alive(state))
		return FB_OCI_STOPPED;
	if (fb_cgroup_frozen(&state->cgroup))
		return FB_OCI_PAUSED;
	return has(state->directory, "start") ? FB_OCI_CREATED : FB_OCI_RUNNING;
}

const char *fb_oci_status_name(enum fb_oci_status status)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return names[status];
}

int fb_oci_state_spec(const struct fb_oci_state *state, struct fb_spec *ret_spec, struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	ssize_t length = fb_read_file(state->directory, "config.json", FB_SPEC_MAX_BYTES, &text);

	if (length < 0)
		return fail(err, (int)-length, "read the configuration of container", state->id);
	return fb_spec_parse(text, (size_t)length, state->bundle, ret_spec, err);
}

/* The descriptor is got first: from then on it names one process, and the time says which. */
int fb_oci_state_pidfd(const struct fb_oci_state *state, struct fb_error *err)
{
	fb_auto_close int fd = -1;

	if (state->pid > 0)
		fd = fb_pidfd_open(state->pid, 0);
	if (state->pid > 0 && fd < 0 && errno != ESRCH)
		return fail(err, errno, "pidfd_open", state->id);
	if (fd < 0 || !is_alive(state))
		return fail_plain(err, ESRCH, "container not running", state->id);
	return fb_steal_fd(&fd);
}

int fb_oci_state_remove(struct fb_oci_state *state, struct fb_error *err)
{
	const char *paths[FB_CGROUP_MAX];
	int r;

	for (int i = 0; i < state->cgroup.path_count; i++)
		paths[i] = state->cgroup.paths[i];
	/* What systemd has made, and first: else it might do so itself meanwhile, late. */
	r = state->unit ? fb_systemd_stop(state->unit, state->path, state->unit_of_user, err) : 0;
	if (r < 0)
		return r;
	r = fb_cgroup_remove(paths, state->cgroup.path_count, err);
	if (r < 0)
		return r;
	if (state->rdt && rmdir(state->rdt) < 0 && errno != ENOENT)
		return fail(err, errno, "rmdir", state->rdt);
	r = remove_directory(state->directory, state->path);
	return r < 0 ? fail(err, -r, "remove", state->path) : 0;
}

void fb_oci_state_close(struct fb_oci_state *state)
{
	/* Said, and not left to close: a process cloned meanwhile has the same open file. */
	if (state->locked)
		(void)flock(state->directory, LOCK_UN);
	if (state->directory >= 0)
		close(state->directory);
	free(state->path);
	free(state->bundle);
	free(state->rootfs);
	free(state->created);
	free(state->unit);
	free(state->rdt);
	state_clear(state, "");
}
