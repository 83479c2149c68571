/* state and list: what is known of containers, for people and for programs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "oci_internal.h"

struct row {
	struct fb_oci_state state;
	struct fb_spec spec;
	enum fb_oci_status status;
	char owner[64];
};

struct rows {
	struct row *items;
	size_t count, room;
};

/* Not getpwuid: it would load libraries of the host's choice into this program. */
void fb_oci_user_name(uid_t uid, char to[64])
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	snprintf(to, 64, "#%u", uid);
	while (file && (entry = fgetpwent(file))) {
		if (entry->pw_uid == uid) {
			snprintf(to, 64, "%s", entry->pw_name);
			break;
		}
	}
	if (file)
		fclose(file);
}

static int load(const struct fb_oci *oci, const char *id, struct row *row, struct fb_error *err)
{
	int r = fb_oci_state_open(oci, id, false, &row->state, err);

	if (r < 0)
		return r;
	r = fb_oci_state_spec(&row->state, &row->spec, err);
	if (r < 0) {
		fb_oci_state_close(&row->state);
		return r;
	}
	row->status = fb_oci_state_status(&row->state);
	row->owner[0] = '\0';
	return 0;
}

static void unload(struct row *row)
{
	fb_spec_free(&row->spec);
	fb_oci_state_close(&row->state);
}

static pid_t shown_pid(const struct row *row)
{
	return row->status == FB_OCI_STOPPED ? 0 : row->state.pid;
}

static void put_row(struct fb_json_out *json, const struct row *row)
{
	const struct fb_strv *notes = &row->spec.annotations;

	fb_out_open(json, NULL, '{');
	fb_out_text(json, "ociVersion", FB_OCI_VERSION);
	fb_out_text(json, "id", row->state.id);
	fb_out_int(json, "pid", shown_pid(row));
	fb_out_text(json, "status", fb_oci_status_name(row->status));
	fb_out_text(json, "bundle", row->state.bundle);
	fb_out_text(json, "rootfs", row->state.rootfs);
	fb_out_text(json, "created", row->state.created);
	if (notes->count)
		fb_out_open(json, "annotations", '{');
	for (size_t i = 0; i + 1 < notes->count; i += 2)
		fb_out_text(json, notes->items[i], notes->items[i + 1]);
	if (notes->count)
		fb_out_close(json, '}');
	fb_out_text(json, "owner", row->owner);
	fb_out_close(json, '}');
}

