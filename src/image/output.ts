import type { Native } from './native.js';
import { fileOutput } from './output-file.js';
import { streamOutput } from './output-stream.js';

/** A place for an image, ready to be written to. Ends with {@link commit} or {@link discard}. */
export interface Output {
  /** As the user named it; `-` is stdout. */
  readonly path: string;
  /** For writing. */
  readonly fd: number;
  /** Written front to back; otherwise a file that may have holes. */
  readonly stream: boolean;
  /**
   * {@link commit} waits until everything is safely on disk. Otherwise the kernel writes it there some time
   * later, as it does for whatever cp(1) has copied.
   */
  readonly durable: boolean;
  /**
   * Gives what was written its name.
   * @param signal looked at last right before it gets its name
   * @returns bytes that it takes on disk; 0 for a pipe
   * @throws PermissionError, or the reason of `signal`
   */
  commit(signal?: AbortSignal): Promise<number>;
  /** Leaves nothing behind. Does nothing after {@link commit}. */
  discard(): Promise<void>;
}

/** What is known of an image before its file is opened. */
export interface OutputOptions {
  /** An estimate of the bytes that will be written, to be refused early. */
  readonly needed?: number;
  /** The process is ended afterwards: the image must not go where it is lost at once. */
  readonly lasting?: boolean;
  /** The image is to be {@link Output.durable}; where it would otherwise replace a file, it is anyway. */
  readonly durable?: boolean;
  /** The addon, if it is not the usual one. */
  readonly native?: Native;
}

/**
 * Checks that an image can be written to `path`, and opens a file there that has no name yet. To be
 * called before the process to freeze is touched.
 * @param path a file to make or to replace, or `-` for stdout
 * @throws UsageError, PermissionError saying what is in the way and what helps
 */
export async function prepareOutput(path: string, options: OutputOptions = {}): Promise<Output> {
  return path === '-' ? streamOutput(options) : fileOutput(path, options);
}
