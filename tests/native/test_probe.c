/* How a probe is run: alone, bounded, and with its answer as an errno. */
#include "probe.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static const struct fb_probe_places nowhere = {.scratch = "", .group = ""};

static int fine(const struct fb_probe_places *places, const char *name)
{
	return places == &nowhere && strcmp(name, "mine") == 0 ? 0 : -EPROTO;
}

static int refused(const struct fb_probe_places *places, const char *name)
{
	(void)places, (void)name;
	return -EXDEV;
}

static int killed(const struct fb_probe_places *places, const char *name)
{
	(void)places, (void)name;
	return -raise(SIGSYS);
}

static int hangs(const struct fb_probe_places *places, const char *name)
{
	(void)places, (void)name;
	while (pause() < 0)
		;
	return 0;
}

static int covers_root(const struct fb_probe_places *places, const char *name)
{
	(void)places, (void)name;
	return mount("tmpfs", "/", "tmpfs", 0, NULL) < 0 ? -errno : 0;
}

static int run(int (*function)(const struct fb_probe_places *, const char *), unsigned long namespaces)
{
	return fb_probe_run(&(const struct fb_probe){.name = "mine", .namespaces = namespaces, .run = function}, &nowhere);
}

static void names_differ(void)
{
	const struct fb_probe *const tables[] = {fb_probes, fb_mount_probes, fb_net_probes};
	const char *seen[128];
	size_t count = 0;

	for (size_t t = 0; t < 3; t++)
		for (const struct fb_probe *probe = tables[t]; probe->name; probe++) {
			for (size_t i = 0; i < count; i++)
				CHECK(strcmp(seen[i], probe->name) != 0);
			seen[count++] = probe->name;
		}
	CHECK(count > 40 && count < 128);
}

int main(void)
{
	struct stat before, after;
	time_t begin = time(NULL);

	CHECK(run(fine, 0) == 0);
	CHECK(run(refused, 0) == -EXDEV);
	CHECK(run(killed, 0) == -EINTR);
	CHECK(run(NULL, 0) == 0);
	CHECK(run(hangs, 0) == -EINTR && time(NULL) - begin < 60);
	stat("/", &before);
	CHECK(run(covers_root, CLONE_NEWNS) == 0);
	stat("/", &after);
	CHECK(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
	CHECK(run(NULL, CLONE_NEWNS | CLONE_NEWPID) == 0);
	CHECK(run(NULL, CLONE_NEWNS | CLONE_FS) == -EINVAL);
	CHECK(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	names_differ();
	return failures != 0;
}
