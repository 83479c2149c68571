/* The OCI command's own parts: Go's option rules, the messages that callers look for, ids, and state.json with its lock. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "io.h"
#include "oci_internal.h"
#include "record.h"

static char base[] = "/tmp/fastbox-test-oci-XXXXXX";

/* --- options --- */

struct parsed {
	bool tty, detach;
	const char *user;
	struct fb_strv env;
	int words;
	char *argv[16];
};

static int parse(struct parsed *to, bool anywhere, const char *const *words)
{
	const struct fb_oci_option table[] = {
		{"tty", 't', FB_OCI_FLAG, &to->tty},   {"detach", 'd', FB_OCI_FLAG, &to->detach},
		{"user", 'u', FB_OCI_TEXT, &to->user}, {"env", 'e', FB_OCI_LIST, &to->env},
		{.kind = anywhere ? FB_OCI_ANYWHERE : FB_OCI_FLAG},
	};
	struct fb_error err = {0};
	int argc = 1;

	memset(to, 0, sizeof(*to));
	to->argv[0] = (char *)"exec";
	for (; words[argc - 1]; argc++)
		to->argv[argc] = (char *)words[argc - 1];
	return fb_oci_options(table, argc, to->argv, &to->words, &err) < 0 ? -1 : argc;
}
#define PARSE(to, anywhere, ...) parse((to), (anywhere), (const char *const[]){__VA_ARGS__, NULL})

static void test_options(void)
{
	struct parsed p;

	CHECK(PARSE(&p, false, "-t", "--user", "1:2", "-e", "A=1,B", "--env=C=D", "id", "ls", "-d") == 10);
	CHECK(p.tty && !p.detach && strcmp(p.user, "1:2") == 0 && p.words == 7);
	CHECK(p.env.count == 2 && strcmp(p.env.items[0], "A=1,B") == 0 && strcmp(p.env.items[1], "C=D") == 0);
	free(p.env.items);
	CHECK(PARSE(&p, false, "-tty", "--detach=false", "-user=0", "id") == 5 && p.tty && !p.detach && p.words == 4);
	CHECK(PARSE(&p, false, "--detach=T", "--", "--tty") == 4 && p.detach && !p.tty && p.words == 3);
	CHECK(PARSE(&p, false, "--user", "--tty", "id") == 4 && !p.tty && strcmp(p.user, "--tty") == 0);
	CHECK(PARSE(&p, false, "-", "-t") == 3 && p.words == 1 && !p.tty);
	CHECK(PARSE(&p, true, "id", "-t", "word", "-u", "7", "--", "-d") == 8);
	CHECK(p.tty && !p.detach && strcmp(p.user, "7") == 0 && p.words == 5);
	CHECK(strcmp(p.argv[5], "id") == 0 && strcmp(p.argv[6], "word") == 0 && strcmp(p.argv[7], "-d") == 0);
	CHECK(PARSE(&p, false, "--bogus") < 0);
	CHECK(PARSE(&p, false, "--use", "1") < 0);
	CHECK(PARSE(&p, false, "-tu", "1") < 0);
	CHECK(PARSE(&p, false, "--user") < 0);
	CHECK(PARSE(&p, false, "--tty=maybe") < 0);
}

static void test_numbers(void)
{
	static const char *const wrong[] = {"", " 1", "1 ", "+1", "0x10", "1e3", "99999999999999999999", "-", "11", "-1"};
	struct fb_error err = {0};
	int64_t value = 5;

	CHECK(fb_oci_number("n", "10", 0, 10, &value, &err) == 0 && value == 10);
	CHECK(fb_oci_number("n", "-9223372036854775808", INT64_MIN, 0, &value, &err) == 0 && value == INT64_MIN);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(fb_oci_number("n", wrong[i], 0, 10, &value, &err) == -EINVAL && value == INT64_MIN);
}

/* --- messages --- */

/* What one call writes to stderr. */
static void capture(const struct fb_oci *oci, const struct fb_error *err, const char *prefix, char to[4096])
{
	int ends[2], saved = dup(2);
	ssize_t length;

	CHECK(pipe(ends) == 0);
	fflush(stderr);
	dup2(ends[1], 2);
	close(ends[1]);
	CHECK(fb_oci_fail(oci, 7, err, prefix) == 7);
	dup2(saved, 2);
	close(saved);
	length = fb_read_all(ends[0], to, 4095);
	close(ends[0]);
	to[length > 0 ? length : 0] = '\0';
}

