/** The descriptor table of a frozen process: open file descriptions, and the descriptors that share them. */
import * as z from 'zod';
import { bytesOfText } from '../byte-text.js';
import { isRepeatable, MOST_EVENTS, MOST_NAME } from '../inotify.js';
import { MOST_ADDRESS, MOST_MEMBERSHIPS } from '../packet.js';
import { BOOT_ID_SIZE, isEnd } from '../pidfd.js';
import { inputLength, MOST_INPUT, MOST_OUTPUT } from '../pty.js';
import { isSocketPath } from '../unix-name.js';
import { datagramSchema, LONGEST_DATAGRAM, MOST_DATAGRAMS } from './datagram.js';
import { bytes, hostAddress, index, int, socketAddress, text, word } from './fields.js';
import { packetRingSchema } from './packet-ring.js';
import { tcpConnectionSchema } from './tcp-connection.js';
import { tcpKeysSchema } from './tcp-key.js';

/** `SCM_MAX_FD`: the most descriptors that a message can carry. */
const MOST_PASSED = 253;
/** A classic filter of SO_ATTACH_FILTER: `struct sock_filter` each, 4096 at most; `null` where there is none. */
const socketFilter = bytes
  .refine((value) => value.length > 0 && value.length % 8 === 0 && value.length <= 32768, 'no filter')
  .nullable()
  .default(null);
/** Name of a network interface. */
const interfaceName = text.max(15);
const termios = bytes.refine((value) => value.length === 44, 'a termios2 has 44 bytes');
const winsize = bytes.refine((value) => value.length === 8, 'a winsize has 8 bytes');
/** `NR_UNIX98_PTY_MAX` of linux/pty.h. */
const ptyNumber = index.max((1 << 20) - 1);

/** An event of inotify. */
const inotifyEvent = z
  .object({
    /** A watch that may be gone. */
    wd: int.min(1).max(0x7fff_ffff),
    /** One of `IN_*`, and perhaps IN_ISDIR. */
    mask: int.min(0).max(0xffff_ffff),
    /** By which the two events of one rename know each other; 0 for others. */
    cookie: int.min(0).max(0xffff_ffff),
    /** Bytes as text; empty for none. */
    name: text.refine(isEntryName, 'no name of a file'),
  })
  .refine(({ mask, name }) => isRepeatable(mask, name !== ''), 'no event that can be made again');

/**
 * A lock on a file.
 * - `posix`: fcntl(2) F_SETLK, owned by the process
 * - `ofd`: F_OFD_SETLK, owned by the open file description
 * - `flock`: flock(2), owned by the open file description
 */
export const lockSchema = z.object({
  type: z.enum(['posix', 'ofd', 'flock']),
  write: z.boolean(),
  /** First and last byte; `null`: to the end of the file, however long it becomes. */
  first: word,
  last: word.nullable(),
});

/**
 * What is sent when input or output becomes possible (O_ASYNC, which is among the flags), or a lease is broken:
 * fcntl(2) F_SETOWN_EX and F_SETSIG.
 */
export const fileSignalSchema = z.object({
  /** To whom: nobody, the process, or a thread by its id; `null`: the first thread. */
  owner: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('nobody') }),
    z.object({ kind: z.literal('process') }),
    z.object({ kind: z.literal('thread'), tid: index.nullable() }),
  ]),
  /** 0: SIGIO, without more said of it. */
  signal: int.min(0).max(64),
});

function isEntryName(name: string): boolean {
  return !/[\0/]|^\.\.?$/.test(name) && bytesOfText(name).length <= MOST_NAME;
}

/** What every open file description has, whatever its kind. */
const common = {
  /** `O_*` access mode and status flags from fdinfo, without O_CLOEXEC. */
  flags: int.min(0),
  /** POSIX locks of the process are listed with one of the descriptions through which they can be taken. */
  locks: z.array(lockSchema),
  /** Left out where nobody was named. */
  signals: fileSignalSchema.optional(),
  /** A lease on the file: fcntl(2) F_SETLEASE. */
  lease: z.enum(['read', 'write']).optional(),
};

/**
 * It was connected to others when it was frozen, and is found closed by the user's choice: `--tcp close`,
 * `--unix-peer close`, `--pty-peer close`. Left out where it was not, or is still.
 */
const letGo = z.literal(true).optional();

/** A file that is watched, which must be found again by its path; type and device as for a `file`. */
const watched = {
  path: text,
  type: z.enum(['regular', 'directory', 'device', 'fifo', 'socket', 'symlink']),
  device: z.object({ major: int, minor: int }).nullable(),
};

