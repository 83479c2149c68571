/* The floor's child: everything between clone and exec, in memory that it shares with its waiting
 * parent. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "floor.h"

void floor_check(struct worker *w, long result, const char *what)
{
	if (result >= 0)
		return;
	w->failed = what;
	w->code = errno;
	_exit(111);
}

static void bring_up_loopback(struct worker *w)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	floor_check(w, fd, "socket");
	floor_check(w, ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
	close(fd);
}

static void mount_root(struct worker *w)
{
	char path[PATH_MAX];

	floor_check(w, mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	if (w->options->tmpfs_upper) {
		snprintf(path, sizeof(path), "%s/tmp", w->options->scratch);
		floor_check(w, mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"),
			    "tmpfs");
		snprintf(path, sizeof(path), "%s/tmp/upper", w->options->scratch);
		floor_check(w, mkdir(path, 0755), "upper");
		snprintf(path, sizeof(path), "%s/tmp/work", w->options->scratch);
		floor_check(w, mkdir(path, 0700), "work");
	}
	if (w->options->bind) {
		floor_check(w, mount(w->options->lower, w->root, NULL, MS_BIND | MS_REC, NULL),
			    "bind");
	} else {
		floor_check(w, mount("overlay", w->root, "overlay", 0, w->overlay), "overlay");
	}
	floor_check(w, chdir(w->root), "chdir");
}

static void mount_file_systems(struct worker *w)
{
	static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
	const unsigned long strict = MS_NOSUID | MS_NOEXEC | MS_NODEV;
	char source[PATH_MAX], target[32];

	floor_check(w, mount("proc", "proc", "proc", strict, NULL), "proc");
	floor_check(
	    w, mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
	    "dev");
	floor_check(w, mkdir("dev/pts", 0755), "dev/pts");
	floor_check(w,
		    mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
			  "newinstance,ptmxmode=0666,mode=0620,gid=5"),
		    "devpts");
	floor_check(w, mount("sysfs", "sys", "sysfs", strict | MS_RDONLY, NULL), "sysfs");
	floor_check(w, mkdir("dev/mqueue", 0755), "dev/mqueue");
	floor_check(w, mount("mqueue", "dev/mqueue", "mqueue", strict, NULL), "mqueue");
	floor_check(w, mkdir("dev/shm", 01777), "dev/shm");
	floor_check(w, mount("shm", "dev/shm", "tmpfs", strict, "mode=1777,size=67108864"), "shm");
	for (int i = 0; i < 3; i++) {
		snprintf(source, sizeof(source), "%s/%s", w->directory, files[i]);
		snprintf(target, sizeof(target), "etc/%s", files[i]);
		floor_check(w, mount(source, target, NULL, MS_BIND | MS_REC, NULL), files[i]);
		floor_check(w, mount("", target, NULL, MS_REC | MS_PRIVATE, NULL), "private file");
	}
}

/* The container's own groups, read-only; on v1 one mount for each hierarchy of the host, sealed
 * when all are there. */
