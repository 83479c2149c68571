/* Mount options, propagation, copies into a tmpfs, roots without pivot_root, and what stands in for mounts that a user namespace may not make. */
#include "cgroup.h"
#include "launch_lanes.h"
#include "plan.h"

#define MAPS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]," \
	     "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]"
#define USER_NAMESPACE STANDARD_NAMESPACES ",{\"type\":\"user\"}"

static bool has_open_tree;
static bool has_setattr; /* else what reaches below a mount is refused */

/* One mount at /x, of which the container shows the flags, those of its file system, and its propagation. */
static void show(const char *type, const char *source, const char *options, const char *more, const char *wanted)
{
	char mounts[2048];

	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/x\",\"type\":\"%s\",\"source\":\"%s\",\"options\":[%s]}%s", type, source,
		 options, more ? more : "");
	EXPECT_OUTPUT((&(struct bundle){.mounts = mounts,
					.script = "grep ' /x ' /proc/self/mountinfo | sed 's/^.* .x \\\\([a-z,]*\\\\) \\\\(.*\\\\)- [a-z]* [^ ]* \\\\(.*\\\\)$/\\\\1 \\\\2\\\\3/'"}),
		      wanted);
}

static void options(void)
{
	show("tmpfs", "t", "\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"nosuid\",\"nodev\",\"noexec\",\"size=4k\"", NULL, "rw,nosuid,nodev,noexec,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"nosuid\",\"suid\",\"nodev\",\"dev\",\"noexec\",\"exec\",\"ro\",\"rw\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"noatime\",\"nodiratime\",\"size=4k\"", NULL, "rw,noatime,nodiratime rw,size=4k\n");
	show("tmpfs", "t", "\"strictatime\",\"diratime\",\"size=4k\"", NULL, "rw rw,size=4k\n");
	show("tmpfs", "t", "\"noatime\",\"atime\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"strictatime\",\"nostrictatime\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"norelatime\",\"defaults\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"nosymfollow\",\"size=4k\"", NULL, "rw,relatime,nosymfollow rw,size=4k\n");
	show("tmpfs", "t", "\"nosymfollow\",\"symfollow\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"sync\",\"dirsync\",\"lazytime\",\"silent\",\"size=4k\"", NULL, "rw,relatime rw,sync,dirsync,lazytime,size=4k\n");
	show("tmpfs", "t", "\"sync\",\"async\",\"lazytime\",\"nolazytime\",\"loud\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"iversion\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"mand\",\"nomand\",\"noiversion\",\"size=4k\"", NULL, "rw,relatime rw,size=4k\n");
	/* Read-only in the end, when what belongs below it is there. */
	show("tmpfs", "t", "\"ro\",\"size=4k\"", ",{\"destination\":\"/x/below\",\"type\":\"tmpfs\"}", "ro,relatime rw,size=4k\n");
	show("sysfs", "s", "\"ro\",\"nosuid\"", NULL, "ro,nosuid,relatime ro\n");
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"rsize=1\"]}"}), FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"none\",\"source\":\"/tmp\",\"options\":[\"bind\",\"size=1\"]}"}),
		       FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_OUTPUT((&(struct bundle){.script = "ls -d /y", .mounts = ",{\"destination\":\"x/../../y\",\"type\":\"tmpfs\"}"}), "/y\n");
	/* A list of the image's, not a policy of ours. */
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c %a /tmp /made", .mounts = ",{\"destination\":\"/tmp\",\"type\":\"tmpfs\"},{\"destination\":\"/made\",\"type\":\"tmpfs\"}"}),
		      "1751\n1777\n");
}

/* A bind of a tree with a mount below it, which the "r" forms reach. */
static void trees(void)
{
	char mounts[1024];
	static const char script[] = "for d in /x /x/sub; do grep \\\" $d \\\" /proc/self/mountinfo | cut -d' ' -f6; done";

	shell("mkdir -p %s/tree/sub && mount -t tmpfs -o nosuid below %s/tree/sub", base, base);
#define TREE(options) (snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"tree\",\"options\":[%s]}", options), mounts)
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"ro\"")}), "ro,relatime\nrw,nosuid,relatime\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"bind\",\"nodev\"")}), "rw,nodev,relatime\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"noatime\"")}), "rw,noatime\nrw,nosuid,relatime\n");
	if (has_setattr) {
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"rro\",\"rnodev\",\"rnoexec\",\"rnosuid\"")}),
			      "ro,nosuid,nodev,noexec,relatime\nro,nosuid,nodev,noexec,relatime\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"rnoatime\",\"rnodiratime\",\"rnosymfollow\"")}),
			      "rw,noatime,nodiratime,nosymfollow\nrw,nosuid,noatime,nodiratime,nosymfollow\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"ro\",\"rsuid\",\"rstrictatime\",\"rdev\",\"rexec\",\"rsymfollow\",\"rdiratime\"")}),
			      "ro\nrw\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = TREE("\"rbind\",\"ro\",\"rrw\",\"rrelatime\",\"ratime\",\"rnorelatime\",\"rnostrictatime\"")}),
			      "rw,relatime\nrw,nosuid,relatime\n");
	} else {
		EXPECT_FAILURE((&(struct bundle){.mounts = TREE("\"rbind\",\"rro\"")}), FB_STAGE_MOUNT, EOPNOTSUPP, 125);
	}
	shell("umount %s/tree/sub", base);
}

