/* The OCI runtime command: what runc's callers call, over the launch code of the engine.
 *
 * A container's state is the directory <root>/<id>: `config.json` (the bundle's, as it was at create), `state.json` (what was made from
 * it) and, between create and start, `start` (the socket at which its process waits). mkdir makes an id exclusive; flock on the directory
 * guards a transition. A command is one function; it prints its own answer and returns the exit code.
 */
#ifndef FB_OCI_H
#define FB_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup.h"
#include "error.h"
#include "launch.h"
#include "spec.h"

#define FB_OCI_CACHE "@seccomp" /* below the root: no container can have this id */
#define FB_OCI_VERSION "1.2.0" /* of the specification */

struct fb_oci { /* the options before the command */
	const char *root, *log, *log_format;
	bool debug, systemd_cgroup, timings;
	const char *rootless, *cgroup_manager; /* accepted; NULL: not given */
};

/* --- options (oci_options.c) --- */

enum fb_oci_option_kind { FB_OCI_FLAG, FB_OCI_TEXT, FB_OCI_LIST, FB_OCI_ANYWHERE };

/* The last of a table has no name. Its kind FB_OCI_ANYWHERE: options may follow words too, as runc has it for every command but exec and
 * ps, whose later words are another program's. */
struct fb_oci_option {
	const char *name; /* without dashes */
	char letter;	  /* 0: none */
	enum fb_oci_option_kind kind;
	void *to; /* bool *, const char **, struct fb_strv * (items from malloc) */
};

/* Go's rules, as runc's callers use them: one dash or two, "--name value" or "--name=value", "--flag=false", up to the first word that is
 * none, or "--". argv[*ret_words] is the first word; options that came after it were moved before it. Negative with a message in err. */
int fb_oci_options(const struct fb_oci_option *table, int argc, char **argv, int *ret_words, struct fb_error *err);
/* A number with its whole text, between min and max. */
int fb_oci_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret_value, struct fb_error *err);

/* --- messages (oci_log.c) --- */

/* One line on stderr and, when asked for, in the log file, as text or as JSON in the form that runc's callers parse. Returns `code`. */
int fb_oci_fail(const struct fb_oci *oci, int code, const struct fb_error *err, const char *prefix);
/* The same from words. */
int fb_oci_die(const struct fb_oci *oci, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void fb_oci_warn(const struct fb_oci *oci, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- a container's state (oci_state.c) --- */

enum fb_oci_status { FB_OCI_CREATING, FB_OCI_CREATED, FB_OCI_RUNNING, FB_OCI_PAUSED, FB_OCI_STOPPED };

struct fb_oci_state {
	char id[1025];
	int directory;	/* <root>/<id>; -1: closed */
	bool locked;	/* new, or opened for a change */
	char *path;	/* of it */
	char *bundle, *rootfs, *created; /* created: RFC 3339, UTC */
	uid_t owner;
	pid_t pid;	/* 0: not yet */
	uint64_t start_time; /* of pid, so that a number used again is not taken for it */
	struct fb_cgroup cgroup; /* mode, paths and controllers; no descriptors */
	char *unit;	/* systemd's name of the group; NULL: none of its */
	bool unit_of_user; /* the user's own systemd's */
	char *rdt;	/* a resctrl group to remove; NULL: none */
	bool own_pids;	/* has a pid namespace of its own: its first process ends all */
};

/* Make the directory for a new id. -EEXIST when there is one. */
int fb_oci_state_new(const struct fb_oci *oci, const char *id, struct fb_oci_state *ret_state, struct fb_error *err);
/* -ENOENT when there is none. `change`: take the lock. */
int fb_oci_state_open(const struct fb_oci *oci, const char *id, bool change, struct fb_oci_state *ret_state,
		      struct fb_error *err);
int fb_oci_state_write(const struct fb_oci_state *state, struct fb_error *err);
enum fb_oci_status fb_oci_state_status(const struct fb_oci_state *state);
const char *fb_oci_status_name(enum fb_oci_status status);
/* The configuration that the container was created with. */
int fb_oci_state_spec(const struct fb_oci_state *state, struct fb_spec *ret_spec, struct fb_error *err);
/* A pidfd of its process, checked by its start time; -ESRCH when it is gone. */
int fb_oci_state_pidfd(const struct fb_oci_state *state, struct fb_error *err);
/* Remove the directory and what it names: groups, resctrl group. */
int fb_oci_state_remove(struct fb_oci_state *state, struct fb_error *err);
void fb_oci_state_close(struct fb_oci_state *state);

/* --- the commands: argv[0] is the command's own name --- */

typedef int fb_oci_command(const struct fb_oci *oci, int argc, char **argv);
fb_oci_command fb_oci_create, fb_oci_start, fb_oci_run, fb_oci_exec;	     /* oci_create.c, oci_exec.c */
fb_oci_command fb_oci_kill, fb_oci_delete, fb_oci_pause, fb_oci_resume;    /* oci_end.c, oci_pause.c */
fb_oci_command fb_oci_state_command, fb_oci_list, fb_oci_ps, fb_oci_spec;  /* oci_show.c, oci_ps.c, oci_template.c */
fb_oci_command fb_oci_features, fb_oci_update, fb_oci_events;		     /* oci_features.c, oci_update.c, oci_events.c */

#endif
