/**
 * The tracer: a small program of its own (native/tracer) that holds the target by ptrace, so that
 * the target is let go, exactly as it was, even if the command line dies. This is its client.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { addon, tracerPath } from './addon.js';
import { sendDescriptor } from './sockets.js';

/** A thread as it was found: everything ptrace tells from outside. */
export interface ThreadState {
  readonly tid: number;
  /**
   * `struct user_regs_struct`, 216 bytes, as at the stop: a call interrupted by the stop still shows
   * -ERESTART* (-512 to -516) in rax, or -EINTR. Of the latter, those that the stop alone has caused are
   * released with -ERESTARTNOHAND (-514) in rax, which is not shown here: see native/tracer/results.c.
   */
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
  /** It has system call user dispatch; told since Linux 6.4. */
  readonly dispatches: boolean;
}

export interface Tracer {
  /**
   * Seizes and stops every thread; ends when none is left that runs. Returns the tids, leader first.
   * Retries while threads appear; a thread that goes away meanwhile is left out, so is a leader that
   * has ended before its threads.
   * @throws {@link TracerError} with `code`: ESRCH; EPERM (also: traced already); ETIMEDOUT if a
   * thread cannot be stopped within 10 s (a parent in vfork, a dead file server). After any of them the
   * target runs on; after ETIMEDOUT the tracer has ended too.
   */
  seize(pid: number): number[];
  /** State of one thread. */
  state(tid: number): ThreadState;
  /** Signals pending for the whole process. */
  sharedPending(tid: number): Uint8Array[];
  /**
   * Lets one thread run instruction by instruction while its rip is in [start, end); at most `limit`.
   * Returns whether it is out. Does nothing if the thread blocks or ignores SIGTRAP.
   */
  stepOut(tid: number, start: bigint, end: bigint, limit: number): boolean;
  /**
   * One system call in the target, run at the address `gadget` of a `syscall` instruction. Result or
   * -errno. A mapping made by `mmap` becomes a scratch mapping: the tracer removes it on release, or if
   * the command line dies, unless `munmap` did; there can be 16.
   * @throws {@link TracerError}: EPERM if the target has a seccomp filter and we lack CAP_SYS_ADMIN.
   */
  syscall(tid: number, gadget: bigint, number: number, args: readonly bigint[]): bigint;
  /** Tells the tracer of a scratch mapping, to be unmapped on release (through `gadget`, in thread `tid`). */
  setScratch(tid: number, gadget: bigint, address: bigint, size: number): void;
  /**
   * Runs a thread at rip with rdi and rsp until it is done, and puts general registers, extended state
   * and signal mask back. It says so by the system call QUERY_DONE_SYSCALL, which is not made; or, with
   * `signals` and where rsi holds the number of a signal, by sending itself that one, which costs two
   * stops in all rather than two for each call that it makes.
   * @throws {@link TracerError}: EFAULT if the code faults, with the signal and rip in the message;
   * ETIMEDOUT after 30 s.
   */
  run(tid: number, rip: bigint, rsp: bigint, rdi: bigint, signals?: boolean): void;
  /**
   * Where a net may be spread under calls at gadgets, which then have to be `syscall; ret`: should the
   * tracer die meanwhile, the thread comes to itself through it.
   * @param tid the thread in which calls will be made
   * @param restorer address of code that calls rt_sigreturn(2)
   * @param stack the mapping `[stack]`
   * @param call number of the call that the thread is in, where it shows as restart_syscall(2)
   */
  setNet(tid: number, restorer: bigint, stack: { start: bigint; end: bigint }, call?: number): void;
  /** With what in rax a thread is released, where that differs from how it was found. */
  setResult(tid: number, rax: bigint): void;
  /**
   * The timeout, in milliseconds, with which a thread makes epoll_wait(2) or epoll_pwait(2) again.
   * It stands in r10, which a C function may change: only for a call made in the C library.
   */
  setTimeout(tid: number, milliseconds: number): void;
  /**
   * What removes the hold on the target's connections: done should the target not be ended by us.
   * @param removal messages of nfnetlink, 256 bytes at most
   */
  setHold(removal: Uint8Array): void;
  /**
   * Puts the connection that the target has as descriptor `fd` into repair mode (TCP_REPAIR) and the one
   * before out of it; `null`: none. All that were in it are in it again when the target is ended by 'kill'.
   */
  repair(fd: number | null): void;
  /** The same of a connection that is on its way in a socket, by a duplicate of ours. */
  repairCopy(copy: number): void;
  /**
   * Lets the target go as it was found: scratch unmapped, registers and masks restored; 'stop' leaves
   * it stopped (SIGSTOP) and returns when it is, 'kill' ends it and returns when it has ended.
   */
  release(how: 'run' | 'stop' | 'kill'): void;
  /** Ends the tracer program. The target, if still held, is released as by 'run'. */
  close(): void;
}

