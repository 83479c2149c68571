#include "error.h"

#include <errno.h>
#include <string.h>

static const char *const stage_names[FB_STAGE_COUNT] = {
	[FB_STAGE_NONE] = "none",
	[FB_STAGE_REQUEST] = "request",
	[FB_STAGE_SPEC] = "spec",
	[FB_STAGE_PLAN] = "plan",
	[FB_STAGE_SECCOMP_COMPILE] = "seccomp compile",
	[FB_STAGE_CGROUP] = "cgroup",
	[FB_STAGE_CLONE] = "clone",
	[FB_STAGE_USERNS] = "user namespace",
	[FB_STAGE_JOIN] = "join",
	[FB_STAGE_NETWORK] = "network",
	[FB_STAGE_ROOTFS] = "rootfs",
	[FB_STAGE_MOUNT] = "mount",
	[FB_STAGE_DEV] = "dev",
	[FB_STAGE_CONSOLE] = "console",
	[FB_STAGE_PIVOT] = "pivot_root",
	[FB_STAGE_MASK] = "mask",
	[FB_STAGE_HOSTNAME] = "hostname",
	[FB_STAGE_SYSCTL] = "sysctl",
	[FB_STAGE_RLIMIT] = "rlimit",
	[FB_STAGE_USER] = "user",
	[FB_STAGE_CREDS] = "credentials",
	[FB_STAGE_CAPS] = "capabilities",
	[FB_STAGE_CWD] = "working directory",
	[FB_STAGE_SECCOMP] = "seccomp",
	[FB_STAGE_EXEC] = "exec",
	[FB_STAGE_STDIO] = "stdio",
	[FB_STAGE_RECORD] = "record",
	[FB_STAGE_RELEASE] = "release",
	[FB_STAGE_TAR] = "tar",
	[FB_STAGE_INFLATE] = "inflate",
	[FB_STAGE_DIGEST] = "digest",
	[FB_STAGE_HOOK] = "hook",
	[FB_STAGE_START] = "start",
	[FB_STAGE_WRITE] = "write",
	[FB_STAGE_PACK] = "pack",
	[FB_STAGE_VIEW] = "view",
};

const char *fb_stage_name(enum fb_stage stage)
{
	return (unsigned)stage < FB_STAGE_COUNT ? stage_names[stage] : "unknown";
}

/* No libc string function that could allocate or lock: this runs between clone and exec too. */
static void copy_tail(char *to, size_t size, const char *from)
{
	size_t length = from ? strlen(from) : 0;

	if (length >= size)
		from += length - (size - 1), length = size - 1;
	if (length)
		memcpy(to, from, length);
	to[length] = '\0';
}

int fb_fail_code(struct fb_error *err, enum fb_stage stage, int line, int code, const char *call,
		 const char *path, const char *detail)
{
	if (err) {
		err->code = code;
		err->stage = (uint16_t)stage;
		err->line = (uint16_t)line;
		copy_tail(err->call, sizeof(err->call), call);
		copy_tail(err->path, sizeof(err->path), path);
		copy_tail(err->detail, sizeof(err->detail), detail);
	}
	return -code;
}

int fb_fail(struct fb_error *err, enum fb_stage stage, int line, const char *call, const char *path)
{
	return fb_fail_code(err, stage, line, errno ? errno : EIO, call, path, NULL);
}
