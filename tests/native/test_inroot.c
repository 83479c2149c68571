/* A path below a root that somebody else filled: by openat2 and by the own walk, which must answer alike, also while names are swapped. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "inroot.h"

static char base[] = "/tmp/fastbox-inroot-XXXXXX";

static void put(int dir, const char *name, const char *text)
{
	fb_auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* "in" is only inside, "out" only outside, and every link below root tries to get there. */
static int make_tree(void)
{
	static const char *const links[][2] = {
		{"/file", "absolute"}, {"../../../../file", "climber"}, {"a/b", "inner"},	{"../..", "a/b/up"},
		{"loop", "loop"},      {"/nowhere", "dangling"},	{"../outside", "leave"}, {"/a/../../outside/file", "mixed"},
		{"b/", "a/slash"}};
	int top = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), root;

	CHECK(mkdirat(top, "outside", 0755) == 0 && mkdirat(top, "root", 0755) == 0);
	put(top, "outside/file", "out");
	put(top, "file", "out");
	root = openat(top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(root, "a", 0755) == 0 && mkdirat(root, "a/b", 0755) == 0);
	put(root, "file", "in");
	put(root, "a/b/file", "in");
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		CHECK(symlinkat(links[i][0], root, links[i][1]) == 0);
	close(top);
	return root;
}

/* 1: a file that says "in"; 0: it says something else; -errno. */
static int look(int root, const char *path, bool plain)
{
	fb_auto_close int fd = fb_inroot_open(root, path, O_RDONLY | O_NONBLOCK, plain);
	char text[8] = "";

	if (fd < 0)
		return fd;
	return read(fd, text, sizeof(text) - 1) < 0 ? -errno : strcmp(text, "in") == 0;
}

static void answers(int root)
{
	static const struct {
		const char *path;
		int followed, plain;
	} cases[] = {
		{"file", 1, 1},
		{"/file", 1, 1},
		{"./a//b/./file", 1, 1},
		{"../../file", 1, 1},
		{"a/b/../../../file", 1, 1},
		{"absolute", 1, -ELOOP},
		{"climber", 1, -ELOOP},
		{"inner/file", 1, -ELOOP},
		{"a/slash/file", 1, -ELOOP},
		{"a/b/up/file", 1, -ELOOP},
		{"loop", -ELOOP, -ELOOP},
		{"dangling", -ENOENT, -ELOOP},
		{"leave/file", -ENOENT, -ELOOP},
		{"mixed", -ENOENT, -ELOOP},
		{"file/x", -ENOTDIR, -ENOTDIR},
		{"none/x", -ENOENT, -ENOENT},
		{"a", -EISDIR, -EISDIR},
		{"/", -EISDIR, -EISDIR},
		{"", -EISDIR, -EISDIR},
		{"..", -EISDIR, -EISDIR},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int followed = look(root, cases[i].path, false), plain = look(root, cases[i].path, true);

		if (followed != cases[i].followed || plain != cases[i].plain) {
			failures++;
			fprintf(stderr, "%s: %d and %d, not %d and %d\n", cases[i].path, followed, plain, cases[i].followed, cases[i].plain);
		}
	}
}

/* A magic link leads anywhere: procfs inside the root is where an image's link would find one. */
static void magic(int root)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/root/a/b", base);
	if (mount("proc", path, "proc", 0, NULL) < 0)
		return;
	CHECK(look(root, "a/b/self/root/etc/passwd", false) == -ELOOP);
	CHECK(look(root, "a/b/self/cwd/etc/passwd", false) == -ELOOP);
	CHECK(fb_inroot_stay(root, "a/b/version", O_RDONLY) == -EXDEV);
	CHECK(fb_inroot_stay(root, "a/b", O_PATH | O_DIRECTORY) == -EXDEV);
	CHECK(umount2(path, MNT_DETACH) == 0);
}

static void steps(int root)
{
	fb_auto_close int a = fb_inroot_step(root, "a", O_PATH | O_DIRECTORY), b = -1;

	CHECK(a >= 0);
	b = fb_inroot_step(a, ".", O_RDONLY | O_DIRECTORY);
	CHECK(b >= 0);
	CHECK(fb_inroot_step(root, "none", O_PATH | O_DIRECTORY) == -ENOENT);
	CHECK(fb_inroot_step(root, "file", O_PATH | O_DIRECTORY) == -ENOTDIR);
	for (int flags = O_PATH; flags; flags = flags == O_PATH ? O_RDONLY | O_NONBLOCK : 0) {
		int link = fb_inroot_step(root, "inner", flags | O_DIRECTORY);

		CHECK(link == -ENOTDIR || link == -ELOOP);
	}
}

