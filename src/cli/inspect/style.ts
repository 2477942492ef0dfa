/** How headings and side remarks are set off. */
export interface Style {
  readonly heading: (text: string) => string;
  readonly faint: (text: string) => string;
}

const PLAIN: Style = { heading: (text) => text, faint: (text) => text };
const COLOUR: Style = {
  heading: (text) => `\x1b[1m${text}\x1b[0m`,
  faint: (text) => `\x1b[2m${text}\x1b[0m`,
};

/** Colours for a terminal, unless `NO_COLOR` is set (https://no-color.org) or it cannot show any. */
export function styleFor(stream: { readonly isTTY?: boolean }, environment = process.env): Style {
  const wanted = stream.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb';
  return wanted ? COLOUR : PLAIN;
}
