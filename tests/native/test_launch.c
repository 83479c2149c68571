/* Containers from a busybox root: what is inside, and that nothing stays outside. Once as the kernel is, and once for each group of
 * new system calls denied, to prove the fallbacks.
 */
#include "launch_lanes.h"

static void basics(void)
{
	EXPECT_OUTPUT((&(struct bundle){.script = "echo $$; hostname; pwd; umask; echo $HOME $A; id -u"}),
		      "1\nbox\n/\n0022\n/root b\n0\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /proc/self/status | grep -E '^(Cap|NoNewPrivs|Sig[BI])' | cut -f2"}),
		      "0000000000000000\n0000000000000000\n0000000000000000\n00000000000000a1\n"
		      "00000000000000a1\n00000000000000a1\n0000000000000000\n1\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "ls /proc/self/fd; ls /dev | grep -vx core | sort; readlink /dev/ptmx"}),
		      "0\n1\n2\n3\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\npts/ptmx\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "grep -c . /proc/net/dev; ifconfig lo | grep -c UP; stat -c '%t,%T %a' /dev/null"}),
		      "3\n1\n1,3 666\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "cut -d: -f3 /proc/self/cgroup | sort | head -n1; ls /proc | grep -c '^1$'"}),
		      "/\n1\n");
}

static void namespaces_differ(void)
{
	static const char *const names[] = {"pid", "net", "mnt", "ipc", "uts"};
	static struct outcome out;
	char path[64], own[64];

	run_bundle(&(struct bundle){.script = "for n in pid net mnt ipc uts; do readlink /proc/self/ns/$n; done"}, &out);
	CHECK(out.started == 0, "start");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		own[readlink(path, own, sizeof(own) - 1)] = '\0';
		CHECK(strstr(out.output, names[i]) && !strstr(out.output, own), "%s", names[i]);
	}
}

static void masks(void)
{
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; ls /proc/acpi 2>/dev/null | wc -l;"
						 "echo 1 > /proc/sys/kernel/panic; echo 1 > /proc/irq/default_smp_affinity"}),
		      "0\n0\n0\n/bin/sh: can't create /proc/sys/kernel/panic: Read-only file system\n"
		      "/bin/sh: can't create /proc/irq/default_smp_affinity: Read-only file system\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "touch /x; touch /dev/shm/y && echo ok", .root = ",\"readonly\":true"}),
		      "touch: /x: Read-only file system\nok\n");
}

static void exit_codes(void)
{
	static struct outcome out;

	EXPECT_FAILURE((&(struct bundle){.args = "[\"nothing\"]"}), FB_STAGE_EXEC, ENOENT, 127);
	EXPECT_FAILURE((&(struct bundle){.args = "[\"/etc/passwd\"]"}), FB_STAGE_EXEC, EACCES, 126);
	EXPECT_FAILURE((&(struct bundle){.args = "[\"/bin\"]"}), FB_STAGE_EXEC, EACCES, 126);
	EXPECT_FAILURE((&(struct bundle){.args = "[\"\"]"}), FB_STAGE_EXEC, ENOENT, 127);
	shell("printf garbage > %s/rootfs/bin/bad && chmod 755 %s/rootfs/bin/bad", base, base);
	EXPECT_FAILURE((&(struct bundle){.args = "[\"bad\"]"}), FB_STAGE_EXEC, ENOEXEC, 126);
	run_bundle(&(struct bundle){.script = "exit 7"}, &out);
	CHECK(out.code == 7, "code %d", out.code);
	run_bundle(&(struct bundle){.script = "kill -9 $$"}, &out);
	CHECK(out.code == 0, "pid 1 can't kill itself: %d", out.code);
	CHECK(out.launched.clocks.begin && out.launched.clocks.at[FB_STAGE_EXEC] >= out.launched.clocks.begin, "clocks");
}

static void users(void)
{
	EXPECT_OUTPUT((&(struct bundle){.script = "id; echo $HOME", .top = ",\"fastbox\":{\"user\":\"bob\"}"}),
		      "uid=1000(bob) gid=1001(bob) groups=50(staff),1001(bob)\n/home/bob\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "id -G; echo $HOME", .user = "{\"uid\":5,\"gid\":6,\"additionalGids\":[7],\"umask\":63}"}),
		      "6 7\n/\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "grep CapEff /proc/self/status; echo x > /dev/stdout", .user = "{\"uid\":5,\"gid\":6}"}),
		      "CapEff:\t0000000000000000\nx\n");
	EXPECT_FAILURE((&(struct bundle){.top = ",\"fastbox\":{\"user\":\"nobody-here\"}"}), FB_STAGE_USER, ENOENT, 125);
	EXPECT_FAILURE((&(struct bundle){.top = ",\"fastbox\":{\"user\":\"4294967295\"}"}), FB_STAGE_USER, EINVAL, 125);
}

