/** Errors that a person reads: one class per audience, all ending in exit code 1 unless said otherwise. */
export class Proc2elfError extends Error {
  /** Exit code of the command line. */
  readonly exitCode: number = 1;
  override readonly name: string;

  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The command line makes no sense. */
export class UsageError extends Proc2elfError {
  override readonly exitCode = 2;
}

/** The kernel or the file system said no; says what would let it pass. */
export class PermissionError extends Proc2elfError {}

/** The process to freeze is gone, is of a kind that cannot be frozen, or changed under our hands. */
export class TargetError extends Proc2elfError {}

/** A file given as an image is not one, or is damaged. */
export class ImageError extends Proc2elfError {}

/** Parts of the process that cannot be carried; each with its place and what the user can do. */
export class UnsupportedError extends Proc2elfError {
  readonly items: readonly string[];
  constructor(items: readonly string[]) {
    super(
      items.length === 1 ? items[0] : `${items.length} things cannot be carried:\n  ${items.join('\n  ')}`,
    );
    this.items = items;
  }
}
