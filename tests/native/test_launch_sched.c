/* How a container's process and an exec's are scheduled, read inside from the kernel. */
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "launch_fixture.h"

/* Nice value, static priority, policy. */
#define SHOW "cut -d' ' -f19,40,41 /proc/self/stat; ionice; uname -m | sed s/i.86/32/; grep Cpus_allowed_list /proc/self/status | cut -f2"

static char machine[64], cpus[256];

static void expect(const char *process, const char *kernel, const char *scheduling, const char *io, const char *arch)
{
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "%s\n%s\n%s\n%s", scheduling, io, arch ? arch : machine, cpus);
	EXPECT_OUTPUT((&(struct bundle){.script = SHOW, .process = process, .kernel = kernel}), wanted);
}

static void containers(void)
{
	expect("", "", "0 0 0", "none: prio 0", NULL);
	expect(",\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"nice\":7}", "", "7 0 3", "none: prio 0", NULL);
	expect(",\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":-5}", "", "-5 0 0", "none: prio 0", NULL);
	expect(",\"scheduler\":{\"policy\":\"SCHED_IDLE\"}", "", "0 0 5", "none: prio 0", NULL);
	expect(",\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":3},\"user\":{\"uid\":5,\"gid\":6}", "", "0 3 2", "none: prio 0", NULL);
	/* The first process has it, what it forks does not. */
	expect(",\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"priority\":1,\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]}", "", "0 0 0", "none: prio 0", NULL);
	expect(",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":6}", "", "0 0 0", "best-effort: prio 6", NULL);
	expect(",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":2}", "", "0 0 0", "realtime: prio 2", NULL);
	expect(",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\"}", "", "0 0 0", "idle", NULL);
	expect("", ",\"personality\":{\"domain\":\"LINUX32\"}", "0 0 0", "none: prio 0", "32");
	expect("", ",\"personality\":{\"domain\":\"LINUX\"}", "0 0 0", "none: prio 0", NULL);
	/* It is no limit of exec's. */
	expect(",\"execCPUAffinity\":{\"initial\":\"0\",\"final\":\"0\"}", "", "0 0 0", "none: prio 0", NULL);
	EXPECT_OUTPUT((&(struct bundle){.script = "cut -d' ' -f40,41 /proc/1/stat",
					.process = ",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1000000,\"deadline\":20000000,"
						   "\"period\":20000000,\"flags\":[\"SCHED_FLAG_RESET_ON_FORK\"]}"}),
		      "0 6\n");
	/* A deadline is refused when only some of the CPUs may be used. */
	EXPECT_FAILURE((&(struct bundle){.process = ",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":2000000,\"deadline\":1000000}"}),
		       FB_STAGE_CREDS, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.process = ",\"scheduler\":{\"policy\":\"SCHED_RR\",\"priority\":3}",
					 .namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
					 .kernel = ",\"uidMappings\":[{\"size\":1}],\"gidMappings\":[{\"size\":1}]"}),
		       FB_STAGE_CREDS, EPERM, 125);
}

static void exec_in(const struct fb_spec *spec, int pidfd, const char *members, const char *wanted)
{
	struct fb_launch_request request = {.spec = spec, .target_pidfd = pidfd};
	struct fb_process_spec process;
	static struct outcome out;
	struct fb_arena arena = {0};
	char text[2048];

	snprintf(text, sizeof(text), "{\"args\":[\"sh\",\"-c\",\"cut -d' ' -f19,40,41 /proc/self/stat; grep Cpus_allowed_list /proc/self/status | cut -f2\"],"
		 "\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]%s}", members);
	CHECK(fb_spec_parse_process(text, strlen(text), &arena, &process, &out.err) == 0, "%s", text);
	request.process = &process;
	launch(&request, &out);
	CHECK(out.started == 0 && strcmp(out.output, wanted) == 0, "wanted:\n%s", wanted);
	if (out.started < 0 || strcmp(out.output, wanted) != 0)
		describe(&out);
	fb_arena_free(&arena);
}

static void execs(void)
{
	struct fb_launch_request request = {.target_pidfd = -1, .stdio = {-1, -1, -1}};
	static char text[16384];
	char all[300];
	struct fb_launched launched;
	struct fb_error err;
	struct fb_spec spec;

	make_config(&(struct bundle){.script = "sleep 60", .process = ",\"execCPUAffinity\":{\"final\":\"0\"}"}, text, sizeof(text));
	if (fb_spec_parse(text, strlen(text), base, &spec, &err) < 0)
		exit(1);
	request.spec = &spec;
	if (fb_launch(&request, &launched, &err) < 0)
		exit(1);
	snprintf(all, sizeof(all), "0 0 0\n%s", cpus);
	exec_in(&spec, launched.pidfd, "", "0 0 0\n0\n"); /* the container's */
	exec_in(&spec, launched.pidfd, ",\"execCPUAffinity\":{\"initial\":\"0\",\"final\":\"0-8191\"}", all);
	exec_in(&spec, launched.pidfd, ",\"execCPUAffinity\":{\"initial\":\"0\"},\"scheduler\":{\"policy\":\"SCHED_IDLE\"}", "0 0 5\n0\n");
	kill(launched.pid, SIGKILL);
	CHECK(wait_code(launched.pid) == 137, "killed");
	close(launched.pidfd);
	fb_spec_free(&spec);
}

static void read_line(const char *command, char *text, size_t size)
{
	FILE *file = popen(command, "re");

	if (!file || !fgets(text, (int)size, file))
		exit(1);
	pclose(file);
}

int main(void)
{
	begin();
	setpriority(PRIO_PROCESS, 0, 0); /* whoever runs the tests nicely */
	shell("for a in ionice uname sed; do ln -sf busybox %s/rootfs/bin/$a; done", base);
	read_line("uname -m", machine, sizeof(machine));
	machine[strcspn(machine, "\n")] = '\0';
	read_line("grep Cpus_allowed_list /proc/self/status | cut -f2", cpus, sizeof(cpus));
	containers();
	execs();
	return end();
}