static const struct {
	enum fb_stage stage;
	int code;
	const char *call, *path, *detail, *expected;
} messages[] = {
	{FB_STAGE_EXEC, ENOENT, "execve", "sh", NULL, "exec: \"sh\": executable file not found in $PATH"},
	{FB_STAGE_EXEC, ENOENT, "execve", "/x", NULL, "exec: \"/x\": stat /x: no such file or directory"},
	{FB_STAGE_EXEC, EACCES, "execve", "/x", NULL, "exec: \"/x\": permission denied"},
	{FB_STAGE_EXEC, ENOEXEC, "execve", "/x", NULL, "exec: \"/x\": exec format error"},
	{FB_STAGE_EXEC, EISDIR, "execve", "/x", NULL, "exec: \"/x\": is a directory"},
	{FB_STAGE_RECORD, ENOENT, "", "c", "container does not exist", "container does not exist: c"},
	{FB_STAGE_REQUEST, ESRCH, "oci", "c", "container not running", "container not running: c"},
	{FB_STAGE_SPEC, EINVAL, "config", ".linux", "must be an object", "config .linux: must be an object"},
	{FB_STAGE_SPEC, ENOENT, "open", "/b/config.json", NULL, "spec: open /b/config.json: no such file or directory"},
	{FB_STAGE_MOUNT, EPERM, "mount", "/proc", NULL, "mount /proc: operation not permitted"},
	{FB_STAGE_ROOTFS, ENOTDIR, "move_mount", "/a", "a file", "rootfs: move_mount /a: not a directory: a file"},
	{FB_STAGE_REQUEST, ENOMEM, "malloc", "", NULL, "request: malloc: cannot allocate memory"},
};

static void test_messages(void)
{
	struct fb_oci oci = {0};
	char text[4096], expected[4096];
	struct fb_error err;

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		FB_FAIL_CODE(&err, messages[i].stage, messages[i].code, messages[i].call, messages[i].path, messages[i].detail);
		oci.log_format = "json";
		capture(&oci, &err, NULL, text);
		/* {"level":"error","msg":"...","time":"2026-01-02T03:04:05Z"} */
		CHECK(strncmp(text, "{\"level\":\"error\",\"msg\":\"", 24) == 0 && strstr(text, "\",\"time\":\"2"));
		CHECK(strlen(text) > 34 && strcmp(text + strlen(text) - 4, "Z\"}\n") == 0);
		oci.log_format = NULL;
		capture(&oci, &err, "create failed", text);
		CHECK(strncmp(text, "time=\"2", 7) == 0);
		snprintf(expected, sizeof(expected), "level=error msg=\"create failed: ");
		for (const char *at = messages[i].expected; *at; at++)
			snprintf(expected + strlen(expected), 3, *at == '"' ? "\\%c" : "%c", *at);
		strcat(expected, "\"\n");
		if (!strstr(text, expected))
			fprintf(stderr, "%s: not %s", text, expected);
		CHECK(strstr(text, expected) != NULL);
	}
}

/* What a name holds reaches neither the terminal nor another line of the log. */
static void test_hostile_message(void)
{
	struct fb_oci oci = {.log_format = "json"};
	char text[4096];
	struct fb_error err;

	FB_FAIL_CODE(&err, FB_STAGE_RECORD, EINVAL, "", "a\n\x1b[2J\"\\<\xff>", "no");
	capture(&oci, &err, NULL, text);
	CHECK(strstr(text, "\"msg\":\"no: a??[2J\\\"\\\\\\u003c\\ufffd\\u003e\"") != NULL);
	oci.log_format = "text";
	capture(&oci, &err, NULL, text);
	CHECK(strstr(text, "msg=\"no: a??[2J\\\"\\\\<\xff>\"\n") != NULL && strchr(text, '\n') == text + strlen(text) - 1);
}

