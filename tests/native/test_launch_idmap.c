/* Id-mapped mounts, and the engine's layers in a user namespace. */
#include "idmap.h"
#include "launch_lanes.h"
#include "userns.h"

#define MAPS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]," \
	     "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]"
#define USER_NAMESPACE STANDARD_NAMESPACES ",{\"type\":\"user\"}"
#define OWN_MAPS(to) ",\"uidMappings\":[{\"containerID\":0,\"hostID\":" to ",\"size\":1000}],\"gidMappings\":[{\"containerID\":0,\"hostID\":" to ",\"size\":1000}]"

static const char *volume(const char *source, const char *options, const char *more)
{
	static char text[1024];

	snprintf(text, sizeof(text), ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[%s]%s}", source, options, more);
	return text;
}

static void volumes(void)
{
	static const char look[] = "stat -c '%u %g' /x/file; cat /x/file; touch /x/new; stat -c %u /x/new";

	shell("mkdir -p %s/volume/sub && echo data > %s/volume/file && chown 5:6 %s/volume/file", base, base, base);
	/* With mappings of their own, with or without the word, with or without a user namespace. */
	EXPECT_OUTPUT((&(struct bundle){.script = look, .mounts = volume("volume", "\"bind\",\"idmap\"", OWN_MAPS("0"))}), "5 6\ndata\n0\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c '%u %g' /x/file", .mounts = volume("volume", "\"bind\"", OWN_MAPS("70000"))}), "70005 70006\n");
	EXPECT_OUTPUT((&(struct bundle){.script = look, .mounts = volume("volume", "\"bind\",\"idmap\"", OWN_MAPS("100000")),
					.namespaces = USER_NAMESPACE, .kernel = MAPS}), "5 6\ndata\n0\n");
	/* The container's. */
	EXPECT_OUTPUT((&(struct bundle){.script = look, .mounts = volume("volume", "\"rbind\",\"ridmap\"", ""), .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "5 6\ndata\n0\n");
	shell("test $(stat -c %%u %s/volume/new) = 0 && rm %s/volume/new && rmdir %s/rootfs/x && touch %s/rootfs/x", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c '%u %g' /x", .mounts = volume("volume/file", "\"bind\",\"idmap\",\"ro\"", ""),
					.namespaces = USER_NAMESPACE, .kernel = MAPS}), "5 6\n");
	shell("rm %s/rootfs/x && mkdir %s/rootfs/x", base, base);
	/* "idmap" maps the top, "ridmap" what is below too. */
	shell("mkdir %s/below && chown 7 %s/below && mount --bind %s/below %s/volume/sub", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c %u /x /x/sub", .mounts = volume("volume", "\"rbind\",\"idmap\"", ""), .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "0\n65534\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c %u /x /x/sub", .mounts = volume("volume", "\"rbind\",\"ridmap\"", ""), .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "0\n7\n");
	/* Mounts of the caller's that are shared stay out of it. */
	EXPECT_OUTPUT((&(struct bundle){.script = "cut -d' ' -f5- /proc/self/mountinfo | grep '^/x' | grep -c shared", .mounts = volume("volume", "\"rbind\",\"ridmap\"", ""),
					.namespaces = USER_NAMESPACE, .kernel = MAPS}), "0\n");
	shell("umount %s/volume/sub", base);
}

static void refusals(void)
{
	EXPECT_FAILURE((&(struct bundle){.mounts = volume("volume", "\"bind\",\"idmap\"", "")}), FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}", .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		       FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = volume("/proc/sys", "\"bind\",\"idmap\"", OWN_MAPS("0"))}), FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = volume("nowhere", "\"bind\",\"idmap\"", OWN_MAPS("0"))}), FB_STAGE_MOUNT, ENOENT, 125);
}