static void remounts(void)
{
	show("tmpfs", "t", "\"size=4k\"", ",{\"destination\":\"/x\",\"options\":[\"remount\",\"nosuid\",\"size=8k\"]}", "rw,nosuid,relatime rw,size=8k\n");
	show("tmpfs", "t", "\"size=4k\",\"nodev\"", ",{\"destination\":\"/x\",\"options\":[\"remount\",\"ro\"]}", "ro,nodev,relatime ro,size=4k\n");
	show("tmpfs", "t", "\"size=4k\",\"nodev\"", ",{\"destination\":\"/x\",\"options\":[\"remount\",\"bind\",\"ro\"]}", "ro,nodev,relatime rw,size=4k\n");
	show("tmpfs", "t", "\"size=4k\",\"nosuid\"", ",{\"destination\":\"/x\",\"options\":[\"remount\",\"bind\",\"noatime\",\"suid\"]}", "rw,noatime rw,size=4k\n");
	/* What the host has locked stays as it is in a user namespace, and to ask for less is an error. */
	shell("mkdir -p %s/locked && mount -t tmpfs -o nosuid,nodev,noexec,noatime locked %s/locked && chmod 777 %s/locked && chmod 711 %s", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "grep ' /x ' /proc/self/mountinfo | cut -d' ' -f6", .namespaces = USER_NAMESPACE, .kernel = MAPS,
					.mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"locked\",\"options\":[\"bind\",\"ro\"]}"}),
		      "ro,nosuid,nodev,noexec,noatime\n");
	EXPECT_FAILURE((&(struct bundle){.namespaces = USER_NAMESPACE, .kernel = MAPS,
					 .mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"locked\",\"options\":[\"bind\",\"exec\"]}"}),
		       FB_STAGE_MOUNT, EPERM, 125);
	shell("umount %s/locked", base);
}

/* The fields of mountinfo that say who a mount talks to. */
static void propagation(void)
{
	static const char script[] = "for d in / /x; do cut -d' ' -f5- /proc/self/mountinfo | grep \\\"^$d \\\" | sed 's/ - .*//;s/^.*time *//;s/:[0-9]*//g'; done";
	char mounts[512];

	shell("mkdir -p %s/volume", base);
#define VOLUME(options) (snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"volume\",\"options\":[\"rbind\"%s]}", options), mounts)
#define ROOT(word) ",\"rootfsPropagation\":\"" word "\""
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME("")}), "\n\n");
	if (has_open_tree) {
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"rslave\"")}), "\nmaster\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"rshared\"")}), "\nshared\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"slave\",\"shared\"")}), "\nshared master\n");
		EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"rshared\""), .kernel = ROOT("rprivate")}), "\nshared\n");
	} else {
		EXPECT_FAILURE((&(struct bundle){.mounts = VOLUME(",\"rslave\"")}), FB_STAGE_MOUNT, EOPNOTSUPP, 125);
	}
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"rshared\",\"rprivate\"")}), "\n\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(",\"unbindable\"")}), "\nunbindable\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(""), .kernel = ROOT("private")}), "\n\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(""), .kernel = ROOT("rslave")}), "master\nmaster\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(""), .kernel = ROOT("shared")}), "shared\n\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(""), .kernel = ROOT("rshared")}), "shared\nshared\n");
	EXPECT_OUTPUT((&(struct bundle){.script = script, .mounts = VOLUME(""), .kernel = ROOT("unbindable")}), "unbindable\n\n");
	EXPECT_FAILURE((&(struct bundle){.kernel = ROOT("common")}), FB_STAGE_SPEC, EINVAL, 125);
	/* What a container mounts below a shared volume is seen by its caller, as asked; below its shared root it is not. */
	EXPECT_OUTPUT((&(struct bundle){.script = "mkdir /root/m && mount -t tmpfs inside /root/m && echo ok", .kernel = ROOT("rshared"),
					.caps = "[\"CAP_SYS_ADMIN\"]"}), "ok\n");
	shell("rmdir %s/rootfs/root/m", base);
}

