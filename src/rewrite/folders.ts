/** Deleted directories of an image that nothing means any more. */
import type { Process } from '../snapshot/schema.js';

/** A process with those alone that a descriptor or the working directory means. */
export function withoutUnusedFolders(process: Process): Process {
  const { workingFolder, descriptors: table } = process;
  const open = table.files.flatMap((file) => (file.kind === 'folder' ? [file.folder] : []));
  const used = [...new Set(workingFolder === undefined ? open : [...open, workingFolder])];
  return {
    ...process,
    ...(workingFolder === undefined ? {} : { workingFolder: used.indexOf(workingFolder) }),
    descriptors: {
      ...table,
      folders: used.map((index) => table.folders[index]!),
      files: table.files.map((file) =>
        file.kind === 'folder' ? { ...file, folder: used.indexOf(file.folder) } : file,
      ),
    },
  };
}