/**
 * An open file description by kind.
 * - `stream`: becomes descriptor 0, 1 or 2 of the image that is run
 * - `external`: whatever whoever runs the image passes in under the descriptor's number, which is above 2
 * - `file`: regular file, directory or device opened again by path
 * - `object`: deleted file or memfd: index into the process's memory objects
 * - `folder`: deleted directory: index into `folders`
 * - `pipe`: an end of a pipe or FIFO that the process has to itself: index into `pipes`
 * - `inet`: an IPv4 or IPv6 socket
 * - `netlink`: a socket to the kernel
 * - `packet`: a socket to network interfaces
 * - `unix`: a Unix domain socket
 * - `pty-master`, `pty-slave`: the two sides of a pseudoterminal that the process has to itself
 */
export const openFileSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('stream'),
    ...common,
    stream: int.min(0).max(2),
    /** What it was: `terminal /dev/pts/1`, `pipe:[123]`, `socket:[123]`. */
    was: text,
    /**
     * How it is made where the stream is a terminal:
     * - `shared`: a duplicate of the stream, whose open file description it shared
     * - `own`: the stream's terminal, opened again
     * - `controlling`: /dev/tty, opened again
     */
    reopen: z.enum(['shared', 'own', 'controlling']),
  }),
  /** `was`: as in a stream. It has one descriptor. */
  z.object({ kind: z.literal('external'), ...common, was: text }),
  z.object({
    kind: z.literal('file'),
    ...common,
    /** The type of file that must be found there; `chosen`: any, the user gave the path (`--fd N=PATH`). */
    type: z.enum(['regular', 'directory', 'device', 'fifo', 'socket', 'symlink', 'chosen']),
    path: text,
    offset: word,
    /** Size in bytes at the freeze; 0 for what has none. */
    size: word,
    /**
     * Modification time in nanoseconds where size and time must be the same at thaw: a regular file that the
     * process only reads. `null`: no shorter than it was will do.
     */
    modified: word.nullable().default(null),
    /** For a device: major and minor number, checked at thaw. */
    device: z.object({ major: int, minor: int }).nullable(),
    /**
     * It is about what is not there yet when files are opened, and opened when all else is: a descriptor, a socket's file, or the
     * thread with this id, whose folder `path` names as `/proc/thread-self`.
     */
    late: z.object({ thread: index.nullable() }).optional(),
  }),
  z.object({ kind: z.literal('object'), ...common, object: index, offset: word }),
  z.object({ kind: z.literal('folder'), ...common, folder: index, offset: word }),
  z.object({ kind: z.literal('pipe'), ...common, pipe: index, end: z.enum(['read', 'write', 'both']) }),
  z.object({ kind: z.literal('eventfd'), ...common, count: word, semaphore: z.boolean() }),
  z.object({
    kind: z.literal('timerfd'),
    ...common,
    clock: int,
    /** `TFD_TIMER_*` of the last timerfd_settime(2). */
    settimeFlags: int.min(0),
    /** How often it has fired since it was last read. */
    ticks: word,
    /** ns: with TFD_TIMER_ABSTIME the time at which it fires next, else the time left; 0: it does not run. */
    next: word,
    interval: word,
  }),
  z.object({ kind: z.literal('signalfd'), ...common, mask: word }),
  z.object({
    kind: z.literal('mqueue'),
    ...common,
    /** Without the slash. */
    name: text.refine((value) => value !== '' && !value.includes('/'), 'is no name of a queue'),
    /** Where reading it as a file goes on. */
    offset: word,
    /** What it can hold: `mq_maxmsg`, and `mq_msgsize` in bytes. */
    maxMessages: int.min(1).max(0x7fff_ffff),
    messageSize: int.min(1).max(0x7fff_ffff),
  }),
  z.object({
    kind: z.literal('inotify'),
    ...common,
    watches: z.array(
      z.object({
        wd: int.min(1).max(0x7fff_ffff),
        /** `IN_*`. */
        mask: int.min(0).max(0xffff_ffff),
        ...watched,
      }),
    ),
    /** What was not read. */
    events: z.array(inotifyEvent).max(MOST_EVENTS).default([]),
    /** From here on up the next watch gets its number; `null` where that is not known. */
    next: int.min(1).max(0x7fff_ffff).nullable().default(null),
  }),
  z.object({
    kind: z.literal('fanotify'),
    ...common,
    /** Flags of fanotify_init(2): its own, and those of open(2) for the files in its events. */
    init: z.object({ flags: int.min(0).max(0xffff_ffff), eventFlags: int.min(0).max(0xffff_ffff) }),
    marks: z.array(
      z.object({
        of: z.enum(['inode', 'mount', 'filesystem']),
        /** `FAN_MARK_*` that the kernel shows of it. */
        flags: int.min(0).max(0xffff_ffff),
        /** `FAN_*`: what is told, and what of that is not. */
        mask: int.min(0).max(0xffff_ffff),
        ignored: int.min(0).max(0xffff_ffff),
        ...watched,
      }),
    ),
  }),
  z.object({
    kind: z.literal('pidfd'),
    ...common,
    /** Id of the thread that it refers to; `null`: the process, or with PIDFD_THREAD its first thread. */
    thread: index.nullable(),
    /** Another process, or a thread of one, which stays where it is; `null`: the process itself. */
    stranger: z
      .object({
        pid: int.min(1),
        /** The number that it alone has from one start of its machine to the next. */
        inode: word,
        /** `/proc/sys/kernel/random/boot_id` */
        boot: bytes.refine((value) => value.length === BOOT_ID_SIZE, 'no boot id'),
      })
      .nullable()
      .default(null),
    /** A process or thread that had ended, and been waited for; `null`: one that was there. */
    ended: z
      .object({
        /** How it ended, as wait(2) has it; `null` where the kernel does not tell (before Linux 6.15). */
        exit: int.refine(isEnd, 'no end of a process').nullable(),
        /** The number by which it is known that two descriptors mean the same; `null` where there are none. */
        inode: word.nullable(),
      })
      .nullable()
      .default(null),
  }),
  z.object({
    kind: z.literal('epoll'),
    ...common,
    members: z.array(
      z.object({
        /** The number under which the file was added; it may mean another file by now, or none. */
        fd: index,
        /** What is watched: index into `files`. */
        file: index,
        /** `EPOLL*`, with the input flags (EPOLLET, ...). Without event bits: a one-shot member that has fired. */
        events: int.min(0).max(0xffff_ffff),
        data: word,
      }),
    ),
  }),
  z.object({
    kind: z.literal('inet'),
    ...common,
    family: z.enum(['ipv4', 'ipv6']),
    protocol: z.enum(['tcp', 'mptcp', 'udp', 'udplite', 'ping', 'raw']),
    /** Of a raw socket: the protocol above IP. */
    number: int.min(0).max(255).default(0),
    /** `struct sockaddr_in` or `sockaddr_in6`; `null` for a socket that is not bound. */
    local: socketAddress.nullable(),
    /** To whom a socket of datagrams is connected. */
    peer: socketAddress.nullable(),
    /** Name of the interface that both addresses mean by their `sin6_scope_id`; empty where there is none. */
    scope: text,
    /** Of a listening socket. */
    backlog: index.nullable(),
    /**
     * What became of a TCP connection, or `null` for a socket that was never connected:
     * - `closed`: closed by both sides; `input` can still be read
     * - `reset`: broken off by the peer; the process is yet to be told (ECONNRESET)
     * - `refused`: the attempt has failed; the process is yet to be told (ECONNREFUSED)
     * - `failed`: the attempt has failed, and the process knows
     */
    ended: z.enum(['closed', 'reset', 'refused', 'failed']).nullable(),
    /** What the process has not read of a connection that was closed. */
    input: bytes,
    /**
     * The byte of `input` that is urgent (MSG_OOB), which is read apart; `taken`: it was, only its mark is left, and
     * what it was is not known.
     */
    urgent: z.object({ at: index, taken: z.boolean() }).nullable().default(null),
    letGo,
    /** A TCP connection that is kept: `local` and `peer` are its own. */
    connection: tcpConnectionSchema.nullable().default(null),
    /** Of a TCP socket: TCP_MD5SIG. */
    keys: tcpKeysSchema,
    /** What setsockopt(2) takes; SO_RCVBUF and SO_SNDBUF as getsockopt(2) tells them. */
    options: z.array(z.object({ level: index, option: index, value: bytes })),
    /** Options whose value is the number of an interface; `swapped`: in the network's order of bytes. */
    interfaces: z
      .array(z.object({ level: index, option: index, name: interfaceName, swapped: z.boolean() }))
      .default([]),
    filter: socketFilter,
    /** Of a UDP socket. 1: nothing more is received; 2: nothing more is sent. */
    shutdown: int.min(0).max(3).default(0),
    /** Of a UDP socket: what can be received, the first of it first. */
    datagrams: z.array(datagramSchema).max(MOST_DATAGRAMS).default([]),
    /** Of a UDP socket: what is being put together (UDP_CORK, MSG_MORE), and to whom it goes; `null`: the peer. */
    corked: z
      .object({
        to: socketAddress.nullable(),
        content: bytes.refine((value) => value.length <= LONGEST_DATAGRAM, 'is longer than any datagram'),
      })
      .nullable()
      .default(null),
    /** Multicast groups. */
    groups: z
      .array(
        z.object({
          group: hostAddress,
          interface: interfaceName,
          /** From whom: from all but `sources`, or from `sources` only. */
          mode: z.enum(['exclude', 'include']),
          sources: z.array(hostAddress),
        }),
      )
      .default([]),
  }),
  z.object({
    kind: z.literal('netlink'),
    ...common,
    type: z.enum(['datagram', 'raw']),
    /** `NETLINK_*` */
    protocol: int.min(0).max(31),
    /** What it is addressed by (`nl_pid`); 0: it has no address yet. */
    port: int.min(0).max(0xffff_ffff),
    /** Groups that it listens to, from 1 on. */
    groups: z.array(int.min(1).max(0xffff)),
    /** `struct sockaddr_nl` of whom it is connected to. */
    peer: bytes.refine((value) => value.length === 12, 'no address of netlink').nullable(),
    options: z.array(z.object({ level: index, option: index, value: bytes })),
    filter: socketFilter,
  }),
  z.object({
    kind: z.literal('packet'),
    ...common,
    type: z.enum(['datagram', 'raw']),
    /** `ETH_P_*`, as a number of this processor; 0: no packet reaches it. */
    protocol: int.min(0).max(0xffff),
    /** The one that it is bound to; `null`: all. */
    interface: interfaceName.nullable(),
    /** That interface is down, and the program has been told (ENETDOWN). */
    toldDown: z.boolean(),
    options: z.array(z.object({ level: index, option: index, value: bytes })),
    filter: socketFilter,
    /** What it has asked of interfaces, the earliest first. */
    memberships: z.array(
      z.object({
        interface: interfaceName,
        /** `PACKET_MR_*` */
        type: int.min(0).max(0xffff),
        address: bytes.refine((value) => value.length <= MOST_ADDRESS, 'no hardware address'),
        /** How often it has. */
        count: int.min(1).max(MOST_MEMBERSHIPS),
      }),
    ),
    /** Its fanout group as getsockopt(2) tells it: id, type, flags. */
    fanout: int.min(0).max(0xffff_ffff).nullable(),
    /** Of what it receives, in memory. */
    ring: packetRingSchema.nullable().default(null),
  }),
  z.object({
    kind: z.literal('unix'),
    ...common,
    type: z.enum(['stream', 'datagram', 'seqpacket']),
    /** `sun_path`: a path, or an abstract name behind a NUL; empty for a socket without a name. */
    name: bytes.refine((value) => value.length <= 108, 'a name has at most 108 bytes'),
    /** It has its name from the listening socket that accepted it. */
    accepted: z.boolean(),
    /** The socket file, at the path that is its name or where it was moved to; `null` where there is none. */
    node: z
      .object({
        mode: int.min(0).max(0o7777),
        uid: index,
        gid: index,
        /** Where it was moved since it was bound (rename(2)); `null` where it is at its name. */
        path: text.refine(isSocketPath, 'is no path of a socket').nullable().default(null),
      })
      .nullable(),
    /** Of a listening socket. */
    backlog: index.nullable(),
    /** The socket that it is connected to: index into `files`. */
    peer: index.nullable(),
    /**
     * Not `null`: it was connected, and the other end is closed.
     * `reset`: with bytes that it had not read, of which this end is yet to be told (ECONNRESET).
     */
    gone: z.object({ reset: z.boolean() }).nullable(),
    letGo,
    /** 1: nothing more is received; 2: nothing more is sent. */
    shutdown: int.min(0).max(3),
    /** What can be read: one entry a message, which of a stream may be several that carry no descriptors. */
    content: z.array(bytes),
    /** What is on its way in it (SCM_RIGHTS): index into `content`, ascending, and into `files`. */
    passed: z.array(z.object({ message: index, files: z.array(index).min(1).max(MOST_PASSED) })).default([]),
    /** The content bears the credentials of the process itself (SO_PASSCRED). */
    credentials: z.boolean(),
    /** SO_SNDBUF and SO_RCVBUF as getsockopt(2) tells them. */
    sendBuffer: index,
    receiveBuffer: index,
    /** Options of SOL_SOCKET that a new socket does not have. */
    options: z.array(z.object({ option: index, value: bytes })),
    filter: socketFilter,
  }),
  z.object({
    kind: z.literal('pty-master'),
    ...common,
    /** By which it is opened: `/dev/ptmx`. */
    path: text,
    /** N of `/dev/pts/N`. */
    number: ptyNumber,
    /** `struct termios2` and `struct winsize`. */
    modes: termios,
    size: winsize,
    /** Packet mode (TIOCPKT). */
    packets: z.boolean(),
    /** The slave side cannot be opened (TIOCSPTLCK). */
    locked: z.boolean(),
    /** Sides that cannot be opened again (TIOCEXCL). */
    exclusive: z.object({ master: z.boolean(), slave: z.boolean() }),
    /** What brings back the input that the slave has not read, if it is typed in `TYPING_MODES`. */
    typed: bytes.refine((value) => inputLength(value) <= MOST_INPUT, 'is more than fits'),
    /** What the master has not read. */
    output: bytes.refine((value) => value.length <= MOST_OUTPUT, 'is more than fits'),
    letGo,
    /** It is the controlling terminal of the process, which leads its session, and is in the foreground. */
    controls: z.boolean().default(false),
    /** Of `/dev/pts/N`; `null` where that is not there. */
    node: z.object({ mode: int.min(0).max(0o7777), uid: index, gid: index }).nullable(),
  }),
  z.object({
    kind: z.literal('pty-slave'),
    ...common,
    /** Index into `files`; `null`: the master is closed, and this side was hung up by that. */
    master: index.nullable(),
    /** N of `/dev/pts/N`: where the master is closed, those of one number are of one terminal. */
    number: ptyNumber,
    /** `/dev/tty`, where it was opened as the controlling terminal; `null`: by its own name. */
    path: text.nullable().default(null),
  }),
]);