static void copies(void)
{
	static const char mounts[] = ",{\"destination\":\"/full\",\"type\":\"tmpfs\",\"source\":\"t\",\"options\":[\"tmpcopyup\",\"size=4m\",\"ro\"]}";

	shell("mkdir -p %s/rootfs/full/deep/er && cd %s/rootfs/full && echo text > file && chown 7:8 file && chmod 4751 file && touch -d @1000000 file &&"
	      "ln -s /etc/passwd link && mkfifo fifo && mknod null c 1 3 && echo below > deep/er/f && chown 5:6 deep && chmod 2770 deep &&"
	      "touch -d @2000000 deep && chmod 1711 . && for i in $(seq 300); do echo $i > deep/er/$i; done", base, base);
	EXPECT_OUTPUT((&(struct bundle){.mounts = mounts, .caps = "[\"CAP_DAC_OVERRIDE\"]",
					.script = "cd /full; stat -c '%n %a %u %g %Y' file deep; stat -c '%F %a' . fifo null; readlink link; cat file deep/er/f;"
						  "ls deep/er | wc -l; touch x; grep -c ' /full .*tmpfs' /proc/self/mountinfo"}),
		      "file 4751 7 8 1000000\ndeep 2770 5 6 2000000\ndirectory 1711\nfifo 644\ncharacter special file 644\n/etc/passwd\ntext\nbelow\n301\n"
		      "touch: x: Read-only file system\n1\n");
	shell("chown -Rh 100000:100000 %s/rootfs/full", base);
	EXPECT_OUTPUT((&(struct bundle){.mounts = mounts, .namespaces = USER_NAMESPACE, .kernel = MAPS, .script = "cat /full/deep/er/300; ls /full"}),
		      "300\ndeep\nfifo\nfile\nlink\n");
	shell("dd if=/dev/zero of=%s/rootfs/full/large bs=64k count=128 2>/dev/null", base);
	EXPECT_FAILURE((&(struct bundle){.mounts = mounts}), FB_STAGE_MOUNT, ENOSPC, 125);
	shell("rm %s/rootfs/full/large; cd %s/rootfs/full; for i in $(seq 70); do mkdir d && cd d; done", base, base);
	EXPECT_FAILURE((&(struct bundle){.mounts = mounts}), FB_STAGE_MOUNT, ELOOP, 125);
	shell("rm -rf %s/rootfs/full", base);
	/* Nothing there is nothing to copy; a link leads where the image may look. */
	EXPECT_OUTPUT((&(struct bundle){.mounts = mounts, .script = "ls /full | wc -l"}), "0\n");
	shell("rmdir %s/rootfs/full; ln -s /../../../etc %s/rootfs/full", base, base);
	EXPECT_OUTPUT((&(struct bundle){.mounts = mounts, .script = "ls /etc"}), "group\npasswd\n");
	shell("rm %s/rootfs/full", base);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":[\"tmpcopyup\"]}"}),
		       FB_STAGE_MOUNT, EINVAL, 125);
}

static void no_pivot(struct fb_spec *spec, struct fb_launch_request *request)
{
	(void)spec;
	request->no_pivot = true;
}

/* What a chroot would leave in the mount namespace is taken away before it: /proc and /sys, wherever the host has them. */
static void hidden(void)
{
	struct fb_launch_request request = {.target_pidfd = -1, .no_pivot = true, .stdio = {-1, -1, -1}};
	bool proc = false, sys = false, other = false;
	static char text[16384];
	struct fb_error err;
	struct fb_spec spec;
	struct fb_plan plan;

	shell("mkdir -p '%s/an other' && mount -t proc p '%s/an other'", base, base);
	make_config(&(struct bundle){0}, text, sizeof(text));
	request.spec = &spec;
	if (fb_spec_parse(text, strlen(text), base, &spec, &err) < 0 || fb_plan_build(&request, &plan, &err) < 0)
		exit(1);
	for (size_t i = 0; i < plan.count; i++) {
		const char *path = plan.ops[i].type == FB_OP_HIDE ? plan.ops[i].path : "";

		proc = proc || strcmp(path, "/proc") == 0;
		sys = sys || strcmp(path, "/sys") == 0;
		other = other || (strncmp(path, base, strlen(base)) == 0 && strcmp(path + strlen(base), "/an other") == 0);
	}
	CHECK(proc && sys && other, "%d %d %d", proc, sys, other);
	fb_plan_free(&plan);
	fb_spec_free(&spec);
	EXPECT_OUTPUT((&(struct bundle){.adjust = no_pivot, .script = "echo started"}), "started\n");
	shell("umount '%s/an other'", base);
}

