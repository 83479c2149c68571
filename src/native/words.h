/* The closed sets of words that a configuration may hold, out of the tables of those who read them: what `features` tells callers. */
#ifndef FB_WORDS_H
#define FB_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum fb_seccomp_words { FB_SECCOMP_ACTIONS, FB_SECCOMP_OPERATORS, FB_SECCOMP_ARCHITECTURES, FB_SECCOMP_FLAGS };

/* Word number `index`; NULL past the last. */
const char *fb_hook_word(size_t index);					  /* spec_hooks.c */
const char *fb_namespace_word(size_t index);				  /* spec_linux.c */
const char *fb_seccomp_word(enum fb_seccomp_words which, size_t index);	  /* spec_seccomp.c */
/* The same of mount options; *ret_recursive: with an "r" before it, it is another. */
const char *fb_mount_word(size_t index, bool *ret_recursive);		  /* plan_options.c */

#endif
