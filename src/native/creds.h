/* Who the process is: names to numbers in an image's own files, capabilities, limits.
 *
 * The functions named fb_creds_* that take no err allocate nothing and call nothing but the kernel: the child uses them.
 */
#ifndef FB_CREDS_H
#define FB_CREDS_H

#include <sys/types.h>

#include "error.h"
#include "spec.h"

#define FB_PASSWD_MAX_BYTES ((size_t)1 << 20)
#define FB_GROUPS_MAX 256

/* "CAP_CHOWN" (or "chown") -> 0 ...; -1 when unknown. */
int fb_capability_number(const char *name);
const char *fb_capability_name(int number); /* "CAP_CHOWN", NULL beyond the last known */
/* "RLIMIT_NOFILE" -> RLIMIT_NOFILE; -1 when unknown. */
int fb_rlimit_number(const char *name);

struct fb_user_request {
	const char *user; /* "name", "uid", "name:group", "uid:gid", ...; "" means root */
	const struct fb_strv *group_add;
};

struct fb_user_answer {
	uid_t uid;
	gid_t gid;
	gid_t groups[FB_GROUPS_MAX]; /* supplementary, the primary included */
	size_t group_count;
	char home[256]; /* "" when passwd has no entry */
};

/* Resolve against the texts of the image's passwd and group files (either may be empty). Digits are numbers before they are
 * names (0..2^32-2; anything else made of digits is an error); an unknown name is ENOENT. Docker's rules: without a group, the entry's
 * gid (0 when there is none) and the supplementary groups that /etc/group lists for the user's name; with an explicit group, that
 * group and no supplementary ones; group_add always added. Fills err (stage FB_STAGE_USER), allocates nothing. */
int fb_creds_resolve(const struct fb_user_request *request, const char *passwd, size_t passwd_length,
		     const char *group, size_t group_length, struct fb_user_answer *ret_answer,
		     struct fb_error *err);

/* Drop the bounding set to `caps->bounding`; before the change of ids. Raw prctl only. */
int fb_creds_drop_bounding(const struct fb_capabilities *caps, struct fb_error *err);
/* setgroups (not without `groups`), setresgid, setresuid (raw), keeping permitted capabilities across the change when `keep`. */
int fb_creds_set_ids(uid_t uid, gid_t gid, const gid_t *groups, size_t group_count, bool keep,
		     struct fb_error *err);
/* capset of effective, permitted, inheritable, then the ambient set; after the change of ids. When uid is not 0 the kernel's own
 * rule is kept: effective and permitted come from `ambient` after exec. */
int fb_creds_set_capabilities(const struct fb_capabilities *caps, struct fb_error *err);
/* prlimit; a hard limit that may not be raised is clamped to what is allowed (*ret_clamped set), not an error. */
int fb_creds_set_rlimits(const struct fb_rlimit *limits, size_t count, bool *ret_clamped, struct fb_error *err);

#endif
