/* A seccomp profile to a BPF program: compiled once by libseccomp as a balanced tree, then cached by content. */
#ifndef FB_SECCOMP_H
#define FB_SECCOMP_H

#include <linux/filter.h>

#include "error.h"
#include "spec.h"

struct fb_seccomp_program {
	unsigned flags;
	unsigned short length; /* instructions; 0: no filter */
	struct sock_filter *filter; /* the arena's */
};

/* `cache` is a directory (made when missing, 0700) or NULL. A damaged cache entry is recompiled, never trusted: the entry holds
 * the digest of its own program and is keyed by profile, libseccomp version and architecture. Names libseccomp does not know are
 * skipped; a call number beyond all the profile's knowledge answers ENOSYS, not EPERM, so that new libcs fall back. */
int fb_seccomp_compile(const struct fb_seccomp_spec *spec, const char *cache, struct fb_arena *arena,
		       struct fb_seccomp_program *ret_program, struct fb_error *err);

#endif