/* What three layers and an upper hold, a deleted file and a replaced directory among it, as if nothing were mapped. */
static void layers(void)
{
	static const char look[] = "id -u; stat -c '%n %u %g' /etc/owned /etc/root /; ls /etc/gone /etc/dir; echo new > /etc/written; rm /etc/root;"
				   "chown 33:34 /etc/written; echo more >> /etc/owned; touch /root/mine; stat -c %u /etc/written /root/mine; grep -c ' / .* overlay ' /proc/self/mountinfo";
	char top[2048];

	shell("cd %s && mkdir -p low/etc/dir mid/etc skel/proc skel/sys skel/dev c/upper c/work && cp -a rootfs/. skel &&"
	      "echo a > low/etc/gone && echo b > low/etc/dir/hidden && mknod mid/etc/gone c 0 0 && mkdir mid/etc/dir && touch mid/etc/dir/shown &&"
	      "python3 -c 'import os; os.setxattr(\"mid/etc/dir\", \"trusted.overlay.opaque\", b\"y\")' &&"
	      "echo o > mid/etc/owned && chown 1000:1001 mid/etc/owned && echo r > mid/etc/root", base);
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/mid\",\"%s/low\",\"%s/skel\"],\"upper\":\"%s/c/upper\",\"work\":\"%s/c/work\",\"volatile\":true}}",
		 base, base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = look, .caps = "[\"CAP_DAC_OVERRIDE\",\"CAP_CHOWN\"]", .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "0\n/etc/owned 1000 1001\n/etc/root 0 0\n/ 0 0\nls: /etc/gone: No such file or directory\n/etc/dir:\nshown\n33\n0\n1\n");
	/* In the upper they are the image's ids. */
	shell("cd %s/c/upper && test \"$(stat -c %%u:%%g etc/written root/mine etc/owned etc root | tr '\\n' ' ')\" = '33:34 0:0 1000:1001 0:0 0:0 ' &&"
	      "test \"$(stat -c %%F etc/root)\" = 'character special file' && rm -rf ../work && mkdir ../work", base);
	/* And so to a container without a user namespace, which goes on with them. */
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "stat -c '%u %g' /etc/written /etc/owned; cat /etc/owned; ls /etc/root"}),
		      "33 34\n1000 1001\no\nmore\nls: /etc/root: No such file or directory\n");
	shell("rm -rf %s/c/work %s/c/upper && mkdir %s/c/work %s/c/upper", base, base, base, base);
	/* Read-only, of several layers and of one. */
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/mid\",\"%s/low\",\"%s/skel\"]}}", base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "stat -c %u /etc/owned; touch /x", .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "1000\ntouch: /x: Read-only file system\n");
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/rootfs\"]}}", base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "stat -c %u /bin; touch /x", .namespaces = USER_NAMESPACE, .kernel = MAPS}),
		      "0\ntouch: /x: Read-only file system\n");
	/* Upper and work have to be of one mount. */
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/rootfs\"],\"upper\":\"%s/c/upper\",\"work\":\"%s/work\"}}", base, base, base);
	EXPECT_FAILURE((&(struct bundle){.top = top, .namespaces = USER_NAMESPACE, .kernel = MAPS}), FB_STAGE_ROOTFS, EINVAL, 125);
	/* On a file system that can't be mapped. */
	shell("mkdir %s/m && mkdir %s/o && mount -t overlay -o lowerdir=%s/rootfs,upperdir=%s/c/upper,workdir=%s/c/work o %s/m", base, base, base, base, base, base);
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/m\",\"%s/skel\"]}}", base, base);
	EXPECT_FAILURE((&(struct bundle){.top = top, .namespaces = USER_NAMESPACE, .kernel = MAPS}), FB_STAGE_MOUNT, EINVAL, 125);
	shell("umount %s/m", base);
}

