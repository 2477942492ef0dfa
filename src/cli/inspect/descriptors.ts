import { addressText } from '../../inet.js';
import { holdLine } from '../../nftables.js';
import { fanoutId } from '../../packet.js';
import { inputLength } from '../../pty.js';
import type { DescriptorTable, OpenFile, OpenFileOf } from '../../snapshot/descriptors.js';
import { reachable } from '../../snapshot/in-flight.js';
import type { Process } from '../../snapshot/schema.js';
import type { TcpConnection } from '../../snapshot/tcp-connection.js';
import { keyName } from '../../tcp-key.js';
import { TFD } from '../../timerfd.js';
import { socketName } from '../../unix-name.js';
import { escapeText } from './escape.js';
import { clockName, openFlags, signalName, signalSet } from './names.js';
import type { Style } from './style.js';
import { table } from './table.js';

/**
 * The descriptors of a process; which of them share an open file shows by its number. Behind them what is only on
 * its way in sockets, without a number of its own.
 */
export function* descriptorLines(process: Process, style: Style): Generator<string> {
  const { descriptors, files, hold } = process.descriptors;
  yield '';
  yield style.heading(`Descriptors (${descriptors.length})`);
  if (hold !== null) yield holdLine(hold);
  const numbered = new Set(descriptors.map(({ file }) => file));
  const sent = [...reachable(files, numbered)].filter((index) => !numbered.has(index));
  yield* table(
    [...descriptors, ...sent.map((file) => ({ fd: '-', file, closeOnExec: false }))].map((descriptor) => {
      const { fd, file: index, closeOnExec } = descriptor;
      const file = files[index];
      if (!file) return [String(fd)];
      const flags = `${openFlags(file.flags)}${closeOnExec ? ' close-on-exec' : ''}`;
      const locks = file.locks.length > 0 ? `, ${file.locks.length} locks` : '';
      const lease = file.lease === undefined ? '' : `, a ${file.lease} lease`;
      const signals = file.signals === undefined ? '' : ', signals';
      const letGo = 'letGo' in file && file.letGo ? ', let go of' : '';
      const what = `${describeFile(file, process.descriptors)}${letGo}${locks}${lease}${signals}`;
      return [String(fd), file.kind, flags, `file ${index}`, what];
    }),
    [0],
  );
}

function describeFile(file: OpenFile, { pipes, folders }: DescriptorTable): string {
  switch (file.kind) {
    case 'stream':
      return `stream ${file.stream} of the image, was ${escapeText(file.was)}`;
    case 'external':
      return `passed in by whoever starts the image, was ${escapeText(file.was)}`;
    case 'file': {
      const device = file.device ? ` ${file.device.major}:${file.device.minor}` : '';
      const thread = file.late?.thread == null ? '' : ` of thread ${file.late.thread}`;
      return `${escapeText(file.path)}${thread} (${file.type}${device}${file.offset ? `, at ${file.offset}` : ''})`;
    }
    case 'object':
      return `memory object ${file.object}${file.offset ? `, at ${file.offset}` : ''}`;
    case 'folder':
      return `${escapeText(folders[file.folder]?.name ?? '')}, a directory that was deleted`;
    case 'pipe': {
      const pipe = pipes[file.pipe];
      const content = pipe?.content.reduce((sum, part) => sum + part.length, 0) ?? 0;
      const removed = pipe?.removed ? ` ${escapeText(pipe.removed.name)}, which was deleted` : '';
      const name = pipe?.path ? ` ${escapeText(pipe.path)}` : removed;
      return `pipe ${file.pipe}${name}, ${file.end} end, ${content} bytes in it`;
    }
    case 'eventfd':
      return `count ${file.count}${file.semaphore ? ', semaphore' : ''}`;
    case 'timerfd': {
      const when = file.settimeFlags & TFD.TIMER_ABSTIME ? 'at' : 'in';
      const next = file.next ? `, next ${when} ${file.next} ns` : '';
      const interval = file.interval ? `, every ${file.interval} ns` : '';
      return `${clockName(file.clock)}${next}${interval}${file.ticks ? `, ${file.ticks} ticks` : ''}`;
    }
    case 'mqueue':
      return `/${escapeText(file.name)}, ${file.maxMessages} messages of ${file.messageSize} bytes`;
    case 'signalfd':
      return signalSet(file.mask);
    case 'fanotify':
      return `fanotify, ${file.marks.length} marks`;
    case 'inotify':
      return `watches ${file.watches.map(({ path }) => escapeText(path)).join(' ') || 'nothing'}`;
    case 'pidfd':
      if (file.stranger) return `process ${file.stranger.pid}, which stays behind`;
      if (file.ended) return `a process that has ended${describeEnd(file.ended.exit)}`;
      return file.thread === null ? 'the process itself' : `thread ${file.thread}`;
    case 'inet':
      return describeInet(file);
    case 'netlink': {
      const groups = file.groups.length > 0 ? `, groups ${file.groups.join(' ')}` : '';
      return `netlink protocol ${file.protocol}, port ${file.port}${groups}`;
    }
    case 'packet':
      return describePacket(file);
    case 'unix':
      return describeSocket(file);
    case 'pty-master':
      return `master of /dev/pts/${file.number}${file.controls ? ', which controls the session' : ''}, ${inputLength(file.typed)} keys unread, ${file.output.length} bytes of output unread`;
    case 'pty-slave':
      return `slave ${file.number}${file.path === null ? '' : ` by ${file.path}`}${file.master === null ? ', hung up' : ` of file ${file.master}`}`;
    case 'epoll':
      return `watches ${file.members.map(({ fd }) => fd).join(' ') || 'nothing'}`;
  }
}