static void test_log_file(void)
{
	char path[64], text[4096], *log = NULL;
	struct fb_oci oci = {.log_format = "json", .log = path};
	struct fb_error err;

	FB_FAIL_CODE(&err, FB_STAGE_RECORD, EINVAL, "", "", "plain");
	snprintf(path, sizeof(path), "%s/log", base);
	CHECK(fb_write_file(AT_FDCWD, path, "before\n", 7, 0) == 0);
	capture(&oci, &err, NULL, text);
	CHECK(strcmp(text, "plain\n") == 0);
	CHECK(fb_read_file(AT_FDCWD, path, 4096, &log) > 7);
	CHECK(log && strncmp(log, "before\n{\"level\":\"error\",\"msg\":\"plain\",", 37) == 0);
	free(log);
	/* A fifo without a reader is not waited for. */
	unlink(path);
	CHECK(mkfifo(path, 0600) == 0);
	capture(&oci, &err, NULL, text);
	CHECK(strncmp(text, "plain\ncannot write the log ", 27) == 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/missing/log", base);
	capture(&oci, &err, NULL, text);
	CHECK(strncmp(text, "plain\ncannot write the log ", 27) == 0);
}

/* --- states --- */

static struct fb_oci with_root(char to[64], const char *name)
{
	snprintf(to, 64, "%s/%s", base, name);
	return (struct fb_oci){.root = to};
}

static int make(const struct fb_oci *oci, const char *id, pid_t pid, uint64_t start_time, struct fb_oci_state *state)
{
	struct fb_error err = {0};
	int r = fb_oci_state_new(oci, id, state, &err);

	if (r < 0)
		return r;
	state->bundle = strdup("/b\xff\"");
	state->rootfs = strdup("/b/rootfs");
	state->pid = pid;
	state->start_time = start_time;
	state->own_pids = true;
	state->cgroup.mode = FB_CGROUP_HYBRID;
	strcpy(state->cgroup.paths[0], "/sys/fs/cgroup/pids/fastbox-test-none");
	state->cgroup.controllers[0] = "pids";
	strcpy(state->cgroup.paths[1], "/sys/fs/cgroup/unified/fastbox-test-none");
	state->cgroup.path_count = 2;
	return fb_oci_state_write(state, &err);
}

static enum fb_oci_status status_of(const struct fb_oci *oci, const char *id)
{
	struct fb_oci_state state;
	struct fb_error err = {0};
	enum fb_oci_status status;

	if (fb_oci_state_open(oci, id, false, &state, &err) < 0)
		return (enum fb_oci_status)99;
	status = fb_oci_state_status(&state);
	fb_oci_state_close(&state);
	return status;
}

static void test_ids(void)
{
	static const char *const wrong[] = {"", ".", "..", "a/b", "../x", "a b", "a\n", "\xc3\xa4", "a:b"};
	char root[64], name[1030], *path = NULL;
	struct fb_oci oci = with_root(root, "ids");
	struct fb_oci_state state;
	struct fb_error err = {0};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(fb_oci_state_new(&oci, wrong[i], &state, &err) == -EINVAL);
		CHECK(fb_oci_state_open(&oci, wrong[i], true, &state, &err) == -EINVAL);
	}
	memset(name, 'a', sizeof(name));
	name[1025] = '\0';
	CHECK(fb_oci_state_new(&oci, name, &state, &err) == -EINVAL);
	CHECK(asprintf(&path, "%s", root) > 0 && access(path, F_OK) < 0);
	free(path);
	CHECK(make(&oci, "A0_+-.,z", 1, 1, &state) == 0);
	CHECK(fb_oci_state_remove(&state, &err) == 0);
	fb_oci_state_close(&state);
}

static void test_roundtrip(void)
{
	char root[64];
	struct fb_oci oci = with_root(root, "a/b/root");
	struct fb_oci_state made, read;
	struct fb_error err = {0};
	struct stat st;

	CHECK(make(&oci, "c", getpid(), fb_record_start_time(getpid(), NULL), &made) == 0);
	CHECK(stat(root, &st) == 0 && (st.st_mode & 07777) == 01700);
	CHECK(fb_oci_state_new(&oci, "c", &read, &err) == -EEXIST && strstr(err.detail, "already exists"));
	CHECK(status_of(&oci, "c") == FB_OCI_RUNNING);
	CHECK(faccessat(made.directory, "state.json.tmp", F_OK, 0) < 0);
	fb_oci_state_close(&made);
	CHECK(fb_oci_state_new(&oci, "c", &read, &err) == -EEXIST);
	CHECK(fb_oci_state_open(&oci, "c", true, &read, &err) == 0);
	CHECK(read.locked && read.pid == getpid() && read.own_pids && !read.rdt && read.owner == geteuid());
	CHECK(strcmp(read.bundle, "/b\xff\"") == 0 && strcmp(read.rootfs, "/b/rootfs") == 0 && strlen(read.created) == 30);
	CHECK(read.cgroup.mode == FB_CGROUP_HYBRID && read.cgroup.path_count == 2 && !read.cgroup.memory[0]);
	CHECK(strcmp(read.cgroup.controllers[0], "pids") == 0 && !read.cgroup.controllers[1]);
	CHECK(fb_oci_state_remove(&read, &err) == 0);
	fb_oci_state_close(&read);
	CHECK(fb_oci_state_open(&oci, "c", false, &read, &err) == -ENOENT && strstr(err.detail, "does not exist"));
	CHECK(rmdir(root) == 0);
}

