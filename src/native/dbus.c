#include "dbus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "cleanup.h"
#include "io.h"

#define MANAGER "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define BUS "org.freedesktop.DBus"
#define MESSAGE_MAX ((size_t)1 << 20)
#define PATIENCE 30 /* seconds, as other runtimes have it */
#define ORDER (__BYTE_ORDER == __LITTLE_ENDIAN ? 'l' : 'B')

enum { CALL = 1, RETURN, ERROR, SIGNAL }; /* types of a message */
enum { PATH = 1, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE };

struct message {
	uint8_t type;
	uint32_t reply_to;
	const char *member, *error; /* NULL: none */
	const char *body;
	size_t length;
};

static int fail(struct fb_error *err, int code, const char *path, const char *detail)
{
	return FB_FAIL_CODE(err, FB_STAGE_CGROUP, code, "systemd", path, detail);
}

/* --- values --- */

void fb_dbus_bytes(struct fb_dbus_body *body, const void *data, size_t length)
{
	if (body->length + length > body->room) {
		size_t room = 2 * body->room + length + 256;
		char *more = body->failed ? NULL : realloc(body->data, room);

		body->failed |= !more;
		if (!more)
			return;
		body->data = more;
		body->room = room;
	}
	if (length)
		memcpy(body->data + body->length, data, length);
	body->length += length;
}

void fb_dbus_align(struct fb_dbus_body *body, size_t to)
{
	static const char zeros[8];

	fb_dbus_bytes(body, zeros, -body->length & (to - 1));
}

void fb_dbus_byte(struct fb_dbus_body *body, uint8_t value)
{
	fb_dbus_bytes(body, &value, 1);
}

void fb_dbus_u32(struct fb_dbus_body *body, uint32_t value)
{
	fb_dbus_align(body, 4);
	fb_dbus_bytes(body, &value, 4);
}

void fb_dbus_u64(struct fb_dbus_body *body, uint64_t value)
{
	fb_dbus_align(body, 8);
	fb_dbus_bytes(body, &value, 8);
}

void fb_dbus_text(struct fb_dbus_body *body, const char *text)
{
	fb_dbus_u32(body, (uint32_t)strlen(text));
	fb_dbus_bytes(body, text, strlen(text) + 1);
}

void fb_dbus_signature(struct fb_dbus_body *body, const char *text)
{
	fb_dbus_byte(body, (uint8_t)strlen(text));
	fb_dbus_bytes(body, text, strlen(text) + 1);
}

size_t fb_dbus_open(struct fb_dbus_body *body, size_t align)
{
	size_t at;

	fb_dbus_u32(body, 0);
	at = body->length - 4;
	fb_dbus_align(body, align);
	return at;
}

void fb_dbus_close(struct fb_dbus_body *body, size_t opened, size_t align)
{
	size_t first = (opened + 4 + align - 1) & ~(align - 1); /* what precedes the first element is not counted */
	uint32_t length = (uint32_t)(body->length - first);

	if (!body->failed)
		memcpy(body->data + opened, &length, 4);
}

void fb_dbus_body_free(struct fb_dbus_body *body)
{
	free(body->data);
	*body = (struct fb_dbus_body){0};
}

/* --- messages --- */

static void put_field(struct fb_dbus_body *head, uint8_t code, const char *type, const char *value)
{
	if (!value)
		return;
	fb_dbus_align(head, 8);
	fb_dbus_byte(head, code);
	fb_dbus_signature(head, type);
	if (*type == 'g')
		fb_dbus_signature(head, value);
	else
		fb_dbus_text(head, value);
}

struct call {
	const char *destination, *path, *interface, *member, *signature; /* NULL: none */
	bool variant; /* the answer is a text in a variant */
};

