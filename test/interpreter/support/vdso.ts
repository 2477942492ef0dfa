/** What a test needs of this kernel's vDSO: its bytes and where it would lie in another process. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

export interface KernelVdso {
  readonly image: Buffer;
  /** Bytes of the [vvar*] mappings below. */
  readonly vvarSize: number;
}

/** Reads the vDSO of this process. */
export function readVdso(): KernelVdso {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const sizes = (name: string): { start: number; size: number }[] =>
    maps
      .filter((line) => line.endsWith(name))
      .map((line) => {
        const [start, end] = line
          .split(' ')[0]!
          .split('-')
          .map((text) => Number.parseInt(text, 16));
        return { start: start!, size: end! - start! };
      });
  const [vdso] = sizes('[vdso]');
  const vvars = [...sizes('[vvar]'), ...sizes('[vvar_vclock]')];
  const image = Buffer.alloc(vdso!.size);
  const mem = openSync('/proc/self/mem', 'r');
  readSync(mem, image, 0, image.length, vdso!.start);
  closeSync(mem);
  return { image, vvarSize: vvars.reduce((sum, { size }) => sum + size, 0) };
}
