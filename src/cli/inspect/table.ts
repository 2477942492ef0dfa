/** Columns set under each other; the last one is not padded. `right` holds the numbers of columns of figures. */
export function* table(
  rows: readonly (readonly string[])[],
  right: readonly number[],
  indent = '  ',
): Generator<string> {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  for (const row of rows) {
    const cells = row.map((cell, i) => {
      const width = widths[i] ?? 0;
      if (right.includes(i)) return cell.padStart(width);
      return i === row.length - 1 ? cell : cell.padEnd(width);
    });
    yield `${indent}${cells.join('  ')}`.trimEnd();
  }
}

/** A label and what it says, the labels set under each other. Empty values are left out. */
export function* pairs(rows: readonly (readonly [string, string])[], indent = '  '): Generator<string> {
  yield* table(
    rows.filter(([, value]) => value !== ''),
    [],
    indent,
  );
}