static void test_status(void)
{
	char root[64];
	struct fb_oci oci = with_root(root, "status");
	struct fb_oci_state state;
	struct fb_error err = {0};
	siginfo_t info;
	pid_t child = fork();
	int fd;

	if (child == 0) {
		pause();
		_exit(0);
	}
	CHECK(make(&oci, "c", 0, 0, &state) == 0);
	CHECK(status_of(&oci, "c") == FB_OCI_CREATING);
	state.pid = child;
	state.start_time = fb_record_start_time(child, NULL);
	CHECK(fb_oci_state_write(&state, &err) == 0);
	fd = openat(state.directory, "start", O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0 && status_of(&oci, "c") == FB_OCI_CREATED);
	close(fd);
	CHECK(unlinkat(state.directory, "start", 0) == 0 && status_of(&oci, "c") == FB_OCI_RUNNING);
	fd = fb_oci_state_pidfd(&state, &err);
	CHECK(fd >= 0);
	close(fd);
	state.start_time++;
	CHECK(fb_oci_state_write(&state, &err) == 0 && status_of(&oci, "c") == FB_OCI_STOPPED);
	CHECK(fb_oci_state_pidfd(&state, &err) == -ESRCH && strstr(err.detail, "not running"));
	state.start_time--;
	CHECK(fb_oci_state_write(&state, &err) == 0);
	kill(child, SIGKILL);
	CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
	CHECK(status_of(&oci, "c") == FB_OCI_STOPPED); /* a zombie */
	CHECK(fb_oci_state_pidfd(&state, &err) == -ESRCH);
	waitpid(child, NULL, 0);
	CHECK(status_of(&oci, "c") == FB_OCI_STOPPED);
	/* A create that was killed: nobody holds the lock. */
	state.pid = 0;
	CHECK(fb_oci_state_write(&state, &err) == 0);
	fb_oci_state_close(&state);
	CHECK(status_of(&oci, "c") == FB_OCI_STOPPED);
	CHECK(fb_oci_state_open(&oci, "c", true, &state, &err) == 0 && fb_oci_state_status(&state) == FB_OCI_STOPPED);
	CHECK(fb_oci_state_remove(&state, &err) == 0);
	fb_oci_state_close(&state);
}

/* --- the lock --- */

/* What a killed create leaves is taken over by the next of that name, or removed by whoever opens it. */
static void test_remains(void)
{
	char root[64], path[128];
	struct fb_oci oci = with_root(root, "remains");
	struct fb_oci_state state;
	struct fb_error err = {0};

	snprintf(path, sizeof(path), "%s/c", root);
	CHECK(mkdir(root, 0700) == 0 && mkdir(path, 0700) == 0);
	CHECK(fb_oci_state_open(&oci, "c", false, &state, &err) == -ENOENT && access(path, F_OK) == 0);
	CHECK(make(&oci, "c", 1, 1, &state) == 0);
	CHECK(fb_oci_state_remove(&state, &err) == 0);
	fb_oci_state_close(&state);
	CHECK(mkdir(path, 0700) == 0);
	CHECK(fb_oci_state_open(&oci, "c", true, &state, &err) == -ENOENT && access(path, F_OK) < 0);
	/* Never a link to somewhere else, and never a file. */
	CHECK(symlink("/", path) == 0 && fb_oci_state_open(&oci, "c", true, &state, &err) == -ENOENT);
	CHECK(fb_oci_state_new(&oci, "c", &state, &err) < 0);
	CHECK(unlink(path) == 0 && rmdir(root) == 0);
}

