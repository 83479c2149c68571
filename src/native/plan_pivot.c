/* How the container's root becomes "/". */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "plan.h"

/* "\\040" and its kin, as the kernel writes blanks into mountinfo. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* A procfs or sysfs mounted from its root, outside of the container's: its place into `target`. */
static bool is_whole(const struct fb_plan *plan, const char *line, char target[4096])
{
	size_t length = strlen(plan->spec->root_path);
	const char *tail = strstr(line, " - ");
	char root[4096], type[64];

	if (!tail || sscanf(line, "%*s %*s %*s %4095s %4095s", root, target) != 2 ||
	    sscanf(tail, " - %63s", type) != 1 || strcmp(root, "/") != 0)
		return false;
	unescape(target);
	if (strncmp(target, plan->spec->root_path, length) == 0 && target[length] == '/')
		return false;
	return strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
}

/* With chroot alone the host's /proc and /sys would stay in the mount namespace, and the kernel would let the container mount new ones
 * without their masks: every whole one is taken away first. */
static int plan_hiding(struct fb_plan *plan, struct fb_error *err)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	fb_auto_free char *line = NULL;
	char target[4096];
	size_t room = 0;
	int r = 0;

	if (!file)
		return FB_FAIL(err, FB_STAGE_PIVOT, "open", "/proc/self/mountinfo");
	while (r == 0 && getline(&line, &room, file) > 0) {
		struct fb_op *op;

		if (!is_whole(plan, line, target))
			continue;
		op = fb_plan_add(plan, FB_OP_HIDE, FB_STAGE_PIVOT);
		if (!op || !(op->path = fb_arena_strdup(&plan->arena, target)))
			r = fb_plan_no_memory(err);
	}
	fclose(file);
	return r;
}

int fb_plan_pivot(struct fb_plan *plan, struct fb_error *err)
{
	unsigned long propagation = plan->spec->rootfs_propagation;
	struct fb_op *op;
	int r = 0;

	enum fb_pivot how = !(plan->apart & CLONE_NEWNS)      ? FB_PIVOT_CHROOT :
			    !(plan->namespaces & CLONE_NEWNS) ? FB_PIVOT_JOINED :
			    plan->request->no_pivot	      ? FB_PIVOT_MOVE :
								FB_PIVOT;
	if (how == FB_PIVOT_MOVE && (r = plan_hiding(plan, err)) < 0)
		return r;
	if (!(op = fb_plan_add(plan, FB_OP_PIVOT, FB_STAGE_PIVOT)))
		return fb_plan_no_memory(err);
	op->flags = how;
	/* Private and slave it is already, and what a mount asked for itself has to stay. */
	if (!(propagation & (MS_SHARED | MS_UNBINDABLE)))
		return 0;
	if (!(op = fb_plan_add(plan, FB_OP_ROOT_PROPAGATION, FB_STAGE_PIVOT)))
		return fb_plan_no_memory(err);
	op->flags = propagation;
	return 0;
}
