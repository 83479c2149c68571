/* Mounts and overlayfs, each in a mount namespace of the probe's own. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "probe.h"
#include "sys.h"

#define TMP "/tmp" /* covered before it is used */
#define UNUSED(name) (void)(name)

static int cover_tmp(void)
{
	return mount("tmpfs", TMP, "tmpfs", 0, "mode=755") < 0 ? -errno : 0;
}

static int try_mount_calls(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), tree = -1;

	UNUSED(places), UNUSED(name);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	tree = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
	return tree < 0 || move_mount(tree, "", AT_FDCWD, TMP, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int try_fsopen(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);

	UNUSED(places), UNUSED(name);
	return fs < 0 ? -errno : 0;
}

static int clone_tree(const char *path)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	return fd < 0 ? -errno : fd;
}

static int try_open_tree(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int tree = clone_tree("/");

	UNUSED(places), UNUSED(name);
	return tree < 0 ? tree : 0;
}

static int try_mount_setattr(const struct fb_probe_places *places, const char *name)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	fb_auto_close int tree = clone_tree("/");

	UNUSED(places), UNUSED(name);
	if (tree < 0)
		return tree;
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int set_idmap(int tree, pid_t pid)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
	fb_auto_close int fd = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	r = fb_probe_write(path, "0 0 1");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
	r = r < 0 ? r : fb_probe_write(path, "0 0 1");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return r < 0 ? r : -errno;
	attr.userns_fd = (uint64_t)fd;
	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int try_idmap(const struct fb_probe_places *places, const char *name)
{
	int r = *places->scratch ? 0 : cover_tmp();
	fb_auto_close int tree = r < 0 ? r : clone_tree(*places->scratch ? places->scratch : TMP);
	pid_t pid = tree < 0 ? tree : fb_probe_start_idle(CLONE_NEWUSER);

	UNUSED(name);
	if (pid < 0)
		return (int)pid;
	r = set_idmap(tree, pid);
	fb_probe_end_idle(pid);
	return r;
}

/* The probe is called "mount.TYPE". */
static int try_file_system(const struct fb_probe_places *places, const char *name)
{
	const char *type = name + strlen("mount.");

	UNUSED(places);
	return mount(type, strcmp(type, "proc") ? TMP : "/proc", type, MS_NOSUID | MS_NOEXEC, NULL) < 0 ? -errno : 0;
}

static int try_mknod(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = -1;
	int r = cover_tmp();

	UNUSED(places), UNUSED(name);
	if (r < 0)
		return r;
	if (mknod(TMP "/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		return -errno;
	fd = open(TMP "/null", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : 0;
}

/* --- overlayfs: on the store's file system, or on a tmpfs --- */

/* Layers of the probe's own, since some options leave their mark in the work directory. The working directory is theirs afterwards. */
static int make_layers(const char *scratch, const char *name)
{
	int r = *scratch ? 0 : cover_tmp();

	if (r < 0)
		return r;
	if (chdir(*scratch ? scratch : TMP) < 0 || mkdir(name, 0700) < 0 || chdir(name) < 0 || mkdir("lower", 0700) < 0 ||
	    mkdir("second", 0700) < 0 || mkdir("upper", 0700) < 0 || mkdir("work", 0700) < 0 || mkdir("merged", 0700) < 0)
		return -errno;
	return 0;
}

static int mount_overlay(const char *more)
{
	char data[256];

	snprintf(data, sizeof(data), "lowerdir=lower:second,upperdir=upper,workdir=work%s", more);
	return mount("overlay", "merged", "overlay", 0, data) < 0 ? -errno : 0;
}

/* With the options that are fixed for every container. */
static int try_overlay(const struct fb_probe_places *places, const char *name)
{
	int r = make_layers(places->scratch, name);

	return r < 0 ? r : mount_overlay(",redirect_dir=nofollow,metacopy=off,index=off");
}

static int try_overlay_in_memory(const struct fb_probe_places *places, const char *name)
{
	int r = make_layers("", name);

	UNUSED(places);
	return r < 0 ? r : mount_overlay("");
}

/* The probe is called "overlay.OPTION". Where no upper layer can lie on the store's file system at all, memory tells about the option. */
static int try_overlay_option(const struct fb_probe_places *places, const char *name)
{
	int r = make_layers(places->scratch, name);
	char more[64];

	snprintf(more, sizeof(more), ",%s", name + strlen("overlay."));
	r = r < 0 ? r : mount_overlay(more);
	if (r == -EINVAL && *places->scratch && (r = make_layers("", name)) == 0)
		r = mount_overlay(more);
	return r;
}

/* Lower layers only, so that it does not matter what they lie on. */
static int try_overlay_calls(const struct fb_probe_places *places, const char *name)
{
	int r = make_layers(places->scratch, name);
	fb_auto_close int fs = r < 0 ? -1 : fsopen("overlay", FSOPEN_CLOEXEC), tree = -1;

	if (r < 0)
		return r;
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", "lower", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", "second", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	tree = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return tree < 0 ? -errno : 0;
}

/* overlayfs hides and merges by the types that a directory's entries carry. */
static int try_entry_types(const struct fb_probe_places *places, const char *name)
{
	int r = *places->scratch ? make_layers(places->scratch, name) : 1; /* a tmpfs has them */
	fb_auto_dir DIR *dir = r ? NULL : opendir(".");
	struct dirent *entry;

	if (r)
		return r < 0 ? r : 0;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && entry->d_type != DT_DIR)
			return -EOPNOTSUPP;
	return 0;
}

const struct fb_probe fb_mount_probes[] = {
	{"mount.fsopen", CLONE_NEWNS, try_fsopen},
	{"mount.calls", CLONE_NEWNS, try_mount_calls},
	{"mount.open_tree", CLONE_NEWNS, try_open_tree},
	{"mount.setattr", CLONE_NEWNS, try_mount_setattr},
	{"mount.idmap", CLONE_NEWNS, try_idmap},
	{"mount.proc", CLONE_NEWNS | CLONE_NEWPID, try_file_system},
	{"mount.sysfs", CLONE_NEWNS | CLONE_NEWNET, try_file_system},
	{"mount.devpts", CLONE_NEWNS, try_file_system},
	{"mount.mqueue", CLONE_NEWNS | CLONE_NEWIPC, try_file_system},
	{"mknod", CLONE_NEWNS, try_mknod},
	{"overlay", CLONE_NEWNS, try_overlay},
	{"overlay.types", 0, try_entry_types},
	{"overlay.volatile", CLONE_NEWNS, try_overlay_option},
	{"overlay.calls", CLONE_NEWNS, try_overlay_calls},
	{"overlay.memory", CLONE_NEWNS, try_overlay_in_memory},
	{"overlay.userxattr", CLONE_NEWNS, try_overlay_option},
	{NULL, 0, NULL},
};
