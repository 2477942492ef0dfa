/** `PIDFD_THREAD` of pidfd_open(2), which is O_EXCL: the descriptor stands for a single thread. */
export const PIDFD_THREAD = 0o200;
