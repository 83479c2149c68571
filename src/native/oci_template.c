/* spec: a config.json to start from, the same that runc writes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"
#include "oci_internal.h"

#define LIST(...) (const char *const[]){__VA_ARGS__, NULL}

struct mount {
	const char *destination, *type, *source;
	const char *const *options, *const *rootless_options; /* NULL: none, and the same */
};

static const struct mount mounts[] = {
	{"/proc", "proc", "proc", NULL, NULL},
	{"/dev", "tmpfs", "tmpfs", LIST("nosuid", "strictatime", "mode=755", "size=65536k"), NULL},
	{"/dev/pts", "devpts", "devpts", LIST("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
	 LIST("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")},
	{"/dev/shm", "tmpfs", "shm", LIST("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"), NULL},
	{"/dev/mqueue", "mqueue", "mqueue", LIST("nosuid", "noexec", "nodev"), NULL},
	{"/sys", "sysfs", "sysfs", LIST("nosuid", "noexec", "nodev", "ro"), NULL},
	{"/sys/fs/cgroup", "cgroup", "cgroup", LIST("nosuid", "noexec", "nodev", "relatime", "ro"), NULL},
};

/* The kernel gives no new sysfs to a user namespace that has not its own network. */
static const struct mount rootless_sys = {"/sys", "none", "/sys", LIST("rbind", "nosuid", "noexec", "nodev", "ro"), NULL};

static void put_mount(struct fb_json_out *json, const struct mount *mount, bool rootless)
{
	const char *const *options = mount->options;

	if (rootless && strcmp(mount->destination, "/sys") == 0) {
		put_mount(json, &rootless_sys, false);
		return;
	}
	if (rootless && mount->rootless_options)
		options = mount->rootless_options;
	fb_out_open(json, NULL, '{');
	fb_out_text(json, "destination", mount->destination);
	fb_out_text(json, "type", mount->type);
	fb_out_text(json, "source", mount->source);
	if (options)
		fb_out_texts(json, "options", options);
	fb_out_close(json, '}');
}

static void put_process(struct fb_json_out *json)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};

	fb_out_open(json, "process", '{');
	fb_out_bool(json, "terminal", true);
	fb_out_open(json, "user", '{');
	fb_out_int(json, "uid", 0);
	fb_out_int(json, "gid", 0);
	fb_out_close(json, '}');
	fb_out_texts(json, "args", LIST("sh"));
	fb_out_texts(json, "env", LIST("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"));
	fb_out_text(json, "cwd", "/");
	fb_out_open(json, "capabilities", '{');
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		fb_out_texts(json, sets[i], LIST("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"));
	fb_out_close(json, '}');
	fb_out_open(json, "rlimits", '[');
	fb_out_open(json, NULL, '{');
	fb_out_text(json, "type", "RLIMIT_NOFILE");
	fb_out_int(json, "hard", 1024);
	fb_out_int(json, "soft", 1024);
	fb_out_close(json, '}');
	fb_out_close(json, ']');
	fb_out_bool(json, "noNewPrivileges", true);
	fb_out_close(json, '}');
}

static void put_mapping(struct fb_json_out *json, const char *key, unsigned host)
{
	fb_out_open(json, key, '[');
	fb_out_open(json, NULL, '{');
	fb_out_int(json, "containerID", 0);
	fb_out_int(json, "hostID", host);
	fb_out_int(json, "size", 1);
	fb_out_close(json, '}');
	fb_out_close(json, ']');
}

static void put_namespaces(struct fb_json_out *json, bool rootless)
{
	const char *const types[] = {"pid", rootless ? NULL : "network", "ipc", "uts", "mount",
				     fb_cgroup_detect() == FB_CGROUP_V2 ? "cgroup" : NULL, rootless ? "user" : NULL};

	fb_out_open(json, "namespaces", '[');
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!types[i])
			continue;
		fb_out_open(json, NULL, '{');
		fb_out_text(json, "type", types[i]);
		fb_out_close(json, '}');
	}
	fb_out_close(json, ']');
}

static void put_linux(struct fb_json_out *json, bool rootless)
{
	fb_out_open(json, "linux", '{');
	if (rootless) {
		put_mapping(json, "uidMappings", geteuid());
		put_mapping(json, "gidMappings", getegid());
	} else {
		fb_out_open(json, "resources", '{');
		fb_out_open(json, "devices", '[');
		fb_out_open(json, NULL, '{');
		fb_out_bool(json, "allow", false);
		fb_out_text(json, "access", "rwm");
		fb_out_close(json, '}');
		fb_out_close(json, ']');
		fb_out_close(json, '}');
	}
	put_namespaces(json, rootless);
	fb_out_texts(json, "maskedPaths",
		     LIST("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			  "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"));
	fb_out_texts(json, "readonlyPaths",
		     LIST("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
	fb_out_close(json, '}');
}

static void put_template(FILE *out, bool rootless)
{
	struct fb_json_out json = {.out = out, .indent = "\t"};

	fb_out_open(&json, NULL, '{');
	fb_out_text(&json, "ociVersion", FB_OCI_VERSION);
	put_process(&json);
	fb_out_open(&json, "root", '{');
	fb_out_text(&json, "path", "rootfs");
	fb_out_bool(&json, "readonly", true);
	fb_out_close(&json, '}');
	fb_out_text(&json, "hostname", "fastbox");
	fb_out_open(&json, "mounts", '[');
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++)
		put_mount(&json, &mounts[i], rootless);
	fb_out_close(&json, ']');
	put_linux(&json, rootless);
	fb_out_close(&json, '}');
	fputc('\n', out);
}

static int write_template(const struct fb_oci *oci, int fd, bool rootless)
{
	fb_auto_free char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int r;

	if (!out)
		return fb_oci_die(oci, 1, "cannot write config.json: %m");
	put_template(out, rootless);
	if (fclose(out) != 0)
		return fb_oci_die(oci, 1, "cannot write config.json: %m");
	r = fb_write_all(fd, text, length);
	return r < 0 ? fb_oci_die(oci, 1, "cannot write config.json: %s", strerrordesc_np(-r)) : 0;
}

int fb_oci_spec(const struct fb_oci *oci, int argc, char **argv)
{
	const char *bundle = ".";
	bool rootless = false;
	const struct fb_oci_option table[] = {
		{"bundle", 'b', FB_OCI_TEXT, &bundle}, {"rootless", 0, FB_OCI_FLAG, &rootless}, {.kind = FB_OCI_ANYWHERE}};
	fb_auto_close int directory = -1, fd = -1;
	struct fb_error err = {0};
	int words;

	if (fb_oci_options(table, argc, argv, &words, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	if (words != argc)
		return fb_oci_die(oci, 1, "spec takes no arguments");
	directory = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return fb_oci_die(oci, 1, "cannot open the bundle %s: %s", bundle, strerrordesc_np(errno));
	fd = openat(directory, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return fb_oci_die(oci, 1, "config.json exists in %s: remove it first", bundle);
	if (fd < 0)
		return fb_oci_die(oci, 1, "cannot write config.json: %s", strerrordesc_np(errno));
	return write_template(oci, fd, rootless);
}
