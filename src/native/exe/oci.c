/* fastbox-oci: the OCI runtime command. Options before the command, the command table, and the usage texts. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci.h"
#include "program.h"

static const struct command {
	const char *name;
	fb_oci_command *run;
	const char *words, *summary, *options;
} commands[] = {
	{"checkpoint", NULL, "ID", "not supported", NULL},
	{"create", fb_oci_create, "[options] ID", "create a container from a bundle; its command waits for start",
	 "  -b, --bundle DIR         the bundle (default: the working directory)\n"
	 "  -f, --config FILE        the configuration (default: config.json in the bundle)\n"
	 "  --console-socket PATH    Unix socket that gets the terminal's master descriptor\n"
	 "  --pidfd-socket PATH      Unix socket that gets a pidfd of the container's first process\n"
	 "  --pid-file FILE          write the process id to FILE\n"
	 "  --no-pivot               move the root in place of pivot_root (for hosts that run from a ramdisk)\n"
	 "  --no-new-keyring         keep the caller's session keyring\n"
	 "  --preserve-fds N         pass N descriptors from 3 on\n"},
	{"delete", fb_oci_delete, "[options] ID", "remove a container that has stopped, and what it held",
	 "  -f, --force              kill it first when it still runs\n"},
	{"events", fb_oci_events, "[options] ID", "print statistics and out-of-memory events as JSON",
	 "  --interval TIME          between two statistics, as 5s, 500ms, 1m (default: 5s)\n"
	 "  --stats                  print statistics once\n"},
	{"exec", fb_oci_exec, "[options] ID COMMAND [ARG...]", "start another process in a container",
	 "  --console-socket PATH    Unix socket that gets the terminal's master descriptor\n"
	 "  --pidfd-socket PATH      Unix socket that gets a pidfd of the process\n"
	 "  --cwd DIR                working directory\n"
	 "  -e, --env NAME=VALUE     one more environment variable\n"
	 "  -t, --tty                a terminal\n"
	 "  -u, --user UID[:GID]     who it is\n"
	 "  -g, --additional-gids N  one more group\n"
	 "  -p, --process FILE       the process as JSON; the other options about it are ignored\n"
	 "  -d, --detach             return when it has started\n"
	 "  --pid-file FILE          write the process id to FILE\n"
	 "  --process-label LABEL    SELinux label\n"
	 "  --apparmor PROFILE       AppArmor profile\n"
	 "  --no-new-privs           it can't gain privileges\n"
	 "  -c, --cap NAME           one more capability\n"
	 "  --preserve-fds N         pass N descriptors from 3 on\n"
	 "  --cgroup [CONTROLLER:]PATH  a group below the container's\n"
	 "  --ignore-paused          also in a paused container: it waits\n"},
	{"features", fb_oci_features, "", "print what is supported as JSON", NULL},
	{"kill", fb_oci_kill, "[options] ID [SIGNAL]", "send a signal (default: SIGTERM) to a container's first process",
	 "  -a, --all                to every process of the container\n"},
	{"list", fb_oci_list, "[options]", "list the containers below the root",
	 "  -f, --format FORM        table (default) or json\n"
	 "  -q, --quiet              ids only\n"},
	{"pause", fb_oci_pause, "ID", "stop all processes of a container until resume", NULL},
	{"ps", fb_oci_ps, "[options] ID [PS-OPTION...]", "list the processes of a container",
	 "  -f, --format FORM        table (default) or json (the process ids)\n"},
	{"restore", NULL, "ID", "not supported", NULL},
	{"resume", fb_oci_resume, "ID", "continue the processes of a paused container", NULL},
	{"run", fb_oci_run, "[options] ID", "create a container, start it, and wait for its end",
	 "  -b, --bundle DIR         the bundle (default: the working directory)\n"
	 "  -f, --config FILE        the configuration (default: config.json in the bundle)\n"
	 "  --console-socket PATH    Unix socket that gets the terminal's master descriptor\n"
	 "  --pidfd-socket PATH      Unix socket that gets a pidfd of the container's first process\n"
	 "  -d, --detach             return when it has started\n"
	 "  --keep                   don't delete it when it has ended\n"
	 "  --pid-file FILE          write the process id to FILE\n"
	 "  --no-subreaper           don't adopt the processes that it leaves behind\n"
	 "  --no-pivot               move the root in place of pivot_root (for hosts that run from a ramdisk)\n"
	 "  --no-new-keyring         keep the caller's session keyring\n"
	 "  --preserve-fds N         pass N descriptors from 3 on\n"},
	{"spec", fb_oci_spec, "[options]", "write a config.json to start from",
	 "  -b, --bundle DIR         where to (default: the working directory)\n"
	 "  --rootless               for a user without root's rights\n"},
	{"start", fb_oci_start, "ID", "start the command of a created container", NULL},
	{"state", fb_oci_state_command, "ID", "print the state of a container as JSON", NULL},
	{"update", fb_oci_update, "[options] ID", "change the limits of a container",
	 "  -r, --resources FILE     the resources as JSON, - for the standard input; other limits are ignored then\n"
	 "  --memory, --memory-reservation, --memory-swap BYTES   (as 64m; -1: no limit)\n"
	 "  --cpu-share N  --cpu-period US  --cpu-quota US  --cpu-burst US  --cpu-idle 0|1\n"
	 "  --cpu-rt-period US  --cpu-rt-runtime US  --cpuset-cpus LIST  --cpuset-mems LIST\n"
	 "  --blkio-weight N  --pids-limit N\n"
	 "  --l3-cache-schema TEXT  --mem-bw-schema TEXT   of the container's resctrl group\n"},
};

static const char options_text[] =
	"Options:\n"
	"  --root DIR               where containers' states are (default: /run/fastbox-oci, or fastbox-oci in $XDG_RUNTIME_DIR)\n"
	"  --log FILE               write messages to FILE, too\n"
	"  --log-format FORM        text (default) or json\n"
	"  --cgroup-manager WHICH   cgroupfs (default); systemd: scopes; disabled: containers stay in the caller's groups\n"
	"  --systemd-cgroup         the same as --cgroup-manager systemd\n"
	"  --rootless WHICH, --debug, --criu PATH\n"
	"                           taken as runc and crun take them, and without effect\n"
	"  --timings                print how long each stage of a start took\n"
	"  -v, --version            print the version\n"
	"  -h, --help               print this\n";

static void usage(FILE *out)
{
	fputs("fastbox-oci: runs containers from OCI bundles\n\n"
	      "Usage: fastbox-oci [options] COMMAND ...\n\nCommands:\n",
	      out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].run)
			fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n%s\n\"fastbox-oci COMMAND --help\" tells of a command.\n", options_text);
}

static void command_usage(const struct command *command, FILE *out)
{
	fprintf(out, "Usage: fastbox-oci %s%s%s\n\n%s.\n", command->name, *command->words ? " " : "", command->words,
		command->summary);
	if (command->options)
		fprintf(out, "\nOptions:\n%s", command->options);
}

static int version(void)
{
	printf("fastbox-oci version " FASTBOX_VERSION "\n%sspec: " FB_OCI_VERSION "\n",
	       *FASTBOX_COMMIT ? "commit: " FASTBOX_COMMIT "\n" : "");
	return fflush(stdout) == 0 ? 0 : 1;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int help(int argc, char **argv)
{
	const struct command *command = argc > 1 ? find(argv[1]) : NULL;

	if (command)
		command_usage(command, stdout);
	else
		usage(stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* Root of a user namespace can't write to the host's /run. */
