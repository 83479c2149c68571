/* Hooks: programs that a bundle wants run at six points of a container's life (OCI runtime specification, "POSIX-platform Hooks"). */
#ifndef FB_HOOK_H
#define FB_HOOK_H

#include <sys/types.h>

#include "error.h"
#include "spec.h"

/* The state that a hook reads on its stdin (and that `state` prints, and a seccomp listener gets), as JSON text. NULL without memory; the
 * caller frees it. `status` is one of the specification's words; pid 0: none. */
char *fb_hook_state(const struct fb_spec *spec, const char *id, const char *bundle, const char *status, pid_t pid);

/* Run the hooks of one kind in their order in the caller's namespaces, each with the text in the file `state` on its stdin. The first that
 * fails, by its exit code, by a signal or by its time, ends it. Calls nothing that the child of a clone with memory of its own may not call. */
int fb_hook_run(const struct fb_hooks *hooks, int state, struct fb_error *err);

#endif
