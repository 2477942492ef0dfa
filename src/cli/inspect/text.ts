import type { Image } from '../../image/read.js';
import { formatSize } from '../../image/sizes.js';
import { date, stateComponents } from '../../names.js';
import type { Process } from '../../snapshot/schema.js';
import { descriptorLines } from './descriptors.js';
import { escapeText } from './escape.js';
import { regionLines } from './regions.js';
import { signalLines, timerLines } from './signals.js';
import type { Style } from './style.js';
import { pairs } from './table.js';
import { threadLines } from './threads.js';

/** What is in an image, line by line, for people. Whatever comes out of the image is escaped. */
export function* describeImage(image: Image, style: Style): Generator<string> {
  const { snapshot } = image;
  const { host, processor } = snapshot;
  const [root] = snapshot.processes;
  yield style.heading(escapeText(image.path));
  yield* pairs([
    ['command', (root?.commandLine ?? []).map(escapeText).join(' ')],
    ['frozen', date(snapshot.taken.realtime)],
    ['host', escapeText(`${host.name}, Linux ${host.kernel} ${host.machine} ${host.kernelVersion}`)],
    ['processor', escapeText(`${processor.vendor} ${processor.model}`)],
    ['needs', stateComponents(processor.required)],
    ['made by', escapeText(snapshot.tool)],
    ['size', formatSize(image.size)],
    ['thaw', snapshot.lazy ? 'lazy' : 'eager'],
  ]);
  for (const process of snapshot.processes) yield* describeProcess(process, style);
}

function* describeProcess(process: Process, style: Style): Generator<string> {
  yield '';
  yield style.heading(`Process ${process.pid} ${escapeText(process.comm)}`);
  yield* pairs(identity(process));
  yield* threadLines(process, style);
  yield* regionLines(process, style);
  yield* descriptorLines(process, style);
  yield* signalLines(process, style);
  yield* timerLines(process, style);
}

function identity(process: Process): (readonly [string, string])[] {
  const { uids, gids, groups, capabilities, noNewPrivileges } = process.credentials;
  return [
    ['executable', escapeText(process.executable)],
    ['folder', escapeText(process.workingDirectory)],
    ['root', process.root === '/' ? '' : escapeText(process.root)],
    ['ids', `parent ${process.parent}, group ${process.group}, session ${process.session}`],
    ['user', `${ids(uids)}, group ${ids(gids)}${groups.length > 0 ? `, groups ${groups.join(' ')}` : ''}`],
    ['capabilities', capabilities.permitted === 0n ? '' : `0x${capabilities.permitted.toString(16)}`],
    ['umask', `0${process.umask.toString(8)}`],
    ['flags', flags(process, noNewPrivileges)],
  ];
}

/** Real, effective, saved and file system id: one if all are the same. */
function ids(list: readonly number[]): string {
  return new Set(list).size === 1 ? String(list[0]) : list.join('/');
}

function flags(process: Process, noNewPrivileges: boolean): string {
  const rows: readonly (readonly [boolean, string])[] = [
    [noNewPrivileges, 'no_new_privs'],
    [process.dumpable !== 1, `dumpable ${process.dumpable}`],
    [process.childSubreaper, 'child subreaper'],
    [process.thpDisabled, 'no huge pages'],
    [process.locksFutureMemory !== 0, 'locks future memory'],
    [process.personality !== 0, `personality 0x${process.personality.toString(16)}`],
    [process.oomScoreAdjust !== 0, `oom_score_adj ${process.oomScoreAdjust}`],
  ];
  return rows
    .filter(([set]) => set)
    .map(([, name]) => name)
    .join(', ');
}