/* Not write(2): the other side's end must not be ours. */
static int send_whole(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static int send_call(struct fb_dbus *bus, const struct call *call, const struct fb_dbus_body *body, struct fb_error *err)
{
	struct fb_dbus_body head = {0};
	size_t fields;
	int r;

	fb_dbus_bytes(&head, (char[]){ORDER, CALL, 0, 1}, 4);
	fb_dbus_u32(&head, body ? (uint32_t)body->length : 0);
	fb_dbus_u32(&head, ++bus->serial);
	fields = fb_dbus_open(&head, 8);
	put_field(&head, PATH, "o", call->path);
	put_field(&head, DESTINATION, "s", call->destination);
	put_field(&head, INTERFACE, "s", call->interface);
	put_field(&head, MEMBER, "s", call->member);
	put_field(&head, SIGNATURE, "g", call->signature);
	fb_dbus_close(&head, fields, 8);
	fb_dbus_align(&head, 8);
	if (body)
		fb_dbus_bytes(&head, body->data, body->length);
	r = head.failed || (body && body->failed) ? -ENOMEM : send_whole(bus->fd, head.data, head.length);
	fb_dbus_body_free(&head);
	return r < 0 ? fail(err, -r, call->member, NULL) : 0;
}

static int read_whole(struct fb_dbus *bus, char *to, size_t length)
{
	ssize_t n = fb_read_all(bus->fd, to, length);

	if (n == -EAGAIN)
		return -ETIMEDOUT;
	return n < 0 ? (int)n : (size_t)n < length ? -ECONNRESET : 0;
}

static uint32_t u32_at(const char *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return value;
}

/* The text at `*at` of a part of a message, and behind it; NULL where none is. */
static const char *text_at(const char *part, size_t length, size_t *at)
{
	size_t begin = (*at + 3) & ~(size_t)3, size;

	if (begin + 4 > length || (size = u32_at(part + begin)) >= length - begin - 4 || part[begin + 4 + size] != '\0')
		return NULL;
	*at = begin + 4 + size + 1;
	return part + begin + 4;
}

/* The fields of a header are of known types: a text, a signature or a number. */
static int read_fields(const char *fields, size_t length, struct message *message)
{
	size_t at = 0;

	while (at < length) {
		const char *text = NULL;
		char code, type;

		at = (at + 7) & ~(size_t)7;
		if (at + 5 > length || fields[at + 1] != 1)
			return -EBADMSG;
		code = fields[at];
		type = fields[at + 2];
		at += 4;
		if (type == 'u' && at + 4 <= length) {
			if (code == REPLY_SERIAL)
				message->reply_to = u32_at(fields + at);
			at += 4;
		} else if (type == 'g') {
			at += (uint8_t)fields[at] + 2u;
		} else if ((type == 's' || type == 'o') && (text = text_at(fields, length, &at))) {
			if (code == MEMBER)
				message->member = text;
			if (code == ERROR_NAME)
				message->error = text;
		} else {
			return -EBADMSG;
		}
	}
	return 0;
}

static int receive(struct fb_dbus *bus, struct message *message)
{
	size_t fields, padded, body;
	char head[16];
	int r = read_whole(bus, head, sizeof(head));

	if (r < 0)
		return r;
	body = u32_at(head + 4);
	fields = u32_at(head + 12);
	padded = (fields + 7) & ~(size_t)7;
	if (head[0] != ORDER || head[3] != 1 || fields > MESSAGE_MAX || body > MESSAGE_MAX)
		return -EBADMSG;
	if (padded + body > bus->room) {
		free(bus->buffer);
		bus->room = 0;
		if (!(bus->buffer = malloc(padded + body)))
			return -ENOMEM;
		bus->room = padded + body;
	}
	if ((r = read_whole(bus, bus->buffer, padded + body)) < 0)
		return r;
	*message = (struct message){.type = (uint8_t)head[1], .body = bus->buffer + padded, .length = body};
	return read_fields(bus->buffer, fields, message);
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static int call(struct fb_dbus *bus, const struct call *what, const struct fb_dbus_body *body, const char *known, const char *name,
		const char **ret_text, struct fb_error *err)
{
	time_t end = now() + PATIENCE;
	struct message message = {0};
	const char *text;
	size_t at = what->variant ? 3 : 0; /* behind "s" */
	int r = send_call(bus, what, body, err);

	if (r < 0)
		return r;
	do {
		r = now() > end ? -ETIMEDOUT : receive(bus, &message);
		if (r < 0)
			return fail(err, -r, name, "no answer from systemd");
	} while (message.reply_to != bus->serial || (message.type != RETURN && message.type != ERROR));
	at = message.type == ERROR ? 0 : at;
	text = text_at(message.body, message.length, &at);
	if (message.type == ERROR)
		return fail(err, known && message.error && strcmp(message.error, known) == 0 ? EEXIST : EREMOTEIO, name,
			    text ? text : message.error);
	if (ret_text)
		*ret_text = text;
	return 0;
}

int fb_dbus_call(struct fb_dbus *bus, const char *member, const char *signature, const struct fb_dbus_body *body, const char *known,
		 const char *name, const char **ret_text, struct fb_error *err)
{
	return call(bus, &(struct call){MANAGER, MANAGER_PATH, MANAGER_INTERFACE, member, signature, false}, body, known, name, ret_text, err);
}

int fb_dbus_property(struct fb_dbus *bus, const char *path, const char *interface, const char *property, const char **ret_text,
		     struct fb_error *err)
{
	const struct call what = {MANAGER, path, "org.freedesktop.DBus.Properties", "Get", "ss", true};
	struct fb_dbus_body body = {0};
	const char *text = NULL;
	int r;

	fb_dbus_text(&body, interface);
	fb_dbus_text(&body, property);
	r = call(bus, &what, &body, NULL, property, &text, err);
	fb_dbus_body_free(&body);
	if (r == 0 && !text)
		return fail(err, EBADMSG, property, NULL);
	if (r == 0)
		*ret_text = text;
	return r;
}

int fb_dbus_await_job(struct fb_dbus *bus, const char *path, const char *name, struct fb_error *err)
{
	fb_auto_free char *job = path ? strdup(path) : NULL; /* the buffer it is in is used again */
	time_t end = now() + PATIENCE;

	if (!job)
		return fail(err, path ? ENOMEM : EBADMSG, name, NULL);
	for (;;) {
		struct message message = {0};
		const char *ended, *result;
		size_t at = 4; /* a number comes first */
		int r = now() > end ? -ETIMEDOUT : receive(bus, &message);

		if (r < 0)
			return fail(err, -r, name, "systemd did not finish its job");
		if (message.type != SIGNAL || !message.member || strcmp(message.member, "JobRemoved") != 0)
			continue;
		ended = text_at(message.body, message.length, &at);
		if (!ended || strcmp(ended, job) != 0 || !text_at(message.body, message.length, &at))
			continue;
		result = text_at(message.body, message.length, &at);
		if (result && strcmp(result, "done") == 0)
			return 0;
		return fail(err, ECANCELED, name, result);
	}
}

/* --- the connection --- */

/* In a user namespace the manager of the host, or of who made the namespace, has another's number. */
bool fb_dbus_has_systemd(bool *ret_user)
{
	struct stat st;

	if (lstat("/run/systemd/system", &st) < 0 || !S_ISDIR(st.st_mode))
		return false;
	*ret_user = st.st_uid != geteuid();
	return true;
}

static int read_line(struct fb_dbus *bus, char line[160])
{
	size_t length = 0;
	int r;

	/* One by one: what follows the line is not ours to read here. */
	do {
		if (length == 159)
			return -EBADMSG;
		if ((r = read_whole(bus, line + length, 1)) < 0)
			return r;
	} while (line[length++] != '\n');
	line[length] = '\0';
	return 0;
}

/* Who we are is said by the socket. Our number has to be said too, but in the numbers of the other side: from a user namespace it is left out, which
 * older ones than of 2020 refuse. BEGIN goes with it and is not kept for the answer: systemd does not see a message that it reads together with that. */
static int authenticate(struct fb_dbus *bus, bool user)
{
	char hello[96] = {0}, line[160], id[16];
	size_t length = 1; /* a NUL goes first */
	int r;

	length += (size_t)sprintf(hello + length, "AUTH EXTERNAL");
	if (user)
		length += (size_t)sprintf(hello + length, "\r\nDATA");
	else
		hello[length++] = ' ';
	snprintf(id, sizeof(id), "%u", geteuid());
	for (const char *digit = id; !user && *digit; digit++)
		length += (size_t)sprintf(hello + length, "%02x", (unsigned char)*digit);
	length += (size_t)sprintf(hello + length, "\r\nBEGIN\r\n");
	r = send_whole(bus->fd, hello, length);
	do
		r = r < 0 ? r : read_line(bus, line);
	while (r == 0 && strncmp(line, "DATA", 4) == 0);
	return r == 0 && strncmp(line, "OK ", 3) != 0 ? -EACCES : r;
}

static int open_socket(const char *path, bool user, struct fb_dbus *bus)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE};
	fb_auto_close int fd = -1;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*bus = (struct fb_dbus){.fd = fd};
	r = authenticate(bus, user);
	if (r == 0)
		fd = -1;
	else
		bus->fd = -1;
	return r;
}

