#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "quote.h"

bool fb_record_id_valid(const char *id)
{
	size_t length = strlen(id);

	return length >= 1 && length <= 64 && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		       length;
}

int fb_record_boot_id(char to[40], struct fb_error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	fb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fb_read_all(fd, to, 36);

	to[n > 0 ? n : 0] = '\0';
	return n == 36 ? 0 : FB_FAIL(err, FB_STAGE_RECORD, "read", path);
}

uint64_t fb_record_start_time(pid_t pid, char *ret_state)
{
	char path[32], text[1024], *at;
	fb_auto_close int fd = -1;
	ssize_t n;

	if (ret_state)
		*ret_state = '\0';
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : fb_read_all(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* The command's name is field 2, in parentheses, and may hold anything: count from the last one. */
	at = strrchr(text, ')');
	if (ret_state && at && at[1])
		*ret_state = at[2];
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static FILE *text_open(char **text, size_t *length, struct fb_error *err)
{
	FILE *out = open_memstream(text, length);

	if (!out)
		FB_FAIL(err, FB_STAGE_RECORD, "open_memstream", NULL);
	return out;
}

static void put_string(FILE *out, const char *key, const char *value)
{
	size_t length = strlen(value);
	char *quoted = malloc(length * FB_QUOTE_WORST + 1);

	if (quoted)
		fprintf(out, "\"%s\":\"%.*s\"", key, (int)fb_quote(quoted, value, length), quoted);
	free(quoted);
}

#define EXIT_TEXT_MAX 2640

/* The members of an exit record, without the braces. */
static void exit_text(char text[EXIT_TEXT_MAX], const struct fb_exit *end)
{
	char started[FB_TIME_SIZE], finished[FB_TIME_SIZE], error[2048];

	fb_time_format(&end->started, started);
	fb_time_format(&end->finished, finished);
	fb_quote_string(error, sizeof(error), end->error ? end->error : "");
	snprintf(text, EXIT_TEXT_MAX,
		 "\"code\":%d,\"signal\":%d,\"oom\":%s,\"started\":\"%s\",\"finished\":\"%s\",\"error\":\"%s\","
		 "\"restarts\":%u,\"stopped\":%s",
		 end->code, end->signal, end->oom ? "true" : "false", started, finished, error, end->restarts,
		 end->stopped ? "true" : "false");
}

/* What was taken of the host, for who shows it and who gives it back. */
static void put_ports(FILE *out, const struct fb_network_spec *network)
{
	const char *before = "\"ports\":[";

	for (size_t i = 0; i < network->port_count; i++) {
		const struct fb_port *port = &network->ports[i];

		for (size_t j = 0; port->taken && j < port->host_count; j++) {
			char host[FB_ADDRESS_SIZE];

			fb_address_format(&port->hosts[j], host);
			fprintf(out, "%s{\"protocol\":\"%s\",\"host\":\"%s\",\"host_port\":%u,\"port\":%u}", before,
				port->protocol == IPPROTO_UDP ? "udp" : port->protocol == IPPROTO_SCTP ? "sctp" : "tcp", host,
				port->taken, port->port);
			before = ",";
		}
	}
	if (*before == ',')
		fputs("],", out);
}

static void put_live(FILE *out, const struct fb_live *live)
{
	char last[EXIT_TEXT_MAX];
	char started[FB_TIME_SIZE];

	fb_time_format(&live->started, started);
	fprintf(out, "{\"schema\":1,\"id\":\"%s\",\"pid\":%d,\"start_time\":%llu,\"boot_id\":\"%s\",",
		live->id, (int)live->pid, (unsigned long long)live->start_time, live->boot_id);
	fprintf(out, "\"supervisor\":\"%s\",\"started\":\"%s\",\"remove\":%s,\"cgroups\":[",
		live->supervisor, started, live->remove ? "true" : "false");
	for (int i = 0; live->cgroup && i < live->cgroup->path_count; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", live->cgroup->paths[i]);
	fprintf(out, "],\"status\":\"%s\",\"restarts\":%u,", live->status, live->restarts);
	if (live->last) {
		exit_text(last, live->last);
		fprintf(out, "\"last\":{%s},", last);
	}
	if (live->network)
		put_ports(out, live->network);
	put_string(out, "directory", live->directory);
	fputs("}\n", out);
}

int fb_record_live(const struct fb_live *live, struct fb_error *err)
{
	fb_auto_free char *text = NULL;
	char path[PATH_MAX];
	size_t length = 0;
	FILE *out;
	int r;

	snprintf(path, sizeof(path), "%s/containers/%s", live->run, live->id);
	out = text_open(&text, &length, err);
	if (!out)
		return -ENOMEM;
	put_live(out, live);
	if (fclose(out) != 0)
		return FB_FAIL_CODE(err, FB_STAGE_RECORD, ENOMEM, "fclose", path, NULL);
	r = fb_write_file(AT_FDCWD, path, text, length, 0);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", path, "the live state") : 0;
}

void fb_record_live_remove(const char *run, const char *id)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/containers/%s", run, id);
	(void)unlink(path);
}

int fb_record_exit(const char *directory, const struct fb_exit *end, struct fb_error *err)
{
	char members[EXIT_TEXT_MAX], text[EXIT_TEXT_MAX + 32], path[PATH_MAX];
	int r;

	exit_text(members, end);
	snprintf(text, sizeof(text), "{\"schema\":1,%s}\n", members);
	snprintf(path, sizeof(path), "%s/exit", directory);
	r = fb_write_file(AT_FDCWD, path, text, strlen(text), 0);
	return r < 0 ? FB_FAIL_CODE(err, FB_STAGE_RECORD, -r, "write", path, "the exit record") : 0;
}

/* The link dangles now, which means free: another may have taken the name since, and its link is not ours to remove. Whoever replaces one
 * holds the same lock (store/names.py). */
static void release_name(const char *names, const char *name, const char *id)
{
	char target[PATH_MAX], expected[PATH_MAX];
	fb_auto_close int fd = open(names, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
		;
	snprintf(expected, sizeof(expected), "../containers/%s", id);
	n = readlinkat(fd, name, target, sizeof(target) - 1);
	if (n > 0 && (target[n] = '\0', strcmp(target, expected) == 0))
		(void)unlinkat(fd, name, 0);
}

int fb_record_trash(const char *directory, const char *name, struct fb_error *err)
{
	const char *slash = strrchr(directory, '/'), *id = slash ? slash + 1 : "";
	char path[PATH_MAX];
	size_t root;

	/* <root>/containers/<id> and nothing else is ever renamed away. */
	if (!slash || !fb_record_id_valid(id) || slash - directory < 12 ||
	    strncmp(slash - 11, "/containers", 11) != 0)
		return FB_FAIL_CODE(err, FB_STAGE_RECORD, EINVAL, "rename", directory,
				    "not a container's directory");
	root = (size_t)(slash - directory) - 11;
	snprintf(path, sizeof(path), "%.*s/tmp/rm-%s", (int)root, directory, id);
	if (rename(directory, path) < 0)
		return FB_FAIL(err, FB_STAGE_RECORD, "rename", directory);
	if (name && fb_record_id_valid(name)) {
		snprintf(path, sizeof(path), "%.*s/names", (int)root, directory);
		release_name(path, name, id);
	}
	return 0;
}