static void makes(int root)
{
	fb_auto_close int fd = fb_inroot_make(root, "leave/x/y", FB_MAKE_FILE, false);
	struct stat st;

	/* "../outside" is outside of the root only as long as nobody stops at it. */
	CHECK(fd >= 0 && fstatat(root, "outside/x/y", &st, 0) == 0 && S_ISREG(st.st_mode));
	CHECK(fb_inroot_make(root, "leave/x/z", FB_MAKE_FILE, true) == -ELOOP);
	CHECK(fstatat(root, "../outside/x", &st, 0) < 0 && errno == ENOENT);
	CHECK(unlinkat(root, "outside/x/y", 0) == 0 && unlinkat(root, "outside/x", AT_REMOVEDIR) == 0 &&
	      unlinkat(root, "outside", AT_REMOVEDIR) == 0);
}

/* More directories than a walk holds: down is well, back up to what it no longer holds is refused. */
static void depths(int root)
{
	char path[1024] = "";
	struct stat st;
	int r;

	for (int i = 0; i < 100; i++)
		strcat(path, "deep/");
	strcat(path, "x");
	r = fb_inroot_make(root, path, FB_MAKE_FILE, true);
	CHECK(r >= 0 && fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode));
	close(r);
	strcpy(path + 500, "../../file");
	CHECK(look(root, path, false) == -ENOENT);
	path[500] = '\0';
	for (int i = 0; i < 100; i++)
		strcat(path, "../");
	strcat(path, "file");
	r = look(root, path, false);
	CHECK(r == 1 || r == -ENAMETOOLONG);
}

static void swap_for_ever(int root)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		(void)renameat2(root, "s/t", root, "s/link", RENAME_EXCHANGE);
		(void)renameat2(root, "s/file", root, "s/flink", RENAME_EXCHANGE);
		/* Out of where the walk stands: ".." must lead back to what it came through. */
		(void)renameat2(root, "s/t", root, "moved", RENAME_NOREPLACE);
		(void)renameat2(root, "moved", root, "s/t", RENAME_NOREPLACE);
	}
}

static void swaps(int root)
{
	static const char *const paths[] = {"s/t/file", "s/t/../t/file", "s/t/../../s/t/file", "s/link/file", "s/file"};
	struct timespec begin, now;
	int counts[2] = {0};
	pid_t swapper;

	/* A directory against a link out of the root, and a file against one. */
	CHECK(mkdirat(root, "s", 0755) == 0 && mkdirat(root, "s/t", 0755) == 0);
	put(root, "s/t/file", "in");
	CHECK(symlinkat("../../outside", root, "s/link") == 0 && symlinkat("../../file", root, "s/flink") == 0);
	put(root, "s/file", "in");
	swapper = fork();
	if (swapper == 0)
		swap_for_ever(root);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
			int r = look(root, paths[i], false), made = fb_inroot_make(root, paths[i], FB_MAKE_NOTHING, true);

			CHECK(r != 0);
			counts[r == 1]++;
			if (made >= 0)
				close(made);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (failures < 5 && (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 300);
	CHECK(counts[0] > 0 && counts[1] > 0);
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
}

static void without_openat2(int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static int everything(int answer)
{
	char command[96];
	int root;

	if (answer)
		without_openat2(answer);
	if (!mkdtemp(base))
		return 1;
	root = make_tree();
	answers(root);
	magic(root);
	steps(root);
	makes(root);
	depths(root);
	swaps(root);
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	CHECK(system(command) == 0);
	return failures != 0;
}

int main(void)
{
	static const int denials[] = {0, ENOSYS, EPERM};
	int failed = 0, status;

	for (size_t i = 0; i < sizeof(denials) / sizeof(*denials); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(everything(denials[i]));
		if (waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "openat2 answered by %s: failed\n", denials[i] ? strerror(denials[i]) : "the kernel");
			failed = 1;
		}
	}
	return failed;
}