const nanoseconds = z
  .bigint()
  .min(-(2n ** 63n))
  .max(2n ** 63n - 1n);

/** What there is of a directory or FIFO without a name. */
const nameless = {
  /** The path that it had, for messages. */
  name: text,
  mode: int.min(0).max(0o7777),
  owner: z.object({ uid: index, gid: index }),
  /** When it was read and written, ns. */
  times: z.object({ accessed: nanoseconds, modified: nanoseconds }),
};

/** All descriptors; indices refer to the lists of the table itself, but `object`: to the process's objects. */
export const descriptorTableSchema = z.object({
  files: z.array(openFileSchema),
  descriptors: z.array(z.object({ fd: index.max(0x7fff_ffff), file: index, closeOnExec: z.boolean() })),
  /** Deleted directories: open ones, and the working directory. */
  folders: z
    .array(
      z.object({
        ...nameless,
        /** Of the directory above, in which it is made again. */
        path: text,
        device: z.string(),
        inode: word,
      }),
    )
    .default([]),
  pipes: z.array(
    z.object({
      /** Capacity in bytes. */
      capacity: int.min(0),
      /** What is in it: an entry for each packet, and one for what was written without. */
      content: z.array(bytes),
      /** How many of the entries, from the first on, are packets; left out: all, if there are several. */
      packets: index.optional(),
      /** Path of a FIFO; empty for a pipe, and for a FIFO that was deleted. */
      path: text,
      /** Of a FIFO that was deleted. */
      removed: z.object(nameless).optional(),
      /** A FIFO that has no writer, and whose readers have seen none: to them it is no end of file (POLLHUP). */
      unwritten: z.boolean().optional(),
    }),
  ),
  /**
   * The nftables table (of the family inet) that holds the packets of the connections that are kept, until
   * they are made again; `null`: none are.
   */
  hold: z
    .string()
    .regex(/^proc2elf-[0-9]{1,10}-[0-9a-f]{8}$/, 'is no table of ours')
    .nullable()
    .default(null),
  /**
   * Modes of the terminal that a `stream` was, if the process had it in the foreground:
   * `struct termios2` (44 bytes) and `struct winsize` (8).
   */
  terminal: z
    .object({
      modes: termios,
      size: winsize,
    })
    .nullable(),
});

/** See {@link fileSignalSchema}. */
export type FileSignal = z.infer<typeof fileSignalSchema>;
/** See {@link lockSchema}. */
export type FileLock = z.infer<typeof lockSchema>;
/** See {@link openFileSchema}. */
export type OpenFile = z.infer<typeof openFileSchema>;
/** Kind of an open file description. */
export type OpenFileKind = OpenFile['kind'];
/** An open file description of one kind. */
export type OpenFileOf<K extends OpenFileKind> = Extract<OpenFile, { kind: K }>;
/** See {@link descriptorTableSchema}. */
export type DescriptorTable = z.infer<typeof descriptorTableSchema>;