static void mounts(void)
{
	static struct outcome out;

	shell("mkdir -p %s/volume && echo data > %s/volume/file", base, base);
	char text[1024];

	snprintf(text, sizeof(text),
		 ",{\"destination\":\"/v/deep\",\"type\":\"bind\",\"source\":\"volume\",\"options\":[\"rbind\",\"ro\",\"rprivate\"]}"
		 ",{\"destination\":\"/etc/hosts\",\"type\":\"bind\",\"source\":\"%s/volume/file\",\"options\":[\"bind\"]}"
		 ",{\"destination\":\"/t\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"size=1m\",\"mode=700\",\"noexec\"]}",
		 base);
	EXPECT_OUTPUT((&(struct bundle){.mounts = text, .script = "cat /v/deep/file; touch /v/deep/x; echo more > /etc/hosts; stat -c %a /t"}),
		      "data\ntouch: /v/deep/x: Read-only file system\n700\n");
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/no/such\"}"}),
		       FB_STAGE_MOUNT, ENOENT, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"sise=1\"]}"}),
		       FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/tmp\",\"options\":[\"bund\"]}"}),
		       FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/proc/acpi\",\"type\":\"tmpfs\"}"}), FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/proc\",\"type\":\"tmpfs\"}"}), FB_STAGE_MOUNT, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/\",\"type\":\"tmpfs\"}"}), FB_STAGE_MOUNT, EINVAL, 125);
	run_bundle(&(struct bundle){.script = "ls /sys/fs/cgroup | wc -l; touch /sys/fs/cgroup/x 2>&1 | grep -c Read-only",
				    .mounts = ",{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","
					      "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}"},
		   &out);
	CHECK(out.started == 0 && atoi(out.output) == 0 && strstr(out.output, "\n1\n"), "cgroup mount");
	if (out.started < 0 || !strstr(out.output, "\n1\n"))
		describe(&out);
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /proc/sys/net/ipv4/ip_forward", .kernel = ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}"}), "1\n");
	EXPECT_FAILURE((&(struct bundle){.kernel = ",\"sysctl\":{\"kernel.panic\":\"1\"}"}), FB_STAGE_SYSCTL, EINVAL, 125);
	EXPECT_OUTPUT((&(struct bundle){.cwd = "/made/here", .script = "pwd"}), "/made/here\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "stat -c '%t %T %u %a' /dev/net/tun", .kernel = ",\"devices\":[{\"path\":\"/dev/net/tun\",\"type\":\"c\",\"major\":10,\"minor\":200,\"fileMode\":384,\"uid\":3}]"}),
		      "a c8 3 600\n");
}

static void overlays(void)
{
	char top[1024];

	shell("mkdir -p %s/a/etc %s/skel/proc %s/skel/sys %s/skel/dev %s/up %s/work && echo top > %s/a/etc/motd", base, base, base, base,
	      base, base, base);
	snprintf(top, sizeof(top),
		 ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/a\",\"%s/rootfs\",\"%s/skel\"],\"upper\":\"%s/up\",\"work\":\"%s/work\",\"volatile\":true}}",
		 base, base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "cat /etc/motd; echo new > /written; mount | grep -c ' / .*overlay' | head -n1"}), "top\n1\n");
	snprintf(top, sizeof(top), "test $(cat %s/up/written) = new && rm -rf %s/work", base, base);
	shell("%s", top);
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/a\",\"%s/rootfs\",\"%s/skel\"]}}", base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "cat /etc/motd; touch /x"}), "top\ntouch: /x: Read-only file system\n");
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/rootfs\"]}}", base);
	EXPECT_OUTPUT((&(struct bundle){.top = top, .script = "touch /x"}), "touch: /x: Read-only file system\n");
	snprintf(top, sizeof(top), ",\"fastbox\":{\"overlay\":{\"lower\":[\"%s/nowhere\",\"%s/rootfs\"]}}", base, base);
	EXPECT_FAILURE((&(struct bundle){.top = top}), FB_STAGE_ROOTFS, ENOENT, 125);
}

static void terminals(void)
{
	EXPECT_OUTPUT((&(struct bundle){.process = ",\"terminal\":true,\"consoleSize\":{\"height\":33,\"width\":44}",
					.script = "tty; stty size; ls -1 /dev/console; test -t 0 && echo yes; tty < /dev/console"}),
		      "/dev/pts/0\r\n33 44\r\n/dev/console\r\nyes\r\n/dev/console\r\n");
}

