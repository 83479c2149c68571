/* The `fastbox` on the PATH. It knows no command: it finds its Python and the package, and hands
 * the words over.
 *
 * An installation beside it (a venv, ~/.local, /usr/local) is found by looking; anything else (an
 * editable install, say) by asking the Python once. The answer decides what root will execute, so
 * it is kept only where nobody else can write, keyed by this program's inode and mtime and by the
 * Python's path.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define MAIN_FILE "cli/__main__.py"
#define ROOT_CACHE "/var/cache/fastbox"
#define ENGINE_ERROR 125

/* -I is kept for the question: neither the environment nor the working directory may answer it. 'S'
 * means that every part of the package lies in one directory, so that Python can start without
 * `site`; an editable install has its compiled part elsewhere and needs it. */
static const char question[] =
    "import os, fastbox\n"
    "from importlib.util import find_spec\n"
    "home = os.path.dirname(os.path.abspath(fastbox.__file__))\n"
    "native = find_spec('fastbox._native')\n"
    "here = native and native.origin and os.path.dirname(native.origin) == home\n"
    "os.write(1, (b'S' if here else b's') + os.fsencode(home))\n";

struct installation {
	char python[PATH_MAX];
	char package[PATH_MAX];
	bool needs_site;
};

static bool __attribute__((format(printf, 2, 3))) make_path(char *path, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(path, PATH_MAX, format, arguments);
	va_end(arguments);
	return length > 0 && length < PATH_MAX;
}

static uint64_t monotonic(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool has_package(const char *package)
{
	char main_file[PATH_MAX];

	return make_path(main_file, "%s/" MAIN_FILE, package) && access(main_file, R_OK) == 0;
}

/* Relative entries of PATH are skipped: the working directory must not choose what runs. */
static bool search_path(const char *name, char *ret_path)
{
	const char *entry = getenv("PATH");
	char candidate[PATH_MAX];

	while (entry && *entry) {
		size_t length = strcspn(entry, ":");

		if (*entry == '/' && length < PATH_MAX &&
		    make_path(candidate, "%.*s/%s", (int)length, entry, name) &&
		    is_program(candidate)) {
			strcpy(ret_path, candidate);
			return true;
		}
		entry += length + (entry[length] == ':');
	}
	return false;
}

/* The one beside this program, or one on the PATH. */
static bool find_python(const char *bin, const char *name, char *ret_python)
{
	char candidate[PATH_MAX];

	if (!make_path(candidate, "%s/%s", bin, name) || !is_program(candidate))
		return search_path(name, ret_python);
	strcpy(ret_python, candidate);
	return true;
}

/* The minor version in "python3.12"; 0 for Debian's unversioned "python3"; -1 for any other name.
 */
static int minor_version(const char *name)
{
	char *end;
	long minor;

	if (strcmp(name, "python3") == 0)
		return 0;
	if (strncmp(name, "python3.", 8) != 0 || name[8] < '0' || name[8] > '9')
		return -1;
	minor = strtol(name + 8, &end, 10);
	return *end == '\0' && minor < 1000 ? (int)minor : -1;
}

/* The compiled part fits one minor version: the Python must be the one that the directory is named
 * after. */
static void look_in(const char *prefix, const char *lib, const char *bin, int *newest,
		    struct installation *found)
{
	static const char *const kinds[] = {"site-packages", "dist-packages"};
	char path[PATH_MAX], python[PATH_MAX];
	fb_auto_dir DIR *dir = NULL;
	struct dirent *entry;

	dir = make_path(path, "%s/%s", prefix, lib) ? opendir(path) : NULL;
	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		int minor = minor_version(name);

		for (int i = 0; minor > *newest && i < 2; i++) {
			if (!make_path(path, "%s/%s/%s/%s/fastbox", prefix, lib, name, kinds[i]) ||
			    !has_package(path) || !find_python(bin, name, python))
				continue;
			strcpy(found->python, python);
			strcpy(found->package, path);
			*newest = minor;
		}
	}
}

/* The directory of this very file, through any symbolic link that it was called by. */
static bool own_directory(char *ret_bin)
{
	ssize_t length = readlink("/proc/self/exe", ret_bin, PATH_MAX - 1);
	char *slash;

	if (length <= 0)
		return false;
	ret_bin[length] = '\0';
	slash = strrchr(ret_bin, '/');
	if (!slash || slash == ret_bin)
		return false;
	*slash = '\0';
	return true;
}

/* A directory that only this user can write, or -1. Root's is fixed: HOME and XDG_CACHE_HOME may be
 * somebody else's under sudo. */
static int open_cache(void)
{
	const char *home = secure_getenv("HOME"), *base = secure_getenv("XDG_CACHE_HOME");
	char parent[PATH_MAX], path[PATH_MAX];
	fb_auto_close int fd = -1;
	struct stat st;

	if (geteuid() == 0) {
		strcpy(path, ROOT_CACHE);
	} else {
		if (base && *base == '/'
			? !make_path(parent, "%s", base)
			: !home || *home != '/' || !make_path(parent, "%s/.cache", home))
			return -1;
		mkdir(parent, 0700);
		if (!make_path(path, "%s/fastbox", parent))
			return -1;
	}
	mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022))
		return -1;
	return fb_steal_fd(&fd);
}

