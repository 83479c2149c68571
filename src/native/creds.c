/* Capabilities, ids and limits. The child runs fb_creds_* between clone and exec in its parent's
 * memory: raw system calls only, since glibc's wrappers for ids act on every thread of the process
 * whose memory it is.
 */
#include "creds.h"

#include <linux/prctl.h>
#include <string.h>
#include <sys/resource.h>

#include "sys.h"

static const char *const capability_names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
#define CAPABILITY_COUNT ((int)(sizeof(capability_names) / sizeof(capability_names[0])))

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

static char to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* ASCII only: with a Turkish locale strcasecmp would not find "sys_admin". */
static bool same_name(const char *a, const char *b)
{
	while (*a && to_upper(*a) == to_upper(*b))
		a++, b++;
	return to_upper(*a) == to_upper(*b);
}

int fb_capability_number(const char *name)
{
	for (int i = 0; i < CAPABILITY_COUNT; i++)
		if (same_name(name, capability_names[i]) ||
		    same_name(name, capability_names[i] + 4))
			return i;
	return -1;
}

const char *fb_capability_name(int number)
{
	return number >= 0 && number < CAPABILITY_COUNT ? capability_names[number] : NULL;
}

int fb_rlimit_number(const char *name)
{
	for (size_t i = 0; i < sizeof(rlimit_names) / sizeof(rlimit_names[0]); i++)
		if (strcmp(name, rlimit_names[i].name) == 0)
			return rlimit_names[i].resource;
	return -1;
}

static long raw_prctl(int option, unsigned long a, unsigned long b)
{
	return syscall(SYS_prctl, option, a, b, 0UL, 0UL);
}

int fb_creds_drop_bounding(const struct fb_capabilities *caps, struct fb_error *err)
{
	for (unsigned long i = 0; i < 64; i++) {
		if (caps->bounding & UINT64_C(1) << i || raw_prctl(PR_CAPBSET_DROP, i, 0) == 0)
			continue;
		if (errno == EINVAL)
			break; /* beyond the kernel's last: those that only newer kernels know are
				  not there to drop */
		/* What is not there needs no right to be dropped. */
		if (errno != EPERM || raw_prctl(PR_CAPBSET_READ, i, 0) != 0)
			return FB_FAIL_CODE(err, FB_STAGE_CAPS, EPERM, "prctl(CAPBSET_DROP)",
					    fb_capability_name((int)i), NULL);
	}
	return 0;
}

int fb_creds_set_ids(uid_t uid, gid_t gid, const gid_t *groups, size_t group_count, bool keep,
		     struct fb_error *err)
{
	/* Groups first: after setresuid the right to change them is gone. Always, even for none:
	 * else the caller's remain. */
	if (groups && fb_setgroups(group_count, groups) < 0)
		return FB_FAIL(err, FB_STAGE_CREDS, "setgroups", NULL);
	if (fb_setresgid(gid) < 0)
		return FB_FAIL(err, FB_STAGE_CREDS, "setresgid", NULL);
	if (keep && raw_prctl(PR_SET_KEEPCAPS, 1, 0) < 0)
		return FB_FAIL(err, FB_STAGE_CREDS, "prctl(KEEPCAPS)", NULL);
	if (fb_setresuid(uid) < 0)
		return FB_FAIL(err, FB_STAGE_CREDS, "setresuid", NULL);
	if (keep && raw_prctl(PR_SET_KEEPCAPS, 0, 0) < 0)
		return FB_FAIL(err, FB_STAGE_CREDS, "prctl(KEEPCAPS)", NULL);
	return 0;
}

static int raise_ambient(uint64_t ambient, struct fb_error *err)
{
	if (raw_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0) < 0)
		return FB_FAIL(err, FB_STAGE_CAPS, "prctl(AMBIENT_CLEAR)", NULL);
	for (unsigned long i = 0; i < 64; i++)
		if (ambient & UINT64_C(1) << i &&
		    raw_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i) < 0)
			return FB_FAIL(err, FB_STAGE_CAPS, "prctl(AMBIENT_RAISE)",
				       fb_capability_name((int)i));
	return 0;
}

int fb_creds_set_capabilities(const struct fb_capabilities *caps, struct fb_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t held, permitted, effective, inheritable;

	if (syscall(SYS_capget, &header, data) < 0)
		return FB_FAIL(err, FB_STAGE_CAPS, "capget", NULL);
	/* What this kernel does not know or we do not hold ourselves can't be given: asking for it
	 * would fail the whole call. */
	held = data[0].permitted | (uint64_t)data[1].permitted << 32;
	permitted = caps->permitted & held;
	effective = caps->effective & permitted;
	inheritable = caps->inheritable & held;
	for (int i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].effective = (uint32_t)(effective >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	/* PR_CAP_AMBIENT_CLEAR_ALL needs no right, RAISE wants both sets below it: so capset comes
	 * first. */
	if (fb_capset(&header, data) < 0)
		return FB_FAIL(err, FB_STAGE_CAPS, "capset", NULL);
	return raise_ambient(caps->ambient & permitted & inheritable, err);
}

static int set_clamped(const struct fb_rlimit *limit)
{
	uint64_t pair[2]; /* struct rlimit64: soft, hard */

	if (syscall(SYS_prlimit64, 0, limit->resource, NULL, pair) < 0)
		return -1;
	if (limit->hard < pair[1])
		pair[1] = limit->hard;
	pair[0] = limit->soft < pair[1] ? limit->soft : pair[1];
	return (int)syscall(SYS_prlimit64, 0, limit->resource, pair, NULL);
}

int fb_creds_set_rlimits(const struct fb_rlimit *limits, size_t count, bool *ret_clamped,
			 struct fb_error *err)
{
	bool clamped = false;

	for (size_t i = 0; i < count; i++) {
		const uint64_t pair[2] = {limits[i].soft, limits[i].hard};

		if (syscall(SYS_prlimit64, 0, limits[i].resource, pair, NULL) == 0)
			continue;
		/* EPERM: above our own hard limit without CAP_SYS_RESOURCE, or a nofile above
		 * fs.nr_open even with it. */
		if (errno != EPERM || set_clamped(&limits[i]) < 0)
			return FB_FAIL(err, FB_STAGE_RLIMIT, "prlimit", NULL);
		clamped = true;
	}
	*ret_clamped = clamped;
	return 0;
}
