#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "creds.h"
#include "io.h"

static const char passwd[] = "#eve:x:7:7::/eve:/bin/sh\n"
			     "root:x:0:0:root:/root:/bin/sh\n"
			     "short:x\n"
			     "\n"
			     "bob:x:1000:1001:Bob:/home/bob:/bin/sh\n"
			     "wrap:x:4294967296:0::/wrap:/bin/sh\n"
			     "minus:x:-1:0::/minus:/bin/sh\n"
			     "plus:x:+0:0::/plus:/bin/sh\n"
			     "nogid:x:5::x:/nogid:/bin/sh\n"
			     "42:x:77:77::/named42:/bin/sh\n"
			     "3proxy:x:3000:3000::/var/3proxy:/bin/sh\n"
			     "nohome:x:3001:3001\n"
			     "last:x:9:9::/last";
static const char group[] = "root:x:0:\n"
			    "staff:x:50:alice,bob,carol\n"
			    "bobby:x:51:bobby,xbob\n"
			    "audio:x:63:bob\n"
			    "bob:x:1001:bob\n"
			    "bad:x:4294967296:bob\n"
			    "cut:x\n"
			    "3proxy:x:3000:";

static int resolve(const char *user, const struct fb_strv *add, struct fb_user_answer *answer)
{
	struct fb_user_request request = {user, add};
	struct fb_error err = {0};
	int r = fb_creds_resolve(&request, passwd, sizeof(passwd) - 1, group, sizeof(group) - 1,
				 answer, &err);

	if (r < 0) {
		CHECK(err.code == -r && err.stage == FB_STAGE_USER && err.detail[0]);
		CHECK(strlen(err.detail) < sizeof(err.detail) - 1);
	}
	return r;
}

static void expect(const char *user, uid_t uid, const char *home, const char *groups)
{
	struct fb_user_answer answer;
	char got[256] = "";

	if (resolve(user, NULL, &answer) < 0) {
		fprintf(stderr, "refused: '%s'\n", user);
		failures++;
		return;
	}
	for (size_t i = 0; i < answer.group_count; i++)
		sprintf(got + strlen(got), "%s%u", i ? "," : "", answer.groups[i]);
	if (answer.uid != uid || strcmp(answer.home, home) || strcmp(got, groups) ||
	    answer.gid != answer.groups[0]) {
		fprintf(stderr, "'%s': uid %u home '%s' groups %s\n", user, answer.uid, answer.home,
			got);
		failures++;
	}
}

static void refuse(const char *user, int code)
{
	struct fb_user_answer answer = {.uid = 12345};
	int r = resolve(user, NULL, &answer);

	if (r != -code || answer.uid != 12345) {
		fprintf(stderr, "'%s': %d instead of %d\n", user, r, -code);
		failures++;
	}
}

static void test_users(void)
{
	static const char *const invalid[] = {"4294967295", "4294967296", "18446744073709551616",
					      "-1",	    "+0",	  "0x0",
					      "0X10",	    " 0",	  "0 ",
					      "bob ",	    "a b",	  "\t",
					      "0:-1",	    "0:+0",	  "0:4294967295",
					      "0: 0",	    "bob:",	  "1:2:3",
					      "::",	    "wrap",	  "minus",
					      "plus",	    "nogid",	  "bob:bad",
					      "7\n"};
	static const char *const unknown[] = {"nobody",	     "short",	"eve", "#eve",
					      "bob:nogroup", "bob:cut", "ROOT"};

	expect("", 0, "/root", "0");
	expect("root", 0, "/root", "0");
	expect("0", 0, "/root", "0");
	expect("000", 0, "/root", "0");
	expect("bob", 1000, "/home/bob", "1001,50,63");
	expect("1000", 1000, "/home/bob", "1001,50,63");
	expect("1000:1000", 1000, "/home/bob", "1000");
	expect("bob:staff", 1000, "/home/bob", "50");
	expect("bob:0", 1000, "/home/bob", "0");
	expect(":staff", 0, "/root", "50");
	expect("7", 7, "", "0");
	expect("42", 42, "", "0"); /* never the user named 42 */
	expect("4294967294", 4294967294, "", "0");
	expect("3proxy:3proxy", 3000, "/var/3proxy", "3000");
	expect("nohome", 3001, "", "3001");
	expect("last", 9, "/last", "9");
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		refuse(invalid[i], EINVAL);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		refuse(unknown[i], ENOENT);
}

