import { readFileSync } from 'node:fs';
import { packageRoot } from './package-root.js';

/** Version of this package. */
export const VERSION: string = JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')).version;
