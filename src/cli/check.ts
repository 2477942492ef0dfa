/** What `proc2elf check [PID]` does. */
import { checkMachine, checkProcess } from '../check.js';
import { parsePid } from './arguments.js';
import { type ChoiceArguments, parseChoiceArguments } from './choices.js';
import { escapeControls, jsonText } from './inspect/escape.js';

/** The command line of a check. */
export interface CheckArguments extends ChoiceArguments {
  pid: string | undefined;
  json: boolean;
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
  const report = checkProcess(pid, parseChoiceArguments(args));
  if (args.json) process.stdout.write(jsonText(report));
  else if (report.problems.length === 0) process.stdout.write(`process ${pid} can be frozen\n`);
  else for (const problem of report.problems) process.stdout.write(`${escapeControls(problem)}\n`);
  if (report.problems.length > 0) process.exitCode = 1;
}
