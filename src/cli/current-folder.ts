/** Loaded before all else: without a current folder not even the modules behind this one can be loaded. */
try {
  process.cwd();
} catch (error) {
  const code = error instanceof Error && 'code' in error ? error.code : error;
  process.stderr.write(
    `proc2elf: cannot tell the current folder: ${code} (it was deleted, or is not permitted: cd to another)\n`,
  );
  process.exit(1);
}
