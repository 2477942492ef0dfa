/**
 * Does `work` without a pause: while it holds a process, Ctrl-Z would leave that process standing still.
 * The terminal's wish is granted afterwards.
 */
export async function unsuspended<T>(work: () => Promise<T>): Promise<T> {
  let asked = false;
  const ask = (): void => {
    asked = true;
  };
  process.on('SIGTSTP', ask);
  try {
    return await work();
  } finally {
    process.off('SIGTSTP', ask);
    if (asked) process.kill(process.pid, 'SIGTSTP');
  }
}
