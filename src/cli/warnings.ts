import { escapeControls } from './inspect/escape.js';

/** Says on standard error what is lost, one line each. */
export function printWarnings(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`proc2elf: warning: ${escapeControls(warning)}\n`);
}
