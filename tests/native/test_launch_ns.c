/* Namespaces by path, each alone and with user namespaces, whose the new ones are, and containers without some. */
#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include "launch_lanes.h"

static const struct {
	int type;
	const char *name, *file;
} kinds[] = {
	{CLONE_NEWPID, "pid", "pid_for_children"}, {CLONE_NEWNET, "network", "net"}, {CLONE_NEWNS, "mount", "mnt"},
	{CLONE_NEWIPC, "ipc", "ipc"},		   {CLONE_NEWUTS, "uts", "uts"},     {CLONE_NEWTIME, "time", "time_for_children"},
	{CLONE_NEWCGROUP, "cgroup", "cgroup"},	   {CLONE_NEWUSER, "user", "user"},
};

struct holder {
	pid_t pid;
	int types;
};

static void put(pid_t pid, const char *name, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0) {
		fprintf(stderr, "%s: %m\n", path);
		exit(1);
	}
}

/* A process in new namespaces, whose pid namespace has a first process, for others to join. */
static struct holder hold(int types)
{
	int ready[2], go[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		exit(1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(types) < 0 || write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		if (types & CLONE_NEWNS)
			mount("held", "/mnt", "tmpfs", 0, NULL);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	if (types & CLONE_NEWUSER) {
		put(pid, "uid_map", "0 200000 1000\n");
		put(pid, "gid_map", "0 200000 1000\n");
	}
	if (types & CLONE_NEWTIME)
		put(pid, "timens_offsets", "boottime 7777777 0\n");
	if (write(go[1], "g", 1) != 1 || read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
	return (struct holder){pid, types};
}

static void release(struct holder *holder)
{
	kill(holder->pid, SIGKILL);
	CHECK(wait_code(holder->pid) == 137, "holder");
}

/* The namespaces of a bundle: those of `joined` by the holder's paths, those of `new` new. */
static const char *namespaces(const struct holder *holder, int joined, int new)
{
	static char text[2048];
	size_t length = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const char *comma = length ? "," : "";

		if (joined & kinds[i].type)
			length += (size_t)snprintf(text + length, sizeof(text) - length,
						   "%s{\"type\":\"%s\",\"path\":\"/proc/%d/ns/%s\"}", comma,
						   kinds[i].name, holder->pid, kinds[i].file);
		else if (new & kinds[i].type)
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s{\"type\":\"%s\"}", comma,
						   kinds[i].name);
	}
	return text;
}

static ino_t inode_of(pid_t pid, const char *file)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, file);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static ino_t owner_of(pid_t pid, const char *file)
{
	struct stat st = {0};
	char path[64];
	int fd, owner;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	owner = ioctl(fd, NS_GET_USERNS);
	if (owner >= 0 && fstat(owner, &st) < 0)
		st.st_ino = 0;
	close(fd);
	close(owner);
	return st.st_ino;
}

#define OTHERS (CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define MAPS ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]," \
	     "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]"

/* Start a bundle that sleeps; look at it from outside with `look`; end it. */
static void inspect(const struct bundle *bundle, void (*look)(pid_t pid, const void *context), const void *context)
{
	struct fb_launch_request request = {.target_pidfd = -1, .stdio = {-1, -1, 2}};
	struct fb_launched launched;
	static char text[16384];
	struct fb_error err;
	struct fb_spec spec;

	make_config(bundle, text, sizeof(text));
	if (fb_spec_parse(text, strlen(text), base, &spec, &err) < 0)
		exit(1);
	request.spec = &spec;
	if (fb_launch(&request, &launched, &err) < 0) {
		CHECK(false, "%s: %s %s: %s (%s)", fb_stage_name(err.stage), err.call, err.path, strerror(err.code), err.detail);
	} else {
		look(launched.pid, context);
		kill(launched.pid, SIGKILL);
		CHECK(wait_code(launched.pid) == 137, "killed");
		close(launched.pidfd);
	}
	fb_spec_free(&spec);
}

static void look_joined(pid_t pid, const void *context)
{
	const struct holder *holder = context;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (holder->types & kinds[i].type)
			CHECK(inode_of(pid, kinds[i].file) == inode_of(holder->pid, kinds[i].file), "%s is not joined",
			      kinds[i].name);
		else if ((OTHERS | CLONE_NEWNS) & kinds[i].type)
			CHECK(inode_of(pid, kinds[i].file) != inode_of(getpid(), kinds[i].file), "%s is the caller's",
			      kinds[i].name);
}

static void joined_one_by_one(void)
{
	static const int types[] = {CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWTIME};
	const int all = OTHERS | CLONE_NEWNS | CLONE_NEWTIME;
	struct holder holder = hold(OTHERS | CLONE_NEWTIME);

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		inspect(&(struct bundle){.script = "sleep 60", .namespaces = namespaces(&holder, types[i], all)},
			look_joined, &(struct holder){holder.pid, types[i]});
	EXPECT_OUTPUT((&(struct bundle){.script = "test $(cut -d. -f1 /proc/uptime) -gt 7777777 && echo later",
					.namespaces = namespaces(&holder, CLONE_NEWTIME, OTHERS | CLONE_NEWNS)}),
		      "later\n");
	release(&holder);
}

/* Every combination in which order counts. */
static void look_owned(pid_t pid, const void *context)
{
	static const char *const files[] = {"net", "ipc", "uts", "mnt", "pid", "cgroup"};
	const int *new = context;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
			if (strncmp(kinds[k].file, files[i], strlen(files[i])) == 0 && *new & kinds[k].type)
				CHECK(owner_of(pid, files[i]) == inode_of(pid, "user"), "%s is another's", files[i]);
}

static void user_namespaces_joined(void)
{
	const int all = OTHERS | CLONE_NEWNS;
	struct holder full = hold(OTHERS | CLONE_NEWUSER), plain = hold(CLONE_NEWUSER), net = hold(CLONE_NEWNET);

	/* New namespaces belong to the one that is joined. */
	inspect(&(struct bundle){.script = "sleep 60", .namespaces = namespaces(&plain, CLONE_NEWUSER, all)}, look_owned, &all);
	inspect(&(struct bundle){.script = "sleep 60", .namespaces = namespaces(&full, OTHERS | CLONE_NEWUSER, CLONE_NEWNS)},
		look_joined, &(struct holder){full.pid, OTHERS | CLONE_NEWUSER});
	/* And to a new one, though something that is not its own is joined first. */
	inspect(&(struct bundle){.script = "sleep 60", .kernel = MAPS, .namespaces = namespaces(&net, CLONE_NEWNET, all | CLONE_NEWUSER)},
		look_joined, &(struct holder){net.pid, CLONE_NEWNET});
	inspect(&(struct bundle){.script = "sleep 60", .kernel = MAPS, .namespaces = namespaces(&net, CLONE_NEWNET, all | CLONE_NEWUSER)},
		look_owned, &(int){all & ~CLONE_NEWNET});
	inspect(&(struct bundle){.script = "sleep 60", .kernel = MAPS, .namespaces = namespaces(&net, 0, all | CLONE_NEWUSER)},
		look_owned, &all);
	EXPECT_OUTPUT((&(struct bundle){.script = "id -u; cat /proc/self/uid_map; stat -c %u /bin; hostname; echo x > /dev/null; touch /dev/shm/f && stat -c %u /dev/shm/f",
					.namespaces = namespaces(&plain, CLONE_NEWUSER, all)}),
		      "0\n         0     200000       1000\n65534\nbox\n0\n");
	/* Mappings beside a path have to be true. */
	EXPECT_OUTPUT((&(struct bundle){.script = "id -u", .namespaces = namespaces(&plain, CLONE_NEWUSER, all),
					.kernel = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":1000}],"
						  "\"gidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":1000}]"}), "0\n");
	EXPECT_FAILURE((&(struct bundle){.namespaces = namespaces(&plain, CLONE_NEWUSER, all), .kernel = MAPS}), FB_STAGE_USERNS, EINVAL, 125);
	release(&full);
	release(&plain);
	release(&net);
}

static void mounts_joined(void)
{
	struct holder holder = hold(CLONE_NEWNS);
	char file[128];
	int before = count_mounts();

	shell("mkdir -p %s/given && echo data > %s/given/file", base, base);
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /v/file; hostname; ls /dev/null; cat /proc/keys | wc -c; touch /v/new",
					.namespaces = namespaces(&holder, CLONE_NEWNS, OTHERS),
					.mounts = ",{\"destination\":\"/v\",\"type\":\"bind\",\"source\":\"given\",\"options\":[\"rbind\"]}"}),
		      "data\nbox\n/dev/null\n0\n");
	CHECK(count_mounts() <= before, "mounts of the caller's");
	snprintf(file, sizeof(file), "%s/given/new", base);
	CHECK(access(file, F_OK) == 0, "the volume was the host's");
	EXPECT_FAILURE((&(struct bundle){.namespaces = namespaces(&holder, CLONE_NEWNS, OTHERS | CLONE_NEWUSER), .kernel = MAPS}),
		       FB_STAGE_JOIN, EPERM, 125);
	release(&holder);
	CHECK(count_mounts() <= before, "mounts of the caller's, later");
	shell("rmdir %s/rootfs/v", base);
}

