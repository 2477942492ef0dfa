/** What the image's own command line understands, and what `--help` and `--info` print. */
import { holdLine } from '../nftables.js';
import type { Snapshot } from '../snapshot/schema.js';
import type { Arena } from './arena.js';
import { print } from './calls.js';
import { type Cell, Flag, type ImageOption, type Program } from './program.js';

/** Indices of programs that only print. Program 0 is the thaw itself, threads follow behind these. */
export const HELP_PROGRAM = 1;
export const INFO_PROGRAM = 2;
export const USAGE_PROGRAM = 3;

/**
 * Options of an image. Those that choose between two ways clear the other's flag.
 * @param scratch takes the address of the folder's name, under `Flag.SCRATCH`
 */
export const imageOptions = (scratch: Cell): readonly ImageOption[] => [
  { name: '--help', program: HELP_PROGRAM },
  { name: '-h', program: HELP_PROGRAM },
  { name: '--info', program: INFO_PROGRAM },
  { name: '--verbose', set: Flag.VERBOSE },
  { name: '-v', set: Flag.VERBOSE },
  { name: '--check', set: Flag.CHECK },
  { name: '--lazy', set: Flag.LAZY },
  { name: '--eager', clear: Flag.LAZY },
  { name: '--pid=auto', clear: Flag.PID_SAME | Flag.PID_NEW },
  { name: '--pid=same', set: Flag.PID_SAME, clear: Flag.PID_NEW },
  { name: '--pid=new', set: Flag.PID_NEW, clear: Flag.PID_SAME },
  { name: '--pts=same', clear: Flag.PTS_NEW },
  { name: '--pts=new', set: Flag.PTS_NEW },
  { name: '--datagrams=keep', clear: Flag.DATAGRAMS_DROP },
  { name: '--datagrams=drop', set: Flag.DATAGRAMS_DROP },
  { name: '--events=keep', clear: Flag.EVENTS_DROP },
  { name: '--events=drop', set: Flag.EVENTS_DROP },
  { name: '--scratch', set: Flag.SCRATCH, value: scratch },
];

const USAGE =
  'usage: IMAGE [--help | --info | --check] [--verbose] [--lazy | --eager] [--pid=auto|same|new] [--pts=same|new] [--datagrams=keep|drop] [--events=keep|drop] [--scratch DIR]\n';

/** The programs of `--help`, `--info` and wrong usage, in the order of their indices. */
export function printingPrograms(arena: Arena, snapshot: Snapshot): Program[] {
  return [
    { name: 'help', ops: [print(arena, 1, helpText(snapshot)), { op: 'exit', status: 0 }] },
    { name: 'info', ops: [print(arena, 1, infoText(snapshot)), { op: 'exit', status: 0 }] },
    // Where standard error cannot be written, nothing else can be said there.
    { name: 'usage', ops: [print(arena, 2, USAGE, { check: { kind: 'none' } }), { op: 'exit', status: 2 }] },
  ];
}

function title(snapshot: Snapshot): string {
  const [process] = snapshot.processes;
  const command = printable(process!.commandLine.join(' ')) || printable(process!.comm);
  return command.length > 200 ? `${command.slice(0, 200)}...` : command;
}

function helpText(snapshot: Snapshot): string {
  return `A frozen process: ${title(snapshot)}
Running this file resumes it where it was frozen. Nothing needs to be installed.

${USAGE}
  --help      this text
  --info      where and when the process was frozen
  --check     test whether it can be thawed here, without doing it
  --verbose   print each step on standard error
  --eager     read all memory before resuming${snapshot.lazy ? '' : ' (default)'}
  --lazy      page memory in from this file on first touch${snapshot.lazy ? ' (default)' : ''}
  --pid=auto  take the process's old ids if they are free and permitted (default)
  --pid=same  take the old ids, or refuse
  --pid=new   run under new ids
  --pts=same  give the process's own pseudoterminals their old numbers, or refuse (default)
  --pts=new   give them numbers that are free
  --datagrams=keep
              put back what UDP sockets had received and the process had not read, or refuse (default)
  --datagrams=drop
              leave it out
  --events=keep
              put back events of inotify that the process had not read, or refuse (default)
  --events=drop
              leave them out
  --scratch DIR
              make files of the image in DIR, without a name, rather than in memory

Exit status: the process's own; 125 if it cannot be thawed, 2 for an unknown option.
`;
}

function infoText(snapshot: Snapshot): string {
  const [process] = snapshot.processes;
  const { host } = snapshot;
  const { hold } = process!.descriptors;
  const when = new Date(Number(snapshot.taken.realtime / 1_000_000n)).toISOString();
  return `command:    ${title(snapshot)}
process:    ${process!.pid} (${printable(process!.comm)}), ${process!.threads.length} thread${process!.threads.length === 1 ? '' : 's'}
directory:  ${printable(process!.workingDirectory)}
frozen:     ${when}
host:       ${printable(host.name)}, Linux ${printable(host.kernel)} ${printable(host.machine)}
processor:  ${printable(snapshot.processor.model)}
memory:     ${process!.regions.length} regions, ${snapshot.lazy ? 'lazy' : 'eager'} by default
tool:       ${printable(snapshot.tool)}
${hold === null ? '' : `${holdLine(hold)}\n`}`;
}

/** Text of the process, made safe for a terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, '?');
}
