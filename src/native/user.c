/* A user string to numbers, by the texts of an image's /etc/passwd and /etc/group.
 *
 * The texts are an attacker's: they may hold NUL bytes, endless lines, or numbers that wrap to 0.
 * Nothing is copied or allocated, every field is a pointer and a length into the text; the child
 * calls this after pivot_root.
 */
#include "creds.h"

#include <errno.h>
#include <string.h>

#define MAX_ID ((uint32_t)-2) /* 2^32-1 means "leave it" to the kernel */

struct slice {
	const char *at;
	size_t length;
};

#define PASSWD_FIELDS 6 /* name:password:uid:gid:gecos:home; the shell is of no use here */
#define GROUP_FIELDS 4	/* name:password:gid:members */

static bool same(struct slice a, struct slice b)
{
	return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* Cut what comes before the next `separator` off `rest`. */
static struct slice cut(struct slice *rest, char separator)
{
	const char *end = rest->length ? memchr(rest->at, separator, rest->length) : NULL;
	struct slice piece = {rest->at, end ? (size_t)(end - rest->at) : rest->length};
	size_t skip = piece.length + (end ? 1 : 0);

	rest->at += skip;
	rest->length -= skip;
	return piece;
}

/* The next line with at least `least` fields, or false at the end. Fields that the line does not
 * have are empty. */
static bool next_entry(struct slice *text, struct slice *fields, size_t count, size_t least)
{
	while (text->length) {
		struct slice line = cut(text, '\n');
		size_t found = 0;
		bool more = true;

		if (!line.length || line.at[0] == '#')
			continue;
		for (size_t i = 0; i < count; i++) {
			fields[i] = more ? cut(&line, ':') : (struct slice){line.at, 0};
			found += more;
			/* cut went over a separator: so another field, maybe an empty one, follows
			 */
			more = line.at > fields[i].at + fields[i].length;
		}
		if (found >= least)
			return true;
	}
	return false;
}

static bool is_digits(struct slice text)
{
	for (size_t i = 0; i < text.length; i++)
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
	return text.length > 0;
}

/* Decimal digits only, and never a number that the kernel would cut to 32 bits (CVE-2024-40635:
 * 2^32 ran as root). */
static bool parse_id(struct slice text, uint32_t *ret_id)
{
	uint64_t value = 0;

	if (!is_digits(text))
		return false;
	for (size_t i = 0; i < text.length; i++) {
		value = value * 10 + (uint64_t)(text.at[i] - '0');
		if (value > MAX_ID)
			return false;
	}
	*ret_id = (uint32_t)value;
	return true;
}

/* 1: *ret_id is the number that the text is; 0: it is a name; negative: neither. */
static int classify(struct slice text, const char *whole, uint32_t *ret_id, struct fb_error *err)
{
	if (is_digits(text)) {
		if (!parse_id(text, ret_id))
			return FB_FAIL_CODE(err, FB_STAGE_USER, EINVAL, "user", whole,
					    "a numeric id must be between 0 and 4294967294");
		return 1;
	}
	if (text.at[0] == '-' || text.at[0] == '+')
		return FB_FAIL_CODE(
		    err, FB_STAGE_USER, EINVAL, "user", whole,
		    "an id is decimal digits without a sign, a name does not begin with one");
	if (text.length > 1 && text.at[0] == '0' && (text.at[1] == 'x' || text.at[1] == 'X'))
		return FB_FAIL_CODE(err, FB_STAGE_USER, EINVAL, "user", whole,
				    "an id is decimal digits, not hexadecimal");
	for (size_t i = 0; i < text.length; i++)
		if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 127 || text.at[i] == ':')
			return FB_FAIL_CODE(
			    err, FB_STAGE_USER, EINVAL, "user", whole,
			    "write name, uid, name:group or uid:gid, without spaces");
	return 0;
}

static int add_group(struct fb_user_answer *answer, gid_t gid, struct fb_error *err)
{
	for (size_t i = 0; i < answer->group_count; i++)
		if (answer->groups[i] == gid)
			return 0;
	if (answer->group_count == FB_GROUPS_MAX)
		return FB_FAIL_CODE(err, FB_STAGE_USER, E2BIG, "group", NULL,
				    "the user is in more than 256 groups");
	answer->groups[answer->group_count++] = gid;
	return 0;
}

/* A group's name or number to its number. */
static int find_group(struct slice wanted, struct slice text, const char *whole, gid_t *ret_gid,
		      struct fb_error *err)
{
	struct slice fields[GROUP_FIELDS];
	uint32_t id;
	int r;

