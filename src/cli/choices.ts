/** What a user lets go of, as the command lines of `freeze` and `check` say it. */
import { resolve } from 'node:path';
import type { FreezeOptions } from '../freeze.js';
import { parseChoices, parsePtyPeer, parseTcp, parseUnixPeer } from '../proc/descriptors/choices.js';
import { parseFileChoices, parseFiles } from '../proc/file-choices.js';

/** The options that `choiceOptions` of arguments.ts adds, as yargs gives them. */
export interface ChoiceArguments {
  embedShared: boolean;
  dropChildren: boolean;
  cwd: string | undefined;
  tcp: string;
  dropFd: string[];
  unixPeer: string;
  ptyPeer: string;
  fd: string[];
  external: string[];
  files: string;
  file: string[];
}

/** @throws UsageError naming the first that makes no sense */
export function parseChoiceArguments(args: ChoiceArguments) {
  return {
    embedShared: args.embedShared,
    dropChildren: args.dropChildren,
    workingDirectory: args.cwd === undefined ? undefined : resolve(args.cwd),
    descriptors: {
      ...parseChoices(args.dropFd, args.fd, undefined, args.external),
      tcp: parseTcp(args.tcp),
      unixPeer: parseUnixPeer(args.unixPeer),
      ptyPeer: parsePtyPeer(args.ptyPeer),
    },
    files: parseFileChoices(parseFiles(args.files), args.file),
  } satisfies FreezeOptions;
}
