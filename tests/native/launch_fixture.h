/* A busybox root and bundles made of text, shared by the tests of the start path. */
#ifndef FB_LAUNCH_FIXTURE_H
#define FB_LAUNCH_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"

static char base[] = "/tmp/fastbox-test-XXXXXX";
static int failures;

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			failures++;                                                                \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);            \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
		}                                                                                  \
	} while (0)

static inline void shell(const char *format, ...)
{
	char command[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0) {
		fprintf(stderr, "failed: %s\n", command);
		exit(1);
	}
}

struct bundle { /* every text may be NULL */
	const char *script;  /* run by /bin/sh -c */
	const char *args;    /* or the args as JSON */
	const char *process; /* more members of process, each with a comma before it */
	const char *user;    /* the user object; root when NULL */
	const char *mounts;  /* more mounts, each with a comma before it */
	const char *kernel; /* more members of linux, each with a comma before it */
	const char *namespaces;
	const char *top;     /* more members, each with a comma before it */
	const char *root;
	const char *env;
	const char *caps;
	const char *cwd;
	bool no_dev;
	void (*adjust)(struct fb_spec *spec, struct fb_launch_request *request);
};

struct outcome {
	int started; /* 0, or fb_launch's error */
	int code;    /* exit status, 128 + signal, or fb_launch_exit_code */
	char output[65536];
	struct fb_error err;
	struct fb_launched launched;
};

#define STANDARD_NAMESPACES                                                                        \
	"{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},"       \
	"{\"type\":\"uts\"},{\"type\":\"cgroup\"}"
#define DEFAULT_CAPS "[\"CAP_CHOWN\",\"CAP_SETUID\",\"CAP_KILL\"]"

static inline void make_config(const struct bundle *b, char *text, size_t size)
{
	const char *caps = b->caps ? b->caps : DEFAULT_CAPS;
	char args[4096], root[256];

	snprintf(root, sizeof(root), "%s/rootfs", base);
	if (b->script)
		snprintf(args, sizeof(args), "[\"/bin/sh\",\"-c\",\"%s\"]", b->script);
	else
		snprintf(args, sizeof(args), "%s", b->args ? b->args : "[\"true\"]");
	snprintf(text, size,
		 "{\"ociVersion\":\"1.0.2\",\"hostname\":\"box\",\"process\":{\"args\":%s,\"cwd\":\"%s\","
		 "\"env\":[%s],\"user\":%s,\"noNewPrivileges\":true,"
		 "\"capabilities\":{\"bounding\":%s,\"effective\":%s,\"permitted\":%s}%s},"
		 "\"root\":{\"path\":\"%s\"%s},\"mounts\":["
		 "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}%s%s],"
		 "\"linux\":{\"namespaces\":[%s],\"maskedPaths\":[\"/proc/kcore\",\"/proc/keys\",\"/proc/acpi\",\"/proc/scsi\",\"/sys/firmware\",\"/proc/none\"],"
		 "\"readonlyPaths\":[\"/proc/sys\",\"/proc/sysrq-trigger\",\"/proc/irq\"]%s}%s}",
		 args, b->cwd ? b->cwd : "/", b->env ? b->env : "\"PATH=/bin\",\"A=b\"",
		 b->user ? b->user : "{\"uid\":0,\"gid\":0}", caps, caps, caps, b->process ? b->process : "",
		 root, b->root ? b->root : "",
		 b->no_dev ? "" :
		 ",{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]}"
		 ",{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]}"
		 ",{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]}"
		 ",{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}"
		 ",{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}",
		 b->mounts ? b->mounts : "", b->namespaces ? b->namespaces : STANDARD_NAMESPACES,
		 b->kernel ? b->kernel : "", b->top ? b->top : "");
}

