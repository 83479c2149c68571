#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blake2b.h"
#include "check.h"
#include "seccomp.h"

static const char *const denied[] = {"mount",  "unshare", "keyctl",	"personality",
				     "socket", "clone3",  "sethostname"};

static struct fb_strv names_of(struct fb_arena *arena, const char *const *items, size_t count)
{
	struct fb_strv names = {fb_arena_alloc(arena, (count + 1) * sizeof(char *)), count};

	for (size_t i = 0; i < count; i++)
		names.items[i] = fb_arena_strdup(arena, items[i]);
	return names;
}

/* Everything that libseccomp knows for this machine, but for `denied`: some 350 names, as docker's
 * profile has. */
static struct fb_strv allowed_names(struct fb_arena *arena)
{
	const char *items[600];
	size_t count = 0;

	for (int number = 0; number < 460; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		bool keep = name;

		for (size_t i = 0; keep && i < sizeof(denied) / sizeof(denied[0]); i++)
			keep = strcmp(name, denied[i]) != 0;
		if (keep)
			items[count++] = fb_arena_strdup(arena, name);
		free(name);
	}
	items[count++] = "a_call_of_the_future";
	return names_of(arena, items, count);
}

static struct fb_seccomp_spec *docker_like(struct fb_arena *arena)
{
	static const char *const personality_name[] = {"personality"},
				 *const clone3_name[] = {"clone3"},
				 *const socket_name[] = {"socket"},
				 *const hostname_name[] = {"sethostname"};
	static struct fb_seccomp_arg either[] = {{0, 0, 0, SCMP_CMP_EQ}, {0, 8, 0, SCMP_CMP_EQ}};
	static struct fb_seccomp_arg both[] = {{0, 2, 0, SCMP_CMP_EQ},
					       {1, 0xf, 1, SCMP_CMP_MASKED_EQ}};
	static uint32_t architectures[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
	struct fb_seccomp_spec *spec = fb_arena_alloc(arena, sizeof(*spec));
	struct fb_seccomp_rule rules[] = {
	    {allowed_names(arena), SCMP_ACT_ALLOW, NULL, 0},
	    {names_of(arena, personality_name, 1), SCMP_ACT_ALLOW, either, 2},
	    {names_of(arena, socket_name, 1), SCMP_ACT_ALLOW, both, 2},
	    {names_of(arena, clone3_name, 1), SCMP_ACT_ERRNO(ENOSYS), NULL, 0},
	    {names_of(arena, hostname_name, 1), SCMP_ACT_ERRNO(EPERM), NULL,
	     0}, /* the default: skipped */
	};

	spec->default_action = SCMP_ACT_ERRNO(EPERM);
	spec->architectures = architectures;
	spec->architecture_count = seccomp_arch_native() == SCMP_ARCH_X86_64 ? 3 : 0;
	spec->flags = SECCOMP_FILTER_FLAG_LOG;
	spec->rule_count = sizeof(rules) / sizeof(rules[0]);
	spec->rules = fb_arena_alloc(arena, sizeof(rules));
	memcpy(spec->rules, rules, sizeof(rules));
	return spec;
}

static int install(const struct fb_seccomp_program *program)
{
	struct sock_fprog fprog = {program->length, program->filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog);
}

static int error_of(long r)
{
	return r < 0 ? errno : 0;
}

#ifdef __x86_64__
static int error_of_i386(int number)
{
	int r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(0), "c"(0), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? -r : 0;
}
#endif

static int under_filter(const struct fb_seccomp_program *program)
{
	failures = 0;
	CHECK(install(program) == 0);
	CHECK(getppid() > 0);
	CHECK(error_of(unshare(CLONE_NEWNS)) == EPERM);
	CHECK(error_of(sethostname("x", 1)) == EPERM);
	CHECK(error_of(personality(0)) == 0);
	CHECK(error_of(personality(8)) == 0);
	CHECK(error_of(personality(4)) == EPERM);
	CHECK(error_of(syscall(SYS_socket, 2, 1, 0)) == 0);
	CHECK(error_of(syscall(SYS_socket, 2, 2, 0)) == EPERM);
	CHECK(error_of(syscall(SYS_socket, 1, 1, 0)) == EPERM);
	CHECK(error_of(syscall(SYS_clone3, NULL, 0)) == ENOSYS);
	CHECK(error_of(syscall(999)) == ENOSYS);
#ifdef __x86_64__
	CHECK(error_of_i386(20) == 0);	   /* getpid */
	CHECK(error_of_i386(21) == EPERM); /* mount */
	CHECK(error_of_i386(999) == ENOSYS);
	CHECK(error_of(syscall(0x40000000 + 999)) == ENOSYS);
	CHECK(error_of(syscall(0x40000000 + 165)) == EPERM); /* mount of x32 */
#endif
	return failures;
}

static void run_under(const struct fb_seccomp_program *program)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(under_filter(program));
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool equal(const struct fb_seccomp_program *a, const struct fb_seccomp_program *b)
{
	return a->length == b->length && a->flags == b->flags &&
	       memcmp(a->filter, b->filter, a->length * sizeof(*a->filter)) == 0;
}

static int only_entry(const char *cache, char *path, size_t size, struct stat *st)
{
	DIR *dir = opendir(cache);
	struct dirent *item;
	int count = 0;

	while (dir && (item = readdir(dir)))
		if (item->d_name[0] != '.') {
			snprintf(path, size, "%s/%s", cache, item->d_name);
			count++;
		}
	closedir(dir);
	return stat(path, st) == 0 ? count : -1;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void test_cache(struct fb_arena *arena, const struct fb_seccomp_spec *spec,
		       const struct fb_seccomp_program *plain)
{
	char parent[] = "/tmp/fastbox-test-seccomp-XXXXXX", cache[64], path[512];
	struct fb_seccomp_program first, second, third;
	struct fb_error err = {0};
	struct stat before, after;
	double t0, t1, t2;
	int fd;

	CHECK(mkdtemp(parent));
	snprintf(cache, sizeof(cache), "%s/seccomp", parent);
	t0 = milliseconds();
	CHECK(fb_seccomp_compile(spec, cache, arena, &first, &err) == 0);
	t1 = milliseconds();
	CHECK(fb_seccomp_compile(spec, cache, arena, &second, &err) == 0);
	t2 = milliseconds();
	printf("compile %.2f ms, from the cache %.3f ms, %u instructions\n", t1 - t0, t2 - t1,
	       first.length);
	CHECK(equal(plain, &first) && equal(&first, &second));
	CHECK(stat(cache, &after) == 0 && (after.st_mode & 07777) == 0700);
	CHECK(only_entry(cache, path, sizeof(path), &before) == 1);
	/* Each kind of damage: a changed byte, a cut end, an empty file. The entry is made anew
	 * (another inode). */
	for (int damage = 0; damage < 3; damage++) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		CHECK(fd >= 0 && (damage ? ftruncate(fd, damage == 1 ? before.st_size - 8 : 0)
					 : (int)pwrite(fd, "x", 1, 500) - 1) == 0);
		close(fd);
		CHECK(fb_seccomp_compile(spec, cache, arena, &third, &err) == 0 &&
		      equal(plain, &third));
		CHECK(only_entry(cache, path, sizeof(path), &after) == 1 &&
		      after.st_size == before.st_size);
		CHECK(fb_seccomp_compile(spec, cache, arena, &third, &err) == 0 &&
		      equal(plain, &third));
	}
	/* Another profile must not meet this entry. */
	spec->rules[3].names.items[0][0] = 'x';
	CHECK(fb_seccomp_compile(spec, cache, arena, &third, &err) == 0 && !equal(plain, &third));
	CHECK(only_entry(cache, path, sizeof(path), &after) == 2);
	unlink(path);
	CHECK(only_entry(cache, path, sizeof(path), &after) == 1);
	unlink(path);
	CHECK(rmdir(cache) == 0 && rmdir(parent) == 0);
}

static void test_refusals(struct fb_arena *arena)
{
	static const char *const name[] = {"read"};
	struct fb_seccomp_arg arg = {6, 0, 0, SCMP_CMP_EQ};
	struct fb_seccomp_rule rule = {names_of(arena, name, 1), SCMP_ACT_ERRNO(1), &arg, 1};
	struct fb_seccomp_spec spec = {
	    .default_action = SCMP_ACT_ALLOW, .rules = &rule, .rule_count = 1};
	struct fb_seccomp_program program = {.length = 7};
	struct fb_error err = {0};

	CHECK(fb_seccomp_compile(&spec, NULL, arena, &program, &err) == -EINVAL);
	CHECK(err.stage == FB_STAGE_SECCOMP_COMPILE && program.length == 7);
	rule.arg_count = 0;
	spec.default_action = SCMP_ACT_NOTIFY;
	CHECK(fb_seccomp_compile(&spec, NULL, arena, &program, &err) == -EINVAL);
	spec.default_action = SCMP_ACT_ALLOW;
	spec.rule_count = 0;
	CHECK(fb_seccomp_compile(&spec, "/nonexistent/cache", arena, &program, &err) == 0 &&
	      program.length > 0);
}

static int notified(const struct fb_seccomp_program *program, int socket)
{
	struct sock_fprog fprog = {program->length, program->filter};
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program->flags, &fprog);
	if (fd < 0 || write(socket, &fd, sizeof(fd)) != sizeof(fd))
		return 2;
	return mkdir("/tmp/fastbox-test-never", 0700) == 0 && error_of(rmdir("/tmp/fastbox-test-never")) == ENOENT ? 0 : 3;
}

