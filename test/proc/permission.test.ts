import test from 'ava';
import { permissionAdvice } from '../../src/proc/preflight.js';

test('advice for a refused ptrace says what would help, and nothing that would not', (t) => {
  const user = 1000;
  t.regex(permissionAdvice(user, user, 1), /ptrace_scope=1\): run as root, or sysctl/);
  t.regex(permissionAdvice(user, user, 2), /ptrace_scope=2\): run as root$/);
  t.regex(permissionAdvice(0, user, 1), /belongs to user 0/);
  for (const uid of [0, user]) {
    t.regex(permissionAdvice(user, uid, 3), /nobody .* until the next boot .*ptrace_scope=3/);
    t.notRegex(permissionAdvice(user, uid, 3), /run as root|CAP_SYS_PTRACE/);
  }
});