/* A link of the image where the engine mounts or looks up must not lead anything outside. */
static void traps(void)
{
	shell("mkdir -p %s/canary && cp -a %s/rootfs %s/keep", base, base, base);
	static const char *const targets[] = {"proc", "sys", "dev"};

	for (int i = 0; i < 3; i++) {
		shell("rmdir %s/rootfs/%s && ln -s %s/canary %s/rootfs/%s", base, targets[i], base, base, targets[i]);
		EXPECT_FAILURE((&(struct bundle){.script = "true"}), FB_STAGE_MOUNT, ELOOP, 125);
		shell("rm %s/rootfs/%s && mkdir %s/rootfs/%s", base, targets[i], base, targets[i]);
	}
	shell("mv %s/rootfs/etc/passwd %s/p && mkfifo %s/rootfs/etc/passwd", base, base, base);
	EXPECT_FAILURE((&(struct bundle){.top = ",\"fastbox\":{\"user\":\"bob\"}"}), FB_STAGE_USER, EINVAL, 125);
	EXPECT_OUTPUT((&(struct bundle){.script = "echo $$ $HOME"}), "1 /\n");
	shell("rm %s/rootfs/etc/passwd && ln -s /etc/../../../../../tmp/users %s/rootfs/etc/passwd && cp %s/p %s/rootfs/tmp/users", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "id -u", .top = ",\"fastbox\":{\"user\":\"bob\"}"}), "1000\n");
	shell("rm %s/rootfs/etc/passwd && mv %s/p %s/rootfs/etc/passwd", base, base, base);
	/* A dangling link is followed inside the root. */
	shell("rm -f %s/rootfs/etc/resolv.conf && ln -s ../run/deep/stub.conf %s/rootfs/etc/resolv.conf && echo ns > %s/resolv", base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /run/deep/stub.conf",
					.mounts = ",{\"destination\":\"/etc/resolv.conf\",\"type\":\"bind\",\"source\":\"resolv\"}"}), "ns\n");
	shell("ln -sfn %s/canary %s/rootfs/out", base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "ls /out/", .mounts = ",{\"destination\":\"/out/sub\",\"type\":\"tmpfs\"}"}), "sub\n");
	EXPECT_FAILURE((&(struct bundle){.cwd = "/proc/self/fd/3"}), FB_STAGE_CWD, ELOOP, 125);
	shell("ln -sfn /proc/sys %s/rootfs/leads", base);
	EXPECT_FAILURE((&(struct bundle){.mounts = ",{\"destination\":\"/leads\",\"type\":\"tmpfs\"}"}), FB_STAGE_MOUNT, EPERM, 125);
	/* No tmpfs on /dev: what the image left under the names of devices is replaced. */
	shell("ln -s %s/canary/null %s/rootfs/dev/null && ln -s %s/canary/c %s/rootfs/dev/console", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){.no_dev = true, .script = "stat -c %t,%T /dev/null"}), "1,3\n");
	shell("test -z \"$(ls -A %s/canary)\"", base);
	shell("rm -rf %s/rootfs && mv %s/keep %s/rootfs", base, base, base);
}

static void user_namespace(void)
{
	shell("cp -a %s/rootfs %s/plain && chown -R 100000:100000 %s/rootfs && chmod 700 %s", base, base, base, base);
	EXPECT_OUTPUT((&(struct bundle){
			      .script = "id -u; cat /proc/self/uid_map | wc -l; stat -c %u /bin; echo x > /dev/null && touch /made && stat -c %t,%T /dev/null; cat /proc/keys | wc -c",
			      .namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
			      .kernel = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
				       "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]"}),
		      "0\n1\n0\n1,3\n0\n");
	shell("test $(stat -c %%u %s/rootfs/made) = 100000", base);
	EXPECT_FAILURE((&(struct bundle){
			       .namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
			       .kernel = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":10},{\"containerID\":5,\"hostID\":900000,\"size\":9}],"
					"\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]"}),
		       FB_STAGE_SPEC, EINVAL, 125);
	shell("rm -rf %s/rootfs && mv %s/plain %s/rootfs", base, base, base);
}

static void time_namespace(void)
{
	EXPECT_OUTPUT((&(struct bundle){.script = "test $(cut -d. -f1 /proc/uptime) -gt 86400 && echo later",
					.namespaces = STANDARD_NAMESPACES ",{\"type\":\"time\"}",
					.kernel = ",\"timeOffsets\":{\"boottime\":{\"secs\":9999999}}"}), "later\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "echo shared pid", .namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"}"}), "shared pid\n");
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\",\"path\":\"/proc/self/ns/uts\"}"}), FB_STAGE_JOIN, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\",\"path\":\"/etc/passwd\"}"}), FB_STAGE_JOIN, EINVAL, 125);
}