static void mount_groups(struct worker *w)
{
	const unsigned long flags = MS_NOSUID | MS_NOEXEC | MS_NODEV;
	char path[128];

	if (w->options->unified) {
		floor_check(w, mount("cgroup", "sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL),
			    "cgroup2");
		return;
	}
	floor_check(w, mount("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755"), "cgroup tmpfs");
	for (int i = 0; i < w->options->hierarchies; i++) {
		const char *controllers = w->options->hierarchy[i];

		snprintf(path, sizeof(path), "sys/fs/cgroup/%s",
			 strncmp(controllers, "name=", 5) ? controllers : controllers + 5);
		floor_check(w, mkdir(path, 0755), "cgroup directory");
		floor_check(w, mount("cgroup", path, "cgroup", flags | MS_RDONLY, controllers),
			    "cgroup");
	}
	floor_check(
	    w, mount("", "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL),
	    "cgroup read-only");
}

/* Docker's two settings for a network of its own, written before /proc/sys becomes read-only. */
static void set_sysctls(struct worker *w)
{
	static const char *const settings[][2] = {
	    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
	    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"}};

	for (int i = 0; i < 2; i++) {
		int fd = open(settings[i][0], O_WRONLY | O_CLOEXEC);

		floor_check(w, fd, settings[i][0]);
		floor_check(w, write(fd, settings[i][1], strlen(settings[i][1])), settings[i][0]);
		close(fd);
	}
}

static void fill_dev(struct worker *w)
{
	static const struct {
		const char *path;
		unsigned major, minor;
	} nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},	  {"dev/full", 1, 7},
		     {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
	static const char *const links[][2] = {
	    {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
	    {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
	    {"pts/ptmx", "dev/ptmx"},	       {"/proc/kcore", "dev/core"}};

	for (int i = 0; i < 6; i++)
		floor_check(
		    w,
		    mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)),
		    nodes[i].path);
	for (int i = 0; i < 6; i++)
		floor_check(w, symlink(links[i][0], links[i][1]), links[i][1]);
}

static void pivot(struct worker *w)
{
	floor_check(w, syscall(SYS_pivot_root, ".", "."), "pivot_root");
	floor_check(w, umount2(".", MNT_DETACH), "detach");
	floor_check(w, chdir("/"), "chdir /");
	if (w->options->read_only)
		floor_check(w, mount("", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL),
			    "read-only root");
}

/* Docker's masked and read-only paths; those that this kernel doesn't have cost the call that says
 * so. */
static void mask(struct worker *w)
{
	static const char *const masked[] = {
	    "/proc/asound",	"/proc/acpi",	     "/proc/interrupts",
	    "/proc/kcore",	"/proc/keys",	     "/proc/latency_stats",
	    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	    "/proc/scsi",	"/sys/firmware",     "/sys/devices/virtual/powercap"};
	static const char *const readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
					       "/proc/sysrq-trigger"};
	const unsigned long keep = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY;
	int result;

	for (size_t i = 0; i < sizeof(masked) / sizeof(*masked); i++) {
		result = mount("/dev/null", masked[i], NULL, MS_BIND, NULL);
		if (result && errno == ENOTDIR)
			result = mount("tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL);
		floor_check(w, result && errno == ENOENT ? 0 : result, masked[i]);
	}
	for (size_t i = 0; i < sizeof(readonly) / sizeof(*readonly); i++) {
		result = mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL);
		if (!result)
			result = mount("", readonly[i], NULL, MS_REMOUNT | MS_BIND | keep, NULL);
		floor_check(w, result && errno == ENOENT ? 0 : result, readonly[i]);
	}
}

static void drop_capabilities(struct worker *w)
{
	const uint64_t docker = 0xa80425fb;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
	    {.effective = (uint32_t)docker, .permitted = (uint32_t)docker}};

	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(docker >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL)
			floor_check(w, -1, "bounding set");
	floor_check(w, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keepcaps");
	floor_check(w, syscall(SYS_setgroups, 0, NULL), "setgroups");
	floor_check(w, syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	floor_check(w, syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	floor_check(w, prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0), "keepcaps");
	floor_check(w, syscall(SYS_capset, &header, data), "capset");
	floor_check(w, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient set");
}

/* The filter goes in before the capabilities go: without no_new_privs it needs CAP_SYS_ADMIN. */
void floor_confine(struct worker *w)
{
	if (w->options->filter.len)
		floor_check(w,
			    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &w->options->filter),
			    "seccomp");
	AT(SECCOMP);
	drop_capabilities(w);
	AT(CAPS);
}

void floor_become_true(struct worker *w)
{
	static char *const argv[] = {"true", NULL}, *const envp[] = {"PATH=/usr/bin:/bin",
								     "HOME=/root", NULL};
	sigset_t none;

	umask(022);
	floor_check(w, (int)syscall(SYS_close_range, 3, ~0U, 4 /* CLOEXEC */), "close_range");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/bin/true", argv, envp);
	floor_check(w, -1, "execve");
}

int floor_child(void *argument)
{
	struct worker *w = argument;

	AT(CLONE);
	for (int i = 0; !w->options->unified && i < w->options->bases; i++)
		floor_check(w, write(w->tasks[i], "0", 1), "tasks");
	floor_check(w, unshare(CLONE_NEWCGROUP), "unshare");
	floor_check(w, setsid(), "setsid");
	AT(JOIN);
	if (w->options->net)
		bring_up_loopback(w);
	AT(NETWORK);
	mount_root(w);
	AT(ROOTFS);
	mount_file_systems(w);
	mount_groups(w);
	AT(MOUNT);
	fill_dev(w);
	AT(DEV);
	pivot(w);
	AT(PIVOT);
	if (w->options->net)
		set_sysctls(w);
	AT(SYSCTL);
	mask(w);
	AT(MASK);
	floor_check(w, sethostname("floor", 5), "sethostname");
	AT(HOSTNAME);
	floor_confine(w);
	floor_become_true(w);
	return 111;
}