static void test_group_add(void)
{
	char *items[] = {(char *)"audio", (char *)"1001", (char *)"4000", NULL};
	char *wrong[] = {(char *)"nogroup", NULL}, *wrapping[] = {(char *)"4294967296", NULL};
	struct fb_strv add = {items, 3}, unknown = {wrong, 1}, large = {wrapping, 1};
	struct fb_user_answer answer;

	CHECK(resolve("bob:staff", &add, &answer) == 0);
	CHECK(answer.gid == 50 && answer.group_count == 4);
	CHECK(answer.groups[1] == 63 && answer.groups[2] == 1001 && answer.groups[3] == 4000);
	CHECK(resolve("bob", &unknown, &answer) == -ENOENT);
	CHECK(resolve("bob", &large, &answer) == -EINVAL);
}

static void test_hostile_texts(void)
{
	size_t size = (size_t)1 << 20;
	char *text = malloc(size);
	struct fb_user_request request = {"bob", NULL};
	struct fb_user_answer answer;
	struct fb_error err;

	memset(text, ':', size);
	CHECK(fb_creds_resolve(&request, text, size, text, size, &answer, &err) == -ENOENT);
	memset(text, 'x', size);
	CHECK(fb_creds_resolve(&request, text, size, text, size, &answer, &err) == -ENOENT);
	memset(text, 0, size);
	CHECK(fb_creds_resolve(&request, text, size, text, size, &answer, &err) == -ENOENT);
	memset(text, '\n', size);
	CHECK(fb_creds_resolve(&request, text, size, text, size, &answer, &err) == -ENOENT);
	CHECK(fb_creds_resolve(&request, NULL, 0, NULL, 0, &answer, &err) == -ENOENT);
	request.user = "";
	CHECK(fb_creds_resolve(&request, NULL, 0, NULL, 0, &answer, &err) == 0 && answer.uid == 0);
	/* A very long line before the entry, a NUL in a name, a home with a NUL, a home too long.
	 */
	memset(text, 'x', size);
	memcpy(text + size - 64, "\nbob\0:x:0:0::/:\nbob:x:5:6:\0:/h\0ome:\n", 37);
	request.user = "bob";
	CHECK(fb_creds_resolve(&request, text, size, "", 0, &answer, &err) == 0);
	CHECK(answer.uid == 5 && answer.gid == 6 && answer.home[0] == '\0');
	memset(text, 'h', size);
	memcpy(text, "bob:x:5:6::/", 12);
	CHECK(fb_creds_resolve(&request, text, size, "", 0, &answer, &err) == 0 &&
	      answer.home[0] == '\0');
	/* In more groups than the answer holds: an error, never a cut list. */
	for (size_t i = 0, at = 0; i < 300; i++)
		at += (size_t)sprintf(text + at, "g%zu:x:%zu:bob\n", i, i + 100);
	CHECK(fb_creds_resolve(&request, passwd, sizeof(passwd) - 1, text, strlen(text), &answer,
			       &err) == -E2BIG);
	free(text);
}

static void test_tables(void)
{
	CHECK(fb_capability_number("CAP_CHOWN") == 0 && fb_capability_number("chown") == 0);
	CHECK(fb_capability_number("sys_Admin") == 21 && fb_capability_number("cap_mknod") == 27);
	CHECK(fb_capability_number("CAP_CHECKPOINT_RESTORE") == 40);
	CHECK(fb_capability_number("") == -1 && fb_capability_number("CAP_") == -1);
	CHECK(fb_capability_number("CAP_CHOW") == -1 && fb_capability_number("ALL") == -1);
	for (int i = 0; i <= 40; i++)
		CHECK(fb_capability_number(fb_capability_name(i)) == i);
	CHECK(!fb_capability_name(41) && !fb_capability_name(-1));
	CHECK(fb_rlimit_number("RLIMIT_NOFILE") == RLIMIT_NOFILE &&
	      fb_rlimit_number("RLIMIT_RTTIME") == RLIMIT_RTTIME);
	CHECK(fb_rlimit_number("nofile") == -1 && fb_rlimit_number("RLIMIT_") == -1);
}

