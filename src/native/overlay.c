/* The layers as one root. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "child.h"
#include "cleanup.h"

#define FSCONFIG_STRING_MAX 255

/* Fixed, whatever the kernel was built with: metadata of an image must never redirect a lookup, and an upper must read the
 * same to who exports it. */
static const char *const fixed[][2] = {
	{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}};

/* Upper and work go through overlayfs's unescaping, so a backslash takes the other way. */
static bool fits_strings(const struct fb_engine_spec *engine)
{
	for (size_t i = 0; i < engine->lower.count; i++)
		if (strlen(engine->lower.items[i]) > FSCONFIG_STRING_MAX)
			return false;
	return !engine->upper || (strlen(engine->upper) <= FSCONFIG_STRING_MAX &&
				  strlen(engine->work) <= FSCONFIG_STRING_MAX &&
				  !strchr(engine->upper, '\\') && !strchr(engine->work, '\\'));
}

static int set(int fs, const char *key, const char *value)
{
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* One layer a call: "lowerdir+" (6.7). */
static int configure(struct fb_child *child, const struct fb_op *op, int fs)
{
	const struct fb_engine_spec *engine = &child->plan->spec->engine;

	for (size_t i = 0; i < engine->lower.count; i++)
		if (set(fs, "lowerdir+", engine->lower.items[i]) < 0)
			return FB_FAIL(&child->result->error, op->stage, "fsconfig(lowerdir+)",
				       engine->lower.items[i]);
	if (engine->upper && set(fs, "upperdir", engine->upper) < 0)
		return FB_FAIL(&child->result->error, op->stage, "fsconfig(upperdir)", engine->upper);
	if (engine->upper && set(fs, "workdir", engine->work) < 0)
		return FB_FAIL(&child->result->error, op->stage, "fsconfig(workdir)", engine->work);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (set(fs, fixed[i][0], fixed[i][1]) < 0)
			return FB_FAIL(&child->result->error, op->stage, "fsconfig", fixed[i][0]);
	if (*child->plan->overlay_data && fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		return FB_FAIL(&child->result->error, op->stage, "fsconfig", "volatile");
	return 0;
}

static int make_detached(struct fb_child *child, const struct fb_op *op)
{
	fb_auto_close int fs = -1;
	char log[128];
	ssize_t length;
	int r, code;

	if (fb_mount_detached(child) < FB_DETACHED_ALL)
		return -ENOSYS;
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fb_mount_refused(-errno) ? -ENOSYS : FB_CHILD_FAIL(child, op, "fsopen");
	if (set(fs, "source", "overlay") < 0)
		return fb_mount_refused(-errno) ? -ENOSYS : FB_CHILD_FAIL(child, op, "fsconfig(source)");
	if ((r = configure(child, op, fs)) < 0)
		return r;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		code = errno;
		length = read(fs, log, sizeof(log) - 1);
		log[length > 0 ? length : 0] = '\0';
		log[strcspn(log, "\n")] = '\0';
		return FB_CHILD_FAIL_CODE(child, op, code, "fsconfig(CREATE)", length > 2 ? log + 2 : NULL);
	}
	child->root = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "fsmount") : 0;
}

struct text {
	char data[4096]; /* a page is all that mount(2) takes */
	size_t length;
};

static void append(struct text *text, const char *piece)
{
	size_t length = strlen(piece);

	if (text->length + length >= sizeof(text->data))
		length = 0, text->length = sizeof(text->data); /* too long: seen at the end */
	if (length) {
		memcpy(text->data + text->length, piece, length + 1);
		text->length += length;
	}
}

static int append_directory(struct fb_child *child, const struct fb_op *op, struct text *text,
			    const char *before, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return FB_FAIL(&child->result->error, op->stage, "open", path);
	append(text, before);
	append(text, fb_fd_path(fd).text + strlen("/proc/self/fd/"));
	return 0;
}

/* mount(2): every directory is named by its descriptor, from /proc/self/fd as working directory, so that hundreds of layers fit in a page
 * and no character of a path needs escaping. The descriptors end with exec. */
static int mount_classic(struct fb_child *child, const struct fb_op *op)
{
	const struct fb_engine_spec *engine = &child->plan->spec->engine;
	struct text text;
	int r = 0;

	text.length = 0;
	if (!op->text)
		return FB_CHILD_FAIL_CODE(child, op, ENOSYS, "move_mount", "the host's own root needs it");
	for (size_t i = 0; i < engine->lower.count && r == 0; i++)
		r = append_directory(child, op, &text, i ? ":" : "lowerdir=", engine->lower.items[i]);
	if (r == 0 && engine->upper)
		r = append_directory(child, op, &text, ",upperdir=", engine->upper);
	if (r == 0 && engine->upper)
		r = append_directory(child, op, &text, ",workdir=", engine->work);
	if (r < 0)
		return r;
	append(&text, ",redirect_dir=nofollow,metacopy=off,index=off");
	if (*child->plan->overlay_data)
		append(&text, ",volatile");
	if (text.length >= sizeof(text.data))
		return FB_CHILD_FAIL_CODE(child, op, E2BIG, "mount", "too many layers for this kernel");
	if (chdir("/proc/self/fd") < 0)
		return FB_FAIL(&child->result->error, op->stage, "chdir", "/proc/self/fd");
	if (mount("overlay", op->text, "overlay", 0, text.data) < 0)
		return FB_CHILD_FAIL(child, op, "mount(overlay)");
	child->root = open(op->text, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return child->root < 0 ? FB_CHILD_FAIL(child, op, "open") : 0;
}

/* Attached over the lowest layer: a directory that exists, that no bind mount's source lies below, and that the overlay has
 * already got hold of. */
int fb_op_root_overlay(struct fb_child *child, const struct fb_op *op)
{
	bool detached = child->plan->overlay_by_call && fits_strings(&child->plan->spec->engine);
	int r = detached ? make_detached(child, op) : -ENOSYS;

	if (r == -ENOSYS)
		return mount_classic(child, op);
	if (r < 0)
		return r;
	if (move_mount(child->root, "", AT_FDCWD, op->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return FB_CHILD_FAIL(child, op, "move_mount");
	return 0;
}
