/**
 * The folder of the package, seen from `dist/src` as from `dist/cli`, where the command line lies as a
 * bundle: a few files load faster than hundreds.
 */
export const packageRoot: URL = new URL('../../', import.meta.url);
