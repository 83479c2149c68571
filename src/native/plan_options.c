/* The words of a mount's options: what each means to the mount, to the file system and to ourselves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "plan.h"
#include "words.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct option {
	const char *name;
	uint64_t set, clear;
	unsigned long flag, unflag;
};

#define ATIME MOUNT_ATTR__ATIME
#define MS_ATIME (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

/* Of a mount: each has a form with an "r" before it that reaches every mount below. */
static const struct option options[] = {
	{"rw", 0, MOUNT_ATTR_RDONLY, 0, MS_RDONLY},
	{"ro", MOUNT_ATTR_RDONLY, 0, MS_RDONLY, 0},
	{"suid", 0, MOUNT_ATTR_NOSUID, 0, MS_NOSUID},
	{"nosuid", MOUNT_ATTR_NOSUID, 0, MS_NOSUID, 0},
	{"dev", 0, MOUNT_ATTR_NODEV, 0, MS_NODEV},
	{"nodev", MOUNT_ATTR_NODEV, 0, MS_NODEV, 0},
	{"exec", 0, MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC},
	{"noexec", MOUNT_ATTR_NOEXEC, 0, MS_NOEXEC, 0},
	{"relatime", MOUNT_ATTR_RELATIME, ATIME, MS_RELATIME, MS_ATIME},
	{"noatime", MOUNT_ATTR_NOATIME, ATIME, MS_NOATIME, MS_ATIME},
	{"strictatime", MOUNT_ATTR_STRICTATIME, ATIME, MS_STRICTATIME, MS_ATIME},
	{"atime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"norelatime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"nostrictatime", MOUNT_ATTR_RELATIME, ATIME, 0, MS_ATIME},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME, 0},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME, 0, MS_NODIRATIME},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW, 0},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, MS_NOSYMFOLLOW},
	{0},
};

/* Of a file system. "acl" and its kin are not among them: each file system has its own word for it, and gets it as it stands. */
static const struct option whole[] = {
	{"defaults", 0, 0, 0, 0},
	{"sync", 0, 0, MS_SYNCHRONOUS, 0},
	{"async", 0, 0, 0, MS_SYNCHRONOUS},
	{"dirsync", 0, 0, MS_DIRSYNC, 0},
	{"mand", 0, 0, MS_MANDLOCK, 0},
	{"nomand", 0, 0, 0, MS_MANDLOCK},
	{"lazytime", 0, 0, MS_LAZYTIME, 0},
	{"nolazytime", 0, 0, 0, MS_LAZYTIME},
	{"iversion", 0, 0, MS_I_VERSION, 0},
	{"noiversion", 0, 0, 0, MS_I_VERSION},
	{"silent", 0, 0, MS_SILENT, 0},
	{"loud", 0, 0, 0, MS_SILENT},
	{0},
};

static const struct option propagations[] = {
	{"private", 0, 0, MS_PRIVATE, 0},	    {"rprivate", 0, 0, MS_PRIVATE | MS_REC, 0},
	{"slave", 0, 0, MS_SLAVE, 0},		    {"rslave", 0, 0, MS_SLAVE | MS_REC, 0},
	{"shared", 0, 0, MS_SHARED, 0},		    {"rshared", 0, 0, MS_SHARED | MS_REC, 0},
	{"unbindable", 0, 0, MS_UNBINDABLE, 0}, {"runbindable", 0, 0, MS_UNBINDABLE | MS_REC, 0},
	{0},
};

/* Of ours: take_own_word. */
static const struct option own[] = {
	{.name = "bind"}, {.name = "rbind"}, {.name = "remount"}, {.name = "idmap"}, {.name = "ridmap"}, {.name = "tmpcopyup"}, {0},
};

static const struct option *find(const struct option *option, const char *name)
{
	while (option->name && strcmp(option->name, name) != 0)
		option++;
	return option->name ? option : NULL;
}

static void take_flag(struct fb_mount_plan *mount, const struct option *option, bool tree)
{
	if (tree) {
		mount->tree_set = (mount->tree_set & ~option->clear) | option->set;
		mount->tree_clear = (mount->tree_clear & ~option->set) | option->clear;
		return;
	}
	mount->set = (mount->set & ~option->clear) | option->set;
	mount->clear = (mount->clear & ~option->set) | option->clear;
	mount->flags = (mount->flags & ~option->unflag) | option->flag;
}

/* The last word counts, as it would if each were a call; but a slave that is shared is both. */
static void take_propagation(struct fb_mount_plan *mount, unsigned long propagation)
{
	if (mount->propagation & MS_SLAVE && propagation & MS_SHARED) {
		mount->propagation_after = propagation;
		return;
	}
	mount->propagation = propagation;
	mount->propagation_after = 0;
}

