/** What `proc2elf check [PID]` does. */
import { resolve } from 'node:path';
import { checkMachine, checkProcess } from '../check.js';
import { parseChoices, parsePtyPeer, parseTcp, parseUnixPeer } from '../proc/descriptors/choices.js';
import { parseFileChoices } from '../proc/file-choices.js';
import { parsePid } from './arguments.js';
import { escapeControls, jsonText } from './inspect/escape.js';

/** The command line of a check. */
export interface CheckArguments {
  pid: string | undefined;
  json: boolean;
  embedShared: boolean;
  dropChildren: boolean;
  cwd: string | undefined;
  tcp: string;
  dropFd: string[];
  unixPeer: string;
  ptyPeer: string;
  fd: string[];
  external: string[];
  files: 'reopen' | 'embed';
  file: string[];
}

/** Without a pid: what this machine allows. With one: what could not be carried; exit code 1 if there is anything. */
export function runCheck(args: CheckArguments): void {
  if (args.pid === undefined) printMachine(args.json);
  else printProcess(parsePid(args.pid), args);
}

function printMachine(json: boolean): void {
  const facilities = checkMachine();
  if (json) {
    process.stdout.write(jsonText(facilities));
    return;
  }
  for (const { name, available, consequence } of facilities) {
    process.stdout.write(`${available ? 'yes' : 'no '}  ${name}: ${consequence}\n`);
  }
}

function printProcess(pid: number, args: CheckArguments): void {
  const report = checkProcess(pid, {
    embedShared: args.embedShared,
    dropChildren: args.dropChildren,
    workingDirectory: args.cwd === undefined ? undefined : resolve(args.cwd),
    descriptors: {
      ...parseChoices(args.dropFd, args.fd, undefined, args.external),
      tcp: parseTcp(args.tcp),
      unixPeer: parseUnixPeer(args.unixPeer),
      ptyPeer: parsePtyPeer(args.ptyPeer),
    },
    files: parseFileChoices(args.files, args.file),
  });
  if (args.json) process.stdout.write(jsonText(report));
  else if (report.problems.length === 0) process.stdout.write(`process ${pid} can be frozen\n`);
  else for (const problem of report.problems) process.stdout.write(`${escapeControls(problem)}\n`);
  if (report.problems.length > 0) process.exitCode = 1;
}
