/* log.c, quote.c and record.c without a supervisor. */
#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <signal.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "log.h"
#include "record.h"

static char buffer[FB_LOG_BUFFER], directory[] = "/tmp/fastbox-test-log-XXXXXX", path[128];

static char *slurp(const char *name)
{
	char *text = NULL;

	assert(fb_read_file(AT_FDCWD, name, (size_t)64 << 20, &text) >= 0);
	return text;
}

static void open_fresh(struct fb_log *log, uint64_t max_size, unsigned max_file)
{
	unlink(path);
	assert(fb_log_open(log, &(struct fb_log_spec){.driver = FB_LOG_JSON, .path = path, .max_size = max_size, .max_file = max_file}, buffer, NULL) == 0);
}

/* The text of line `number` without its time. */
static char *line_text(const char *text, int number)
{
	static char out[FB_LOG_BUFFER];
	const char *end;

	while (number--)
		text = strchr(text, '\n') + 1;
	end = strstr(text, ",\"time\":\"");
	assert(end && end - text < (long)sizeof(out));
	memcpy(out, text, (size_t)(end - text));
	out[end - text] = '\0';
	return out;
}

static void test_lines(void)
{
	struct fb_log log;
	char *text;

	open_fresh(&log, 0, 1);
	fb_log_write(&log, 1, "one\ntw", 6);
	fb_log_write(&log, 2, "err\n", 4);
	fb_log_write(&log, 1, "o\n\n<a>&\"\\\t\x01\xff\xe2\x80\xa8\xc3\xa9\n", 18);
	fb_log_write(&log, 1, "end", 3);
	fb_log_close(&log);
	text = slurp(path);
	assert(strcmp(line_text(text, 0), "{\"log\":\"one\\n\",\"stream\":\"stdout\"") == 0);
	assert(strcmp(line_text(text, 1), "{\"log\":\"err\\n\",\"stream\":\"stderr\"") == 0);
	assert(strcmp(line_text(text, 2), "{\"log\":\"two\\n\",\"stream\":\"stdout\"") == 0);
	assert(strcmp(line_text(text, 3), "{\"log\":\"\\n\",\"stream\":\"stdout\"") == 0);
	assert(strcmp(line_text(text, 4),
		      "{\"log\":\"\\u003ca\\u003e\\u0026\\\"\\\\\\t\\u0001\\ufffd\\u2028\xc3\xa9\\n\","
		      "\"stream\":\"stdout\"") == 0);
	assert(strcmp(line_text(text, 5), "{\"log\":\"end\",\"stream\":\"stdout\"") == 0);
	assert(strstr(text, "Z\"}\n"));
	free(text);
}

/* Long lines are cut at 16 KiB, never inside a character; all bytes come out again. */
static void test_long(void)
{
	static char data[40000];
	struct fb_log log;
	size_t total = 0;
	char *text;

	memset(data, 'x', sizeof(data));
	memcpy(data + FB_LOG_LINE - 1, "\xe2\x82\xac", 3);
	data[sizeof(data) - 1] = '\n';
	open_fresh(&log, 0, 1);
	fb_log_write(&log, 1, data, sizeof(data));
	fb_log_close(&log);
	text = slurp(path);
	assert(!strstr(text, "ufffd") && strstr(text, "\xe2\x82\xac"));
	for (int i = 0; i < 3; i++)
		total += strlen(line_text(text, i)) - strlen("{\"log\":\"\",\"stream\":\"stdout\"");
	assert(total == sizeof(data) + 1);
	assert(strlen(line_text(text, 0)) == FB_LOG_LINE - 1 + strlen("{\"log\":\"\",\"stream\":\"stdout\""));
	free(text);
	/* The worst case of encoding fits the buffer. */
	memset(data, 1, sizeof(data));
	open_fresh(&log, 0, 1);
	fb_log_write(&log, 2, data, sizeof(data));
	fb_log_close(&log);
}

