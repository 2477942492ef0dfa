import type { DescriptorTable } from '../../src/snapshot/descriptors.js';
import type { Process, Region, Snapshot, Thread } from '../../src/snapshot/schema.js';

/** A thread at rest. */
export function makeThread(tid: number, changes: Partial<Thread> = {}): Thread {
  const registers = new BigUint64Array(27);
  registers[16] = 0x401000n; // rip
  registers[19] = 0x7ffd_0000_1000n; // rsp
  return {
    tid,
    comm: 'worker',
    registers: new Uint8Array(registers.buffer),
    xstate: new Uint8Array(2696).fill(tid & 0xff),
    signalMask: 0x4000n,
    alternateStack: { address: 0n, flags: 2, size: 0n },
    pendingSignals: [],
    robustList: { head: 0x7f00_0000_0910n, length: 24 },
    rseq: { address: 0x7f00_0000_0fe0n, length: 32, signature: 0x53053053 },
    tidAddress: 0x7f00_0000_0a10n,
    affinity: new Uint8Array(0),
    nice: 0,
    policy: 0,
    priority: 0,
    ioPriority: 0,
    settings: [],
    parentDeathSignal: 0,
    timerSlack: 50_000n,
    inCall: false,
    interruption: null,
    sleep: null,
    ...changes,
  };
}

/** A region of one page without content. */
export function makeRegion(start: bigint, changes: Partial<Region> = {}): Region {
  return {
    start,
    end: start + 0x1000n,
    prot: 3,
    shared: false,
    offset: 0n,
    device: '00:00',
    inode: 0n,
    path: '',
    flags: ['rd', 'wr', 'mr', 'mw', 'me', 'ac', 'sd'],
    pageSize: 4096,
    backing: { kind: 'anonymous' },
    guards: [],
    extents: [],
    ...changes,
  };
}

const LOCK = { type: 'posix', write: true, first: 0n, last: null } as const;

const descriptors: DescriptorTable = {
  files: [
    { kind: 'stream', flags: 2, locks: [], stream: 0, was: 'terminal /dev/pts/1', reopen: 'shared' },
    {
      kind: 'file',
      flags: 0o102001,
      locks: [LOCK],
      type: 'regular',
      path: '/var/log/counter.log',
      offset: 20n,
      size: 20n,
      modified: null,
      device: null,
    },
    { kind: 'pipe', flags: 0, locks: [], pipe: 0, end: 'read' },
    { kind: 'eventfd', flags: 2, locks: [], count: 7n, semaphore: false },
    {
      kind: 'epoll',
      flags: 2,
      locks: [],
      members: [{ fd: 3, file: 1, events: 1, data: 0xffff_ffff_0000_0003n }],
    },
    { kind: 'object', flags: 2, locks: [], object: 0, offset: 0n },
  ],
  descriptors: [
    { fd: 0, file: 0, closeOnExec: false },
    { fd: 1, file: 0, closeOnExec: false },
    { fd: 2, file: 0, closeOnExec: false },
    { fd: 3, file: 1, closeOnExec: true },
    { fd: 4, file: 2, closeOnExec: false },
    { fd: 5, file: 3, closeOnExec: false },
    { fd: 6, file: 4, closeOnExec: true },
    { fd: 7, file: 5, closeOnExec: false },
  ],
  folders: [],
  pipes: [{ capacity: 65536, content: [Uint8Array.of(1, 2, 3)], path: '' }],
  terminal: { modes: new Uint8Array(44), size: new Uint8Array(8) },
  hold: null,
};

/** A process with one region and one thread. */
export function makeProcess(changes: Partial<Process> = {}): Process {
  return {
    pid: 4242,
    parent: 1,
    group: 4242,
    session: 4242,
    comm: 'counter',
    executable: '/usr/bin/counter',
    commandLine: ['counter', '--to', '100'],
    workingDirectory: '/home/user',
    root: '/',
    umask: 0o22,
    personality: 0,
    dumpable: 1,
    childSubreaper: false,
    oomScoreAdjust: 0,
    thpDisabled: false,
    settings: [],
    locksFutureMemory: 0,
    coredumpFilter: 0x33,
    membarriers: 0,
    permittedFeatures: 0xe7n,
    limits: [{ resource: 3, soft: 8_388_608n, hard: 0xffff_ffff_ffff_ffffn }],
    credentials: {
      uids: [1000, 1000, 1000, 1000],
      gids: [1000, 1000, 1000, 1000],
      groups: [4, 1000],
      capabilities: {
        inheritable: 0n,
        permitted: 0n,
        effective: 0n,
        bounding: 0x1ff_ffff_ffffn,
        ambient: 0n,
      },
      secureBits: 0,
      noNewPrivileges: false,
    },
    memory: {
      startCode: 0x401000n,
      endCode: 0x402000n,
      startData: 0x403000n,
      endData: 0x404000n,
      startBrk: 0x405000n,
      brk: 0x406000n,
      startStack: 0x7ffd_0000_2000n,
      argStart: 0x7ffd_0000_2100n,
      argEnd: 0x7ffd_0000_2120n,
      envStart: 0x7ffd_0000_2120n,
      envEnd: 0x7ffd_0000_2200n,
      auxv: new Uint8Array(BigUint64Array.of(6n, 4096n, 9n, 0x401000n, 0n, 0n).buffer),
    },
    regions: [makeRegion(0x401000n)],
    objects: [
      {
        kind: 'memfd',
        name: 'shared',
        device: '00:01',
        inode: 77n,
        size: 100,
        mode: 0o777,
        seals: 1,
        pageSize: 4096,
        extents: [],
      },
    ],
    aioContexts: [],
    mappedFiles: [],
    threads: [makeThread(4242, { comm: 'counter' })],
    signalActions: Array.from({ length: 64 }, (_, i) => ({
      handler: i === 9 ? 0x401100n : 0n,
      flags: i === 9 ? 0x1400_0000n : 0n,
      restorer: i === 9 ? 0x401200n : 0n,
      mask: 0n,
    })),
    pendingSignals: [],
    intervalTimers: Array.from({ length: 3 }, () => ({ remaining: 0n, interval: 0n })),
    posixTimers: [
      {
        id: 0,
        clock: 1,
        notify: 0,
        signal: 14,
        value: 5n,
        tid: 0,
        remaining: 1_500_000_000n,
        interval: 2_000_000_000n,
      },
    ],
    descriptors,
    ...changes,
  };
}

/** A snapshot of one process. */
export function makeSnapshot(changes: Partial<Process> = {}): Snapshot {
  return {
    version: 1,
    taken: {
      realtime: 1_760_000_000_000_000_000n,
      monotonic: 5_000_000_000n,
      boottime: 5_000_000_001n,
    },
    tool: 'proc2elf 0.1.0',
    host: { name: 'build', kernel: '6.18.0', kernelVersion: '#1 SMP', machine: 'x86_64' },
    processor: {
      vendor: 'GenuineIntel',
      model: 'Test',
      xcr0: 7n,
      components: [
        { offset: 0, size: 160 },
        { offset: 160, size: 256 },
        { offset: 576, size: 256 },
      ],
      required: 7n,
    },
    lazy: false,
    processes: [makeProcess(changes)],
  };
}
