/* JSON on its way out, laid out as Go's encoder does it. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "oci_internal.h"
#include "quote.h"

static void put_string(FILE *out, const char *text)
{
	char small[512], *quoted = small;
	fb_auto_free char *large = NULL;
	size_t length = strlen(text);

	if (length * FB_QUOTE_WORST > sizeof(small))
		quoted = large = malloc(length * FB_QUOTE_WORST);
	fputc('"', out);
	if (quoted)
		fwrite(quoted, 1, fb_quote(quoted, text, length), out);
	fputc('"', out);
}

static void line(struct fb_json_out *json)
{
	if (!json->indent)
		return;
	fputc('\n', json->out);
	for (int i = 0; i < json->depth; i++)
		fputs(json->indent, json->out);
}

/* What comes before any value. */
static void begin(struct fb_json_out *json, const char *key)
{
	if (json->some)
		fputc(',', json->out);
	if (json->depth)
		line(json);
	json->some = true;
	if (key) {
		put_string(json->out, key);
		fputs(json->indent ? ": " : ":", json->out);
	}
}

void fb_out_open(struct fb_json_out *json, const char *key, char bracket)
{
	begin(json, key);
	fputc(bracket, json->out);
	json->depth++;
	json->some = false;
}

void fb_out_close(struct fb_json_out *json, char bracket)
{
	json->depth--;
	if (json->some)
		line(json);
	fputc(bracket, json->out);
	json->some = true;
}

void fb_out_text(struct fb_json_out *json, const char *key, const char *text)
{
	begin(json, key);
	put_string(json->out, text);
}

void fb_out_int(struct fb_json_out *json, const char *key, int64_t value)
{
	begin(json, key);
	fprintf(json->out, "%lld", (long long)value);
}

void fb_out_uint(struct fb_json_out *json, const char *key, uint64_t value)
{
	begin(json, key);
	fprintf(json->out, "%llu", (unsigned long long)value);
}

void fb_out_bool(struct fb_json_out *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->out);
}

void fb_out_double(struct fb_json_out *json, const char *key, double value)
{
	begin(json, key);
	fprintf(json->out, "%g", value);
}

void fb_out_null(struct fb_json_out *json, const char *key)
{
	begin(json, key);
	fputs("null", json->out);
}

void fb_out_texts(struct fb_json_out *json, const char *key, const char *const *texts)
{
	fb_out_open(json, key, '[');
	for (; *texts; texts++)
		fb_out_text(json, NULL, *texts);
	fb_out_close(json, ']');
}

int fb_out_end(const struct fb_oci *oci, FILE *out)
{
	return fflush(out) == 0 && !ferror(out) ? 0 : fb_oci_die(oci, 1, "cannot write the answer: %m");
}
