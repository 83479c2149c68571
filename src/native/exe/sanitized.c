/* Only in a build with sanitizers: a supervisor has neither an environment nor a stderr. What AddressSanitizer finds goes to a file; undefined
 * behaviour, whose report gcc's runtime writes to stderr alone, ends the process, which no test survives. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "log_path=/run/fastbox-sanitizer:detect_stack_use_after_return=0";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:halt_on_error=1";
}
