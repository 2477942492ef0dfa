/** Datagrams that are put back one after the other in the same way. */
import { AF, addressText, LOOPBACK, onWire, putTogether, takeApart } from '../../inet.js';
import type { Datagram } from '../../snapshot/datagram.js';
import type { OpenFileOf } from '../../snapshot/descriptors.js';

type Inet = OpenFileOf<'inet'>;

/** Datagrams one after the other that only their content tells apart. */
export interface Run {
  /** As it is on the wire. */
  readonly source: Uint8Array;
  readonly to: Uint8Array;
  readonly like: Datagram;
  readonly contents: Uint8Array[];
}

/** The datagrams of a socket, in their order. */
export function runsOf({ datagrams }: Inet): Run[] {
  const runs: Run[] = [];
  let last = '';
  for (const like of datagrams) {
    const { source, destination, marked, hops, service, content } = like;
    const key = [addressText(source), destination?.join('.'), marked, hops, service].join(' ');
    if (key !== last || runs.length === 0) runs.push(runOf(like));
    runs.at(-1)!.contents.push(content);
    last = key;
  }
  return runs;
}

function runOf(like: Datagram): Run {
  const { host, port } = takeApart(like.source);
  const wire = onWire(host);
  const to = like.destination ? onWire(like.destination) : LOOPBACK[wire.length === 4 ? 'ipv4' : 'ipv6'];
  return { source: putTogether(wire, port), to, like, contents: [] };
}

/** What cannot be done where one of them cannot be put back. */
export function labelOf({ like }: Run, name: string): string {
  return `cannot put back a datagram from ${addressText(like.source)}, which --datagrams=drop leaves out (${name})`;
}

/** Whether an address is one of IPv4. */
export function isFour(address: Uint8Array): boolean {
  return takeApart(address).family === AF.INET;
}