	if (!wanted.length)
		return FB_FAIL_CODE(err, FB_STAGE_USER, EINVAL, "group", whole,
				    "the group is empty");
	r = classify(wanted, whole, &id, err);
	if (r < 0)
		return r;
	if (r == 0) {
		do {
			if (!next_entry(&text, fields, GROUP_FIELDS, 3))
				return FB_FAIL_CODE(err, FB_STAGE_USER, ENOENT, "group", whole,
						    "no such group in the image's /etc/group");
		} while (!same(fields[0], wanted));
		if (!parse_id(fields[2], &id))
			return FB_FAIL_CODE(err, FB_STAGE_USER, EINVAL, "group", whole,
					    "the group's entry in the image has no valid gid");
	}
	*ret_gid = id;
	return 0;
}

/* The first entry of passwd with the name, or with the number when `by_id`: the first one wins, as
 * for getpwnam. */
static bool find_user(struct slice text, struct slice name, bool by_id, uint32_t uid,
		      struct slice *fields)
{
	uint32_t id;

	while (next_entry(&text, fields, PASSWD_FIELDS, 4))
		if (by_id ? parse_id(fields[2], &id) && id == uid : same(fields[0], name))
			return true;
	return false;
}

static int resolve_user(struct slice user, struct slice passwd, const char *whole,
			struct fb_user_answer *answer, struct slice *ret_name, struct fb_error *err)
{
	struct slice fields[PASSWD_FIELDS];
	uint32_t uid = 0, gid;
	bool by_id = true;
	int r;

	if (user.length) {
		r = classify(user, whole, &uid, err);
		if (r < 0)
			return r;
		by_id = r == 1;
	}
	if (!find_user(passwd, user, by_id, uid, fields)) {
		answer->uid = uid;
		return by_id ? 0
			     : FB_FAIL_CODE(err, FB_STAGE_USER, ENOENT, "user", whole,
					    "no such user in the image's /etc/passwd");
	}
	if (!parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
		return FB_FAIL_CODE(err, FB_STAGE_USER, EINVAL, "user", whole,
				    "the user's entry in the image has no valid uid and gid");
	answer->uid = uid;
	answer->gid = gid;
	*ret_name = fields[0];
	/* A home that does not fit or hides a NUL is none, rather than another directory. */
	if (fields[5].length < sizeof(answer->home) &&
	    !memchr(fields[5].at, '\0', fields[5].length))
		memcpy(answer->home, fields[5].at, fields[5].length);
	return 0;
}

static int add_memberships(struct slice name, struct slice text, struct fb_user_answer *answer,
			   struct fb_error *err)
{
	struct slice fields[GROUP_FIELDS];
	uint32_t gid;

	while (name.length && next_entry(&text, fields, GROUP_FIELDS, 4)) {
		while (fields[3].length) {
			struct slice member = cut(&fields[3], ',');

			if (!same(member, name) || !parse_id(fields[2], &gid))
				continue;
			if (add_group(answer, gid, err) < 0)
				return -E2BIG;
			break;
		}
	}
	return 0;
}

static int resolve_groups(const struct fb_user_request *request, struct slice group_part,
			  bool has_group, struct slice name, struct slice text,
			  struct fb_user_answer *answer, struct fb_error *err)
{
	size_t added = request->group_add ? request->group_add->count : 0;
	int r = 0;

	if (has_group)
		r = find_group(group_part, text, request->user, &answer->gid, err);
	if (r == 0)
		r = add_group(answer, answer->gid, err);
	if (r == 0 && !has_group)
		r = add_memberships(name, text, answer, err);
	for (size_t i = 0; r == 0 && i < added; i++) {
		const char *item = request->group_add->items[i];
		gid_t gid = 0;

		r = find_group((struct slice){item, strlen(item)}, text, item, &gid, err);
		if (r == 0)
			r = add_group(answer, gid, err);
	}
	return r;
}

int fb_creds_resolve(const struct fb_user_request *request, const char *passwd,
		     size_t passwd_length, const char *group, size_t group_length,
		     struct fb_user_answer *ret_answer, struct fb_error *err)
{
	const char *whole = request->user ? request->user : "";
	struct slice rest = {whole, strlen(whole)};
	struct slice user = cut(&rest, ':');
	bool has_group = user.length < strlen(whole);
	struct slice name = {whole, 0};
	struct fb_user_answer answer = {0};
	int r;

	r = resolve_user(user, (struct slice){passwd, passwd_length}, whole, &answer, &name, err);
	if (r == 0)
		r = resolve_groups(request, rest, has_group, name,
				   (struct slice){group, group_length}, &answer, err);
	if (r == 0)
		*ret_answer = answer;
	return r;
}
