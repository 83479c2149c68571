/* Errors in the words and forms that runc's callers read.
 *
 * containerd and podman parse the log file as JSON objects with `level` and `msg`; dockerd, podman, containerd and CRI-O look for phrases in
 * the message: "does not exist", "already exists", "not running", "no such process", "executable file not found in $PATH", "no such file or
 * directory", "permission denied", "is a directory". This file is the only place that makes such a phrase from a struct fb_error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "io.h"
#include "oci.h"
#include "quote.h"

#define MESSAGE_SIZE 1024

/* Go writes the kernel's reasons with a small letter first, and callers compare. */
static const char *reason(int code, char to[64])
{
	const char *text = strerrordesc_np(code);

	snprintf(to, 64, "%s", text ? text : "unknown error");
	if (to[0] >= 'A' && to[0] <= 'Z' && !(to[1] >= 'A' && to[1] <= 'Z'))
		to[0] = (char)(to[0] - 'A' + 'a');
	return to;
}

static void describe_exec(const struct fb_error *err, char *to, size_t size)
{
	char why[64];

	if (err->code == ENOENT && !strchr(err->path, '/'))
		snprintf(to, size, "exec: \"%s\": executable file not found in $PATH", err->path);
	else if (err->code == ENOENT || err->code == ENOTDIR || err->code == ELOOP || err->code == ENAMETOOLONG)
		snprintf(to, size, "exec: \"%s\": stat %s: %s", err->path, err->path, reason(err->code, why));
	else
		snprintf(to, size, "exec: \"%s\": %s", err->path, reason(err->code, why));
}

static void describe(const struct fb_error *err, char *to, size_t size)
{
	bool path = err->path[0] != '\0', detail = err->detail[0] != '\0';
	char why[64];

	if (err->stage == FB_STAGE_EXEC && !detail) {
		describe_exec(err, to, size);
	} else if (detail && (!err->call[0] || strcmp(err->call, "oci") == 0)) {
		/* No call failed: the detail is the whole of it. */
		snprintf(to, size, "%s%s%s", err->detail, path ? ": " : "", err->path);
	} else if (err->code == EINVAL && detail) {
		/* A document or an argument was refused; errno adds nothing. */
		snprintf(to, size, "%s%s%s: %s", err->call, path ? " " : "", err->path, err->detail);
	} else {
		const char *stage = fb_stage_name((enum fb_stage)err->stage);
		bool say = err->stage != FB_STAGE_RECORD && strcmp(stage, err->call) != 0;

		snprintf(to, size, "%s%s%s%s%s: %s%s%s", say ? stage : "", say ? ": " : "", err->call, path ? " " : "",
			 err->path, reason(err->code, why), detail ? ": " : "", err->detail);
	}
}

/* Names from a bundle or an image reach a terminal here: their control bytes don't. */
static void disarm(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+";

	return *text && text[strspn(text, plain)] == '\0';
}

/* logrus's text form: a value of other characters than the plain ones is quoted. */
static size_t write_text(char *to, size_t size, const char *time, const char *level, const char *message)
{
	char quoted[2 * MESSAGE_SIZE + 3], *at = quoted;
	bool plain = is_plain(message);

	if (!plain)
		*at++ = '"';
	for (const char *from = message; *from; from++) {
		if (*from == '"' || *from == '\\')
			*at++ = '\\';
		*at++ = *from;
	}
	if (!plain)
		*at++ = '"';
	*at = '\0';
	return (size_t)snprintf(to, size, "time=\"%s\" level=%s msg=%s\n", time, level, quoted);
}

static size_t write_json(char *to, size_t size, const char *time, const char *level, const char *message)
{
	char quoted[MESSAGE_SIZE * FB_QUOTE_WORST + 1];

	fb_quote_string(quoted, sizeof(quoted), message);
	return (size_t)snprintf(to, size, "{\"level\":\"%s\",\"msg\":\"%s\",\"time\":\"%s\"}\n", level, quoted, time);
}

/* Not blocking: a fifo that nobody reads costs the line, never the command. */
static int append(const char *path, const char *line, size_t length)
{
	fb_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fb_write_all(fd, line, length);
}

static void emit(const struct fb_oci *oci, const char *level, char *message)
{
	char line[MESSAGE_SIZE * FB_QUOTE_WORST + 128], time[FB_TIME_SIZE];
	bool json = oci->log_format && strcmp(oci->log_format, "json") == 0;
	struct timespec now;
	size_t length;
	int r;

	disarm(message);
	clock_gettime(CLOCK_REALTIME, &now);
	fb_time_format(&now, time);
	strcpy(time + 19, "Z");
	length = (json ? write_json : write_text)(line, sizeof(line), time, level, message);
	if (!oci->log || !*oci->log) {
		(void)fb_write_all(STDERR_FILENO, line, length);
		return;
	}
	r = append(oci->log, line, length);
	dprintf(STDERR_FILENO, "%s\n", message);
	if (r < 0)
		dprintf(STDERR_FILENO, "cannot write the log %s: %s\n", oci->log, strerrordesc_np(-r));
}

int fb_oci_fail(const struct fb_oci *oci, int code, const struct fb_error *err, const char *prefix)
{
	char message[MESSAGE_SIZE];
	int length = snprintf(message, sizeof(message), "%s%s", prefix ? prefix : "", prefix ? ": " : "");

	if (length < 0 || length >= (int)sizeof(message))
		length = 0;
	describe(err, message + length, sizeof(message) - (size_t)length);
	emit(oci, "error", message);
	return code;
}

int fb_oci_die(const struct fb_oci *oci, int code, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	emit(oci, "error", message);
	return code;
}

void fb_oci_warn(const struct fb_oci *oci, const char *format, ...)
{
	char message[MESSAGE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	emit(oci, "warning", message);
}