static void without_mounts(struct fb_spec *spec, struct fb_launch_request *request)
{
	(void)request;
	spec->mount_count = 0;
	spec->masked_paths.count = spec->readonly_paths.count = 0;
}

static void caller_s_own(void)
{
	char text[512];

	/* Nothing of the caller's is the container's to change, whatever it is called by. */
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"network\",\"path\":\"/proc/self/ns/net\"}",
					 .kernel = ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}"}), FB_STAGE_SYSCTL, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\",\"path\":\"/proc/self/ns/uts\"}"}), FB_STAGE_PLAN, EINVAL, 125);
	EXPECT_OUTPUT((&(struct bundle){.script = "echo started", .namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"user\",\"path\":\"/proc/self/ns/user\"}"}), "started\n");
	/* Without a mount namespace: a chroot, into which nothing may be mounted. */
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"uts\"},{\"type\":\"pid\"}"}), FB_STAGE_PLAN, EINVAL, 125);
	EXPECT_FAILURE((&(struct bundle){.namespaces = "{\"type\":\"uts\"},{\"type\":\"mount\",\"path\":\"/proc/self/ns/mnt\"}"}), FB_STAGE_PLAN, EINVAL, 125);
	snprintf(text, sizeof(text), "bin\ndev\netc\nproc\nroot\nsys\ntmp\n/\n");
	EXPECT_OUTPUT((&(struct bundle){.script = "ls / | sort; pwd", .adjust = without_mounts, .namespaces = "{\"type\":\"uts\"},{\"type\":\"pid\"}"}), text);
	shell("rm -rf %s/rootfs/dev && mkdir %s/rootfs/dev", base, base);
}

