#include "copy_attributes.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_MAX ((size_t)64 << 10) /* the longest list that Linux gives, and the longest value */

#define FAIL(call) FB_FAIL_CODE(err, FB_STAGE_WRITE, errno, (call), NULL, NULL)

static bool is_wanted(const char *name, bool all)
{
	if (strcmp(name, "security.capability") == 0)
		return true;
	if (!all)
		return false;
	return (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0) ||
	       strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static int copy_xattr(int from, int to, const char *name, struct fb_error *err)
{
	char value[XATTR_MAX];
	ssize_t got = fgetxattr(from, name, value, sizeof(value));

	if (got < 0)
		return errno == ENODATA ? 0 : FAIL("getxattr");
	if (fsetxattr(to, name, value, (size_t)got, 0) < 0 && errno != ENOTSUP)
		return FAIL("setxattr");
	return 1;
}

/* How many there were. */
static int copy_xattrs(int from, int to, bool all, struct fb_error *err)
{
	char names[XATTR_MAX];
	ssize_t length = flistxattr(from, names, sizeof(names));
	int count = 0, r;

	if (length < 0)
		return errno == ENOTSUP ? 0 : FAIL("listxattr");
	for (const char *name = names; name < names + length; name += strlen(name) + 1) {
		r = is_wanted(name, all) ? copy_xattr(from, to, name, err) : 0;
		if (r < 0)
			return r;
		count += r;
	}
	return count;
}

/* Owner first: changing it takes set-id bits and capabilities away. The mode after the ACL, whose mask it sets. */
int fb_copy_attributes(int from, int to, const struct fb_attributes *wanted, struct fb_error *err)
{
	struct stat now;
	bool other;
	int r = 0;

	if (fstat(to, &now) < 0)
		return FAIL("fstat");
	other = now.st_uid != wanted->uid || now.st_gid != wanted->gid;
	if (other && fchown(to, wanted->uid, wanted->gid) < 0)
		return FAIL("fchown");
	if (from >= 0)
		r = copy_xattrs(from, to, wanted->xattrs, err);
	if (r < 0)
		return r;
	if ((r > 0 || other || (now.st_mode & 07777) != wanted->mode) && fchmod(to, wanted->mode) < 0)
		return FAIL("fchmod");
	return futimens(to, wanted->times) < 0 ? FAIL("futimens") : 0;
}
