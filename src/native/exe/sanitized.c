/* Only in a build with sanitizers: a supervisor has neither an environment nor a stderr, so what they find goes to a file. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
	return "log_path=/run/fastbox-sanitizer:detect_stack_use_after_return=0";
}

const char *__ubsan_default_options(void)
{
	return "log_path=/run/fastbox-sanitizer:print_stacktrace=1:halt_on_error=1";
}
