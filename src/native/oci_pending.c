/* Until the branches with these are merged. */
#include "oci.h"
#include <stdio.h>
#define S(n) int n(const struct fb_oci *o, int c, char **v){(void)o;(void)c;(void)v;return 9;}
S(fb_oci_list) S(fb_oci_ps) S(fb_oci_spec) S(fb_oci_features) S(fb_oci_update) S(fb_oci_events) S(fb_oci_pause) S(fb_oci_resume)
S(fb_oci_state_command)
