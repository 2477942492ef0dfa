#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/*
 * Most calls that a stop interrupts end in one of the kernel's internal codes -ERESTART*, on which
 * the kernel itself repeats them. Some end in -EINTR even if no handler ran (signal(7),
 * "Interruption of system calls and library functions by stop signals"): there the program would
 * see an error that nobody caused. Such a thread is released with -ERESTARTNOHAND instead, which
 * means exactly this: repeat the call, or return -EINTR if a handler runs first.
 *
 * The table holds calls that have changed nothing when they return -EINTR: a partial transfer
 * returns its count, a wait has taken nothing. connect(2) is among them: on a socket that is
 * already connecting, a blocking connect waits on (inet_stream_connect), or starts anew.
 * Not here: close(2), whose descriptor is gone; ioctl(2), where each driver decides what -EINTR
 * means; and file-system calls such as rename(2), of which a network file system may have done
 * half. What is lost is the time already waited: a relative timeout of these calls starts again.
 */
static const unsigned short repeatable[] = {
    SYS_read,
    SYS_readv,
    SYS_pread64,
    SYS_preadv,
    SYS_preadv2,
    SYS_write,
    SYS_writev,
    SYS_pwrite64,
    SYS_pwritev,
    SYS_pwritev2,
    SYS_sendfile,
    SYS_splice,
    SYS_tee,
    SYS_vmsplice,
    SYS_copy_file_range,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_epoll_wait,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_poll,
    SYS_ppoll,
    SYS_select,
    SYS_pselect6,
    SYS_semop,
    SYS_semtimedop,
    SYS_msgrcv,
    SYS_msgsnd,
    SYS_mq_timedsend,
    SYS_mq_timedreceive,
    SYS_rt_sigtimedwait,
    SYS_rt_sigsuspend,
    SYS_pause,
    SYS_io_getevents,
    SYS_io_pgetevents,
    SYS_io_uring_enter,
    SYS_futex,
    SYS_futex_waitv,
    SYS_wait4,
    SYS_waitid,
    SYS_flock,
    SYS_getrandom,
    SYS_madvise,
    SYS_fallocate,
};

static bool is_repeatable(const struct user_regs_struct *registers) {
    /* These two modes move data; done twice, they would move it twice. */
    if (registers->orig_rax == SYS_fallocate &&
        (registers->rsi & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
        return false;
    for (size_t i = 0; i < sizeof repeatable / sizeof *repeatable; i++)
        if (registers->orig_rax == repeatable[i])
            return true;
    return false;
}

/* The numbers above are those of 64-bit calls; int $0x80 has others. */
static bool is_native_call(pid_t tid) {
    struct __ptrace_syscall_info info;
    return ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0 &&
           info.arch == AUDIT_ARCH_X86_64;
}

/* A thread found in a group stop was interrupted by that, not by us. */
static bool is_interrupted_by_us(const struct thread *thread,
                                 const struct user_regs_struct *registers) {
    return !thread->group_stopped && (long)registers->rax == -EINTR &&
           (long)registers->orig_rax >= 0 && is_repeatable(registers) &&
           is_native_call(thread->tid);
}

/* The kernel's ERESTARTNOHAND; linux/errno.h has it, which is not for user space. */
#define RESTART_IF_NO_HANDLER 514

bool is_restart(long result) {
    return result <= -512 && result >= -516;
}

void note_registers(struct thread *thread, const struct user_regs_struct *registers) {
    thread->found = *registers;
    thread->released = *registers;
    if (is_interrupted_by_us(thread, registers)) {
        thread->released.rax = -RESTART_IF_NO_HANDLER;
        thread->changed = true;
    }
}
