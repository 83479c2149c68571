#include "program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cleanup.h"
#include "sys.h"

#define OWN "/proc/self/exe"
#define FAIL(call, path) FB_FAIL(err, FB_STAGE_REQUEST, (call), (path))

static int copy_sealed(const char *program, struct fb_error *err)
{
	fb_auto_close int from = open(program, O_RDONLY | O_CLOEXEC), to = -1;
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return FAIL("open", program);
	/* MFD_EXEC (6.3) silences a warning and is unknown before. */
	to = memfd_create("fastbox", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x10u);
	if (to < 0 && errno == EINVAL)
		to = memfd_create("fastbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0)
		return FAIL("memfd_create", program);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return FAIL("sendfile", program);
		left -= n;
	}
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return FAIL("fcntl", program);
	return fb_steal_fd(&to);
}

int fb_program_open(const char *program, bool copy, struct fb_error *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	fb_auto_close int fd = -1;

	if (!copy)
		fd = (int)syscall(SYS_open_tree, AT_FDCWD, program, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd >= 0 && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return fb_steal_fd(&fd);
	if (!copy && errno == ENOENT)
		return FAIL("open_tree", program);
	return copy_sealed(program, err);
}

/* 1, 0 or an error. */
static int is_protected(struct fb_error *err)
{
	fb_auto_close int fd = open(OWN, O_RDONLY | O_CLOEXEC);
	struct statvfs file_system;
	int seals;

	if (fd < 0 || fstatvfs(fd, &file_system) < 0)
		return FAIL("open", OWN);
	seals = fcntl(fd, F_GET_SEALS);
	return file_system.f_flag & ST_RDONLY || (seals >= 0 && seals & F_SEAL_WRITE);
}

int fb_program_protect(char *const argv[], struct fb_error *err)
{
	fb_auto_close int fd = -1;
	int r = is_protected(err);

	if (r != 0)
		return r < 0 ? r : 0;
	fd = fb_program_open(OWN, false, err);
	if (fd < 0)
		return fd;
	fb_execveat(fd, "", argv, environ, AT_EMPTY_PATH);
	return FAIL("execveat", OWN);
}
