/** What a snapshot has of a kind of open file descriptions. */
import type * as z from 'zod';

/** What files refer to by index, as far as it has a name. */
export interface NamedTables {
  readonly folders: readonly { readonly name: string }[];
  readonly pipes: readonly {
    readonly path: string;
    readonly content: readonly Uint8Array[];
    readonly removed?: { readonly name: string } | undefined;
  }[];
}

/** The schema of a kind, and how people call it. */
export interface KindModel<F, S = z.ZodType<F>> {
  readonly schema: S;
  /** What it is, for messages: `TCP socket`. */
  title(file: F): string;
  /** Why such a file cannot be carried on its way in a socket (SCM_RIGHTS); `null` if it can. Left out: it always can. */
  unsendable?(file: F): string | null;
  /** It tells of what is done to files, and so would tell of the thaw. */
  readonly watchesFiles?: true;
  /** What `inspect` says of it; whatever text is in it has yet to be made safe for a terminal. */
  describe(file: F, tables: NamedTables): string;
}

/** A model whose functions take what its schema lets pass. */
export function kindModel<S extends z.ZodType>(model: KindModel<z.infer<S>, S>): KindModel<z.infer<S>, S> {
  return model;
}