int fb_oci_state_command(const struct fb_oci *oci, int argc, char **argv)
{
	static const struct fb_oci_option none[] = {{.kind = FB_OCI_ANYWHERE}};
	struct fb_json_out json = {.out = stdout, .indent = "  "};
	struct fb_error err = {0};
	struct row row = {.state = {.directory = -1}};
	const char *id;

	if (fb_oci_options_id(none, argc, argv, &id, &err) < 0 || load(oci, id, &row, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	put_row(&json, &row);
	unload(&row);
	return fb_out_end(oci, stdout);
}

/* --- list --- */

static struct row *add(struct rows *rows)
{
	size_t room = rows->room ? 2 * rows->room : 32;
	struct row *items = rows->items;

	if (rows->count == rows->room) {
		items = realloc(rows->items, room * sizeof(*items));
		if (!items)
			return NULL;
		rows->items = items;
		rows->room = room;
	}
	memset(&items[rows->count], 0, sizeof(*items));
	return &items[rows->count];
}

static int load_entry(const struct fb_oci *oci, const char *name, struct rows *rows)
{
	struct row *row = add(rows);
	struct fb_error err = {0};
	int r;

	if (!row)
		return -ENOMEM;
	r = load(oci, name, row, &err);
	/* ENOENT: it is being created or has just been deleted, or is no container. */
	if (r < 0 && r != -ENOENT)
		(void)fb_oci_fail(oci, 1, &err, "list");
	if (r == 0) {
		if (rows->count && row[-1].state.owner == row->state.owner)
			memcpy(row->owner, row[-1].owner, sizeof(row->owner));
		else
			fb_oci_user_name(row->state.owner, row->owner);
		/* Of a long list not every directory stays open. */
		close(row->state.directory);
		row->state.directory = -1;
		rows->count++;
	}
	return 0;
}

static int load_all(const struct fb_oci *oci, struct rows *rows)
{
	struct dirent **names = NULL;
	int count = scandir(oci->root, &names, NULL, alphasort), r = 0;

	if (count < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		if (r == 0 && fb_oci_id_valid(names[i]->d_name))
			r = load_entry(oci, names[i]->d_name, rows);
		free(names[i]);
	}
	free(names);
	return r;
}

/* Characters, not bytes. */
static int width(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += (*text & 0xc0) != 0x80;
	return count;
}

#define COLUMNS 6

static void fill(const struct row *row, char pid[16], const char *cells[COLUMNS])
{
	snprintf(pid, 16, "%d", (int)shown_pid(row));
	cells[0] = row->state.id;
	cells[1] = pid;
	cells[2] = fb_oci_status_name(row->status);
	cells[3] = row->state.bundle;
	cells[4] = row->state.created;
	cells[5] = row->owner;
}

static void put_cells(const char *const cells[COLUMNS], const int widths[COLUMNS])
{
	for (int i = 0; i < COLUMNS; i++) {
		for (const char *at = cells[i]; *at; at++)
			putchar((unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at);
		if (i < COLUMNS - 1)
			printf("%*s", widths[i] - width(cells[i]), "");
	}
	putchar('\n');
}

static void put_table(const struct rows *rows)
{
	static const char *const titles[COLUMNS] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"};
	int widths[COLUMNS];
	const char *cells[COLUMNS];
	char pid[16];

	for (int i = 0; i < COLUMNS; i++)
		widths[i] = 12;
	for (size_t at = 0; at < rows->count; at++) {
		fill(&rows->items[at], pid, cells);
		for (int i = 0; i < COLUMNS; i++)
			if (width(cells[i]) + 3 > widths[i])
				widths[i] = width(cells[i]) + 3;
	}
	put_cells(titles, widths);
	for (size_t at = 0; at < rows->count; at++) {
		fill(&rows->items[at], pid, cells);
		put_cells(cells, widths);
	}
}

static void put_list(const struct rows *rows)
{
	struct fb_json_out json = {.out = stdout};

	fb_out_open(&json, NULL, '[');
	for (size_t i = 0; i < rows->count; i++)
		put_row(&json, &rows->items[i]);
	fb_out_close(&json, ']');
	putchar('\n');
}

int fb_oci_list(const struct fb_oci *oci, int argc, char **argv)
{
	const char *format = "table";
	bool quiet = false;
	const struct fb_oci_option table[] = {
		{"format", 'f', FB_OCI_TEXT, &format}, {"quiet", 'q', FB_OCI_FLAG, &quiet}, {.kind = FB_OCI_ANYWHERE}};
	struct fb_error err = {0};
	struct rows rows = {0};
	int words, r;

	if (fb_oci_options(table, argc, argv, &words, &err) < 0)
		return fb_oci_fail(oci, 1, &err, NULL);
	if (words != argc)
		return fb_oci_die(oci, 1, "list takes no arguments");
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return fb_oci_die(oci, 1, "invalid format option: %s", format);
	r = load_all(oci, &rows);
	for (size_t i = 0; quiet && i < rows.count; i++)
		puts(rows.items[i].state.id);
	if (!quiet && strcmp(format, "table") == 0)
		put_table(&rows);
	else if (!quiet)
		put_list(&rows);
	for (size_t i = 0; i < rows.count; i++)
		unload(&rows.items[i]);
	free(rows.items);
	return r < 0 ? fb_oci_die(oci, 1, "cannot list %s: %s", oci->root, strerrordesc_np(-r)) : fb_out_end(oci, stdout);
}
