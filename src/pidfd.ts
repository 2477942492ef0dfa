/** Of `/proc/sys/kernel/random/boot_id`, without the end of the line, in bytes. */
export const BOOT_ID_SIZE = 36;
export const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** `PIDFD_THREAD` of pidfd_open(2), which is O_EXCL: the descriptor stands for a single thread. */
export const PIDFD_THREAD = 0o200;
