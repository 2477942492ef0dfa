/**
 * For each kind of check in the target programs a disturbance, made with gdb, that it must notice:
 * a check that cannot fail shows nothing.
 */
export interface Disturbance {
  readonly program: string;
  readonly args?: readonly string[];
  /** Function in which a thread stands: that thread is disturbed, else the main thread. */
  readonly thread?: string;
  /** gdb commands. */
  readonly commands: readonly string[];
  /** What the program must say. */
  readonly says: RegExp;
}

const row = (program: string, command: string, says: RegExp, thread?: string): Disturbance => ({
  program,
  commands: [command],
  says,
  ...(thread === undefined ? {} : { thread }),
});

const flip = (what: string): string => `set var ${what} ^= 1`;

const core: readonly Disturbance[] = [
  row('core.pie', flip('data[100]'), /data: content differs/),
  row('core.pie', flip('bss[100]'), /bss: content differs/),
  row('core.pie', flip('blocks[3][10]'), /malloc block: content differs/),
  row('core.pie', flip('*(char*)leave_out'), /text differs/),
  row('core.pie', 'set var counters[0].count += 1', /skipped or repeated/),
  row('core.pie', 'set var own = 1', /thread-local variable of the main thread/),
  row('core.pie', 'call (int)chdir("/")', /cwd was/),
  row('core.pie', 'call (int)prctl(15, "other")', /Name was/),
  row('core.pie', 'call (void*)mmap((void*)0x5000000000, 8192, 3, 0x22, -1, 0)', /new region 5000000000/),
].map((disturbance) => ({ ...disturbance, args: ['an argument', ''] }));

const memory: readonly Disturbance[] = [
  row('memory', flip('anonymous[5]'), /anonymous: content/),
  row('memory', flip('sparse[5]'), /sparse hole: not zero/),
  row('memory', flip('zeros[5]'), /zero pages: not zero/),
  row('memory', flip('unreadable[5]'), /PROT_NONE: content/),
  row('memory', flip('write_only[9000]'), /write-only: content/),
  row('memory', flip('code[1]'), /code in anonymous memory returns/),
  row('memory', flip('untouched[5]'), /private file: content/),
  row('memory', flip('copied[5000]'), /copied page: content/),
  row('memory', flip('deleted_private[5]'), /deleted private file: content/),
  row('memory', flip('deleted_shared[5]'), /deleted shared file: content/),
  row('memory', flip('write_shared[5]'), /writable shared file: content/),
  row('memory', flip('shared[5]'), /shared anonymous: content/),
  row('memory', flip('memfd_open[5]'), /memfd: content/),
  row('memory', flip('memfd_closed[5]'), /memfd without descriptor: content/),
  row('memory', 'call (int)madvise(guarded, 32768, 103)', /anonymous: the guard page is accessible/),
  row('memory', 'call (int)madvise(guarded_file, 32768, 103)', /file: the guard page is accessible/),
  row('memory', 'call (int)madvise(only_guarded, 32768, 103)', /but a guard: the guard page is/),
  row('memory', flip('low[5]'), /low address: content/),
  row('memory', flip('terabyte[1ul << 39]'), /inside a reservation: content/),
  row('memory', flip('growing[5]'), /growing region: content/),
  row('memory', flip('advices[0].memory[5]'), /MADV_DONTFORK: content/),
  row('memory', 'call (int)madvise(advices[0].memory, 32768, 11)', /MADV_DONTFORK: VmFlags were/),
  row('memory', 'call (int)munlock(advices[8].memory, 32768)', /mlock: VmFlags were/),
  row('memory', 'call (int)mprotect(anonymous, 4096, 7)', /maps: region/),
  row(
    'vdso',
    // mov $228,%eax; syscall; ret
    'set var *(unsigned long*)__vdso_clock_gettime = 0xc3050f000000e4b8',
    /as slow as a system call/,
  ),
];

const registers: readonly Disturbance[] = [
  row('registers', 'set $rbx = 1', /general registers: byte/, 'live_general'),
  row('registers', 'set $eflags = $eflags & ~0x400', /DF and AC are lost/, 'live_general'),
  row('registers', 'set $st3 = 0', /x87: byte/, 'live_x87'),
  row('registers', 'set $fctrl = 0x37f', /x87: byte 1/, 'live_x87'),
  row('registers', 'set $xmm3.v4_int32[2] = 1', /SSE: byte/, 'live_sse'),
  row('registers', 'set $mxcsr = 0x1f80', /SSE: byte 0/, 'live_sse'),
  row('registers', 'set $ymm5.v8_int32[6] = 1', /AVX: byte/, 'live_avx'),
  row('registers', 'set $gs_base = (long)rows', /gs base is lost/, 'live_gs'),
].map((disturbance) => ({ ...disturbance, args: ['avx'] }));

const avx512: readonly Disturbance[] = [
  row('registers', 'set $zmm20.v16_int32[10] = 1', /AVX-512: byte/, 'live_avx512'),
  // Where gdb takes k3 to be is not right for every processor; any byte will do.
  row('registers', 'set $k3 = 1', /AVX-512: byte/, 'live_avx512'),
].map((disturbance) => ({ ...disturbance, args: ['avx512'] }));

