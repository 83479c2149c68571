/* The program of the hello image that fastbox carries: it tells what has just happened, from what it sees itself. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct utsname host = {0};

	uname(&host);
	printf("Hello from %s!\n\n", host.nodename[0] ? host.nodename : "a container");
	printf("Your fastbox works. To print this, it\n"
	       " 1. took the image, checked every byte of it against its digest, and unpacked its layer;\n"
	       " 2. laid a writable directory over that layer (overlayfs), so that the image stays as it is;\n"
	       " 3. cloned one process into namespaces of its own: it sees %s processes than its own and is number %d,\n"
	       "    with its own mounts, network, host name and IPC;\n"
	       " 4. put it into control groups, took away the capabilities it does not need, filtered its system calls;\n"
	       " 5. and executed this program, whose output you read. Its exit code is recorded next.\n\n",
	       getpid() == 1 ? "no other" : "other", (int)getpid());
	printf("Kernel: %s %s on %s. Next: fastbox run -it alpine sh\n", host.sysname, host.release, host.machine);
	return fflush(stdout) == 0 ? 0 : 1;
}