static void status_of_self(char *text, size_t size)
{
	FILE *file = fopen("/proc/self/status", "re");

	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

/* In a child: bounding set, ids, capabilities; then what the kernel says about us. */
static int become(uid_t uid)
{
	const struct fb_capabilities caps = {
	    .bounding = 1 << 0 | 1 << 10 | UINT64_C(1) << 24 |
			UINT64_C(1) << 50, /* the last two are not held here */
	    .permitted = 1 << 0 | 1 << 10 | UINT64_C(1) << 24 | UINT64_C(1) << 50,
	    .effective = 1 << 0 | 1 << 10 | UINT64_C(1) << 24 | UINT64_C(1) << 50,
	    .inheritable = 1 << 10,
	    .ambient = 1 << 10 | 1 << 0, /* chown is not inheritable, so it can't be ambient */
	};
	const gid_t groups[] = {1234, 77};
	struct fb_error err = {0};
	char status[4096];

	if (fb_creds_drop_bounding(&caps, &err) < 0 ||
	    fb_creds_set_ids(uid, 1234, groups, 2, true, &err) < 0 ||
	    fb_creds_set_capabilities(&caps, &err) < 0) {
		fprintf(stderr, "%s %s: %d\n", err.call, err.path, err.code);
		return 1;
	}
	status_of_self(status, sizeof(status));
	CHECK(strstr(status, "Groups:\t77 1234 \n"));
	CHECK(strstr(status, uid ? "Uid:\t4321\t4321\t4321\t4321\n" : "Uid:\t0\t0\t0\t0\n"));
	CHECK(strstr(status, "Gid:\t1234\t1234\t1234\t1234\n"));
	CHECK(strstr(status, "CapInh:\t0000000000000400\n"));
	CHECK(strstr(status, "CapPrm:\t0000000000000401\n") ||
	      strstr(status, "CapPrm:\t0000000001000401\n"));
	CHECK(strstr(status, "CapEff:\t0000000000000401\n") ||
	      strstr(status, "CapEff:\t0000000001000401\n"));
	CHECK(strstr(status, "CapBnd:\t0000000000000401\n") ||
	      strstr(status, "CapBnd:\t0000000001000401\n"));
	CHECK(strstr(status, "CapAmb:\t0000000000000400\n"));
	return failures;
}

static int limits(void)
{
	const struct fb_rlimit plain[] = {{RLIMIT_CORE, 0, 0}, {RLIMIT_NOFILE, 64, 128}};
	const struct fb_rlimit more = {RLIMIT_NOFILE, UINT64_C(1) << 40,
				       UINT64_C(1) << 40}; /* above fs.nr_open */
	const struct fb_rlimit wrong = {RLIMIT_NOFILE, 20, 10};
	struct fb_error err = {0};
	struct rlimit now;
	bool clamped = true;

	CHECK(fb_creds_set_rlimits(plain, 2, &clamped, &err) == 0 && !clamped);
	CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 64 && now.rlim_max == 128);
	CHECK(fb_creds_set_rlimits(&more, 1, &clamped, &err) == 0 && clamped);
	CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 128 && now.rlim_max == 128);
	CHECK(fb_creds_set_rlimits(&wrong, 1, &clamped, &err) == -EINVAL &&
	      err.stage == FB_STAGE_RLIMIT);
	return failures;
}

static void in_child(int which)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		failures = 0;
		_exit(which == 0 ? become(0) : which == 1 ? become(4321) : limits());
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	test_tables();
	test_users();
	test_group_add();
	test_hostile_texts();
	if (geteuid() == 0)
		for (int i = 0; i < 3; i++)
			in_child(i);
	return failures ? 1 : 0;
}