static bool is_host_root(void)
{
	unsigned inside = 0, outside = 0, count = 0;
	FILE *map = geteuid() == 0 ? fopen("/proc/self/uid_map", "re") : NULL;
	bool host = map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && count == UINT32_MAX;

	if (map)
		fclose(map);
	return host;
}

/* Absolute, without dots, and not /: a container's directory is made, and removed, below it. */
static int set_root(struct fb_oci *oci, char to[PATH_MAX])
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *given = oci->root;
	char text[2 * PATH_MAX], cwd[PATH_MAX];
	size_t length = 0;

	if (!given && (geteuid() == 0 && (!run || *run != '/' || is_host_root())))
		given = "/run/fastbox-oci";
	if (!given && (!run || *run != '/'))
		return fb_oci_die(oci, 1, "XDG_RUNTIME_DIR is not set: say --root");
	if (!given)
		snprintf(text, sizeof(text), "%s/fastbox-oci", run);
	else if (*given == '/')
		snprintf(text, sizeof(text), "%s", given);
	else if (getcwd(cwd, sizeof(cwd)))
		snprintf(text, sizeof(text), "%s/%s", cwd, given);
	else
		return fb_oci_die(oci, 1, "the working directory is gone: --root must be absolute");
	for (char *save, *part = strtok_r(text, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			while (length && to[--length] != '/')
				;
			continue;
		}
		if (length + strlen(part) + 2 > PATH_MAX)
			return fb_oci_die(oci, 1, "--root is too long");
		length += (size_t)sprintf(to + length, "/%s", part);
	}
	to[length] = '\0';
	if (!length)
		return fb_oci_die(oci, 1, "--root must not be /");
	oci->root = to;
	return 0;
}

