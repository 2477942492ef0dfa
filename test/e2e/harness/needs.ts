/** Tests of programs that may not be installed. */
import anyTest, { type ExecutionContext, type Implementation } from 'ava';
import { which } from './paths.js';

/** Set where everything is installed and nothing may be left out. */
const nothingLeftOut = process.env.PROC2ELF_LEAVE_NOTHING_OUT === '1';

/** Reports in one line that a check was left out, or fails where that is not allowed. */
export function leaveOut(t: ExecutionContext<unknown>, why: string): void {
  if (nothingLeftOut) t.fail(`left out: ${why}`);
  else t.log(`left out: ${why}`);
  t.pass();
}

/** A test of what only root may do. */
export function testAsRoot(
  title: string,
  body: (t: ExecutionContext<unknown>) => void | Promise<void>,
): void {
  const isRoot = process.getuid?.() === 0;
  anyTest(title, isRoot ? body : (t) => leaveOut(t, 'only root may do this'));
}

/** A test that needs programs: names looked up in PATH, or paths. One at a time in its file. */
export function testWith(
  programs: readonly string[],
  title: string,
  body: (t: ExecutionContext<unknown>) => Promise<void>,
): void {
  const missing = programs.filter((program) => which(program) === undefined);
  const implementation: Implementation<[]> =
    missing.length === 0 ? body : (t) => leaveOut(t, `${missing.join(', ')} not installed`);
  anyTest.serial(title, implementation);
}