static const char filter[] =
	",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_AARCH64\"],"
	"\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":30}]}";

static void filters(void)
{
	EXPECT_OUTPUT((&(struct bundle){.script = "mkdir /dev/x; grep Seccomp: /proc/self/status", .kernel = filter}),
		      "mkdir: can't create directory '/dev/x': Read-only file system\nSeccomp:\t2\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "grep -E '^(Seccomp:|NoNew|CapPrm)' /proc/self/status | cut -f2", .kernel = filter,
					.user = "{\"uid\":5,\"gid\":6}", .process = ",\"noNewPrivileges\":false"}),
		      "0000000000000000\n0\n2\n");
}

static int run_exec(const struct fb_spec *spec, int pidfd, const char *document, struct outcome *out)
{
	struct fb_launch_request request = {.spec = spec, .target_pidfd = pidfd};
	struct fb_process_spec process;
	struct fb_arena arena = {0};

	memset(out, 0, sizeof(*out));
	out->started = fb_spec_parse_exec(document, strlen(document), &arena, &process, &request.privileged, &out->err);
	if (out->started == 0) {
		request.process = &process;
		launch(&request, out);
	}
	fb_arena_free(&arena);
	return out->started;
}

static void execs(void)
{
	struct fb_launch_request request = {.target_pidfd = -1, .stdio = {-1, -1, -1}};
	static struct outcome out;
	static char text[16384];
	struct fb_launched launched;
	struct fb_error err;
	struct fb_spec spec;

	make_config(&(struct bundle){.script = "sleep 60", .kernel = filter}, text, sizeof(text));
	if (fb_spec_parse(text, strlen(text), base, &spec, &err) < 0)
		exit(1);
	request.spec = &spec;
	if (fb_launch(&request, &launched, &err) < 0)
		exit(1);
	run_exec(&spec, launched.pidfd,
		 "{\"process\":{\"args\":[\"sh\",\"-c\",\"id -u; hostname; grep -c sleep /proc/1/cmdline; pwd; grep -E '^(Seccomp:|CapEff)' /proc/self/status\"],"
		 "\"cwd\":\"/tmp\",\"env\":[\"PATH=/bin\"]},\"user\":\"bob\"}", &out);
	CHECK(out.started == 0 && strcmp(out.output, "1000\nbox\n1\n/tmp\nCapEff:\t0000000000000000\nSeccomp:\t2\n") == 0, "exec: %s", out.output);
	if (out.started < 0)
		describe(&out);
	run_exec(&spec, launched.pidfd,
		 "{\"process\":{\"args\":[\"sh\",\"-c\",\"tty; grep -E '^Seccomp:' /proc/self/status\"],\"cwd\":\"/\",\"terminal\":true,\"env\":[\"PATH=/bin\"]},\"privileged\":true}", &out);
	CHECK(out.started == 0 && strcmp(out.output, filtered ? "/dev/pts/0\r\nSeccomp:\t2\r\n" : "/dev/pts/0\r\nSeccomp:\t0\r\n") == 0, "exec with a terminal: %s", out.output);
	if (out.started < 0)
		describe(&out);
	run_exec(&spec, launched.pidfd, "{\"process\":{\"args\":[\"none\"],\"cwd\":\"/\"}}", &out);
	CHECK(out.started == -ENOENT && out.code == 127, "exec of nothing: %d", out.started);
	run_exec(&spec, launched.pidfd, "{\"process\":{\"args\":[\"true\"],\"cwd\":\"/proc/1/root\"}}", &out);
	CHECK(out.started < 0 && out.err.stage == FB_STAGE_CWD, "magic working directory");
	kill(launched.pid, SIGKILL);
	CHECK(wait_code(launched.pid) == 137, "killed");
	run_exec(&spec, launched.pidfd, "{\"process\":{\"args\":[\"true\"],\"cwd\":\"/\"}}", &out);
	CHECK(out.started < 0 && out.err.stage == FB_STAGE_JOIN, "exec into a dead container");
	close(launched.pidfd);
	fb_spec_free(&spec);
}

static void everything(void)
{
	begin();
	basics();
	namespaces_differ();
	masks();
	exit_codes();
	users();
	mounts();
	overlays();
	terminals();
	traps();
	user_namespace();
	time_namespace();
	filters();
	execs();
}

int main(void)
{
	return run_lanes(everything);
}
