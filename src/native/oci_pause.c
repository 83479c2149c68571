/* pause and resume. */
#include "oci_internal.h"

static int change(const struct fb_oci *oci, int argc, char **argv, bool frozen)
{
	static const struct fb_oci_option none[] = {{.kind = FB_OCI_ANYWHERE}};
	struct fb_oci_state state = {.directory = -1};
	struct fb_error err = {0};
	enum fb_oci_status status;
	const char *id;
	int r;

	if (fb_oci_options_id(none, argc, argv, &id, &err) < 0 || fb_oci_state_open(oci, id, true, &state, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	status = fb_oci_state_status(&state);
	if (frozen && status != FB_OCI_RUNNING && status != FB_OCI_CREATED)
		r = fb_oci_die(oci, 1, "container not running or created: %s is %s", id, fb_oci_status_name(status));
	else if (!frozen && status != FB_OCI_PAUSED)
		r = fb_oci_die(oci, 1, "container not paused: %s is %s", id, fb_oci_status_name(status));
	else if (fb_cgroup_freeze(&state.cgroup, frozen, &err) < 0)
		r = fb_oci_fail(oci, 1, &err, NULL);
	else
		r = 0;
	fb_oci_state_close(&state);
	return r;
}

int fb_oci_pause(const struct fb_oci *oci, int argc, char **argv)
{
	return change(oci, argc, argv, true);
}

int fb_oci_resume(const struct fb_oci *oci, int argc, char **argv)
{
	return change(oci, argc, argv, false);
}
