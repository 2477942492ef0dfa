/** What is looked up once for all descriptors of one capture, or of one survey. */
import type { KindContext } from './kind.js';
import type { Target } from './target.js';

const looked = new WeakMap<KindContext | Target, Map<string, unknown>>();

/** The result of the first `look` under this key. */
export function once<T>(context: KindContext | Target, key: string, look: () => T): T {
  const known = looked.get(context) ?? new Map<string, unknown>();
  looked.set(context, known);
  if (!known.has(key)) known.set(key, look());
  return known.get(key) as T;
}
