/** The table that a run prints. */

/** A line of the table. */
export interface Row {
  /** What was measured, and on what. */
  readonly what: string;
  /** The raw figures. */
  readonly figures: string;
  /** The figure that is compared with the target; a ratio of figures of this run wherever there is a peer. */
  readonly result: string;
  /** The target and whether it was met; absent for what is measured for the record alone. */
  readonly target?: { readonly text: string; readonly met: boolean };
}

/** A row's ratio to a peer, with its target. */
export function ratioRow(what: string, figures: string, ratio: number, most: number): Row {
  const target = { text: `at most ${most.toFixed(2)}`, met: ratio <= most };
  return { what, figures, result: ratio.toFixed(2), target };
}

const HEAD = ['what', 'figures: median (least–most)', 'result', 'target', ''];

/** The table in Markdown, its columns aligned. */
export function formatTable(rows: readonly Row[]): string {
  const cells = rows.map(({ what, figures, result, target }) => [
    what,
    figures,
    result,
    target?.text ?? '',
    target === undefined ? '' : target.met ? 'met' : 'MISSED',
  ]);
  const widths = HEAD.map((head, i) => Math.max(3, head.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n');
}