const threads: readonly Disturbance[] = [
  row('threads', 'call (int)prctl(15, "other")', /name was/, 'work'),
  row('threads', 'call (int)setpriority(0, 0, 19)', /nice was/, 'work'),
  row('threads', 'call (int)sched_setscheduler(0, 5, (char*)"\\0\\0\\0\\0")', /policy was/, 'work'),
  row('threads', 'set var own = 1', /thread-local variable/, 'work'),
  row(
    'threads',
    'call (int)sigaltstack("\\0\\0\\0\\0\\0\\0\\0\\0\\2\\0\\0\\0", 0)',
    /alternate stack/,
    'work',
  ),
].map((disturbance) => ({ ...disturbance, args: ['8'] }));

const state: readonly Disturbance[] = [
  row('locks', 'set var through = 1', /let through early/),
  row('blocked', 'print 0', /epoll_wait gives -4/),
  row('guard', 'print 0', /epoll_wait returned -1/),
  row('signals', 'call (void*)signal(17, 0)', /action of signal 17/),
  row('signals', 'call (int)pthread_kill(pthread_self(), 36)', /a pending signal too many|expected 36/),
  row('timers', 'call (int)syscall(226, 5)', /\/proc\/self\/timers/),
  row('timers', 'call (int)alarm(50)', /ITIMER_REAL/),
  row('identity', 'call (int)umask(0)', /umask is 0/),
  row('identity', 'call (int)prctl(29, 1, 0, 0, 0)', /timer slack was/),
  row('identity', 'call (int)prctl(36, 0, 0, 0, 0)', /child subreaper was/),
  row('settings', 'call (int)prctl(26, 1, 0, 0, 0)', /time stamp counter was/),
  row('settings', 'call (int)syscall(251, 1, 0, 0)', /I.O priority was/),
  row('settings', 'call (int)munlockall()', /future memory was/),
  row('settings', flip('sealed[5]'), /sealed memory: content/),
].map((disturbance) =>
  disturbance.program === 'identity' ? { ...disturbance, args: ['a', '', 'b'] } : disturbance,
);

/** Queues outlive their program. */
const UNLINK = [0, 1].map((which) => `call (int)mq_unlink(names[${which}])`);

