/* Mounts whose files belong to other ids than the file system says (5.12): made before the clone, by whom the file system belongs to. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "child.h"
#include "cleanup.h"
#include "idmap.h"
#include "userns.h"

struct fb_user_namespace {
	struct fb_user_namespace *next;
	struct fb_id_maps maps;
	int fd;
};

static int refuse(const char *path, const char *detail, struct fb_error *err)
{
	return FB_FAIL_CODE(err, FB_STAGE_MOUNT, EINVAL, "config", path, detail);
}

static bool same(const struct fb_mapping *a, const struct fb_mapping *b, size_t a_count, size_t b_count)
{
	return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

/* The user namespace with these mappings: each is made once for a launch. */
static int find_namespace(struct fb_plan *plan, const struct fb_id_maps *maps, struct fb_error *err)
{
	struct fb_user_namespace *item = plan->user_namespaces;
	int fd;

	for (; item; item = item->next)
		if (same(item->maps.uids, maps->uids, item->maps.uid_count, maps->uid_count) &&
		    same(item->maps.gids, maps->gids, item->maps.gid_count, maps->gid_count))
			return item->fd;
	if (!(item = fb_arena_alloc(&plan->arena, sizeof(*item))))
		return fb_plan_no_memory(err);
	if ((fd = fb_userns_make(maps, err)) < 0 || (fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	*item = (struct fb_user_namespace){plan->user_namespaces, *maps, fd};
	plan->user_namespaces = item;
	return fd;
}

int fb_idmap_own_namespace(struct fb_plan *plan, struct fb_error *err)
{
	const struct fb_spec *spec = plan->spec;
	const struct fb_id_maps maps = {spec->uid_mappings, spec->gid_mappings, spec->uid_mapping_count,
					spec->gid_mapping_count};

	return plan->user_namespace >= 0 ? plan->user_namespace : find_namespace(plan, &maps, err);
}

int fb_idmap_clone(const char *path, unsigned recursive, unsigned tree, int user_namespace, unsigned long propagation,
		   struct fb_error *err)
{
	struct mount_attr alone = {.propagation = propagation};
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
	fb_auto_close int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
	const char *detail = NULL;

	if (fd < 0)
		return FB_FAIL(err, FB_STAGE_MOUNT, "open_tree", path);
	if (propagation && mount_setattr(fd, "", AT_EMPTY_PATH | recursive, &alone, sizeof(alone)) < 0)
		return FB_FAIL(err, FB_STAGE_MOUNT, "mount_setattr", path);
	if (mount_setattr(fd, "", AT_EMPTY_PATH | tree, &attr, sizeof(attr)) == 0)
		return fb_steal_fd(&fd);
	if (errno == EINVAL)
		detail = "this file system can't be id-mapped on this kernel";
	else if (errno == EPERM)
		detail = "is id-mapped already, or its file system is not the caller's to map";
	return FB_FAIL_CODE(err, FB_STAGE_MOUNT, errno, "mount_setattr(IDMAP)", path, detail);
}

int fb_plan_idmap(struct fb_plan *plan, const struct fb_mount_spec *spec, struct fb_mount_plan *mount,
		  struct fb_error *err)
{
	const struct fb_id_maps maps = {spec->uid_mappings, spec->gid_mappings, spec->uid_mapping_count,
					spec->gid_mapping_count};
	/* What the caller's mounts share with others would be shared with the container too, were it not asked for. */
	unsigned long propagation = mount->propagation & (MS_SHARED | MS_SLAVE) ? 0 : MS_PRIVATE;
	fb_auto_close int part = mount->subpath ? fb_mount_part(mount) : -1;
	struct fb_fd_path path = fb_fd_path(part < 0 ? 0 : part);
	struct stat st;
	int ns, fd;

	if (mount->subpath && part < 0)
		return FB_FAIL_CODE(err, FB_STAGE_MOUNT, -part, "openat2", mount->subpath, "in a volume");
	if (!maps.uid_count != !maps.gid_count)
		return refuse(spec->destination, "uidMappings and gidMappings go together", err);
	if (!maps.uid_count && !(plan->apart & CLONE_NEWUSER))
		return refuse(spec->destination, "idmap needs mappings or a user namespace of the container's", err);
	if (!(plan->namespaces & CLONE_NEWNS))
		return refuse(spec->destination, "can't be id-mapped into a joined mount namespace", err);
	ns = maps.uid_count ? find_namespace(plan, &maps, err) : fb_idmap_own_namespace(plan, err);
	if (ns < 0)
		return ns;
	fd = fb_idmap_clone(part < 0 ? mount->source : path.text, mount->recursive ? AT_RECURSIVE : 0, mount->idmap_tree ? AT_RECURSIVE : 0, ns,
			    propagation, err);
	if (fd < 0 || (fd = fb_plan_keep(plan, fd, err)) < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return FB_FAIL(err, FB_STAGE_MOUNT, "fstat", mount->source);
	mount->fd = fd;
	mount->cloned = true;
	mount->directory = S_ISDIR(st.st_mode);
	return 0;
}