/** A request that the tracer could not fulfil; or, with `code` EPIPE, the tracer has ended. */
export class TracerError extends Error {
  override readonly name = 'TracerError';
  /** Name of the errno: 'ESRCH'. */
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** `VERB_*` of native/tracer/protocol.h. */
const Verb = {
  seize: 1,
  state: 2,
  sharedPending: 3,
  stepOut: 4,
  syscall: 5,
  setScratch: 6,
  run: 7,
  setResult: 8,
  release: 9,
  setTimeout: 10,
  setNet: 11,
  setHold: 12,
  repair: 13,
  repairCopy: 14,
} as const;

const HEADER_SIZE = 16;
const SIGINFO_SIZE = 128;
const REGISTERS_SIZE = 216;
/** `sizeof (struct state)`. */
const STATE_SIZE = 256;
const EFAULT = 14;
/** Enough for most replies: the state of a thread takes 2 to 12 KiB. */
const FIRST_READ = 4096;

/**
 * Starts the tracer. It ends with {@link Tracer.close}, or with this process.
 * @param program for tests: another program that speaks its protocol
 */
export function startTracer(program = tracerPath): Tracer {
  return new TracerClient(addon.spawnTracer(program));
}

class TracerClient implements Tracer {
  readonly #socket: number;
  readonly #pid: number;
  #open = true;

  constructor({ socket, pid }: { socket: number; pid: number }) {
    this.#socket = socket;
    this.#pid = pid;
  }

  seize(pid: number): number[] {
    const tids = this.#request('seize', pid);
    const list = Array.from({ length: tids.length / 4 }, (_, i) => tids.readInt32LE(i * 4));
    return list.sort((a, b) => Number(b === pid) - Number(a === pid)); // stable: only the leader moves
  }

  state(tid: number): ThreadState {
    return parseState(tid, this.#request('state', tid));
  }

  sharedPending(tid: number): Uint8Array[] {
    return splitSiginfos(this.#request('sharedPending', tid));
  }

  stepOut(tid: number, start: bigint, end: bigint, limit: number): boolean {
    return this.#request('stepOut', tid, [start, end, BigInt(limit)]).readBigUInt64LE() !== 0n;
  }

  syscall(tid: number, gadget: bigint, number: number, args: readonly bigint[]): bigint {
    const operands = Array.from({ length: 6 }, (_, i) => args[i] ?? 0n);
    return this.#request('syscall', tid, [gadget, BigInt(number), ...operands]).readBigInt64LE();
  }

  setScratch(tid: number, gadget: bigint, address: bigint, size: number): void {
    this.#request('setScratch', tid, [gadget, address, BigInt(size)]);
  }

  run(tid: number, rip: bigint, rsp: bigint, rdi: bigint, signals = false): void {
    this.#request('run', tid, [rip, rsp, rdi, signals ? 1n : 0n]);
  }

  setNet(tid: number, restorer: bigint, stack: { start: bigint; end: bigint }, call = -1): void {
    this.#request('setNet', tid, [restorer, stack.start, stack.end, BigInt(call)]);
  }

  setResult(tid: number, rax: bigint): void {
    this.#request('setResult', tid, [rax]);
  }

  setTimeout(tid: number, milliseconds: number): void {
    this.#request('setTimeout', tid, [BigInt(milliseconds)]);
  }

  setHold(removal: Uint8Array): void {
    this.#ask('setHold', 0, removal);
  }

  repair(fd: number | null): void {
    this.#request('repair', 0, [BigInt(fd ?? -1)]);
  }

  repairCopy(copy: number): void {
    this.#ask('repairCopy', 0, new Uint8Array(0), copy);
  }

  release(how: 'run' | 'stop' | 'kill'): void {
    this.#request('release', 0, [BigInt(['run', 'stop', 'kill'].indexOf(how))]);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#socket);
    addon.reap(this.#pid);
  }

  /** A request of 64-bit words. */
  #request(verb: keyof typeof Verb, tid: number, words: readonly bigint[] = []): Buffer {
    const content = Buffer.alloc(words.length * 8);
    words.forEach((word, i) => {
      content.writeBigUInt64LE(BigInt.asUintN(64, word), i * 8);
    });
    return this.#ask(verb, tid, content);
  }

  /** Sends a request, with a descriptor of ours, waits for its reply, returns the reply's payload. */
  #ask(verb: keyof typeof Verb, tid: number, content: Uint8Array, passed?: number): Buffer {
    const header = Buffer.alloc(HEADER_SIZE);
    header.writeUInt32LE(Verb[verb], 0);
    header.writeInt32LE(tid, 4);
    header.writeUInt32LE(content.length, 8);
    this.#send(Buffer.concat([header, content]), passed);
    const reply = this.#receive();
    const payload = reply.subarray(HEADER_SIZE);
    const error = reply.readInt32LE(12);
    if (error !== 0) throw requestError(verb, tid, error, payload);
    return payload;
  }

  /** @param passed goes with the first byte */
  #send(message: Buffer, passed?: number): void {
    const first =
      passed === undefined ? 0 : this.#transfer(() => sendDescriptor(this.#socket, message, passed));
    for (let sent = first; sent < message.length; ) {
      sent += this.#transfer(() => writeSync(this.#socket, message, sent));
    }
  }

