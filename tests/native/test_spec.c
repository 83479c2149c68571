/* The bundle's parser: what it takes, and that every wrong document gets one line that names the place. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "spec.h"

#define PROCESS "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"}"
#define START "{\"ociVersion\":\"1.1.0\",\"root\":{\"path\":\"r\"},"

static int parse(const char *text, struct fb_spec *spec, struct fb_error *err)
{
	memset(err, 0, sizeof(*err));
	return fb_spec_parse(text, strlen(text), "/bundle", spec, err);
}

static const struct {
	const char *text, *path, *detail;
} refused[] = {
	{"", "", "the JSON ends too early"},
	{"[]", "", "must be a JSON object"},
	{"{\"a\":1", "", "the JSON ends too early"},
	{"{} x", "", NULL},
	{"{a:1}", "", NULL},
	{"{\"a\":\"\xff\"}", "", NULL},
	{"{}", ".ociVersion", "is missing"},
	{"{\"ociVersion\":\"2.0\"}", ".ociVersion", "must be 1.x"},
	{"{\"ociVersion\":1}", ".ociVersion", "must be a string"},
	{"{\"ociVersion\":\"1.0\"}", ".process", "is missing"},
	{START "\"process\":[]}", ".process", "must be an object"},
	{START "\"process\":{\"cwd\":\"/\"}}", ".process.args", "must name a command"},
	{START "\"process\":{\"args\":[\"a\",1],\"cwd\":\"/\"}}", ".process.args[1]", "must be a string"},
	{START "\"process\":{\"args\":[\"a\\u0000b\"],\"cwd\":\"/\"}}", ".process.args[0]", "holds a NUL character"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"x\"}}", ".process.cwd", "must be an absolute path"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"env\":[\"A\"]}}", ".process.env", NULL},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":-1}}}", ".process.user.uid", "is out of range"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967295}}}", ".process.user.uid", "is out of range"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}}", ".process.user.uid", "is out of range"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"uid\":99999999999999999999999}}}", ".process.user.uid", "is out of range"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"gid\":1.5}}}", ".process.user.gid", "must be a whole number"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"user\":{\"additionalGids\":[1,-2]}}}", ".process.user.additionalGids[1]", "is out of range"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"capabilities\":{\"effective\":[\"CAP_KILL\"]}}}", ".process.capabilities.effective", NULL},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_X\"}]}}", ".process.rlimits[0].type", "unknown rlimit"},
	{START "\"process\":{\"args\":[\"a\"],\"cwd\":\"/\",\"oomScoreAdj\":1001}}", ".process.oomScoreAdj", "is out of range"},
	{START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"bad\"}]}}", ".linux.namespaces[2].type", "unknown namespace"},
	{START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}", ".linux.namespaces[1].type", "is given twice"},
	{START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}}", ".linux.namespaces[0].path", "must be absolute"},
	{START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}", ".linux.uidMappings", NULL},
	{START PROCESS ",\"linux\":{\"rootfsPropagation\":\"odd\"}}", ".linux.rootfsPropagation", "unknown propagation"},
	{START PROCESS ",\"linux\":{\"seccomp\":{}}}", ".linux.seccomp.defaultAction", "is missing"},
	{START PROCESS ",\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_MAYBE\"}}}", ".linux.seccomp.defaultAction", "unknown seccomp action"},
	{START PROCESS ",\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"PDP11\"]}}}", ".linux.seccomp.architectures", "unknown architecture"},
	{START PROCESS ",\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"x\"],\"action\":\"SCMP_ACT_LOG\",\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_XX\"}]}]}}}", ".linux.seccomp.syscalls[0].args[0].op", "unknown seccomp operator"},
	{START PROCESS ",\"linux\":{\"resources\":{\"memory\":{\"limit\":-2}}}}", ".linux.resources.memory.limit", "is out of range"},
	{START PROCESS ",\"linux\":{\"resources\":{\"devices\":[{\"type\":\"c\"}]}}}", ".linux.resources.devices[0].allow", "is missing"},
	{START PROCESS ",\"linux\":{\"devices\":[{\"path\":\"dev/x\",\"type\":\"c\"}]}}", ".linux.devices[0].path", NULL},
	{START PROCESS ",\"linux\":{\"maskedPaths\":[\"proc\"]}}", ".linux.maskedPaths", NULL},
	{START PROCESS ",\"mounts\":[{\"destination\":\"\"}]}", ".mounts[0].destination", "is missing"},
	{START PROCESS ",\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\"}]}", ".mounts[0].source", "is missing"},
	{START PROCESS ",\"mounts\":[7]}", ".mounts[0]", "must be an object"},
	{START PROCESS ",\"fastbox\":{\"overlay\":{\"lower\":[]}}}", ".fastbox.overlay.lower", NULL},
	{START PROCESS ",\"fastbox\":{\"overlay\":{\"lower\":[\"/a\"],\"upper\":\"/u\"}}}", ".fastbox.overlay.work", NULL},
	{START PROCESS ",\"fastbox\":{\"id\":\"../x\"}}", ".fastbox.id", NULL},
	{START PROCESS ",\"fastbox\":{\"stdin\":\"maybe\"}}", ".fastbox.stdin", NULL},
	{"{\"ociVersion\":\"1.0\"," PROCESS "}", ".root", "must have a path"},
};

static void refuse(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct fb_spec spec;
		struct fb_error err;
		int r = parse(refused[i].text, &spec, &err);
		bool as_wanted = r == -EINVAL && err.code == EINVAL && err.stage == FB_STAGE_SPEC &&
				 strcmp(err.path, refused[i].path) == 0 &&
				 (!refused[i].detail || strcmp(err.detail, refused[i].detail) == 0);

		CHECK(as_wanted);
		if (!as_wanted)
			fprintf(stderr, "  %s\n  %d %s %s\n", refused[i].text, r, err.path, err.detail);
		if (r == 0)
			fb_spec_free(&spec);
	}
}

/* Deeper than any honest document: refused by the tokener, not by the stack. */
static void depth(void)
{
	size_t size = 200001;
	char *text = malloc(size);
	struct fb_spec spec;
	struct fb_error err;

	memset(text, '[', size - 1);
	text[size - 1] = '\0';
	CHECK(parse(text, &spec, &err) == -EINVAL);
	for (size_t i = 0; i + 5 < size; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	CHECK(parse(text, &spec, &err) == -EINVAL);
	free(text);
	CHECK(fb_spec_parse("{}", FB_SPEC_MAX_BYTES + 1, "/", &spec, &err) == -EFBIG);
}

static void whole(void)
{
	static const char text[] = START
		"\"hostname\":\"h\",\"unknown\":{\"x\":[1]},\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":3,\"width\":4},"
		"\"args\":[\"a\",\"b\"],\"env\":[\"A=1\"],\"cwd\":\"/w\",\"user\":{\"uid\":7,\"gid\":8,\"additionalGids\":[9],\"umask\":18},"
		"\"capabilities\":{\"bounding\":[\"CAP_KILL\"]},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":10,\"hard\":18446744073709551615}],"
		"\"noNewPrivileges\":true,\"oomScoreAdj\":-5},"
		"\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"s\",\"options\":[\"ro\"]}],"
		"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\",\"path\":\"/n\"},{\"type\":\"time\"}],"
		"\"timeOffsets\":{\"boottime\":{\"secs\":5}},\"sysctl\":{\"net.x\":\"1\"},\"cgroupsPath\":\"/c\","
		"\"resources\":{\"memory\":{\"limit\":-1,\"swap\":9},\"cpu\":{\"quota\":5,\"cpus\":\"0\"},\"pids\":{\"limit\":3},"
		"\"devices\":[{\"allow\":false,\"access\":\"rw\"}]},"
		"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}},"
		"\"fastbox\":{\"id\":\"ab.c\",\"user\":\"bob\",\"groups\":[\"g\"],\"overlay\":{\"lower\":[\"/1\",\"/2\"]},\"stdin\":\"open\","
		"\"log\":{\"path\":\"/l\",\"max_size\":10,\"max_file\":2}}}";
	struct fb_spec spec;
	struct fb_error err;

	CHECK(parse(text, &spec, &err) == 0);
	CHECK(strcmp(spec.root_path, "/bundle/r") == 0 && strcmp(spec.mounts[0].source, "/bundle/s") == 0);
	CHECK(spec.process.terminal && spec.process.rows == 3 && spec.process.columns == 4);
	CHECK(spec.process.args.count == 2 && !spec.process.args.items[2] && spec.process.umask == 022);
	CHECK(spec.process.uid == 7 && spec.process.gid == 8 && spec.process.groups[0] == 9);
	CHECK(spec.process.capabilities.bounding == 1 << 5 && spec.process.rlimits[0].hard == UINT64_MAX);
	CHECK(spec.process.oom_score_adj == -5 && strcmp(spec.process.user, "bob") == 0);
	CHECK(spec.namespaces[1].type == CLONE_NEWNET && strcmp(spec.namespaces[1].path, "/n") == 0);
	CHECK(strcmp(spec.timens_offsets, "monotonic 0 0\nboottime 5 0\n") == 0);
	CHECK(spec.resources.memory_limit == -1 && spec.resources.has_memory_swap && !spec.resources.has_shares);
	CHECK(spec.resources.devices[0].type == 'a' && spec.resources.devices[0].major == -1 &&
	      spec.resources.devices[0].access == (FB_ACCESS_READ | FB_ACCESS_WRITE));
	CHECK(spec.seccomp->default_action == (0x50000 | 38) && spec.seccomp->rules[0].action == 0x7fff0000);
	CHECK(spec.engine.lower.count == 2 && spec.engine.stdin_mode == FB_STDIN_OPEN && spec.engine.log.max_file == 2);
	CHECK(strcmp(spec.sysctl.items[0], "net.x") == 0 && strcmp(spec.sysctl.items[1], "1") == 0);
	fb_spec_free(&spec);
}

/* Every prefix and every single wrong byte of a good document: an answer, never a crash. Fails under the sanitizers if not. */
static void damage(void)
{
	static const char good[] = START PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"resources\":{\"pids\":{\"limit\":3}}}}";
	char text[sizeof(good)];
	struct fb_spec spec;
	struct fb_error err;

	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		if (fb_spec_parse(good, i, "/b", &spec, &err) == 0)
			fb_spec_free(&spec);
		for (const char *c = "\"{}[]:,0\\\x01"; *c; c++) {
			memcpy(text, good, sizeof(good));
			text[i] = *c;
			if (parse(text, &spec, &err) == 0)
				fb_spec_free(&spec);
		}
	}
}