static bool take_own_word(struct fb_mount_plan *mount, const char *name)
{
	if (strcmp(name, "bind") == 0 || strcmp(name, "rbind") == 0) {
		mount->bind = true;
		mount->recursive = name[0] == 'r';
	} else if (strcmp(name, "remount") == 0) {
		mount->remount = true;
	} else if (strcmp(name, "idmap") == 0 || strcmp(name, "ridmap") == 0) {
		mount->idmap = true;
		mount->idmap_tree = name[0] == 'r';
	} else if (strcmp(name, "tmpcopyup") == 0) {
		mount->copy_up = true;
	} else {
		return false;
	}
	return true;
}

static bool take_word(struct fb_mount_plan *mount, const char *name)
{
	const struct option *option;

	if ((option = find(options, name)) || (option = find(whole, name)))
		take_flag(mount, option, false);
	else if (name[0] == 'r' && (option = find(options, name + 1)))
		take_flag(mount, option, true);
	else if ((option = find(propagations, name)))
		take_propagation(mount, option->flag);
	else
		return take_own_word(mount, name);
	return true;
}

int fb_plan_setting(struct fb_plan *plan, struct fb_mount_plan *mount, char *text, struct fb_error *err)
{
	struct fb_setting *setting = &mount->settings[mount->setting_count++];
	char *value = strchr(text, '=');

	mount->data = *mount->data ? fb_arena_printf(&plan->arena, "%s,%s", mount->data, text) : text;
	if (!mount->data)
		return fb_plan_no_memory(err);
	setting->key = text;
	if (value) {
		setting->key = fb_arena_printf(&plan->arena, "%.*s", (int)(value - text), text);
		setting->value = value + 1;
		if (!setting->key)
			return fb_plan_no_memory(err);
		mount->classic = mount->classic || strlen(setting->value) > 255;
		mount->take_mode = mount->take_mode && strcmp(setting->key, "mode") != 0;
	}
	return 0;
}

static int refuse(const char *path, const char *detail, struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_MOUNT, EINVAL, "config", path, detail);
}

/* SELinux's context, where it is on and the file system takes one. A label has commas: quoted in the text, whole in a setting. */
static int add_label(struct fb_plan *plan, struct fb_mount_plan *mount, struct fb_error *err)
{
	static const char *const without[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};
	const char *label = plan->spec->mount_label;

	if (!label || !*label || mount->bind || mount->remount || access("/sys/fs/selinux/enforce", F_OK) < 0)
		return 0;
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++)
		if (strcmp(mount->type, without[i]) == 0)
			return 0;
	mount->data = fb_arena_printf(&plan->arena, "%s%scontext=\"%s\"", mount->data, *mount->data ? "," : "", label);
	if (!mount->data)
		return fb_plan_no_memory(err);
	mount->settings[mount->setting_count++] = (struct fb_setting){"context", label};
	return 0;
}

static int check(const struct fb_mount_spec *spec, const struct fb_mount_plan *mount, struct fb_error *err)
{
	if (mount->bind && !mount->remount && mount->setting_count)
		return refuse(spec->destination, "a bind mount has an unknown option", err);
	if (mount->copy_up && (mount->bind || strcmp(mount->type, "tmpfs") != 0))
		return refuse(spec->destination, "tmpcopyup is for a tmpfs", err);
	if (mount->idmap && (!mount->bind || mount->remount))
		return refuse(spec->destination, "only a bind mount can be id-mapped", err);
	return 0;
}

int fb_plan_read_options(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
			 struct fb_error *err)
{
	bool tmpfs = strcmp(mount->type, "tmpfs") == 0;
	int r;

	mount->data = "";
	mount->settings = fb_arena_alloc(&plan->arena, (spec->options.count + 2) * sizeof(*mount->settings));
	if (!mount->settings)
		return fb_plan_no_memory(err);
	mount->bind = strcmp(mount->type, "bind") == 0;
	mount->take_mode = tmpfs;
	mount->idmap = spec->uid_mapping_count || spec->gid_mapping_count;
	for (size_t i = 0; i < spec->options.count; i++) {
		char *text = spec->options.items[i];

		if (!take_word(mount, text) && (r = fb_plan_setting(plan, mount, text, err)) < 0)
			return r;
	}
	if ((r = check(spec, mount, err)) < 0 || (r = add_label(plan, mount, err)) < 0)
		return r;
	/* No word of the new calls says this one. */
	mount->classic = mount->classic || mount->flags & MS_I_VERSION;
	plan->own_memory |= mount->copy_up;
	/* Others may lie below a tmpfs, and in /dev we make nodes ourselves. */
	mount->seal = !mount->bind && !mount->remount && mount->set & MOUNT_ATTR_RDONLY &&
		      (tmpfs || (mount->target && strcmp(mount->target, "dev") == 0));
	if (mount->seal) {
		mount->set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
		mount->flags &= ~(unsigned long)MS_RDONLY;
	}
	return 0;
}

const char *fb_mount_word(size_t index, bool *ret_recursive)
{
	static const struct option *const tables[] = {options, whole, propagations, own};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		size_t count = 0;

		while (tables[i][count].name)
			count++;
		*ret_recursive = tables[i] == options;
		if (index < count)
			return tables[i][index].name;
		index -= count;
	}
	return NULL;
}
