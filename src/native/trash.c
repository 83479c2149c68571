#include "trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "tar_extract.h"

#define ID_LENGTH 64

static bool is_id(const char *name)
{
	return strlen(name) == ID_LENGTH && strspn(name, "0123456789abcdef") == ID_LENGTH;
}

/* The volume goes to where its name stood in the trash, an empty directory, and is deleted with it. */
static void end_volume(int volumes, int list, const char *name, const char *id)
{
	char users[ID_LENGTH + 8], user[sizeof(users) + ID_LENGTH + 2];

	snprintf(users, sizeof(users), "%s/users", name);
	snprintf(user, sizeof(user), "%s/%s", users, id);
	if (unlinkat(volumes, user, 0) < 0 && errno != ENOENT)
		return;
	/* ENOENT: somebody died between this line and the next, or there is no such volume. */
	if (unlinkat(volumes, users, AT_REMOVEDIR) == 0 || errno == ENOENT)
		(void)renameat(volumes, name, list, name);
}

static void end_volumes(int tmp, const char *trash, const char *id)
{
	fb_auto_close int volumes = -1, list = -1;
	fb_auto_dir DIR *dir = NULL;
	const struct dirent *entry;
	char path[sizeof("rm-/volumes") + ID_LENGTH];
	int copy;

	snprintf(path, sizeof(path), "%s/volumes", trash);
	list = openat(tmp, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (list < 0)
		return;
	volumes = openat(tmp, "../volumes", O_PATH | O_DIRECTORY | O_CLOEXEC);
	copy = fcntl(list, F_DUPFD_CLOEXEC, 0);
	dir = volumes < 0 || copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(dir)))
		if (is_id(entry->d_name))
			end_volume(volumes, list, entry->d_name, id);
}

int fb_trash_empty(int tmp, const char *id, struct fb_error *err)
{
	char trash[sizeof("rm-") + ID_LENGTH];

	if (!is_id(id))
		return FB_FAIL_CODE(err, FB_STAGE_RELEASE, EINVAL, "remove", id, "not a container's id");
	snprintf(trash, sizeof(trash), "rm-%s", id);
	end_volumes(tmp, trash, id);
	return fb_remove_tree(tmp, trash, err);
}
