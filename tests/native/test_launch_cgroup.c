/* Containers and execs in groups of every hierarchy: where the process is, seen from inside and outside. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "cgroup_internal.h"
#include "launch_fixture.h"

static struct fb_cgroup_mounts mounts;

static int make(struct fb_cgroup *group)
{
	struct fb_error err = {0};
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/fastbox-test-%d/box", (int)getpid());
	r = fb_cgroup_create(path, &(struct fb_resources){0}, FB_CGROUP_EVERY, group, &err);
	CHECK(r == 0, "%s %s %s", err.call, err.path, err.detail);
	return r;
}

static void clean(struct fb_cgroup *group)
{
	const char *paths[FB_CGROUP_MAX];

	fb_cgroup_close(group);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < group->path_count; i++)
			paths[i] = group->paths[i];
		CHECK(fb_cgroup_kill(paths, group->path_count, NULL) == 0, "kill");
		CHECK(fb_cgroup_remove(paths, group->path_count, NULL) == 0, "remove");
		for (int i = 0; i < group->path_count; i++)
			*strrchr(group->paths[i], '/') = '\0';
	}
}

static bool parse(struct bundle *bundle, struct fb_spec *spec)
{
	static char text[16384];
	struct fb_error err = {0};

	make_config(bundle, text, sizeof(text));
	CHECK(fb_spec_parse(text, strlen(text), base, spec, &err) == 0, "%s %s", err.path, err.detail);
	return err.code == 0;
}

/* The container's groups are the roots of what it sees, in hierarchies that it is born into as in those that it joins. */
static void expect_roots(struct outcome *out)
{
	CHECK(out->started == 0 && strcmp(out->output, "/\n") == 0, "%s", out->output);
	if (out->started < 0)
		describe(out);
}

static void namespaces(void)
{
	struct fb_launch_request request = {.target_pidfd = -1};
	static struct outcome out;
	struct fb_cgroup group;
	struct fb_spec spec;

	if (make(&group) < 0 || !parse(&(struct bundle){.script = "cut -d: -f3 /proc/self/cgroup | sort | uniq"}, &spec))
		return;
	request.spec = &spec;
	request.cgroup = &group;
	launch(&request, &out);
	expect_roots(&out);
	fb_spec_free(&spec);
	clean(&group);
}

static int exec_in(const struct fb_spec *spec, const struct fb_cgroup *group, int pidfd, const char *members, struct outcome *out)
{
	struct fb_launch_request request = {.spec = spec, .cgroup = group, .target_pidfd = pidfd};
	struct fb_process_spec process;
	struct fb_arena arena = {0};
	char text[1024];

	snprintf(text, sizeof(text), "{\"args\":[\"sh\",\"-c\",\"cut -d: -f3 /proc/self/cgroup | sort | uniq\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]%s}", members);
	CHECK(fb_spec_parse_process(text, strlen(text), &arena, &process, &out->err) == 0, "%s", text);
	request.process = &process;
	launch(&request, out);
	fb_arena_free(&arena);
	return out->started;
}

/* A container that divides its own group among children, as systemd does, is in the way of nobody. */
static void divided(const struct fb_spec *spec, const struct fb_cgroup *group, const struct fb_launched *launched)
{
	const char *top = fb_cgroup_directory(group, "cgroup.subtree_control");
	const char *controller = mounts.mode == FB_CGROUP_V2 ? "+memory" : "+hugetlb";
	static struct outcome out;
	char inner[300], parent[300], number[16];

	if (!top)
		return;
	snprintf(parent, sizeof(parent), "%s", top);
	*strrchr(parent, '/') = '\0';
	if (fb_cgroup_write(mounts.of[FB_UNIFIED].at, "cgroup.subtree_control", controller, NULL) < 0)
		return; /* a hybrid machine with all its controllers on v1 */
	CHECK(fb_cgroup_write(parent, "cgroup.subtree_control", controller, NULL) == 0, "%s", parent);
	snprintf(inner, sizeof(inner), "%s/inner", top);
	snprintf(number, sizeof(number), "%d", (int)launched->pid);
	CHECK(mkdir(inner, 0755) == 0 && fb_cgroup_write(inner, "cgroup.procs", number, NULL) == 0, "%s", inner);
	CHECK(fb_cgroup_write(top, "cgroup.subtree_control", controller, NULL) == 0, "%s", top);
	CHECK(exec_in(spec, group, launched->pidfd, "", &out) == 0 && strstr(out.output, "/inner\n"), "%s", out.output);
	if (out.started < 0)
		describe(&out);
}

static void execs(void)
{
	struct fb_launch_request request = {.target_pidfd = -1, .stdio = {-1, -1, -1}};
	static struct outcome out;
	struct fb_launched launched;
	struct fb_cgroup group;
	struct fb_error err;
	struct fb_spec spec;

	if (make(&group) < 0 || !parse(&(struct bundle){.script = "sleep 60"}, &spec))
		return;
	request.spec = &spec;
	request.cgroup = &group;
	CHECK(fb_launch(&request, &launched, &err) == 0, "launch");
	fb_cgroup_close(&group);
	CHECK(fb_cgroup_open(&group, &err) == 0, "open");
	exec_in(&spec, &group, launched.pidfd, "", &out);
	expect_roots(&out);
	/* With CPUs for the time before, no group is joined at birth. */
	exec_in(&spec, &group, launched.pidfd, ",\"execCPUAffinity\":{\"initial\":\"0\"}", &out);
	expect_roots(&out);
	divided(&spec, &group, &launched);
	clean(&group);
	CHECK(wait_code(launched.pid) == 137, "killed");
	close(launched.pidfd);
	fb_spec_free(&spec);
}

static void without_clone3(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		exit(1);
	namespaces();
}

int main(void)
{
	pid_t pid;

	begin();
	shell("for a in cut sort uniq; do ln -sf busybox %s/rootfs/bin/$a; done", base);
	CHECK(fb_cgroup_find_mounts(FB_CGROUP_EVERY, &mounts, NULL) == 0, "mounts");
	namespaces();
	execs();
	pid = fork();
	if (pid == 0) {
		without_clone3();
		_exit(failures ? 1 : 0);
	}
	CHECK(wait_code(pid) == 0, "without clone3");
	return end();
}