  /** One reply, header and payload. There is never more than one on its way. */
  #receive(): Buffer {
    let bytes: Buffer = Buffer.allocUnsafe(FIRST_READ);
    let received = 0;
    for (let size = HEADER_SIZE; received < size; ) {
      const count = this.#transfer(() =>
        readSync(this.#socket, bytes, received, bytes.length - received, null),
      );
      if (count === 0) throw ended();
      received += count;
      if (received >= HEADER_SIZE) size = HEADER_SIZE + bytes.readUInt32LE(8);
      if (size > bytes.length) bytes = Buffer.concat([bytes.subarray(0, received)], size);
    }
    return bytes.subarray(0, received);
  }

  #transfer(operation: () => number): number {
    if (!this.#open) throw new TracerError('EBADF', 'the tracer is closed');
    for (;;) {
      try {
        return operation();
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EINTR') continue;
        throw code === 'EPIPE' || code === 'ECONNRESET' ? ended() : error;
      }
    }
  }
}

function ended(): TracerError {
  return new TracerError('EPIPE', 'the tracer ended unexpectedly');
}

function requestError(verb: string, tid: number, error: number, payload: Buffer): TracerError {
  const code = getSystemErrorName(-error);
  if (error !== EFAULT || payload.length < 24) return new TracerError(code, `${verb} of ${tid}: ${code}`);
  const [signal, rip, address] = [0, 8, 16].map((at) => payload.readBigUInt64LE(at).toString(16));
  return new TracerError(code, `${verb} of ${tid}: signal 0x${signal} at 0x${rip}, address 0x${address}`);
}

/** Parses `struct state` and what follows it. */
function parseState(tid: number, bytes: Buffer): ThreadState {
  const address = bytes.readBigUInt64LE(REGISTERS_SIZE + 8);
  const xstateEnd = STATE_SIZE + bytes.readUInt32LE(REGISTERS_SIZE + 28);
  return {
    tid,
    registers: bytes.subarray(0, REGISTERS_SIZE),
    xstate: bytes.subarray(STATE_SIZE, xstateEnd),
    signalMask: bytes.readBigUInt64LE(REGISTERS_SIZE),
    pending: splitSiginfos(bytes.subarray(xstateEnd)),
    rseq:
      address === 0n
        ? null
        : {
            address,
            length: bytes.readUInt32LE(REGISTERS_SIZE + 16),
            signature: bytes.readUInt32LE(REGISTERS_SIZE + 20),
          },
    groupStopped: bytes.readUInt32LE(REGISTERS_SIZE + 24) !== 0,
    dispatches: bytes.readUInt32LE(REGISTERS_SIZE + 36) !== 0,
  };
}

function splitSiginfos(bytes: Buffer): Uint8Array[] {
  return Array.from({ length: bytes.length / SIGINFO_SIZE }, (_, i) =>
    bytes.subarray(i * SIGINFO_SIZE, (i + 1) * SIGINFO_SIZE),
  );
}
