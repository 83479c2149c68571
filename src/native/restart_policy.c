#include "restart_policy.h"

#include <stddef.h>
#include <string.h>

#define WAIT_FIRST 100	       /* ms */
#define WAIT_MOST 60000	       /* ms */
#define SOUND 10000000000ULL /* ns: one that ran so long is taken for sound, and waits begin anew */

bool fb_restart_policy_of(const char *name, enum fb_restart_policy *ret_policy)
{
	static const char *const names[] = {[FB_RESTART_NO] = "no", [FB_RESTART_ON_FAILURE] = "on-failure",
					    [FB_RESTART_ALWAYS] = "always",
					    [FB_RESTART_UNLESS_STOPPED] = "unless-stopped"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret_policy = (enum fb_restart_policy)i;
			return true;
		}
	return false;
}

static bool is_wanted(const struct fb_restart *restart, int code)
{
	switch (restart->policy) {
	case FB_RESTART_ALWAYS:
	case FB_RESTART_UNLESS_STOPPED:
		return true;
	case FB_RESTART_ON_FAILURE:
		return code != 0 && (restart->most == 0 || restart->count < restart->most);
	case FB_RESTART_NO:
		break;
	}
	return false;
}

int fb_restart_after(struct fb_restart *restart, int code, uint64_t ran)
{
	if (ran >= SOUND)
		restart->wait_ms = 0;
	if (!is_wanted(restart, code))
		return -1;
	restart->wait_ms = restart->wait_ms ? 2 * restart->wait_ms : WAIT_FIRST;
	if (restart->wait_ms > WAIT_MOST)
		restart->wait_ms = WAIT_MOST;
	restart->count++;
	return (int)restart->wait_ms;
}