/* A waiter gets the lock of a directory that has gone, and must see that. */
static void test_lock(void)
{
	char root[64];
	struct fb_oci oci = with_root(root, "lock");
	struct fb_oci_state state;
	struct fb_error err = {0};
	int status = 0;
	pid_t child;

	CHECK(make(&oci, "c", 1, 1, &state) == 0);
	child = fork();
	if (child == 0) {
		struct fb_oci_state other;

		_exit(fb_oci_state_open(&oci, "c", true, &other, &err) == -ENOENT ? 0 : 1);
	}
	usleep(100000); /* the child waits for the lock, or will find nothing: both end the same way */
	CHECK(fb_oci_state_remove(&state, &err) == 0);
	fb_oci_state_close(&state);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* --- documents of others --- */

static void test_garbage(void)
{
	static const char *const texts[] = {
		"", "{", "[]", "null", "\"x\"", "{}", "{\"schema\":1}", "{\"schema\":2,\"id\":\"c\"}",
		"{\"schema\":\"1\",\"id\":\"c\"}", "{\"id\":\"c\",\"init_process_pid\":5,\"created\":\"x\"}",
		"{\"schema\":1,\"id\":\"d\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\"}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\"}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"pid\":-1}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"pid\":4294967296}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"mode\":\"v3\"}}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"groups\":[{}]}}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"groups\":[{\"path\":\"x\"}]}}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"groups\":[{\"path\":\"/a/../b\"}]}}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"groups\":[{\"path\":\"/a/..\"}]}}",
		"{\"schema\":1,\"id\":\"c\",\"bundle\":\"/\",\"rootfs\":\"/\",\"created\":\"\",\"cgroup\":{\"groups\":[{\"path\":\"/a\",\"controller\":\"x\"}]}}",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	};
	char root[64], path[128];
	struct fb_oci oci = with_root(root, "garbage");
	struct fb_oci_state state;
	struct fb_error err = {0};

	snprintf(path, sizeof(path), "%s/c", root);
	CHECK(mkdir(root, 0700) == 0 && mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/c/state.json", root);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CHECK(fb_write_file(AT_FDCWD, path, texts[i], strlen(texts[i]), 0) == 0);
		if (fb_oci_state_open(&oci, "c", i & 1, &state, &err) != -EINVAL || !strstr(err.detail, "damaged")) {
			fprintf(stderr, "taken: %s\n", texts[i]);
			failures++;
		}
		CHECK(fb_oci_state_new(&oci, "c", &state, &err) == -EEXIST);
	}
	unlink(path);
	CHECK(mkfifo(path, 0600) == 0 && fb_oci_state_open(&oci, "c", false, &state, &err) < 0);
	CHECK(unlink(path) == 0 && symlink("/dev/zero", path) == 0 && fb_oci_state_open(&oci, "c", false, &state, &err) < 0);
}

/* Cut anywhere and with any byte turned, a document is refused or read, and never more than that. */
static void test_damage(void)
{
	struct fb_oci_state state = {.id = "c", .directory = -1, .bundle = (char *)"/b", .rootfs = (char *)"/r",
				     .created = (char *)"x", .pid = 7, .start_time = 9};
	char *text = fb_oci_state_format(&state, NULL);
	size_t length = strlen(text);

	for (size_t i = 0; i < 2 * length; i++) {
		struct fb_oci_state read = {.id = "c", .directory = -1};
		struct fb_error err = {0};
		char *damaged = malloc(length + 1);

		memcpy(damaged, text, length + 1);
		if (i < length)
			damaged[i] ^= 1 << (i % 7);
		if (i >= length)
			damaged[i - length] = '\0';
		if (fb_oci_state_parse(damaged, i < length ? length : i - length, &read, &err) < 0)
			CHECK(err.code == EINVAL);
		else
			CHECK(i < length || i - length == length - 1); /* all but the newline */
		fb_oci_state_close(&read);
		free(damaged);
	}
	free(text);
}

static void remove_base(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf -- %s", base);
	if (system(command) != 0)
		fprintf(stderr, "%s is left\n", base);
}

int main(void)
{
	if (!mkdtemp(base))
		return 1;
	test_options();
	test_numbers();
	test_messages();
	test_hostile_message();
	test_log_file();
	test_ids();
	test_roundtrip();
	test_status();
	test_remains();
	test_lock();
	test_garbage();
	test_damage();
	remove_base();
	return failures != 0;
}