const descriptors: readonly Disturbance[] = [
  row('descriptors', 'call (long)lseek(file, 0, 0)', /file: offset is 0/),
  row('descriptors', 'call (int)close(alone)', /descriptors were/),
  row('descriptors', 'call (int)fcntl(file, 2, 0)', /FD_CLOEXEC/),
  row('descriptors', 'call (int)dup2(directory, unlinked)', /deleted file/),
  row('descriptors', 'call (long)lseek(directory, 0, 0)', /directory: goes on/),
  row('descriptors', 'call (int)dup2(device[0], device[1])', /\/dev\/zero is another/),
  row('descriptors', 'call (int)fcntl(spare, 1031, 1048576)', /capacity of 1048576/),
  row('descriptors', 'call (long)read(packets[0], big, 100)', /packet 0/),
  row('descriptors', 'call (long)read(plain_event, big, 8)', /eventfd holds/),
  row('descriptors', 'call (int)epoll_ctl(inner, 2, edge[0], big)', /edge-triggered/),
  row('rights', 'call (long)recv(stream[1], &orphan, 1, 0)', /recvmsg gives 10 "lain three"/),
  row('rights', 'call (long)lseek(file, 0, 0)', /file: offset 0/),
  row('rights', 'call (int)close(watching)', /epoll set: no event/),
  row('rights', 'call (int)dup2(orphan, packets[1])', /"writer"/),
  row('rights', 'call (int)dup2(outer[0], circle)', /its own queue: events/),
  row('timerfds', 'call (int)timerfd_settime(relative[1], 0, relative, 0)', /monotonic: \d+ s left/),
  row('timerfds', 'call (long)read(fired, deadline, 8)', /a timer that had fired/),
  row('timerfds', 'call (long)read(missed, deadline, 8)', /ticks, not/),
  row('timerfds', 'call (int)dup2(narrow, signals)', /signalfd gives/),
  row('timerfds', 'call (int)epoll_ctl(set, 2, narrow, 0)', /epoll: no signal/),
  row(
    'uring',
    'set var *(unsigned *)(rings[0].cq + rings[0].params.cq_off.tail) += 1',
    /plain: 4 completions wait/,
  ),
  row('uring', 'call (long)syscall(426, rings[1].fd, 2, 0, 0, 0, 0)', /apart: \d+ entries taken/),
  row('uring', 'call (long)syscall(427, rings[10].fd, 5, 0, 0)', /not told/),
  row('uring', 'call (long)syscall(427, rings[10].fd, 3, 0, 0)', /slot 1: -9/),
  row('aio', flip('((struct ring *)contexts[1].id)->head'), /unread: the ring's head is/),
  row('aio', 'set var contexts[2].next += 1', /round its end, moved: event \d+ \(4, 0\) instead of/),
  row('aio', 'call (long)read(counted, &contexts[0].head, 8)', /the eventfd counts/),
  ...[
    row(
      'mqueues',
      'call (long)syscall(243, reader, names[1] + 32, 32, 0, 0)',
      /6 bytes of priority 1 instead of first/,
    ),
    row('mqueues', 'call (int)mq_send(both, "x", 1, 0)', /there is more/),
    row('mqueues', 'call (int)dup2(both, reader)', /what was for reading is written to/),
  ].map((disturbance) => ({ ...disturbance, commands: [...disturbance.commands, ...UNLINK] })),
  row('files', 'call (int)ftruncate(ended[0], 9)', /deleted: size is 9/),
  row('files', 'call (int)fchmod(ended[0], 0)', /deleted: mode is 100000/),
  row('files', 'call (int)dup2(left, ended[1])', /by its other name: not one file/),
  row('files', 'call (int)dup2(path_only, link_itself)', /the link itself leads to/),
  row('files', 'call (long)pwrite(big, "x", 1, 5368709120)', /big: at 5368709120 is "xar away"/),
  row('odd-paths', 'call (int)chdir("..")', /the working directory is/),
  row('odd-paths', 'call (int)dup2(fds[0], fds[1])', /descriptor \d+ leads to/),
  row('odd-paths', 'call (long)lseek(fds[0], 0, 0)', /file: reads 012345/),
  row('removed', 'call (int)fchmod(folder, 0)', /folder: mode is 40000/),
  row('removed', 'call (int)dup2(other, again)', /opened twice: two of them/),
  row('removed', 'call (int)chdir("..")', /working directory: two of them|getcwd/),
  row('removed', 'call (int)flock(folder, 8)', /folder: the lock/),
  row('removed', 'call (int)fchmod(reader, 0)', /FIFO: mode is 10000/),
  row('removed', 'call (int)fcntl(both, 1031, 4096)', /FIFO: capacity is 4096/),
  row('removed', 'call (int)dup2(reader, ended)', /FIFOs: one and the same/),
  row('filesignals', 'call (int)fcntl(pipe_ends[0], 10, 0)', /pipe: signal is 0/),
  row('filesignals', 'call (int)fcntl(pair[0], 8, 1)', /socket: owner is 1/),
  row('filesignals', 'call (int)fcntl(plain_pipe[0], 4, 0)', /flags of a plain pipe/),
  row('filesignals', 'call (int)fcntl(leased_read, 1024, 2)', /read lease is 2/),
  row('marks', 'call (int)fanotify_mark(named, 128, 0ul, -100, (char *)0)', /marks were/),
  row('pidfds', 'call (int)dup3(process, leader, 02000000)', /first thread: flags/),
  row('pidfds', 'call (int)dup2(leader, other)', /other thread: refers to/),
  row('pidfds', 'call (int)dup2((int)syscall(434, 1, 0), process)', /process: refers to 1/),
  row('ended', 'call (int)dup2(fds[3], fds[1])', /1: ended with 0xf, not 0x700/),
  row('ended', 'call (int)dup2((int)syscall(434, 1, 0), fds[4])', /4: poll gives 0, not/),
  row('ended', 'call (int)dup3(fds[2], fds[1], 02000000)', /1: flags are/),
  row('ended', 'call (int)raise(17)', /1 more signals of children/),
  row('ptys', 'call (int)dup2(bulk.master, lines.master)', /the one with lines is/),
  row('ptys', 'call (int)ioctl(lines.slave, 0x540b, 0)', /bytes of lines wait/),
  row('ptys', 'call (long)read(lines.master, many, 1)', /output: read/),
  row('ptys', 'call (int)ioctl(lines.slave, 0x5414, many)', /window size/),
  row('ptys', 'call (int)ioctl(lines.slave, 0x5402, &bulk.modes)', /modes of the one with lines/),
  row('ptys', 'call (long)read(bulk.slave, many + 10, 100)', /raw input/),
  row('ptys', 'call (int)ioctl(bulk.master, 0x5420, arrived)', /output at 0/),
  row('ptys', 'call (int)open(closed.name, 0402)', /gives no EIO/),
  row('ptys', 'call (int)dup2(lines.slave, hung.slave)', /hangup/),
  row('ptys', 'call (int)ioctl(locked.slave, 0x540d, 0)', /exclusive mode/),
  row('watches', 'call (int)inotify_rm_watch(watcher, deep)', /watches were/),
  row(
    'watches',
    'call (int)inotify_add_watch(blocking, "tree", 0x3ff)',
    /events that nobody caused|one-shot/,
  ),
  row('watches', 'call (int)epoll_ctl(set, 2, twin, 0)', /epoll: no event/),
  row('records', 'call (int)dup2(shared, whole)', /flock: another process can have it/),
  row('records', 'call (int)dup2(second, first)', /OFD lock: its own opening cannot have it/),
  row('records', 'call (int)close((int)dup(locked))', /record lock: byte 12/),
];

export const disturbances: readonly Disturbance[] = [
  ...core,
  ...memory,
  ...registers,
  ...avx512,
  ...threads,
  ...state,
  ...descriptors,
];
