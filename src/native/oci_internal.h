/* Between the files of the OCI command. */
#ifndef FB_OCI_INTERNAL_H
#define FB_OCI_INTERNAL_H

#include <stdio.h>

#include "oci.h"

/* --- oci_record.c: state.json --- */

/* Malloc'd JSON, NULL without memory. */
char *fb_oci_state_format(const struct fb_oci_state *state);
/* Fill what the document says. Anything but a document of our own is an error that names the container. */
int fb_oci_state_parse(const char *text, size_t length, struct fb_oci_state *state, struct fb_error *err);

#endif
