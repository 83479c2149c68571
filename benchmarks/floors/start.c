/* The floor under a container's start: one loop that does what the kernel must be asked to do, and
 * nothing else.
 *
 * It has no command line to parse per container, no configuration, no records, no log and no
 * supervisor; the system calls are those of one `fastbox run --rm` of a program that prints
 * nothing. What fastbox costs above it is fastbox.
 *
 *   floor --lower DIR[:DIR...] --scratch DIR --group NAME [--filter FILE] [--no-net] [--read-only]
 *         [--tmpfs-upper] [--bind] [--count N [--threads T]]
 *
 * Without --count it reads "N T" lines from stdin: N containers, T at a time. For each container it
 * prints one line of microseconds, "total" and then the stages in the order of the first line
 * printed, and in the end "done WALL".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"

static const char *const stage_names[STAGES] = {
    "files",  "groups", "clone",    "join",    "network", "rootfs", "mount", "dev",    "pivot",
    "sysctl", "mask",	"hostname", "seccomp", "caps",	  "exec",   "run",   "release"};

#define STACK_SIZE ((size_t)256 << 10)

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* ---- before clone ---- */

static void make_files(struct worker *w)
{
	static const char *const names[] = {"hosts", "hostname", "resolv.conf"};
	static const char *const texts[] = {"127.0.0.1\tlocalhost\n", "floor\n",
					    "nameserver 127.0.0.1\n"};
	char path[PATH_MAX];

	if (mkdir(w->directory, 0700))
		die(w->directory);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", w->directory, names[i]);
		put(path, texts[i], O_CREAT | O_EXCL);
	}
	if (w->options->read_only || w->options->tmpfs_upper || w->options->bind)
		return;
	snprintf(path, sizeof(path), "%s/upper", w->directory);
	if (mkdir(path, 0755))
		die(path);
	snprintf(path, sizeof(path), "%s/work", w->directory);
	if (mkdir(path, 0700))
		die(path);
}

/* Docker's device rule: nothing but making nodes, and the devices that every container has. */
static const char *const device_rules[] = {"c *:* m",	"b *:* m",   "c 1:3 rwm",  "c 1:5 rwm",
					   "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
					   "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};

static void limit_pids(const char *group)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/pids.max", group);
	put(path, "4096", 0);
}

static void make_group_v1(struct worker *w, int i)
{
	char path[PATH_MAX + 64];

	if (i == 0) {
		snprintf(path, sizeof(path), "%s/devices.deny", w->group[i]);
		put(path, "a", 0);
		snprintf(path, sizeof(path), "%s/devices.allow", w->group[i]);
		for (size_t rule = 0; rule < sizeof(device_rules) / sizeof(*device_rules); rule++)
			put(path, device_rules[rule], 0);
	} else {
		limit_pids(w->group[i]);
	}
	/* Not cgroup.procs: only a thread that moves itself is spared the lock, a grace period of 5
	 * to 14 ms after a pause. */
	snprintf(path, sizeof(path), "%s/tasks", w->group[i]);
	w->tasks[i] = open(path, O_WRONLY | O_CLOEXEC);
	if (w->tasks[i] < 0)
		die(path);
}

/* The same rule for v2, as long as the real one: compare the number of the device, once for each
 * rule. */
static int load_device_program(void)
{
	struct bpf_insn code[64] = {
	    {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 4}};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
			       .insns = (uint64_t)(uintptr_t)code};
	int n = 1, fd;

	for (int rule = 0; rule < 11; rule++) {
		code[n++] = (struct bpf_insn){
		    .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 2, .imm = rule};
		code[n++] =
		    (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1};
		code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	}
	code[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1};
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	attr.insn_cnt = (unsigned)n;
	attr.license = (uint64_t)(uintptr_t) "GPL";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		die("the device program");
	return fd;
}

static void make_groups(struct worker *w, unsigned number)
{
	union bpf_attr attr = {.attach_type = BPF_CGROUP_DEVICE};
	int program;

	for (int i = 0; i < w->options->bases; i++) {
		snprintf(w->group[i], sizeof(w->group[i]), "%s/%u", w->options->base[i], number);
		if (mkdir(w->group[i], 0755))
			die(w->group[i]);
		if (!w->options->unified)
			make_group_v1(w, i);
	}
	if (!w->options->unified)
		return;
	w->into = open(w->group[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	limit_pids(w->group[0]);
	program = load_device_program();
	attr.target_fd = (unsigned)w->into;
	attr.attach_bpf_fd = (unsigned)program;
	if (w->into < 0 || syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)))
		die(w->group[0]);
	close(program);
}

/* ---- one container ---- */

