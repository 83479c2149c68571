/* The device rule of cgroup v2: an eBPF program on the group. */
#ifndef FB_BPF_DEVICE_H
#define FB_BPF_DEVICE_H

#include "error.h"
#include "spec.h"

/* What no rule speaks of is denied; of those that match, the last decides, for each of read, write
 * and mknod. `replace`: the rule takes the place of those on the group, in one step when it was one. */
int fb_bpf_device_attach(int group_fd, const struct fb_device_rule *rules, size_t count, bool replace,
			 struct fb_error *err);

#endif
