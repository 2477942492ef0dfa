/* For a tracer that dies before a certain one of its calls of ptrace(2): see dying.c. */
#include <sys/ptrace.h>

long dying_ptrace(int request, ...);
#define ptrace dying_ptrace