static void look_exec(pid_t pid, const void *context)
{
	const struct bundle *bundle = context;
	struct fb_launch_request request = {.process = &(struct fb_process_spec){0}};
	static struct outcome out;
	static char text[16384];
	struct fb_process_spec process;
	struct fb_arena arena = {0};
	struct fb_error err;
	struct fb_spec spec;
	static const char document[] = "{\"process\":{\"args\":[\"sh\",\"-c\",\"ls / | sort | head -n 3; pwd; id -u\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]}}";

	memset(&out, 0, sizeof(out));
	make_config(bundle, text, sizeof(text));
	if (fb_spec_parse(text, strlen(text), base, &spec, &err) < 0 ||
	    fb_spec_parse_exec(document, strlen(document), &arena, &process, &request.privileged, &err) < 0)
		exit(1);
	request.spec = &spec;
	request.process = &process;
	request.target_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	launch(&request, &out);
	CHECK(out.started == 0 && strcmp(out.output, "bin\ndev\netc\n/\n0\n") == 0, "exec: %s", out.output);
	if (out.started < 0)
		describe(&out);
	close(request.target_pidfd);
	fb_spec_free(&spec);
	fb_arena_free(&arena);
}

static void execs(void)
{
	struct holder plain = hold(CLONE_NEWUSER);
	struct bundle bundle = {.script = "sleep 60"};

	bundle.namespaces = namespaces(&plain, CLONE_NEWUSER, OTHERS | CLONE_NEWNS);
	inspect(&bundle, look_exec, &bundle);
	bundle.namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}";
	bundle.kernel = MAPS;
	inspect(&bundle, look_exec, &bundle);
	/* What the container shares with its caller, its exec does too. */
	bundle.namespaces = "{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"pid\"},{\"type\":\"user\",\"path\":\"/proc/self/ns/user\"}";
	bundle.kernel = NULL;
	inspect(&bundle, look_exec, &bundle);
	release(&plain);
}

