/* As much of D-Bus as asking systemd for a unit takes: calls of one object's methods, their answers, and the end of a job.
 *
 * A static program can't use libsystemd, and a helper program for each question would cost more than the rest of a start. What is read here comes
 * from systemd (or the bus daemon) of this host; it is bounded in size and time all the same.
 */
#ifndef FB_DBUS_H
#define FB_DBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* --- values in the wire format --- */

struct fb_dbus_body {
	char *data; /* malloc'd */
	size_t length, room;
	bool failed; /* no memory */
};

void fb_dbus_byte(struct fb_dbus_body *body, uint8_t value);
void fb_dbus_u32(struct fb_dbus_body *body, uint32_t value);
void fb_dbus_u64(struct fb_dbus_body *body, uint64_t value);
void fb_dbus_text(struct fb_dbus_body *body, const char *text);	    /* s and o */
void fb_dbus_signature(struct fb_dbus_body *body, const char *text); /* g */
/* Zeros up to a multiple of 1, 2, 4 or 8: a structure begins so. */
void fb_dbus_align(struct fb_dbus_body *body, size_t to);
void fb_dbus_bytes(struct fb_dbus_body *body, const void *data, size_t length);
/* An array; `align` is that of its elements. Open returns what close wants. */
size_t fb_dbus_open(struct fb_dbus_body *body, size_t align);
void fb_dbus_close(struct fb_dbus_body *body, size_t opened, size_t align);
void fb_dbus_body_free(struct fb_dbus_body *body);

/* --- the connection --- */

struct fb_dbus {
	int fd;
	uint32_t serial;
	char *buffer; /* of the message that was read last */
	size_t room;
};

/* Whether systemd is there, and is the caller's to ask: the host's for its owner, else the user's own. */
bool fb_dbus_has_systemd(bool *ret_user);
/* By systemd's own socket, or where it has none over the bus daemon. */
int fb_dbus_connect(bool user, struct fb_dbus *ret_bus, struct fb_error *err);
void fb_dbus_disconnect(struct fb_dbus *bus);
/* Call a method of systemd's manager. `name` is what an error is about. The answer's first text (an object's path), valid until the next call, or NULL.
 * What systemd refuses is -EREMOTEIO with its words in err, for an error that is called `known` -EEXIST. */
int fb_dbus_call(struct fb_dbus *bus, const char *member, const char *signature, const struct fb_dbus_body *body, const char *known,
		 const char *name, const char **ret_text, struct fb_error *err);
/* A property of an object of its that is a text; valid until the next call. */
int fb_dbus_property(struct fb_dbus *bus, const char *path, const char *interface, const char *property, const char **ret_text,
		     struct fb_error *err);
/* Until the job `path` is over: 0 when its result is "done". */
int fb_dbus_await_job(struct fb_dbus *bus, const char *path, const char *name, struct fb_error *err);

#endif