/* A daemon wants to be greeted, and told which signals to pass on; systemd sends its signals to nobody who has not subscribed. */
static int greet(struct fb_dbus *bus, struct fb_error *err)
{
	struct fb_dbus_body rule = {0};
	int r = call(bus, &(struct call){BUS, "/org/freedesktop/DBus", BUS, "Hello", NULL, false}, NULL, NULL, "Hello", NULL, err);

	fb_dbus_text(&rule, "type='signal',sender='" MANAGER "',interface='" MANAGER_INTERFACE "',member='JobRemoved'");
	if (r == 0)
		r = call(bus, &(struct call){BUS, "/org/freedesktop/DBus", BUS, "AddMatch", "s", false}, &rule, NULL, "AddMatch", NULL, err);
	if (r == 0)
		r = fb_dbus_call(bus, "Subscribe", NULL, NULL, NULL, "Subscribe", NULL, err);
	fb_dbus_body_free(&rule);
	return r;
}

int fb_dbus_connect(bool user, struct fb_dbus *ret_bus, struct fb_error *err)
{
	const char *run = user ? getenv("XDG_RUNTIME_DIR") : "/run";
	struct fb_dbus bus = {.fd = -1};
	char path[128];
	int r;

	if (!run || *run != '/' || strlen(run) > 80)
		return fail(err, ENOENT, "XDG_RUNTIME_DIR", "is not set: a user's systemd is found by it");
	snprintf(path, sizeof(path), "%s/systemd/private", run);
	r = open_socket(path, user, &bus);
	if (r < 0) {
		snprintf(path, sizeof(path), user ? "%s/bus" : "%s/dbus/system_bus_socket", run);
		if ((r = open_socket(path, user, &bus)) < 0)
			return fail(err, -r, path, "systemd can't be reached");
		r = greet(&bus, err);
	}
	if (r < 0) {
		fb_dbus_disconnect(&bus);
		return r;
	}
	*ret_bus = bus;
	return 0;
}

void fb_dbus_disconnect(struct fb_dbus *bus)
{
	fb_cleanup_fd(&bus->fd);
	free(bus->buffer);
	*bus = (struct fb_dbus){.fd = -1};
}
