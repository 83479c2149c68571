/* ps: the processes of a container in the form of the host's ps, read from /proc without running it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "cleanup.h"
#include "io.h"
#include "oci_internal.h"

struct process {
	int pid, parent, session, terminal, foreground, group; /* terminal: its device, 0: none */
	long nice, threads;
	uid_t uid;
	char state;
	unsigned long long ticks, start, virtual_bytes; /* ticks: of the clock, `start` since boot */
	long resident_pages;
	char name[64], command[4096];
};

struct clocks { /* read once */
	double uptime;
	uint64_t memory;
	long hertz, page;
	time_t now;
};

struct column {
	const char *name, *title;
	int width; /* negative: to the left */
	void (*put)(const struct process *p, const struct clocks *clocks, char to[], size_t size);
};

/* --- a process --- */

/* The line of /proc/PID/stat after the name, which may hold anything. */
static bool read_stat(int directory, struct process *p)
{
	fb_auto_free char *text = NULL;
	unsigned long long user, kernel;
	char buffer[2048], *open_at, *close_at;
	fb_auto_close int fd = openat(directory, "stat", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fb_read_all(fd, buffer, sizeof(buffer) - 1);

	if (length <= 0)
		return false;
	buffer[length] = '\0';
	open_at = strchr(buffer, '(');
	close_at = strrchr(buffer, ')');
	if (!open_at || !close_at || close_at < open_at)
		return false;
	*close_at = '\0';
	snprintf(p->name, sizeof(p->name), "%s", open_at + 1);
	return sscanf(close_at + 1, " %c %d %d %d %d %d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %ld %ld %*d %llu %llu %ld",
		      &p->state, &p->parent, &p->group, &p->session, &p->terminal, &p->foreground, &user, &kernel, &p->nice,
		      &p->threads, &p->start, &p->virtual_bytes, &p->resident_pages) == 13 &&
	       (p->ticks = user + kernel, true);
}

/* What reaches a terminal is text: a process chooses its own command line. */
static void disarm(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void read_command(int directory, struct process *p)
{
	fb_auto_close int fd = openat(directory, "cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : fb_read_all(fd, p->command, sizeof(p->command) - 1);

	while (length > 0 && !p->command[length - 1])
		length--;
	disarm(p->name);
	if (length <= 0) {
		snprintf(p->command, sizeof(p->command), "[%s]%s", p->name, p->state == 'Z' ? " <defunct>" : "");
		return;
	}
	p->command[length] = '\0';
	for (ssize_t i = 0; i < length; i++)
		if (!p->command[i])
			p->command[i] = ' ';
	disarm(p->command);
}

/* False: it has ended meanwhile. */
static bool read_process(pid_t pid, struct process *p)
{
	fb_auto_close int directory = -1;
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || fstat(directory, &st) < 0 || !read_stat(directory, p))
		return false;
	p->pid = pid;
	p->uid = st.st_uid;
	read_command(directory, p);
	return true;
}

static struct clocks read_clocks(void)
{
	struct clocks clocks = {.hertz = sysconf(_SC_CLK_TCK), .page = sysconf(_SC_PAGESIZE), .now = time(NULL)};
	FILE *file = fopen("/proc/uptime", "re");
	struct sysinfo info;

	if (!file || fscanf(file, "%lf", &clocks.uptime) != 1)
		clocks.uptime = 0;
	if (file)
		fclose(file);
	if (sysinfo(&info) == 0)
		clocks.memory = (uint64_t)info.totalram * info.mem_unit;
	return clocks;
}

/* --- its columns --- */

static double age(const struct process *p, const struct clocks *clocks)
{
	return clocks->uptime - (double)p->start / (double)clocks->hertz;
}

static double load(const struct process *p, const struct clocks *clocks)
{
	double seconds = age(p, clocks), used = (double)p->ticks / (double)clocks->hertz;
	double percent = seconds > 0 ? 100 * used / seconds : 0;

	return percent > 99.9 ? 99.9 : percent;
}

#define COLUMN(name)                                                                                                             \
	static void put_##name(const struct process *p __attribute__((unused)), const struct clocks *clocks __attribute__((unused)), \
			       char to[], size_t size)
COLUMN(user)
{
	char name[64];

	fb_oci_user_name(p->uid, name);
	snprintf(to, size, "%s", name[0] == '#' ? name + 1 : name);
}
COLUMN(uid) { snprintf(to, size, "%u", p->uid); }
COLUMN(pid) { snprintf(to, size, "%d", p->pid); }
COLUMN(ppid) { snprintf(to, size, "%d", p->parent); }
COLUMN(pgid) { snprintf(to, size, "%d", p->group); }
COLUMN(sid) { snprintf(to, size, "%d", p->session); }
COLUMN(c) { snprintf(to, size, "%d", (int)load(p, clocks)); }
COLUMN(pcpu) { snprintf(to, size, "%.1f", load(p, clocks)); }
COLUMN(vsz) { snprintf(to, size, "%llu", p->virtual_bytes / 1024); }
COLUMN(rss) { snprintf(to, size, "%ld", p->resident_pages * (clocks->page / 1024)); }
COLUMN(nice) { snprintf(to, size, "%ld", p->nice); }
COLUMN(nlwp) { snprintf(to, size, "%ld", p->threads); }
COLUMN(comm) { snprintf(to, size, "%s", p->name); }
COLUMN(args) { snprintf(to, size, "%s", p->command); }
COLUMN(pmem)
{
	double bytes = (double)p->resident_pages * (double)clocks->page;

	snprintf(to, size, "%.1f", clocks->memory ? 100 * bytes / (double)clocks->memory : 0);
}
COLUMN(stime)
{
	time_t began = clocks->now - (time_t)age(p, clocks);
	struct tm then, today;

	localtime_r(&began, &then);
	localtime_r(&clocks->now, &today);
	strftime(to, size, then.tm_year != today.tm_year ? "%Y" : then.tm_yday != today.tm_yday ? "%b%d" : "%H:%M", &then);
}
COLUMN(tty)
{
	unsigned type = major((dev_t)p->terminal), number = minor((dev_t)p->terminal);

	if (type >= 136 && type <= 143)
		snprintf(to, size, "pts/%u", number + (type - 136) * 256);
	else if (type == 4)
		snprintf(to, size, number < 64 ? "tty%u" : "ttyS%u", number < 64 ? number : number - 64);
	else
		snprintf(to, size, "%s", type == 5 && number == 1 ? "console" : "?");
}
COLUMN(time)
{
	unsigned long long seconds = p->ticks / (unsigned long long)clocks->hertz;

	snprintf(to, size, "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
}
COLUMN(short_time)
{
	unsigned long long seconds = p->ticks / (unsigned long long)clocks->hertz;

	snprintf(to, size, "%llu:%02llu", seconds / 60, seconds % 60);
}
COLUMN(stat)
{
	snprintf(to, size, "%c%s%s%s%s", p->state, p->nice < 0 ? "<" : p->nice > 0 ? "N" : "", p->session == p->pid ? "s" : "",
		 p->threads > 1 ? "l" : "", p->foreground > 0 && p->foreground == p->group ? "+" : "");
}

static const struct column full[] = { /* -f */
	{"uid", "UID", -8, put_user},	{"pid", "PID", 7, put_pid},	 {"ppid", "PPID", 7, put_ppid},
	{"c", "C", 2, put_c},		{"stime", "STIME", 5, put_stime}, {"tty", "TTY", -8, put_tty},
	{"time", "TIME", 8, put_time}, {"cmd", "CMD", 0, put_args},	 {0},
};

static const struct column by_user[] = { /* aux */
	{"user", "USER", -8, put_user}, {"pid", "PID", 7, put_pid},	  {"pcpu", "%CPU", 4, put_pcpu},
	{"pmem", "%MEM", 4, put_pmem},	{"vsz", "VSZ", 6, put_vsz},	  {"rss", "RSS", 5, put_rss},
	{"tty", "TTY", -8, put_tty},	{"stat", "STAT", -4, put_stat},  {"start", "START", 5, put_stime},
	{"time", "TIME", 6, put_short_time}, {"command", "COMMAND", 0, put_args}, {0},
};

static const struct column known[] = { /* -o */
	{"pid", "PID", 7, put_pid},	   {"ppid", "PPID", 7, put_ppid},    {"pgid", "PGID", 7, put_pgid},
	{"sid", "SID", 7, put_sid},	   {"uid", "UID", 5, put_uid},	     {"user", "USER", -8, put_user},
	{"c", "C", 2, put_c},		   {"pcpu", "%CPU", 4, put_pcpu},    {"%cpu", "%CPU", 4, put_pcpu},
	{"pmem", "%MEM", 4, put_pmem},	   {"%mem", "%MEM", 4, put_pmem},    {"vsz", "VSZ", 6, put_vsz},
	{"rss", "RSS", 5, put_rss},	   {"ni", "NI", 3, put_nice},	     {"nlwp", "NLWP", 4, put_nlwp},
	{"stime", "STIME", 5, put_stime},  {"tty", "TT", -8, put_tty},	     {"tt", "TT", -8, put_tty},
	{"stat", "STAT", -4, put_stat},	   {"time", "TIME", 8, put_time},    {"comm", "COMMAND", -15, put_comm},
	{"args", "COMMAND", -27, put_args}, {"command", "COMMAND", -27, put_args}, {"cmd", "CMD", -27, put_args}, {0},
};

/* --- the table --- */

#define COLUMNS_MAX 24

static void put_cell(const char *text, const struct column *column, bool last)
{
	if (last)
		printf("%s\n", text);
	else
		printf("%*s ", column->width, text);
}

static void put_table(const struct column *columns, const pid_t *pids, size_t count)
{
	struct clocks clocks = read_clocks();
	char text[sizeof(((struct process *)0)->command)];
	struct process p;

	for (const struct column *column = columns; column->name; column++)
		put_cell(column->title, column, !column[1].name);
	for (size_t i = 0; i < count; i++) {
		if (!read_process(pids[i], &p))
			continue;
		for (const struct column *column = columns; column->name; column++) {
			column->put(&p, &clocks, text, sizeof(text));
			put_cell(text, column, !column[1].name);
		}
	}
}

static int choose(char *names, struct column to[COLUMNS_MAX + 1], struct fb_error *err)
{
	size_t count = 0;

	for (char *save, *name = strtok_r(names, ", ", &save); name; name = strtok_r(NULL, ", ", &save)) {
		const struct column *column = known;

		while (column->name && strcmp(column->name, name) != 0)
			column++;
		if (!column->name || count == COLUMNS_MAX)
			return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", name, "ps: unknown column");
		to[count++] = *column;
	}
	to[count] = (struct column){0};
	return count ? 0 : FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", "", "ps: -o needs columns");
}

/* What ps's own words ask for, as far as it is a choice of columns: which processes is not up to them. */
static int read_words(int argc, char **argv, struct column to[COLUMNS_MAX + 1], struct fb_error *err)
{
	memcpy(to, full, sizeof(full));
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i] + (argv[i][0] == '-');
		size_t flags = strspn(word, "eAfjwx");

		if (strcmp(argv[i], "aux") == 0 || strcmp(argv[i], "-aux") == 0 || strcmp(argv[i], "axu") == 0) {
			memcpy(to, by_user, sizeof(by_user));
		} else if (word[flags] == 'o') {
			char *names = word[flags + 1] ? argv[i] + (word - argv[i]) + flags + 1 : ++i < argc ? argv[i] : NULL;
			int r = names ? choose(names, to, err) : -EINVAL;

			if (!names)
				return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", "", "ps: -o needs columns");
			if (r < 0)
				return r;
		} else if (word[flags] || !*word) {
			return FB_FAIL_CODE(err, FB_STAGE_REQUEST, EINVAL, "", argv[i],
					    "ps: only -ef, aux and -o COLUMN,... are known");
		}
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return (*(const pid_t *)a > *(const pid_t *)b) - (*(const pid_t *)a < *(const pid_t *)b);
}

/* A container without groups, which only a user without rights makes, is known by its first process alone. */
static int list(const struct fb_oci_state *state, pid_t **ret_pids, size_t *ret_count, struct fb_error *err)
{
	enum fb_oci_status status = fb_oci_state_status(state);
	int r = 0;

	if (state->cgroup.path_count)
		r = fb_cgroup_processes(&state->cgroup, ret_pids, ret_count, err);
	else if (status != FB_OCI_STOPPED && status != FB_OCI_CREATING && (*ret_pids = malloc(sizeof(pid_t))))
		**ret_pids = state->pid, *ret_count = 1;
	if (r == 0 && *ret_count)
		qsort(*ret_pids, *ret_count, sizeof(pid_t), compare);
	return r;
}

static void put_numbers(const pid_t *pids, size_t count)
{
	struct fb_json_out json = {.out = stdout};

	fb_out_open(&json, NULL, '[');
	for (size_t i = 0; i < count; i++)
		fb_out_int(&json, NULL, pids[i]);
	fb_out_close(&json, ']');
	putchar('\n');
}

int fb_oci_ps(const struct fb_oci *oci, int argc, char **argv)
{
	const char *format = "table";
	const struct fb_oci_option table[] = {{"format", 'f', FB_OCI_TEXT, &format}, {0}};
	struct column columns[COLUMNS_MAX + 1];
	fb_auto_free pid_t *pids = NULL;
	struct fb_oci_state state = {.directory = -1};
	struct fb_error err = {0};
	size_t count = 0;
	int words, r;

	if (fb_oci_options(table, argc, argv, &words, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	if (words == argc)
		return fb_oci_die(oci, 1, "ps takes a container id");
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return fb_oci_die(oci, 1, "invalid format option: %s", format);
	r = read_words(argc - words - 1, argv + words + 1, columns, &err);
	if (r == 0)
		r = fb_oci_state_open(oci, argv[words], false, &state, &err);
	if (r == 0)
		r = list(&state, &pids, &count, &err);
	fb_oci_state_close(&state);
	if (r < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	if (strcmp(format, "json") == 0)
		put_numbers(pids, count);
	else
		put_table(columns, pids, count);
	return fb_out_end(oci, stdout);
}