static void test_rotation(void)
{
	char name[160], expected[40], line[40];
	struct fb_log log;
	int first = -1, next = 0;
	struct stat st;

	open_fresh(&log, 1024, 3);
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(line, sizeof(line), "line %d\n", i);

		fb_log_write(&log, 1, line, (size_t)n);
	}
	fb_log_close(&log);
	for (int file = 2; file >= 0; file--) {
		char *text, *at;

		snprintf(name, sizeof(name), file ? "%s.%d" : "%s", path, file);
		assert(stat(name, &st) == 0 && st.st_size <= 1024 && st.st_size > 0);
		text = slurp(name);
		for (at = text; *at; at = strchr(at, '\n') + 1) {
			if (first < 0)
				first = next = atoi(strstr(at, "line ") + 5);
			snprintf(expected, sizeof(expected), "{\"log\":\"line %d\\n\"", next++);
			assert(strncmp(at, expected, strlen(expected)) == 0);
		}
		free(text);
		unlink(name);
	}
	assert(next == 1000 && first > 900);
	snprintf(name, sizeof(name), "%s.3", path);
	assert(access(name, F_OK) < 0);
}

/* Who compresses is started, and the names that it has made move on with the others; the oldest goes, in either form. */
static void test_rotation_of_compressed(void)
{
	static char *const command[] = {(char *)"/bin/true", NULL};
	char name[160], line[40];
	struct fb_log log;

	open_fresh(&log, 0, 1);
	fb_log_close(&log);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_JSON, .path = path, .max_size = 1024, .max_file = 4,
						       .pack = {(char **)command, 1}}, buffer, NULL) == 0);
	for (int number = 1; number <= 3; number++) {
		int fd;

		/* Of the first both forms are there, as after a kill. */
		for (int packed = number != 1; packed <= 1; packed++) {
			snprintf(name, sizeof(name), "%s.%d%s", path, number, packed ? ".gz" : "");
			fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
			assert(fd >= 0 && write(fd, number == 1 ? "1" : number == 2 ? "2" : "3", 1) == 1);
			close(fd);
		}
	}
	for (int i = 0; i < 16; i++)
		fb_log_write(&log, 1, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
	fb_log_close(&log);
	for (int number = 1; number <= 3; number++) {
		bool plain, packed;
		char *text;

		snprintf(name, sizeof(name), "%s.%d", path, number);
		plain = access(name, F_OK) == 0;
		unlink(name);
		strcat(name, ".gz");
		packed = access(name, F_OK) == 0;
		if (packed) {
			text = slurp(name);
			assert(text[0] == '0' + number - 1);
			free(text);
		}
		unlink(name);
		assert(plain == (number != 3) && packed == (number != 1));
	}
	snprintf(name, sizeof(name), "%s.4.gz", path);
	assert(access(name, F_OK) < 0);
	snprintf(name, sizeof(name), "%s.pack", path);
	assert(unlink(name) == 0);
}

/* However fast it is rotated, from the first time on: who compresses has the lock before it runs. */
static void test_one_compresses(void)
{
	static char *const command[] = {(char *)"/bin/sh", (char *)"-c", (char *)"echo >>$0.count; exec cat $0.go", NULL};
	char name[160], line[40], *text;
	struct fb_log log;
	int fd;

	open_fresh(&log, 0, 1);
	fb_log_close(&log);
	snprintf(name, sizeof(name), "%s.go", path);
	assert(mkfifo(name, 0600) == 0);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_JSON, .path = path, .max_size = 1024, .max_file = 2,
						       .pack = {(char **)command, 3}}, buffer, NULL) == 0);
	for (int i = 0; i < 1000; i++)
		fb_log_write(&log, 1, line, (size_t)snprintf(line, sizeof(line), "line %d\n", i));
	fb_log_close(&log);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	assert(fd >= 0 && close(fd) == 0 && unlink(name) == 0);
	snprintf(name, sizeof(name), "%s.pack", path);
	fd = open(name, O_RDWR | O_CLOEXEC);
	assert(fd >= 0 && flock(fd, LOCK_EX) == 0 && unlink(name) == 0);
	close(fd);
	snprintf(name, sizeof(name), "%s.count", path);
	text = slurp(name);
	assert(strcmp(text, "\n") == 0);
	free(text);
	unlink(name);
	snprintf(name, sizeof(name), "%s.1", path);
	unlink(name);
}