/** `127.0.0.1:80 to 127.0.0.1:4242, established`. */
function describeConnection({ local, peer, state, input, unconfirmed, unsent }: TcpConnection): string {
  return [
    `connection ${addressText(local)} to ${addressText(peer)}`,
    state,
    `${input.length} bytes unread`,
    `${unconfirmed.length} bytes not confirmed`,
    `${unsent.length} not sent`,
  ].join(', ');
}

function describeInet(file: OpenFileOf<'inet'>): string {
  const parts = [
    `${file.protocol} over ${file.family}`,
    file.local ? `at ${addressText(file.local)}` : '',
    file.peer ? `to ${addressText(file.peer)}` : '',
    file.backlog === null ? '' : `listens, backlog ${file.backlog}`,
    file.connection ? describeConnection(file.connection) : '',
    file.ended ? `a connection that is ${file.ended}, ${file.input.length} bytes unread` : '',
    file.urgent ? 'urgent data in it' : '',
    file.keys.length === 0 ? '' : `keys of TCP MD5 for ${file.keys.map(keyName).join(' ')}`,
    file.datagrams.length === 0 ? '' : `${file.datagrams.length} datagrams unread`,
    file.corked ? `a datagram of ${file.corked.content.length} bytes that is not sent yet` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function describePacket(file: OpenFileOf<'packet'>): string {
  const { type, protocol, interface: on, memberships, fanout, ring } = file;
  const parts = [
    `${type}, protocol 0x${protocol.toString(16).padStart(4, '0')}`,
    on === null ? '' : `on ${escapeText(on)}`,
    memberships.length === 0 ? '' : `${memberships.length} memberships`,
    fanout === null ? '' : `fanout group ${fanoutId(fanout)}`,
    ring === null ? '' : `a ring of ${ring.blockCount} blocks, ${ring.waiting.length} of them unread`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function describeSocket(file: OpenFileOf<'unix'>): string {
  const bytes = file.content.reduce((sum, part) => sum + part.length, 0);
  const parts = [
    file.type,
    file.name.length > 0 ? escapeText(socketName(file.name)) : '',
    file.backlog === null ? '' : `listens, backlog ${file.backlog}`,
    file.peer === null ? '' : `to file ${file.peer}`,
    file.gone ? 'its peer has gone' : '',
    bytes > 0 ? `${bytes} bytes in it` : '',
    ...file.passed.map(
      ({ message, files }) =>
        `with message ${message} on their way: ${files.map((file) => `file ${file}`).join(' ')}`,
    ),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** @param exit as wait(2) has it; `null`: not told */
function describeEnd(exit: number | null): string {
  if (exit === null) return '';
  return exit & 0xff ? ` by ${signalName(exit)}` : ` with ${exit >> 8}`;
}
