/** Of `/proc/sys/kernel/random/boot_id`, without the end of the line, in bytes. */
export const BOOT_ID_SIZE = 36;
export const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** `PIDFD_THREAD` of pidfd_open(2), which is O_EXCL: the descriptor stands for a single thread. */
export const PIDFD_THREAD = 0o200;

/** PIDFD_GET_INFO with `struct pidfd_info` as of Linux 6.16, which others make shorter or longer (linux/pidfd.h). */
export const PIDFD_GET_INFO = 0xc048_ff0b;
export const PIDFD_INFO_SIZE = 72;
/** Bits of its `mask`: how the process has ended, since Linux 6.15; whether by a core dump. */
export const PIDFD_INFO = { EXIT: 8, COREDUMP: 16 } as const;
/** Where its fields lie, in bytes. */
export const PIDFD_INFO_AT = { MASK: 0, EXIT_CODE: 60, COREDUMP_MASK: 64 } as const;

/** Of signals up to 31: those that leave a process alone, or stop it (CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH). */
const HARMLESS = new Set([17, 18, 19, 20, 21, 22, 23, 28]);

/** Whether a process can be made to end so. @param exit as wait(2) has it: what it said, or a signal without a core dump */
export function isEnd(exit: number): boolean {
  if ((exit & 0xff) === 0) return exit >= 0 && exit <= 0xff00;
  return exit >= 1 && exit <= 64 && !HARMLESS.has(exit);
}