/* A full disk (here: the file size limit) drops whole lines; a torn end gets its newline. */
static void test_full(void)
{
	struct rlimit limit = {300, RLIM_INFINITY}, old;
	struct fb_log log;
	char *text;

	getrlimit(RLIMIT_FSIZE, &old);
	limit.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	open_fresh(&log, 0, 1);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; i < 10; i++)
		fb_log_write(&log, 1, "0123456789\n", 11);
	setrlimit(RLIMIT_FSIZE, &old);
	fb_log_write(&log, 1, "last\n", 5);
	fb_log_close(&log);
	text = slurp(path);
	for (char *at = text; *at; at = strchr(at, '\n') + 1)
		assert(strncmp(at, "{\"log\":\"", 8) == 0 && strchr(at, '\n'));
	assert(strstr(text, "last"));
	free(text);

	assert(truncate(path, 20) == 0);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_JSON, .path = path}, buffer, NULL) == 0);
	fb_log_write(&log, 1, "after\n", 6);
	fb_log_close(&log);
	text = slurp(path);
	assert(strncmp(text + 20, "\n{\"log\":\"after", 14) == 0);
	free(text);
}

static int listen_at(struct fb_log *log, uint64_t keep)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	unlink(address.sun_path);
	assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert(fb_log_open(log, &(struct fb_log_spec){.driver = FB_LOG_SYSLOG, .path = address.sun_path, .tag = "t",
						      .buffer = keep}, buffer, NULL) == 0);
	return fd;
}

/* What a socket is sent a file has too: all of it, also what the socket never takes. */
static void test_cache(void)
{
	char text[64], where[160];
	struct fb_log_spec cache = {.driver = FB_LOG_LOCAL, .path = path, .max_file = 1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), lines = 0;
	struct fb_log log;
	char *found;
	struct stat st;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	snprintf(where, sizeof(where), "%s", address.sun_path);
	unlink(where);
	unlink(path);
	assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_SYSLOG, .path = where, .tag = "t", .buffer = 64,
						       .cache = &cache}, buffer, NULL) == 0);
	for (int i = 0; i < 2000; i++)
		fb_log_write(&log, 1 + i % 2, text, (size_t)snprintf(text, sizeof(text), "line %d\n", i));
	fb_log_close(&log);
	close(fd);
	assert(stat(path, &st) == 0);
	found = slurp(path);
	for (off_t i = 0; i + 5 < st.st_size; i++)
		lines += memcmp(found + i, "line ", 5) == 0;
	free(found);
	assert(lines == 2000);
	/* A copy that can't be made is an error, and nothing stays open. */
	cache.path = "/nonexistent/a/b";
	fd = listen_at(&log, 0);
	fb_log_close(&log);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_SYSLOG, .path = where, .tag = "t", .cache = &cache},
			   buffer, NULL) < 0);
	assert(log.fd == -1 && !log.ops && !log.cache);
	close(fd);
}

static int next_number(int fd)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0)
		return -1;
	text[n] = '\0';
	return atoi(strstr(text, "]: ") + 3);
}

