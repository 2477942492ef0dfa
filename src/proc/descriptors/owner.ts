/** Whom sockets and pipes belong to: whoever the process was when it made them. */
import type { OpenFile } from '../../snapshot/descriptors.js';
import type { Entry } from './entries.js';
import type { UnlockedFile } from './kind.js';

/** The owner of a socket, or a pipe without a path, that is made again as one; of all else, what is opened again has its own. */
export function ownerOf({ link, stat }: Entry, { kind }: UnlockedFile): Pick<OpenFile, 'owner'> {
  if (!/^(pipe|inet|netlink|packet|unix)$/.test(kind) || link.startsWith('/')) return {};
  return { owner: { uid: Number(stat.uid), gid: Number(stat.gid) } };
}