/* The kernel takes the flags as they come out, and the call arrives at the listener. */
static void test_notify(struct fb_arena *arena)
{
	static const char *const names[] = {"mkdir", "mkdirat"};
	uint32_t architectures[] = {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_S390X, SCMP_ARCH_PARISC64, 0xc0000102 /* loongarch64 */, 4};
	struct fb_seccomp_rule rule = {names_of(arena, names, 2), SCMP_ACT_NOTIFY, NULL, 0};
	struct fb_seccomp_spec spec = {.default_action = SCMP_ACT_ALLOW, .rules = &rule, .rule_count = 1, .architectures = architectures,
				       .architecture_count = 6,
				       .flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV};
	struct fb_seccomp_program program;
	struct seccomp_notif request = {0};
	struct seccomp_notif_resp answer = {0};
	int pipes[2], status = 0, number = -1, fd;
	struct fb_error err = {0};
	pid_t pid;

	CHECK(fb_seccomp_compile(&spec, NULL, arena, &program, &err) == 0);
	CHECK(program.flags == (SECCOMP_FILTER_FLAG_NEW_LISTENER | 1u << 5));
	CHECK(pipe(pipes) == 0);
	pid = fork();
	if (pid == 0)
		_exit(notified(&program, pipes[1]));
	CHECK(read(pipes[0], &number, sizeof(number)) == sizeof(number));
	fd = (int)syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, pid, 0), number, 0);
	CHECK(fd >= 0 && ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &request) == 0);
	CHECK(request.pid == (uint32_t)pid && (request.data.nr == SYS_mkdirat || request.data.arch == SCMP_ARCH_X86_64));
	answer.id = request.id; /* "made", without being made */
	CHECK(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	spec.flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | 1u << 5;
	rule.action = SCMP_ACT_KILL_PROCESS;
	CHECK(fb_seccomp_compile(&spec, NULL, arena, &program, &err) == 0);
	CHECK(program.flags == (SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW));
}