static void mappings(void)
{
	/* Several ranges; ids that are not mapped are nobody's. */
	EXPECT_OUTPUT((&(struct bundle){.script = "cat /proc/self/uid_map | wc -l; id -u; id -G",
					.user = "{\"uid\":1500,\"gid\":1500,\"additionalGids\":[7]}",
					.namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
					.kernel = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":10},{\"containerID\":1000,\"hostID\":300000,\"size\":1000},{\"containerID\":5000,\"hostID\":0,\"size\":1}],"
						  "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":10},{\"containerID\":1500,\"hostID\":300500,\"size\":1}]"}),
		      "3\n1500\n1500 7\n");
	/* No root in it: made by who the process is. */
	EXPECT_OUTPUT((&(struct bundle){.script = "id -u; stat -c %u /dev/shm /proc/1; grep CapEff /proc/self/status",
					.user = "{\"uid\":1000,\"gid\":1000}",
					.namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
					.kernel = ",\"uidMappings\":[{\"containerID\":1000,\"hostID\":100000,\"size\":10}],"
						  "\"gidMappings\":[{\"containerID\":1000,\"hostID\":100000,\"size\":10}]"}),
		      "1000\n1000\n1000\nCapEff:\t0000000000000000\n");
	EXPECT_FAILURE((&(struct bundle){.namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}",
					 .kernel = ",\"uidMappings\":[{\"containerID\":1000,\"hostID\":100000,\"size\":10}],"
						   "\"gidMappings\":[{\"containerID\":1000,\"hostID\":100000,\"size\":10}]"}),
		       FB_STAGE_USERNS, EINVAL, 125);
}

#define ONE(host) ",\"uidMappings\":[{\"containerID\":0,\"hostID\":" host ",\"size\":1}],\"gidMappings\":[{\"containerID\":0,\"hostID\":" host ",\"size\":1}]"

/* Nobody's root: one id of its own is all that it may map, and groups have to stay. */
static void as_user(void)
{
	struct bundle bundle = {.script = "sleep 60", .namespaces = STANDARD_NAMESPACES ",{\"type\":\"user\"}", .kernel = ONE("4242")};

	EXPECT_OUTPUT((&(struct bundle){.script = "id -u; cat /proc/self/setgroups; echo x > /dev/null; touch /dev/shm/f && stat -c %u /dev/shm/f; hostname",
					.namespaces = bundle.namespaces, .kernel = bundle.kernel}),
		      "0\ndeny\n0\nbox\n");
	EXPECT_FAILURE((&(struct bundle){.namespaces = bundle.namespaces, .kernel = bundle.kernel, .user = "{\"uid\":0,\"gid\":0,\"additionalGids\":[7]}"}),
		       FB_STAGE_CREDS, EPERM, 125);
	EXPECT_FAILURE((&(struct bundle){.namespaces = bundle.namespaces, .kernel = MAPS}), FB_STAGE_USERNS, EPERM, 125);
	EXPECT_FAILURE((&(struct bundle){.script = "true"}), FB_STAGE_CLONE, EPERM, 125);
	inspect(&bundle, look_exec, &bundle);
}

static void without_rights(void)
{
	pid_t pid;

	shell("chmod 755 %s", base);
	pid = fork();
	if (pid == 0) {
		failures = 0;
		if (setgid(4242) < 0 || setuid(4242) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
			_exit(1);
		as_user();
		_exit(failures != 0);
	}
	CHECK(wait_code(pid) == 0, "as a user without rights");
	shell("chmod 700 %s", base);
}

static void everything(void)
{
	begin();
	joined_one_by_one();
	user_namespaces_joined();
	mounts_joined();
	caller_s_own();
	execs();
	mappings();
	without_rights();
}

int main(void)
{
	return run_lanes(everything);
}
