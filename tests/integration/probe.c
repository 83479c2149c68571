/* Tries what a container must not be able to do, and says how the kernel answered: one "name: answer" a line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void say(const char *name, long result)
{
	printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
}

static void try_open(const char *path, int flags)
{
	char byte, name[128];
	int fd = open(path, flags);
	long result = fd;

	if (fd >= 0 && (flags & O_ACCMODE) == O_RDONLY)
		result = read(fd, &byte, 1) == 1 ? 0 : (errno = ENODATA, -1);
	snprintf(name, sizeof(name), "%s %s", (flags & O_ACCMODE) == O_RDONLY ? "read" : "write", path);
	say(name, result);
	if (fd >= 0)
		close(fd);
}

int main(void)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_KEY};
	static const char *const unreadable[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware/x",
						 "/proc/latency_stats"};
	static const char *const unwritable[] = {"/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
						 "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/mm/ksm/run", "/proc/irq/default_smp_affinity",
						 "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/devices/devices.allow"};
	struct {
		unsigned size, a[30];
	} uring = {0};
	char name[64], text[8];
	int fd;

	say("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	say("remount /", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	say("umount /proc", umount2("/proc", MNT_DETACH));
	say("unshare user", unshare(CLONE_NEWUSER));
	say("unshare mount", unshare(CLONE_NEWNS));
	say("unshare net", unshare(CLONE_NEWNET));
	say("setns", setns(0, CLONE_NEWNS));
	say("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 0));
	say("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	say("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	say("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	say("init_module", syscall(SYS_init_module, NULL, 0, ""));
	say("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, NULL, 0));
	say("userfaultfd", syscall(SYS_userfaultfd, 0));
	say("io_uring_setup", syscall(SYS_io_uring_setup, 1, &uring));
	say("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	say("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
	say("swapon", syscall(SYS_swapon, "/x", 0));
	say("acct", syscall(SYS_acct, NULL));
	say("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
	say("syslog", syscall(SYS_syslog, 3, text, sizeof(text)));
	say("clone3", syscall(SYS_clone3, NULL, 0));
	say("personality", syscall(SYS_personality, 0x0040000));
	say("ptrace traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
	say("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
	say("unknown call", syscall(4000));
	say("chroot", chroot("/"));
	say("sethostname", sethostname("x", 1));
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		fd = socket(families[i], SOCK_DGRAM, 0);
		if (families[i] == AF_PACKET && fd < 0)
			fd = socket(families[i], SOCK_RAW, 0);
		snprintf(name, sizeof(name), "socket %d", families[i]);
		say(name, fd);
		if (fd >= 0)
			close(fd);
	}
	say("mknod null", mknod("/tmp/n", S_IFCHR | 0666, makedev(1, 3)));
	try_open("/tmp/n", O_WRONLY);
	say("mknod kmsg", mknod("/tmp/k", S_IFCHR | 0666, makedev(1, 11)));
	try_open("/tmp/k", O_RDONLY);
	say("mknod disk", mknod("/tmp/d", S_IFBLK | 0666, makedev(254, 0)));
	try_open("/tmp/d", O_RDONLY);
	for (size_t i = 0; i < sizeof(unreadable) / sizeof(*unreadable); i++)
		try_open(unreadable[i], O_RDONLY);
	for (size_t i = 0; i < sizeof(unwritable) / sizeof(*unwritable); i++)
		try_open(unwritable[i], O_WRONLY);
	return 0;
}