#ifdef __x86_64__
/* clone3 with a stack of the child's own, which glibc keeps to itself: only it can clone into a v2
 * group. */
static pid_t clone_into(struct worker *w, struct clone_args *args)
{
	register struct worker *self __asm__("r12") = w;
	register int (*entry)(void *) __asm__("r13") = floor_child;
	long result = SYS_clone3;

	__asm__ volatile("syscall\n\ttestq %%rax, %%rax\n\tjnz 1f\n\tmovq %%r12, %%rdi\n\tcallq "
			 "*%%r13\n\tud2\n1:"
			 : "+a"(result)
			 : "D"(args), "S"(sizeof(*args)), "r"(self), "r"(entry)
			 : "rcx", "r11", "memory", "cc");
	if (result < 0)
		errno = (int)-result;
	return result < 0 ? -1 : (pid_t)result;
}
#else
#define clone_into(worker, args) (errno = ENOSYS, -1)
#endif

static pid_t start(struct worker *w)
{
	const int namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			       (w->options->net ? CLONE_NEWNET : 0);
	struct clone_args args = {
	    .flags = (uint64_t)(CLONE_VM | CLONE_VFORK | namespaces) | CLONE_INTO_CGROUP,
	    .exit_signal = SIGCHLD,
	    .stack = (uint64_t)(uintptr_t)w->stack,
	    .stack_size = STACK_SIZE,
	    .cgroup = (uint64_t)w->into,
	};
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (w->options->unified)
		pid = clone_into(w, &args);
	else
		pid = clone(floor_child, w->stack + STACK_SIZE,
			    CLONE_VM | CLONE_VFORK | namespaces | SIGCHLD, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void release(struct worker *w)
{
	for (int i = 0; i < w->options->bases; i++) {
		if (!w->options->unified)
			close(w->tasks[i]);
		if (rmdir(w->group[i]))
			die(w->group[i]);
	}
	if (w->options->unified)
		close(w->into);
	if (nftw(w->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS))
		die(w->directory);
}

static void set_paths(struct worker *w, unsigned number)
{
	const struct options *o = w->options;
	int length;

	snprintf(w->directory, sizeof(w->directory), "%s/c/%u", o->scratch, number);
	length = snprintf(w->overlay, sizeof(w->overlay), "lowerdir=%s", o->lower);
	if (o->tmpfs_upper)
		snprintf(w->overlay + length, sizeof(w->overlay) - (size_t)length,
			 ",upperdir=%s/tmp/upper,workdir=%s/tmp/work", o->scratch, o->scratch);
	else if (!o->read_only)
		snprintf(w->overlay + length, sizeof(w->overlay) - (size_t)length,
			 ",upperdir=%s/upper,workdir=%s/work,volatile", w->directory, w->directory);
}

static void run_one(struct worker *w, unsigned number, uint64_t sample[STAGES + 1])
{
	uint64_t before;
	int status;
	pid_t pid;

	set_paths(w, number);
	memset(w->at, 0, sizeof(w->at));
	w->failed = NULL;
	w->begin = now();
	make_files(w);
	AT(FILES);
	make_groups(w, number);
	AT(GROUPS);
	pid = start(w);
	AT(EXEC);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("clone");
	AT(RUN);
	release(w);
	AT(RELEASE);
	if (w->failed || !WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = w->code;
		die(w->failed ? w->failed : "the program failed");
	}
	before = w->begin;
	for (int i = 0; i < STAGES; i++) {
		sample[i + 1] = w->at[i] - before;
		before = w->at[i];
	}
	sample[0] = w->at[RELEASE] - w->begin;
}

/* ---- many ---- */

static void *work(void *argument)
{
	struct worker *w = argument;
	unsigned number;

	while ((number = atomic_fetch_add(w->next, 1)) < w->count)
		run_one(w, number, w->samples[number]);
	return NULL;
}

static void *make_stack(void)
{
	char *stack = mmap(NULL, STACK_SIZE + 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE))
		die("stack");
	return stack + 4096;
}

static void run_many(const struct options *options, unsigned count, unsigned threads)
{
	uint64_t(*samples)[STAGES + 1] = calloc(count, sizeof(*samples)), begin, wall;
	struct worker *workers = calloc(threads, sizeof(*workers));
	atomic_uint next = 0;

	if (!samples || !workers)
		die("memory");
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){.options = options,
					     .next = &next,
					     .count = count,
					     .samples = samples,
					     .into = -1};
		workers[i].stack = make_stack();
		snprintf(workers[i].root, sizeof(workers[i].root), "%s/root", options->scratch);
	}
	begin = now();
	for (unsigned i = 1; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("thread");
	work(&workers[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	wall = now() - begin;
	for (unsigned i = 0; i < count; i++)
		for (int k = 0; k <= STAGES; k++)
			printf("%.1f%c", (double)samples[i][k] / 1e3, k < STAGES ? ' ' : '\n');
	printf("done %.1f\n", (double)wall / 1e3);
	fflush(stdout);
	for (unsigned i = 0; i < threads; i++)
		munmap(workers[i].stack - 4096, STACK_SIZE + 4096);
	free(workers);
	free(samples);
}

/* ---- set-up ---- */

static void load_filter(struct options *o, const char *path)
{
	static struct sock_filter instructions[BPF_MAXINSNS];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, instructions, sizeof(instructions));

	if (size <= 0)
		die(path);
	close(fd);
	o->filter.len = (unsigned short)((size_t)size / sizeof(*instructions));
	o->filter.filter = instructions;
}

static void list_hierarchies(struct options *o)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[256], controllers[64];

	if (!file)
		die("/proc/self/cgroup");
	while (o->hierarchies < 16 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*d:%63[^:]:", controllers) == 1)
			strcpy(o->hierarchy[o->hierarchies++], controllers);
	fclose(file);
}

/* Best effort, as on most hosts all is handed down already; a missing pids controller shows at the
 * first container. */
static void hand_down(const char *directory)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", directory);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "+pids", 5) < 0)
		fprintf(stderr, "floor: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void make_bases(struct options *o)
{
	static const char *const v1[] = {"/sys/fs/cgroup/devices", "/sys/fs/cgroup/pids"};
	struct statfs fs;

	o->unified = !statfs("/sys/fs/cgroup", &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
	o->bases = o->unified ? 1 : 2;
	if (o->unified)
		hand_down("/sys/fs/cgroup");
	for (int i = 0; i < o->bases; i++) {
		snprintf(o->base[i], sizeof(o->base[i]), "%s/%s",
			 o->unified ? "/sys/fs/cgroup" : v1[i], o->group);
		if (mkdir(o->base[i], 0755) && errno != EEXIST)
			die(o->base[i]);
		if (o->unified)
			hand_down(o->base[i]);
	}
}

static void make_directories(const struct options *o)
{
	static const char *const names[] = {"c", "root", "tmp"};
	char path[PATH_MAX];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", o->scratch, names[i]);
		if (mkdir(path, 0700) && errno != EEXIST)
			die(path);
	}
}

static void parse(struct options *o, int argc, char **argv, unsigned *ret_count,
		  unsigned *ret_threads)
{
	static const struct option names[] = {
	    {"lower", 1, NULL, 'l'},  {"scratch", 1, NULL, 's'},   {"group", 1, NULL, 'g'},
	    {"filter", 1, NULL, 'f'}, {"count", 1, NULL, 'c'},	   {"threads", 1, NULL, 't'},
	    {"no-net", 0, NULL, 'n'}, {"read-only", 0, NULL, 'r'}, {"tmpfs-upper", 0, NULL, 'u'},
	    {"bind", 0, NULL, 'b'},   {NULL, 0, NULL, 0}};
	int word;

	while ((word = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (word) {
		case 'l':
			o->lower = optarg;
			break;
		case 's':
			o->scratch = optarg;
			break;
		case 'g':
			snprintf(o->group, sizeof(o->group), "%s", optarg);
			break;
		case 'f':
			load_filter(o, optarg);
			break;
		case 'c':
			*ret_count = (unsigned)atoi(optarg);
			break;
		case 't':
			*ret_threads = (unsigned)atoi(optarg);
			break;
		case 'n':
			o->net = false;
			break;
		case 'r':
			o->read_only = true;
			break;
		case 'u':
			o->tmpfs_upper = true;
			break;
		case 'b':
			o->bind = true;
			break;
		default:
			exit(2);
		}
	}
	if (!o->lower || !o->scratch || !o->group[0]) {
		fprintf(stderr, "floor: --lower, --scratch and --group are needed\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct options options = {.net = true};
	unsigned count = 0, threads = 1;
	char line[64];

	parse(&options, argc, argv, &count, &threads);
	make_directories(&options);
	make_bases(&options);
	list_hierarchies(&options);
	printf("total");
	for (int i = 0; i < STAGES; i++)
		printf(" %s", stage_names[i]);
	printf("\n");
	fflush(stdout);
	if (count)
		run_many(&options, count, threads ? threads : 1);
	while (!count && fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%u %u", &count, &threads) == 2 && count && threads) {
			run_many(&options, count, threads);
			count = 0;
		}
	for (int i = 0; i < options.bases; i++)
		rmdir(options.base[i]);
	return 0;
}