static inline int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the directory's own */

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static inline int count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int c, count = 0;

	while ((c = fgetc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

static inline int wait_code(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void drain(int fd, char *output, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while (length + 1 < size && (n = read(fd, output + length, size - 1 - length)) > 0)
		length += (size_t)n;
	output[length] = '\0';
}

/* Start, collect what it prints, wait. Nothing may be left behind, whatever the outcome. */
static inline void launch(const struct fb_launch_request *request, struct outcome *out)
{
	struct fb_launch_request copy = *request;
	int pipes[2], before = count_descriptors(), mounts = count_mounts();

	memset(out, 0, sizeof(*out));
	if (pipe2(pipes, O_CLOEXEC) < 0)
		exit(1);
	copy.stdio[0] = -1;
	copy.stdio[1] = copy.stdio[2] = pipes[1];
	out->started = fb_launch(&copy, &out->launched, &out->err);
	close(pipes[1]);
	if (out->started < 0) {
		out->code = fb_launch_exit_code(&out->err);
		CHECK(waitpid(-1, NULL, WNOHANG) <= 0, "a child was left");
	} else {
		drain(out->launched.console >= 0 ? out->launched.console : pipes[0], out->output, sizeof(out->output));
		out->code = wait_code(out->launched.pid);
		close(out->launched.pidfd);
		if (out->launched.console >= 0)
			close(out->launched.console);
	}
	close(pipes[0]);
	CHECK(count_descriptors() == before, "%d descriptors, %d before", count_descriptors(), before);
	/* Fewer are of others, who have removed the directory below one. */
	CHECK(count_mounts() <= mounts, "%d mounts, %d before", count_mounts(), mounts);
}

static inline void run_bundle(const struct bundle *bundle, struct outcome *out)
{
	struct fb_launch_request request = {.target_pidfd = -1};
	static char text[16384];
	struct fb_spec spec;

	memset(out, 0, sizeof(*out));
	make_config(bundle, text, sizeof(text));
	out->started = fb_spec_parse(text, strlen(text), base, &spec, &out->err);
	if (out->started < 0) {
		out->code = 125;
		return;
	}
	request.spec = &spec;
	if (bundle->adjust)
		bundle->adjust(&spec, &request);
	launch(&request, out);
	fb_spec_free(&spec);
}

static inline void describe(const struct outcome *out)
{
	if (out->started < 0)
		fprintf(stderr, "  error: %s: %s %s: %s (%s) line %d\n", fb_stage_name(out->err.stage), out->err.call,
			out->err.path, strerror(out->err.code), out->err.detail, out->err.line);
	else
		fprintf(stderr, "  code %d, output:\n%s\n", out->code, out->output);
}

#define EXPECT_OUTPUT(bundle_pointer, wanted)                                                      \
	do {                                                                                       \
		static struct outcome out_;                                                        \
		run_bundle((bundle_pointer), &out_);                                               \
		CHECK(out_.started == 0 && strcmp(out_.output, (wanted)) == 0, "wanted:\n%s", (wanted)); \
		if (out_.started < 0 || strcmp(out_.output, (wanted)) != 0)                         \
			describe(&out_);                                                           \
	} while (0)

#define EXPECT_FAILURE(bundle_pointer, wanted_stage, wanted_code, wanted_exit)                     \
	do {                                                                                       \
		static struct outcome out_;                                                        \
		run_bundle((bundle_pointer), &out_);                                               \
		CHECK(out_.started < 0 && out_.err.stage == (wanted_stage) &&                      \
			      out_.err.code == (wanted_code) && out_.code == (wanted_exit),        \
		      "wanted %s, %s, %d", fb_stage_name(wanted_stage), strerror(wanted_code), (wanted_exit)); \
		if (out_.started == 0 || out_.err.stage != (wanted_stage) || out_.err.code != (wanted_code)) \
			describe(&out_);                                                           \
	} while (0)

static inline void make_root(const char *path)
{
	static const char *const applets[] = {"sh", "true", "cat", "id", "ls", "mount", "readlink", "stat", "pwd",
					      "hostname", "env", "echo", "grep", "wc", "touch", "mkdir", "umask",
					      "ps", "sleep", "tty", "stty", "ifconfig", "test", "mknod", "date", "ulimit", "head", "cut", "sort", "dd", "ln"};

	shell("mkdir -p %s/bin %s/etc %s/proc %s/dev %s/sys %s/tmp %s/root && cp /bin/busybox %s/bin/busybox", path, path,
	      path, path, path, path, path, path);
	for (size_t i = 0; i < sizeof(applets) / sizeof(*applets); i++)
		shell("ln -sf busybox %s/bin/%s", path, applets[i]);
	shell("printf 'root:x:0:0::/root:/bin/sh\\nbob:x:1000:1001::/home/bob:/bin/sh\\n' > %s/etc/passwd", path);
	shell("printf 'root:x:0:\\nstaff:x:50:bob\\nbob:x:1001:\\n' > %s/etc/group", path);
}

static inline void begin(void)
{
	char root[256];

	if (geteuid() != 0) {
		fprintf(stderr, "needs root: skipped\n");
		exit(0);
	}
	signal(SIGPIPE, SIG_IGN); /* as the supervisor does: must not reach the container */
	/* Mounts of our own, so that nobody else's come and go in what is counted; shared, so that what leaks from a container shows. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		exit(1);
	if (!mkdtemp(base))
		exit(1);
	snprintf(root, sizeof(root), "%s/rootfs", base);
	make_root(root);
}

static inline int end(void)
{
	umount2(base, MNT_DETACH); /* a test may have put a file system of its own there */
	shell("rm -rf %s", base);
	return failures ? 1 : 0;
}

#endif
