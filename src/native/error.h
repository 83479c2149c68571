/* The one error contract of libfastbox.
 *
 * A fallible function takes `struct fb_error *err` last, returns 0 or a useful non-negative value, or a
 * negative errno. Success leaves err alone; failure fills it and leaves every ret_ parameter alone. The
 * struct is of fixed size and holds no pointer, so the child fills it in memory it shares with its parent.
 * The innermost failure is kept: callers add context in Python, not here.
 */
#ifndef FB_ERROR_H
#define FB_ERROR_H

#include <stdint.h>

enum fb_stage {
	FB_STAGE_NONE,
	FB_STAGE_REQUEST, /* a message of the supervisor's protocol */
	FB_STAGE_SPEC,	  /* config.json: parse and validate */
	FB_STAGE_PLAN,
	FB_STAGE_SECCOMP_COMPILE,
	FB_STAGE_CGROUP,
	FB_STAGE_CLONE,
	FB_STAGE_USERNS,
	FB_STAGE_JOIN,
	FB_STAGE_NETWORK,
	FB_STAGE_ROOTFS, /* overlay or bind of the root */
	FB_STAGE_MOUNT,
	FB_STAGE_DEV,
	FB_STAGE_CONSOLE,
	FB_STAGE_PIVOT,
	FB_STAGE_MASK,
	FB_STAGE_HOSTNAME,
	FB_STAGE_SYSCTL,
	FB_STAGE_RLIMIT,
	FB_STAGE_USER, /* names to ids, in the image */
	FB_STAGE_CREDS,
	FB_STAGE_CAPS,
	FB_STAGE_CWD,
	FB_STAGE_SECCOMP,
	FB_STAGE_EXEC,
	FB_STAGE_STDIO,
	FB_STAGE_RECORD,
	FB_STAGE_RELEASE,
	FB_STAGE_TAR,
	FB_STAGE_INFLATE,
	FB_STAGE_DIGEST,
	FB_STAGE_HOOK,	/* a program that the bundle wants run */
	FB_STAGE_START, /* the wait between create and start */
	FB_STAGE_WRITE, /* a tree into a tar */
	FB_STAGE_PACK,	/* a tar into its compressed form */
	FB_STAGE_VIEW,	/* a container's root, to be read */
	FB_STAGE_COUNT
};

struct fb_error {
	int32_t code; /* errno, positive */
	uint16_t stage;
	uint16_t line;
	char call[32];	  /* the system call or library function that failed */
	char path[160];	  /* what it was applied to; cut from the left when longer */
	char detail[96];  /* a plain sentence fragment, when errno alone does not teach */
};

/* Fill err from errno (or from `code`) and return -code. */
int fb_fail(struct fb_error *err, enum fb_stage stage, int line, const char *call, const char *path);
int fb_fail_code(struct fb_error *err, enum fb_stage stage, int line, int code, const char *call,
		 const char *path, const char *detail);
/* Lower-case name of a stage, as errors and traces print it. */
const char *fb_stage_name(enum fb_stage stage);

#define FB_FAIL(err, stage, call, path) fb_fail((err), (stage), __LINE__, (call), (path))
#define FB_FAIL_CODE(err, stage, code, call, path, detail)                                         \
	fb_fail_code((err), (stage), __LINE__, (code), (call), (path), (detail))

#endif