static void roots(void)
{
	hidden();
	/* Nothing of the host's is in reach: what is mounted is what the container was given. */
	EXPECT_OUTPUT((&(struct bundle){.adjust = no_pivot, .caps = "[\"CAP_SYS_ADMIN\",\"CAP_SYS_CHROOT\"]",
					.script = "ls / | sort | head -n 2; pwd; cat /proc/keys | wc -c; cut -d' ' -f5 /proc/self/mountinfo | grep -c -v -E '^/(proc|dev|sys|$)'"}),
		      "bin\ndev\n/\n0\n0\n");
	EXPECT_OUTPUT((&(struct bundle){.adjust = no_pivot, .namespaces = USER_NAMESPACE, .kernel = MAPS, .script = "id -u; cat /proc/keys | wc -c"}), "0\n0\n");
	EXPECT_OUTPUT((&(struct bundle){.adjust = no_pivot, .root = ",\"readonly\":true", .script = "touch /x"}), "touch: /x: Read-only file system\n");
}

/* The network is the caller's: its sysfs can't be mounted by the container's root, but it may be looked at. */
static void fallbacks(void)
{
	EXPECT_OUTPUT((&(struct bundle){.namespaces = "{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"user\"}",
					.kernel = MAPS, .script = "ls -d /sys/class/net/lo; touch /sys/x 2>&1 | grep -c Read-only; ls /sys/firmware | wc -l"}),
		      "/sys/class/net/lo\n1\n0\n");
	/* A caller's mqueue is everybody's who shares its IPC. */
	EXPECT_OUTPUT((&(struct bundle){.namespaces = "{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\"}",
					.script = "grep -c ' /dev/mqueue .*mqueue' /proc/self/mountinfo"}), "1\n");
	/* Not proc: nothing else may lie there. */
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/proc\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":[\"bind\"]}"}),
		       FB_STAGE_MOUNT, EINVAL, 125);
}

static struct fb_cgroup group;

static void in_group(struct fb_spec *spec, struct fb_launch_request *request)
{
	(void)spec;
	request->cgroup = &group;
}

#define CGROUPS ",{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}"
#define SHARED_CGROUPS "{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}"

/* Each hierarchy that has a group shows that one and nothing above it, with a cgroup namespace and without. */
static void groups(void)
{
	static const char script[] = "n=0; for f in $(find /sys/fs/cgroup -name cgroup.procs); do n=$((n+1)); grep -qx -E '[01]' $f || cat $f; "
				     "touch ${f%/*}/x 2>&1 | grep -q Read-only || echo writable $f; done; test $n -ge 1 && echo all";
	const char *paths[FB_CGROUP_MAX];
	struct fb_resources none = {.has_pids = true, .pids = 100};
	struct fb_error err;
	char name[64];

	snprintf(name, sizeof(name), "/fastbox-test-mount-%d", getpid());
	if (fb_cgroup_detect() == FB_CGROUP_NONE || fb_cgroup_create(name, &none, FB_CGROUP_EVERY, &group, &err) < 0) {
		CHECK(false, "no groups: %s %s", err.call, err.path);
		return;
	}
	EXPECT_OUTPUT((&(struct bundle){.adjust = in_group, .mounts = CGROUPS, .script = script}), "all\n");
	if (group.mode != FB_CGROUP_V2) {
		EXPECT_OUTPUT((&(struct bundle){.adjust = in_group, .mounts = CGROUPS, .script = script, .namespaces = SHARED_CGROUPS}), "all\n");
		EXPECT_OUTPUT((&(struct bundle){.adjust = in_group, .mounts = CGROUPS, .script = script, .kernel = MAPS, .namespaces = SHARED_CGROUPS ",{\"type\":\"user\"}"}), "all\n");
	}
	EXPECT_OUTPUT((&(struct bundle){.adjust = in_group, .mounts = CGROUPS, .script = script, .kernel = MAPS, .namespaces = USER_NAMESPACE}), "all\n");
	for (int i = 0; i < group.path_count; i++)
		paths[i] = group.paths[i];
	fb_cgroup_close(&group);
	CHECK(fb_cgroup_remove(paths, group.path_count, &err) == 0, "groups stay: %s", err.path);
}

static void everything(void)
{
	struct mount_attr attr = {0};

	begin();
	shell("ln -sf busybox %s/rootfs/bin/sed; ln -sf busybox %s/rootfs/bin/find; chmod 1751 %s/rootfs/tmp", base, base, base);
	has_setattr = mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)) == 0;
	has_open_tree = syscall(SYS_open_tree, -1, "", 0) < 0 && errno != ENOSYS && errno != EPERM &&
			syscall(SYS_move_mount, -1, "", -1, "", 0) < 0 && errno != ENOSYS && errno != EPERM;
	options();
	trees();
	remounts();
	propagation();
	copies();
	roots();
	fallbacks();
	groups();
}

int main(void)
{
	return run_lanes(everything);
}