static void files(void)
{
	char dir[] = "/tmp/fastbox-spec-XXXXXX", path[64];
	struct fb_spec spec;
	struct fb_error err;

	CHECK(mkdtemp(dir) != NULL);
	CHECK(fb_spec_load(dir, &spec, &err) == -ENOENT && err.stage == FB_STAGE_SPEC);
	snprintf(path, sizeof(path), "%s/config.json", dir);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK(fb_spec_load(dir, &spec, &err) == -EINVAL);
	unlink(path);
	CHECK(truncate(path, 0) < 0 && close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
	CHECK(fb_spec_load(dir, &spec, &err) == -EINVAL);
	CHECK(truncate(path, FB_SPEC_MAX_BYTES + 1) == 0 && fb_spec_load(dir, &spec, &err) == -EFBIG);
	unlink(path);
	rmdir(dir);
}

static void exec_document(void)
{
	static const char text[] = "{\"process\":{\"args\":[\"a\"],\"cwd\":\"/\"},\"user\":\"1:2\",\"groups\":[\"x\"],\"privileged\":true}";
	struct fb_process_spec process;
	struct fb_arena arena = {0};
	struct fb_error err;
	bool privileged = false;

	CHECK(fb_spec_parse_exec(text, strlen(text), &arena, &process, &privileged, &err) == 0);
	CHECK(privileged && strcmp(process.user, "1:2") == 0 && process.group_add.count == 1);
	CHECK(fb_spec_parse_exec("{}", 2, &arena, &process, &privileged, &err) == -EINVAL);
	fb_arena_free(&arena);
}

int main(void)
{
	refuse();
	depth();
	whole();
	damage();
	files();
	exec_document();
	return failures ? 1 : 0;
}