static void test_digest(void)
{
	/* Python: hashlib.blake2b(b"abc", digest_size=32), and of 1000 bytes "a" fed in pieces. */
	static const unsigned char abc[4] = {0xbd, 0xdd, 0x81, 0x3c},
				   many[4] = {0xe0, 0x0b, 0x0d, 0xdb};
	unsigned char digest[FB_BLAKE2B_SIZE];
	struct fb_blake2b hash;

	fb_blake2b_init(&hash);
	fb_blake2b_update(&hash, "abc", 3);
	fb_blake2b_final(&hash, digest);
	CHECK(memcmp(digest, abc, 4) == 0);
	fb_blake2b_init(&hash);
	for (int i = 0; i < 100; i++)
		fb_blake2b_update(&hash, "aaaaaaaaaa", 10);
	fb_blake2b_final(&hash, digest);
	CHECK(memcmp(digest, many, 4) == 0);
}

int main(void)
{
	struct fb_arena arena = {0};
	struct fb_seccomp_spec *spec = docker_like(&arena);
	struct fb_seccomp_program program = {0};
	struct fb_error err = {0};

	test_digest();
	CHECK(fb_seccomp_compile(spec, NULL, &arena, &program, &err) == 0);
	CHECK(program.flags == SECCOMP_FILTER_FLAG_LOG && program.length > 0);
	if (program.length)
		run_under(&program);
	test_cache(&arena, spec, &program);
	test_refusals(&arena);
	test_notify(&arena);
	fb_arena_free(&arena);
	return failures ? 1 : 0;
}
