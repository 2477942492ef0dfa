/** Files of `/proc` that are there only as long as the descriptor that they tell of. */

const FDINFO = /^\/proc\/(?:self|thread-self)\/fdinfo\/(\d+)$/;

/** The descriptor that `/proc/self/fdinfo/N` tells of; `null` for any other path. */
export function describedBy(path: string): number | null {
  const match = FDINFO.exec(path);
  return match ? Number(match[1]) : null;
}