/* The text that an answer must begin with to be ours; its first line also names the file. */
static bool cache_key(const char *python, char *ret_key, size_t size, char *ret_name)
{
	struct stat st;
	int length;

	if (stat("/proc/self/exe", &st) < 0 || strchr(python, '\n'))
		return false;
	snprintf(ret_name, 64, "launcher-%lx-%lx", (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	length = snprintf(ret_key, size, "1 %lld.%09ld\n%s\n", (long long)st.st_mtim.tv_sec,
			  st.st_mtim.tv_nsec, python);
	return length > 0 && (size_t)length < size;
}

static bool take_answer(const char *answer, struct installation *found)
{
	if ((*answer != 'S' && *answer != 's') || answer[1] != '/' || strlen(answer) >= PATH_MAX ||
	    !has_package(answer + 1))
		return false;
	strcpy(found->package, answer + 1);
	found->needs_site = *answer == 's';
	return true;
}

static bool recall(int cache, const char *name, const char *key, struct installation *found)
{
	fb_auto_free char *text = NULL;
	struct stat st;

	if (fstatat(cache, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid() ||
	    (st.st_mode & 077) || st.st_nlink != 1)
		return false;
	if (fb_read_file(cache, name, 3 * PATH_MAX, &text) < 0)
		return false;
	return strncmp(text, key, strlen(key)) == 0 && take_answer(text + strlen(key), found);
}

static bool ask(const char *python, char *ret_answer, size_t size)
{
	char *const argv[] = {(char *)python, "-I", "-c", (char *)question, NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1;
	ssize_t length;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, python, &actions, NULL, argv, environ) != 0)
		pid = -1;
	close(ends[1]);
	length = pid < 0 ? -1 : fb_read_all(ends[0], ret_answer, size - 1);
	close(ends[0]);
	posix_spawn_file_actions_destroy(&actions);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (length <= 0 || status != 0)
		return false;
	ret_answer[length] = '\0';
	return strlen(ret_answer) == (size_t)length;
}

static bool locate(struct installation *found)
{
	char key[3 * PATH_MAX], name[64], answer[PATH_MAX + 1];
	fb_auto_close int cache = open_cache();
	bool keyed = cache >= 0 && cache_key(found->python, key, sizeof(key), name);

	if (keyed && recall(cache, name, key, found))
		return true;
	if (!ask(found->python, answer, sizeof(answer)) || !take_answer(answer, found))
		return false;
	/* Failure is silent: without a cache the next call only asks again. */
	if (keyed && strlen(key) + strlen(answer) < sizeof(key)) {
		strcat(key, answer);
		(void)fb_write_file(cache, name, key, strlen(key), 0);
	}
	return true;
}

/* A closed standard stream would become the first file that is opened, and be written to as output.
 */
static bool open_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int hand_over(const struct installation *found, uint64_t began, int argc, char **argv)
{
	char main_file[PATH_MAX], clocks[64];
	char **words = calloc((size_t)argc + 10, sizeof(*words));
	int count = 0;
	sigset_t interrupt;

	if (!words || !make_path(main_file, "%s/" MAIN_FILE, found->package))
		return ENGINE_ERROR;
	words[count++] = (char *)found->python;
	words[count++] = "-I";
	if (!found->needs_site)
		words[count++] = "-S";
	/* Words and output are UTF-8 whatever the locale; bytes that aren't go through unchanged as
	 * surrogates. */
	words[count++] = "-X";
	words[count++] = "utf8";
	words[count++] = "-X";
	words[count++] = clocks;
	words[count++] = main_file;
	for (int i = 1; i < argc; i++)
		words[count++] = argv[i];
	/* An interrupt waits until the command line can catch it: Python would print a traceback.
	 */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, NULL);
	/* For the timeline of a start, which begins here: when this program began, and when Python. */
	snprintf(clocks, sizeof(clocks), "fastbox=%" PRIu64 "-%" PRIu64, began, monotonic());
	execv(found->python, words);
	fprintf(stderr, "fastbox: cannot run \"%s\": %s\n", found->python, strerror(errno));
	return ENGINE_ERROR;
}

int main(int argc, char **argv)
{
	static struct installation found;
	char bin[PATH_MAX], prefix[PATH_MAX];
	uint64_t began = monotonic();
	int newest = -1;

	if (!open_streams())
		return ENGINE_ERROR;
	if (!own_directory(bin)) {
		fprintf(stderr, "fastbox: cannot read /proc/self/exe: %s\n", strerror(errno));
		return ENGINE_ERROR;
	}
	strcpy(prefix, bin);
	*strrchr(prefix, '/') = '\0';
	look_in(prefix, "lib", bin, &newest, &found);
	look_in(prefix, "lib64", bin, &newest, &found);
	if (newest < 0 && !find_python(bin, "python3", found.python)) {
		fprintf(stderr, "fastbox: no python3 beside \"%s/fastbox\" or on the PATH\n", bin);
		return ENGINE_ERROR;
	}
	if (newest < 0 && !locate(&found)) {
		fprintf(stderr, "fastbox: \"%s\" has no package fastbox\n", found.python);
		return ENGINE_ERROR;
	}
	return hand_over(&found, began, argc, argv);
}
