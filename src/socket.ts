/** Constants of socket(2) and socket(7), as x86-64 has them. Node.js does not name them. */

/** The family of Unix domain sockets. */
export const AF_UNIX = 1;
/** Types and flags of socket(2), without their `SOCK_`. */
export const Sock = { STREAM: 1, DGRAM: 2, SEQPACKET: 5, CLOEXEC: 0o2000000 } as const;
/** The level of the options that all sockets have. */
export const SOL_SOCKET = 1;

/** Options at SOL_SOCKET, without their `SO_`; `asm-generic/socket.h`. */
export const SO = {
  DEBUG: 1,
  REUSEADDR: 2,
  TYPE: 3,
  ERROR: 4,
  DONTROUTE: 5,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  NO_CHECK: 11,
  PRIORITY: 12,
  LINGER: 13,
  REUSEPORT: 15,
  PASSCRED: 16,
  PEERCRED: 17,
  RCVLOWAT: 18,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  BINDTODEVICE: 25,
  GET_FILTER: 26,
  /** The same number, for setsockopt(2). */
  ATTACH_FILTER: 26,
  TIMESTAMP: 29,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  PASSSEC: 34,
  TIMESTAMPNS: 35,
  MARK: 36,
  TIMESTAMPING: 37,
  PROTOCOL: 38,
  RXQ_OVFL: 40,
  WIFI_STATUS: 41,
  PEEK_OFF: 42,
  NOFCS: 43,
  LOCK_FILTER: 44,
  SELECT_ERR_QUEUE: 45,
  BUSY_POLL: 46,
  MAX_PACING_RATE: 47,
  INCOMING_CPU: 49,
  /** What the kernel counts, 32 bits each, `SK_MEMINFO_RMEM_ALLOC` first. */
  MEMINFO: 55,
  PEERGROUPS: 59,
  BINDTOIFINDEX: 62,
  TIMESTAMP_NEW: 63,
  TIMESTAMPNS_NEW: 64,
  TIMESTAMPING_NEW: 65,
  PREFER_BUSY_POLL: 69,
  /** Which sizes of buffers the program has set: {@link BUFFER_LOCK}. */
  BUF_LOCK: 72,
  RCVMARK: 75,
  PASSPIDFD: 76,
  RCVPRIORITY: 82,
  PASSRIGHTS: 83,
  INQ: 84,
} as const;

/** Bits of SO_BUF_LOCK: a size that the program has set, which the kernel no longer changes. */
export const BUFFER_LOCK = { SEND: 1, RECEIVE: 2 } as const;
