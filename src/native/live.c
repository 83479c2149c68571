/* What is written of a container while it is here. */
#include "exec_group.h"
#include "network_live.h"
#include "record.h"
#include "start.h"

static const char *status_of(const struct fb_container *container)
{
	if (container->unrecorded)
		return "exited";
	return container->restarting ? "restarting" : container->paused ? "paused" : "running";
}

int fb_live_write(struct fb_supervisor *sup, const struct fb_container *container, pid_t pid, struct fb_error *err)
{
	struct fb_cgroup room;
	struct fb_live live = {.run = sup->run, .id = container->id, .supervisor = sup->name,
			       .boot_id = sup->boot_id, .directory = container->directory, .pid = pid,
			       .start_time = pid ? fb_record_start_time(pid, NULL) : 0, .started = container->started,
			       .remove = container->remove, .status = status_of(container),
			       .restarts = container->restart.count,
			       .last = container->restarting || container->unrecorded ? &container->last : NULL,
			       .cgroup = fb_container_groups(container, &room),
			       .network = container->network ? &container->network->spec : NULL};

	return fb_record_live(&live, err);
}