static int check(struct fb_oci *oci)
{
	const char *format = oci->log_format, *manager = oci->cgroup_manager;

	if (format && *format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
		oci->log_format = NULL;
		return fb_oci_die(oci, 1, "invalid log-format: %s", format);
	}
	if (manager && strcmp(manager, "systemd") == 0)
		oci->systemd_cgroup = true;
	else if (manager && strcmp(manager, "cgroupfs") != 0 && strcmp(manager, "disabled") != 0)
		return fb_oci_die(oci, 1, "invalid cgroup-manager: %s", manager);
	return 0;
}

/* A closed standard stream would become the first file that is opened, and be written to as output. */
static bool open_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

/* A process of this program is in a container then, until it executes the container's own. */
static bool enters_container(const struct command *command)
{
	return command->run == fb_oci_create || command->run == fb_oci_run || command->run == fb_oci_exec;
}

/* `all` are the words as they were given, options too. */
static int run(struct fb_oci *oci, int argc, char **argv, char **all)
{
	const struct command *command = find(argv[0]);
	struct fb_error err = {0};
	char root[PATH_MAX];
	int code;

	if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "h") == 0)
		return help(argc, argv);
	if (!command)
		return fb_oci_die(oci, 1, "unknown command: %s", argv[0]);
	if (asks_for_help(argc, argv)) {
		command_usage(command, stdout);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	if (!command->run)
		return fb_oci_die(oci, 1, "%s is not supported: fastbox can't save a process's memory", argv[0]);
	if (enters_container(command) && fb_program_protect(all, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	code = set_root(oci, root);
	return code ? code : command->run(oci, argc, argv);
}

int main(int argc, char **argv)
{
	struct fb_oci oci = {0};
	struct fb_error err = {0};
	bool ask_version = false, ask_help = false;
	const char *criu;
	const struct fb_oci_option options[] = {
		{"root", 0, FB_OCI_TEXT, &oci.root},
		{"log", 0, FB_OCI_TEXT, &oci.log},
		{"log-format", 0, FB_OCI_TEXT, &oci.log_format},
		{"debug", 0, FB_OCI_FLAG, &oci.debug},
		{"systemd-cgroup", 0, FB_OCI_FLAG, &oci.systemd_cgroup},
		{"rootless", 0, FB_OCI_TEXT, &oci.rootless},
		{"cgroup-manager", 0, FB_OCI_TEXT, &oci.cgroup_manager},
		{"criu", 0, FB_OCI_TEXT, &criu},
		{"timings", 0, FB_OCI_FLAG, &oci.timings},
		{"version", 'v', FB_OCI_FLAG, &ask_version},
		{"help", 'h', FB_OCI_FLAG, &ask_help},
		{0},
	};
	int words, code;

	if (argc < 1 || !open_streams())
		return 1;
	if (fb_oci_options(options, argc, argv, &words, &err) < 0)
		return fb_oci_fail(&oci, 1, &err, NULL);
	if (ask_version)
		return version();
	if (ask_help || words == argc) {
		usage(stdout);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	code = check(&oci);
	return code ? code : run(&oci, argc - words, argv + words, argv);
}