/* Many layers, one inside of another's directory, and several mappings. */
static void many_layers(void)
{
	static char top[8192];
	size_t length;

	length = (size_t)snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[");
	for (int i = 0; i < 60; i++) {
		shell("mkdir -p %s/c/l/%d && touch %s/c/l/%d/file%d", base, i, base, i, i);
		length += (size_t)snprintf(top + length, sizeof(top) - length, "\"%s/c/l/%d\",", base, i);
	}
	snprintf(top + length, sizeof(top) - length, "\"%s/skel\"],\"upper\":\"%s/c/upper\",\"work\":\"%s/c/work\"}}", base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "ls / | grep -c file; stat -c %u /file59; touch /made && stat -c %u /made", .namespaces = USER_NAMESPACE,
					.kernel = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":100},{\"containerID\":100,\"hostID\":300000,\"size\":1000}],"
						  "\"gidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":100},{\"containerID\":100,\"hostID\":300000,\"size\":1000}]"}),
		      "60\n0\n0\n");
}

/* The user namespace is another's: its own mappings count. */
static void joined(void)
{
	const struct fb_mapping map = {0, 400000, 1000};
	const struct fb_id_maps maps = {&map, &map, 1, 1};
	char namespaces[512], top[1024];
	struct fb_error err;
	int fd = fb_userns_make(&maps, &err);

	CHECK(fd >= 0, "%s %s", err.call, err.path);
	snprintf(namespaces, sizeof(namespaces), "%s,{\"type\":\"user\",\"path\":\"/proc/%d/fd/%d\"}", STANDARD_NAMESPACES, getpid(), fd);
	EXPECT_OUTPUT((&(struct bundle){.script = "id -u; stat -c '%u %g' /x/file", .mounts = volume("volume", "\"bind\",\"idmap\"", ""), .namespaces = namespaces}), "0\n5 6\n");
	shell("rm -rf %s/c/work %s/c/upper && mkdir %s/c/work %s/c/upper", base, base, base, base);
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/skel\"],\"upper\":\"%s/c/upper\",\"work\":\"%s/c/work\"}}", base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "touch /made; stat -c %u /made /bin; cut -c12-32 /proc/self/uid_map", .namespaces = namespaces}), "0\n0\n    400000       1000\n");
	shell("test $(stat -c %%u %s/c/upper/made) = 0", base);
	close(fd);
}

/* Where the tests' directory lies on a file system that can't be mapped (an overlay), one that can is put over it. */
static void begin_mappable(void)
{
	const struct fb_mapping map = {0, 100000, 1000};
	const struct fb_id_maps maps = {&map, &map, 1, 1};
	struct fb_error err;
	char root[256];
	int ns, fd;

	begin();
	ns = fb_userns_make(&maps, &err);
	fd = fb_idmap_clone(base, 0, 0, ns, 0, &err);
	if (fd < 0) {
		shell("mount -t tmpfs -o mode=700 mappable %s", base);
		snprintf(root, sizeof(root), "%s/rootfs", base);
		make_root(root);
	}
	close(fd);
	close(ns);
}

static void mapped(void)
{
	begin_mappable();
	volumes();
	refusals();
	layers();
	many_layers();
	joined();
}

/* One line, where the kernel has no such thing. */
static void denied(int number)
{
	const struct lane lane = {"", {number}, ENOSYS};
	char top[512];

	begin();
	shell("mkdir %s/volume", base);
	deny(&lane);
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/rootfs\",\"%s/volume\"]}}", base, base);
	EXPECT_FAILURE((&(struct bundle){.mounts = volume("volume", "\"bind\",\"idmap\"", OWN_MAPS("0"))}), FB_STAGE_MOUNT, ENOSYS, 125);
	EXPECT_FAILURE((&(struct bundle){.top = top, .namespaces = USER_NAMESPACE, .kernel = MAPS}), FB_STAGE_MOUNT, ENOSYS, 125);
}

int main(void)
{
	static const int calls[] = {SYS_open_tree, SYS_mount_setattr, SYS_fsopen, SYS_clone3};
	int failed = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (i < 2)
				denied(calls[i]);
			else
				deny(&(struct lane){"", {calls[i]}, ENOSYS}), mapped();
			_exit(end());
		}
		if (wait_code(pid) != 0) {
			fprintf(stderr, "without call %zu: failed\n", i);
			failed = 1;
		}
	}
	mapped();
	return end() || failed;
}
