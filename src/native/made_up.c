#include "made_up.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/statfs.h>

#define MQUEUE_MAGIC 0x19800202

bool fb_is_made_up(int fd)
{
	static const unsigned long magics[] = {
	    PROC_SUPER_MAGIC, SYSFS_MAGIC,	CGROUP_SUPER_MAGIC,  CGROUP2_SUPER_MAGIC,
	    DEVPTS_SUPER_MAGIC, MQUEUE_MAGIC, DEBUGFS_MAGIC,	     TRACEFS_MAGIC,
	    BPF_FS_MAGIC,	SECURITYFS_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((unsigned long)fs.f_type == magics[i])
			return true;
	return false;
}
