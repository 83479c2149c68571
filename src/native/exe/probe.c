/* fastbox-probe [SCRATCH [GROUP]]: what this kernel lets this caller do, a line "<name> <errno>" for each probe, 0 for what works. */
#include <stdio.h>
#include <sys/stat.h>

#include "probe.h"

static void run_all(const struct fb_probe *probes, const struct fb_probe_places *places)
{
	for (; probes->name; probes++)
		dprintf(1, "%s %d\n", probes->name, -fb_probe_run(probes, places));
}

int main(int argc, char **argv)
{
	struct fb_probe_places places = {.scratch = argc > 1 ? argv[1] : "", .group = argc > 2 ? argv[2] : ""};

	umask(022);
	run_all(fb_probes, &places);
	run_all(fb_mount_probes, &places);
	run_all(fb_net_probes, &places);
	return 0;
}
