/*
 * Lets Debian's user-mode-linux run where the processor has more state than it knows of.
 *
 * That kernel reads and sets its processes' registers (ptrace(2), NT_X86_XSTATE) in a buffer of a fixed size. A host whose
 * state is larger, as with AMX, cuts it off where it is read and refuses it where it is set: the kernel aborts. Loaded
 * before libc (LD_PRELOAD), this ptrace lays what the kernel has over the whole state that the process has now: what the
 * kernel does not know of stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

static char state[64 << 10] __attribute__((aligned(64))); /* AMX ends at 11,008 bytes */

long ptrace(enum __ptrace_request request, ...)
{
	static long (*next)(enum __ptrace_request, ...);
	struct iovec *given, whole = { state, sizeof state };
	va_list arguments;

	va_start(arguments, request);
	pid_t process = va_arg(arguments, pid_t);
	void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
	va_end(arguments);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || address != (void *)NT_X86_XSTATE)
		return next(request, process, address, data);
	if (next(PTRACE_GETREGSET, process, address, &whole) < 0)
		return -1;
	given = data;
	memcpy(state, given->iov_base, given->iov_len < whole.iov_len ? given->iov_len : whole.iov_len);
	return next(PTRACE_SETREGSET, process, address, &whole);
}
