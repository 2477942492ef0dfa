/**
 * The tracer: a small program of its own (native/tracer) that holds the target by ptrace, so that
 * the target is let go, exactly as it was, even if the command line dies. This is its client.
 */

/** A thread as it was found: everything ptrace tells from outside. */
export interface ThreadState {
  readonly tid: number;
  /** `struct user_regs_struct`, 216 bytes, as at the stop: a call interrupted by the stop still shows -ERESTART*. */
  readonly registers: Uint8Array;
  /** NT_X86_XSTATE. */
  readonly xstate: Uint8Array;
  readonly signalMask: bigint;
  /** siginfo, 128 bytes each. */
  readonly pending: readonly Uint8Array[];
  /** PTRACE_GET_RSEQ_CONFIGURATION: address, size, signature; null without rseq. */
  readonly rseq: { address: bigint; length: number; signature: number } | null;
  /** The thread is in a group stop (SIGSTOP and the like) and stays in it. */
  readonly groupStopped: boolean;
}

export interface Tracer {
  /**
   * Seizes and stops every thread; ends when none is left that runs. Returns the tids, leader first.
   * Retries while threads appear; a thread that goes away meanwhile is left out.
   * @throws Error with `code`: ESRCH, EPERM, ...
   */
  seize(pid: number): number[];
  /** State of one thread. */
  state(tid: number): ThreadState;
  /** Signals pending for the whole process. */
  sharedPending(tid: number): Uint8Array[];
  /** Lets one thread run instruction by instruction while its rip is in [start, end); at most `limit`. */
  stepOut(tid: number, start: bigint, end: bigint, limit: number): boolean;
  /** One system call in the target, run at the address `gadget` of a `syscall` instruction. Result or -errno. */
  syscall(tid: number, gadget: bigint, number: number, args: readonly bigint[]): bigint;
  /** Tells the tracer of the scratch mapping, to be unmapped on release (through `gadget`, in thread `tid`). */
  setScratch(tid: number, gadget: bigint, address: bigint, size: number): void;
  /** Runs a thread at rip with rdi and rsp until it makes the system call QUERY_DONE_SYSCALL; it is held there. */
  run(tid: number, rip: bigint, rsp: bigint, rdi: bigint): void;
  /** What rax and orig_rax a thread is released with, where that differs from how it was found. */
  setResult(tid: number, rax: bigint): void;
  /** Lets the target go as it was found: scratch unmapped, registers and masks restored; 'stop' leaves it stopped (SIGSTOP), 'kill' ends it. */
  release(how: 'run' | 'stop' | 'kill'): void;
  /** Ends the tracer program. The target, if still held, is released as by 'run'. */
  close(): void;
}
