#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "sys.h"

#define UNUSED(name) (void)(name)

int fb_probe_write(const char *path, const char *text)
{
	fb_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* --- processes --- */

pid_t fb_probe_start_idle(unsigned long namespaces)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | namespaces, 0, 0, 0, 0);

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return pid < 0 ? -errno : pid;
}

void fb_probe_end_idle(pid_t pid)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		wait_for(pid);
	}
}

static int clone_new(uint64_t flags, int group)
{
	int pidfd = -1;
	struct clone_args args = {.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | flags, .exit_signal = SIGCHLD,
				  .pidfd = (uint64_t)(uintptr_t)&pidfd, .cgroup = group >= 0 ? (uint64_t)group : 0};
	pid_t pid = fb_clone3(&args);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return -errno;
	close(pidfd);
	return wait_for(pid);
}

static int try_clone3(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return clone_new(0, -1);
}

static int try_into_group(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int group = open(places->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	UNUSED(name);
	return group < 0 ? -errno : clone_new(CLONE_INTO_CGROUP, group);
}

static int try_group_kill(const struct fb_probe_places *places, const char *name)
{
	pid_t pid = fb_probe_start_idle(0);
	char path[512], number[16];
	int r = pid < 0 ? (int)pid : 0;

	UNUSED(name);
	snprintf(path, sizeof(path), "%s/cgroup.procs", places->group);
	snprintf(number, sizeof(number), "%d", (int)pid);
	if (r == 0)
		r = fb_probe_write(path, number);
	snprintf(path, sizeof(path), "%s/cgroup.kill", places->group);
	if (r == 0)
		r = fb_probe_write(path, "1");
	if (r == 0)
		return wait_for(pid) == -EINTR ? 0 : -EPROTO;
	fb_probe_end_idle(pid);
	return r;
}

static int try_group_freeze(const struct fb_probe_places *places, const char *name)
{
	char path[512];
	int r;

	UNUSED(name);
	snprintf(path, sizeof(path), "%s/cgroup.freeze", places->group);
	r = fb_probe_write(path, "1");
	return r < 0 ? r : fb_probe_write(path, "0");
}

static int try_pidfd(const struct fb_probe_places *places, const char *name)
{
	pid_t pid = fb_probe_start_idle(0);
	fb_auto_close int fd = pid < 0 ? -1 : fb_pidfd_open(pid, 0);
	siginfo_t info;
	int r = 0;

	UNUSED(places), UNUSED(name);
	if (fd < 0 || kill(pid, SIGKILL) < 0 || waitid(P_PIDFD, (id_t)fd, &info, WEXITED) < 0)
		r = pid < 0 ? (int)pid : -errno;
	if (r < 0)
		fb_probe_end_idle(pid);
	return r;
}

static int try_pidfd_signal(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = fb_pidfd_open(getpid(), 0);

	UNUSED(places), UNUSED(name);
	return fd < 0 || fb_pidfd_send_signal(fd, 0) < 0 ? -errno : 0;
}

static int try_memfd(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	UNUSED(places), UNUSED(name);
	return fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 ? -errno : 0;
}

static int try_close_range(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return fb_close_range(3, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) < 0 ? -errno : 0;
}

static int try_openat2(const struct fb_probe_places *places, const char *name)
{
	fb_auto_close int fd = fb_openat2(AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

	UNUSED(places), UNUSED(name);
	return fd < 0 ? -errno : 0;
}

/* The next child's time namespace: made by unshare, since clone has no room for it. */
static int try_time_namespace(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return unshare(CLONE_NEWTIME) < 0 ? -errno : 0;
}

/* On v1 the group is joined after the clone, so the namespace of groups comes after it, too. */
static int try_unshare(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

/* As anybody, whoever we are. */
static int try_user_namespace(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	if (geteuid() == 0 && (fb_setgroups(0, NULL) < 0 || fb_setresgid(65534) < 0 || fb_setresuid(65534) < 0))
		return -errno;
	prctl(PR_SET_DUMPABLE, 1); /* or /proc/self is still root's */
	return fb_probe_run(&(const struct fb_probe){.name = name, .namespaces = CLONE_NEWUSER}, places);
}

/* --- rights --- */

/* Any hard limit that is one: those that are infinite need no raising, and that of files has a ceiling of its own. */
static int try_raise_limit(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;

		if (resource == RLIMIT_NOFILE || getrlimit((__rlimit_resource_t)resource, &limit) < 0 ||
		    limit.rlim_max == RLIM_INFINITY)
			continue;
		limit.rlim_max++;
		return setrlimit((__rlimit_resource_t)resource, &limit) < 0 ? -errno : 0;
	}
	return 0;
}

static int try_lower_oom_score(const struct fb_probe_places *places, const char *name)
{
	fb_auto_free char *text = NULL;
	char lower[16];
	int r = (int)fb_read_file(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text), score;

	UNUSED(places), UNUSED(name);
	if (r < 0)
		return r;
	score = atoi(text);
	snprintf(lower, sizeof(lower), "%d", score > -1000 ? score - 1 : score);
	return fb_probe_write("/proc/self/oom_score_adj", lower);
}

static int filter(unsigned flags)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	if (geteuid() != 0)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? -errno : 0;
}

static int try_seccomp(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return filter(0);
}

static int try_seccomp_notify(const struct fb_probe_places *places, const char *name)
{
	UNUSED(places), UNUSED(name);
	return filter(SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

/* The rule of devices in a v2 group: a program that allows all. */
static int try_device_program(const struct fb_probe_places *places, const char *name)
{
	struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insn_cnt = 2, .insns = (uintptr_t)code,
			       .license = (uintptr_t) "GPL"};
	fb_auto_close int group = open(places->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC), program = -1;
	union bpf_attr attach = {.attach_type = BPF_CGROUP_DEVICE};

	UNUSED(name);
	program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (program < 0 || group < 0)
		return -errno;
	attach.target_fd = (uint32_t)group;
	attach.attach_bpf_fd = (uint32_t)program;
	return syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0 ? -errno : 0;
}

/* --- the table, and how one of it is run --- */

const struct fb_probe fb_probes[] = {
	{"clone3", 0, try_clone3},
	{"clone3.cgroup", 0, try_into_group},
	{"pidfd", 0, try_pidfd},
	{"pidfd.signal", 0, try_pidfd_signal},
	{"memfd", 0, try_memfd},
	{"close_range", 0, try_close_range},
	{"openat2", 0, try_openat2},
	{"ns.mount", CLONE_NEWNS, NULL},
	{"ns.pid", CLONE_NEWPID, NULL},
	{"ns.network", CLONE_NEWNET, NULL},
	{"ns.ipc", CLONE_NEWIPC, NULL},
	{"ns.uts", CLONE_NEWUTS, NULL},
	{"ns.cgroup", CLONE_NEWCGROUP, NULL},
	{"ns.cgroup.unshare", CLONE_NEWNS, try_unshare},
	{"ns.user", CLONE_NEWUSER, NULL},
	{"ns.user.anybody", 0, try_user_namespace},
	{"ns.time", CLONE_NEWNS, try_time_namespace},
	{"cgroup.kill", 0, try_group_kill},
	{"cgroup.freeze", 0, try_group_freeze},
	{"cgroup.devices", 0, try_device_program},
	{"rlimit", 0, try_raise_limit},
	{"oom_score", 0, try_lower_oom_score},
	{"seccomp", 0, try_seccomp},
	{"seccomp.notify", 0, try_seccomp_notify},
	{NULL, 0, NULL},
};

/* Without root's rights the namespaces of a probe come with a user namespace, in which the caller is root. */
static int become_root(uid_t uid, gid_t gid)
{
	char map[32];
	int r = fb_probe_write("/proc/self/setgroups", "deny");

	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (r == 0)
		r = fb_probe_write("/proc/self/gid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", uid);
	return r == 0 ? fb_probe_write("/proc/self/uid_map", map) : r;
}

static int in_child(const struct fb_probe *probe, unsigned long namespaces, uid_t uid, gid_t gid,
		    const struct fb_probe_places *places)
{
	int r = 0;

	alarm(2);
	if (namespaces & CLONE_NEWUSER)
		r = become_root(uid, gid);
	if (r == 0 && namespaces & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = -errno;
	return r < 0 || !probe->run ? r : probe->run(places, probe->name);
}

int fb_probe_run(const struct fb_probe *probe, const struct fb_probe_places *places)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	unsigned long namespaces = probe->namespaces | (probe->namespaces && uid ? CLONE_NEWUSER : 0);
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | namespaces, 0, 0, 0, 0);

	if (pid == 0)
		_exit(-in_child(probe, namespaces, uid, gid, places));
	return pid < 0 ? -errno : wait_for(pid);
}
