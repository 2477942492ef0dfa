import { NT } from '../elf/constants.js';
import type { Note } from '../elf/notes.js';
import type { Process, Snapshot, Thread } from '../snapshot/schema.js';
import { fileMappings, fpregset, prpsinfo, prstatus } from './core-structs.js';

/**
 * The notes that the kernel would write into a core file of the first process, in its order: the
 * leader's registers, what concerns the process, the rest of the leader, then the other threads.
 */
export function coreNotes(snapshot: Snapshot): Note[] {
  const [process] = snapshot.processes;
  const [leader, ...others] = process?.threads ?? [];
  if (!process || !leader) return [];
  return [
    { name: 'CORE', type: NT.PRSTATUS, desc: prstatus(process, leader) },
    { name: 'CORE', type: NT.PRPSINFO, desc: prpsinfo(process) },
    { name: 'CORE', type: NT.AUXV, desc: process.memory.auxv },
    { name: 'CORE', type: NT.FILE, desc: fileMappings(process.regions) },
    ...extendedRegisters(leader),
    ...others.flatMap((thread) => threadNotes(process, thread)),
  ];
}

function threadNotes(process: Process, thread: Thread): Note[] {
  return [{ name: 'CORE', type: NT.PRSTATUS, desc: prstatus(process, thread) }, ...extendedRegisters(thread)];
}

function extendedRegisters(thread: Thread): Note[] {
  const legacy = fpregset(thread);
  if (!legacy) return [];
  return [
    { name: 'CORE', type: NT.PRFPREG, desc: legacy },
    { name: 'LINUX', type: NT.X86_XSTATE, desc: thread.xstate },
  ];
}
