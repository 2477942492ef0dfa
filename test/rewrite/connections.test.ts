import { closeSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { UnsupportedError } from '../../src/errors.js';
import { duplicate, pidfdGetfd, pidfdOpen } from '../../src/native/syscalls.js';
import { setRepair } from '../../src/native/tcp-repair.js';
import { NO_CHOICES } from '../../src/proc/descriptors/choices.js';
import { captureDescriptors } from '../../src/proc/descriptors/index.js';
import { removeHold } from '../../src/proc/descriptors/tcp-hold.js';
import { ObjectTable } from '../../src/proc/objects.js';
import { rewriteConnections } from '../../src/rewrite/connections.js';
import type { DescriptorTable, OpenFile } from '../../src/snapshot/descriptors.js';
import { REPAIR } from '../../src/tcp.js';
import { testKeeping } from '../e2e/harness/hold.js';
import { capture, startTarget } from '../proc/descriptors/support.js';

/** Captures connections to be kept, with what the tracer does otherwise. */
function captureKept(t: ExecutionContext<unknown>, pid: number): DescriptorTable {
  const pidfd = pidfdOpen(pid);
  let looked = -1;
  const look = (copy: number) => {
    if (looked >= 0) {
      setRepair(looked, REPAIR.OFF_SILENT);
      closeSync(looked);
    }
    looked = copy;
    if (looked >= 0) setRepair(looked, REPAIR.ON);
  };
  const guard = {
    setHold: () => undefined,
    repair: (fd: number | null) => look(fd === null ? -1 : pidfdGetfd(pidfd, fd)),
    repairCopy: (copy: number) => look(duplicate(copy)),
  };
  const context = {
    pid,
    objects: new ObjectTable(),
    choices: { ...NO_CHOICES, tcp: 'keep' } as const,
    guard,
  };
  const { table, problems } = captureDescriptors({ ...context, keep: () => undefined });
  closeSync(pidfd);
  t.teardown(() => table.hold && removeHold(table.hold));
  t.deepEqual(problems, []);
  return table;
}

testKeeping(
  ['python3'],
  'a connection that is kept is closed as the freeze would have closed it',
  async (t) => {
    const target = await startTarget(
      t as ExecutionContext,
      `
def pair(family=socket.AF_INET, host="127.0.0.1"):
    l = socket.socket(family); l.bind((host, 0)); l.listen(); c = socket.create_connection(l.getsockname()[:2])
    return c, l.accept()[0]
def wait(c): select.select([c], [], [])
c, a = pair(); a.sendall(b"not read"); wait(c); c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30000)
c.setsockopt(6, socket.TCP_NODELAY, 1); at(c.detach(), 10); at(a.detach(), 11)
c, a = pair(socket.AF_INET6, "::1"); a.sendall(b"half"); a.shutdown(1); wait(c); c.setblocking(False)
c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 40000); at(c.detach(), 12); at(a.detach(), 13)
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(0); full = socket.create_connection(l.getsockname())
n = socket.socket(); n.setblocking(False); n.connect_ex(l.getsockname())
at(l.detach(), 14); at(full.detach(), 15); at(n.detach(), 16)
c, a = pair(); a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); a.close(); wait(c); at(c.detach(), 17)
c, a = pair(); c.sendall(b"sent away"); wait(a); one, other = socket.socketpair(); at(c.detach(), 18); at(one.detach(), 20)
socket.send_fds(other, [b"x"], [a.detach()]); at(other.detach(), 21)
`,
    );
    const closed = capture(target);
    const kept = captureKept(t, target.pid);
    t.is(kept.files.filter((file) => file.kind === 'inet' && file.connection !== null).length, 8);
    const warnings: string[] = [];
    const rewritten = rewriteConnections(kept, { tcp: 'close' }, warnings);
    t.deepEqual(rewritten, closed.table);
    const ofConnections = closed.warnings
      .filter((line) => / is not carried: /.test(line))
      .map((line) => line.replace(/, socket:\[\d+\]/, ''));
    t.is(ofConnections.length, 8);
    t.deepEqual(warnings.slice(0, -1), ofConnections);
    t.regex(warnings.at(-1)!, new RegExp(`nft delete table inet ${kept.hold}$`));
    t.deepEqual(rewriteConnections(kept, { tcp: 'keep' }, []), kept);
  },
);

const fileOf = (fields: object) => fields as OpenFile;

const inet = (changes: object): OpenFile =>
  fileOf({
    ...{
      kind: 'inet',
      flags: 2,
      locks: [],
      family: 'ipv4',
      protocol: 'tcp',
      number: 0,
      local: null,
      peer: null,
    },
    ...{ scope: '', backlog: null, ended: 'closed', input: new Uint8Array(), connection: null, options: [] },
    ...{ interfaces: [], filter: null, shutdown: 0, groups: [], keys: [], ...changes },
  });

const connection = {
  ...{ state: 'established', local: Uint8Array.of(2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) },
  ...{ peer: Uint8Array.of(2, 0, 0, 81, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), sendSequence: 1 },
  ...{ input: new Uint8Array(3), unconfirmed: new Uint8Array(4), unsent: new Uint8Array(5), locks: 0 },
};

function tableOf(files: readonly OpenFile[], hold: string | null = null): DescriptorTable {
  const descriptors = files.map((_, file) => ({ fd: file + 10, file, closeOnExec: false }));
  return { files: [...files], descriptors, folders: [], pipes: [], terminal: null, hold };
}

const O_ASYNC = 0o20000;

test('what was let go of cannot be had again; what had ended by itself stays so', (t) => {
  const unix = {
    kind: 'unix',
    flags: 2,
    locks: [],
    name: Buffer.from('/run/s'),
    folder: null,
    gone: { reset: false },
    passed: [],
  };
  const master = { kind: 'pty-master', flags: 2, locks: [], number: 7 };
  const of = (letGo: object) =>
    tableOf([
      inet({ ...letGo }),
      inet({ ended: 'refused', ...letGo }),
      fileOf({ ...unix, ...letGo }),
      fileOf({ ...master, ...letGo }),
    ]);
  const refuse = { tcp: 'keep', unixPeer: 'refuse', ptyPeer: 'refuse' } as const;
  t.deepEqual(rewriteConnections(of({}), refuse, []), of({}));
  const gone = of({ letGo: true });
  const close = { tcp: 'close', unixPeer: 'close', ptyPeer: 'close' } as const;
  for (const choices of [{}, close]) t.deepEqual(rewriteConnections(gone, choices, []), gone);
  const problemsOf = (choices: Partial<typeof refuse>) =>
    t.throws(() => rewriteConnections(gone, choices, []), { instanceOf: UnsupportedError })?.items;
  const line = (fd: number, what: string, option: string) =>
    `descriptor ${fd} (${what}) cannot be carried: it was closed at the freeze (${option} close) or by rewriting, ` +
    `and its state is not in the image; use --drop-fd ${fd}, --external ${fd}, or --fd ${fd}=PATH`;
  t.deepEqual(problemsOf({ tcp: 'keep' }), [line(10, 'TCP', '--tcp'), line(11, 'TCP', '--tcp')]);
  t.deepEqual(problemsOf({ unixPeer: 'refuse' }), [line(12, 'socket, /run/s', '--unix-peer')]);
  t.deepEqual(problemsOf({ ptyPeer: 'refuse' }), [
    line(13, 'pseudoterminal master, /dev/pts/7', '--pty-peer'),
  ]);
  t.is(problemsOf(refuse)?.length, 4);
});

test('so it is with what is on its way in a socket', (t) => {
  const common = { kind: 'unix', flags: 2, locks: [], name: Buffer.from('/run/s'), folder: null };
  const carrier = fileOf({ ...common, gone: null, passed: [{ message: 0, files: [1] }] });
  const table = tableOf([carrier, fileOf({ ...common, gone: { reset: false }, letGo: true, passed: [] })]);
  table.descriptors.pop();
  t.deepEqual(rewriteConnections(table, { unixPeer: 'close' }, []), table);
  const error = t.throws(() => rewriteConnections(table, { unixPeer: 'refuse' }, []), {
    instanceOf: UnsupportedError,
  });
  t.regex(
    error!.items[0]!,
    /^what is on its way in descriptor 10 \(socket, \/run\/s\) cannot .*; use --drop-fd 10, /,
  );
});

test('closing a connection says what may not have arrived, and is refused where a signal would be missed', (t) => {
  const hold = 'proc2elf-1-01234567';
  const warnings: string[] = [];
  const key = { host: new Uint8Array(4), prefix: 0, key: new Uint8Array(1) };
  const table = tableOf([inet({ ended: null, connection, keys: [key] })], hold);
  const rewritten = rewriteConnections(table, { tcp: 'close' }, warnings);
  t.is(rewritten.hold, null);
  t.like(rewritten.files[0], {
    ended: 'closed',
    connection: null,
    letGo: true,
    input: new Uint8Array(3),
    keys: [],
  });
  t.regex(
    warnings[0]!,
    /^descriptor 10 \(TCP\): .* 127\.0\.0\.1:80 to 127\.0\.0\.1:81 .*, with 9 bytes that/,
  );
  const dropped = { ...table, descriptors: [] };
  t.deepEqual(rewriteConnections(dropped, { tcp: 'close' }, []).files, table.files, 'nobody has it any more');
  const signals = { owner: { kind: 'process' }, signal: 0 };
  const asynchronous = tableOf([inet({ ended: null, connection, flags: 2 | O_ASYNC, signals })], hold);
  t.throws(() => rewriteConnections(asynchronous, { tcp: 'close' }, []), {
    message:
      /^descriptor 10 \(TCP, 127\.0\.0\.1:80 to 127\.0\.0\.1:81\) cannot be carried: it sends signals \(O_ASYNC\)/,
  });
});