/* A socket that takes nothing: all lines later, in order; with a limit, whole lines are dropped; without a listener, all of them. */
static void test_stalled(void)
{
	char line[32], name[128];
	struct fb_log log;
	int fd, number, last = -1, count = 0;

	fd = listen_at(&log, 0);
	for (int i = 0; i < 1000; i++)
		fb_log_write(&log, 1, line, (size_t)snprintf(line, sizeof(line), "%d\n", i));
	assert(fb_log_waits(&log) && fb_log_blocks(&log));
	while (fb_log_waits(&log) || count < 1000) {
		assert((number = next_number(fd)) == count++);
		fb_log_resume(&log);
	}
	assert(count == 1000 && next_number(fd) == -1 && !fb_log_blocks(&log));
	fb_log_close(&log);
	close(fd);

	fd = listen_at(&log, 300);
	for (int i = 10000; i < 20000; i++) { /* in pieces that end in the middle of lines */
		snprintf(line, sizeof(line), "%d\n", i);
		fb_log_write(&log, 1, line, 3);
		fb_log_write(&log, 1, line + 3, 3);
		if (i % 100 == 0)
			while ((number = next_number(fd)) != -1) {
				assert(number > last && number >= 10000);
				last = number;
				count++;
				fb_log_resume(&log);
			}
	}
	assert(fb_log_waits(&log) && !fb_log_blocks(&log) && log.backlog_size <= 300);
	assert(count > 2000 && count < 9000);
	close(fd);
	fb_log_resume(&log);
	assert(!fb_log_waits(&log));
	fb_log_write(&log, 2, "lost\n", 5);
	fb_log_close(&log);
	snprintf(name, sizeof(name), "%s/sock", directory);
	assert(fb_log_open(&log, &(struct fb_log_spec){.driver = FB_LOG_JOURNALD, .path = name}, buffer, NULL) < 0);
	unlink(name);
}

/* Records between their sizes; half of one, as a killed writer leaves it, goes. */
static void test_local(void)
{
	struct fb_log_spec spec = {.driver = FB_LOG_LOCAL, .path = path};
	struct fb_log log;
	struct stat st;
	char *text;

	unlink(path);
	for (int i = 0; i < 2; i++) {
		assert(fb_log_open(&log, &spec, buffer, NULL) == 0);
		fb_log_write(&log, 2, "text\n", 5);
		fb_log_close(&log);
		assert(stat(path, &st) == 0 && st.st_size % (i + 1) == 0);
		if (i == 0) {
			text = slurp(path);
			assert(memcmp(text, "\0\0\0", 3) == 0 && memcmp(text + 4, "\012\006stderr\020", 9) == 0);
			assert(memcmp(text + st.st_size - 10, "\032\004text\0\0\0", 9) == 0);
			assert(text[3] == st.st_size - 8 && text[st.st_size - 1] == st.st_size - 8);
			free(text);
			assert(truncate(path, st.st_size * 2 - 3) == 0);
		}
	}
	assert(st.st_size < 100);
}

static void test_time(void)
{
	struct timespec t = {.tv_sec = 951782399, .tv_nsec = 5};
	char out[FB_TIME_SIZE];

	fb_time_format(&t, out);
	assert(strcmp(out, "2000-02-28T23:59:59.000000005Z") == 0);
	t.tv_sec++;
	fb_time_format(&t, out);
	assert(strncmp(out, "2000-02-29T00:00:00", 19) == 0);
	t.tv_sec = 4102444799;
	fb_time_format(&t, out);
	assert(strncmp(out, "2099-12-31T23:59:59", 19) == 0);
}

static void test_record(void)
{
	struct fb_exit end = {.code = 127, .error = "no \"such\" file"};
	char name[256], *text;

	assert(fb_record_start_time(getpid(), NULL) > 0 && fb_record_start_time(0x3fffff, NULL) == 0);
	assert(fb_record_id_valid("abc.1_-") && !fb_record_id_valid("..") && !fb_record_id_valid("a/b") &&
	       !fb_record_id_valid(""));
	assert(fb_record_exit(directory, &end, NULL) == 0);
	snprintf(name, sizeof(name), "%s/exit", directory);
	text = slurp(name);
	assert(strstr(text, "\"code\":127") && strstr(text, "no \\\"such\\\" file"));
	free(text);
	assert(fb_record_trash(directory, NULL, NULL) < 0); /* not below containers */
	unlink(name);
}

int main(void)
{
	assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/log", directory);
	test_lines();
	test_long();
	test_rotation();
	test_rotation_of_compressed();
	test_one_compresses();
	test_cache();
	test_full();
	test_stalled();
	test_local();
	test_time();
	test_record();
	unlink(path);
	assert(rmdir(directory) == 0);
	puts("log: ok");
	return 0;
}
