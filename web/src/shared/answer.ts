/** What of an answer can be drawn: two columns, the second of numbers. */

export interface Answer {
  readonly columns: readonly { readonly name: string; readonly isNumber: boolean }[];
  readonly rows: readonly (readonly string[])[];
}

export interface Chart {
  readonly x: string;
  readonly y: string;
  readonly xs: number[];
  readonly ys: (number | null)[];
  /** Names below the bars, where the first column is no number and no time. */
  readonly labels: string[] | null;
  readonly isTime: boolean;
}

const BARS_MAX = 24;
const TIME = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** Return the chart of an answer, null where it would say nothing: fewer than three rows, other than two columns, no numbers. */
export function drawable(answer: Answer): Chart | null {
  const [first, second] = answer.columns;
  if (answer.columns.length !== 2 || !first || !second?.isNumber || answer.rows.length < 3) return null;
  const ys = answer.rows.map((row) => numberOf(row[1]));
  const keys = answer.rows.map((row) => row[0] ?? "");
  const base = { x: first.name, y: second.name };
  const isTime = keys.every((key) => TIME.test(key));
  if (isTime || first.isNumber) {
    const points = keys
      .map((key, at): [number | null, number | null] => [isTime ? Date.parse(key) / 1000 : numberOf(key), ys[at] ?? null])
      .filter((point): point is [number, number | null] => point[0] !== null && Number.isFinite(point[0]))
      .sort((one, other) => one[0] - other[0]);
    return points.length < 3 ? null : { ...base, xs: points.map(([x]) => x), ys: points.map(([, y]) => y), labels: null, isTime };
  }
  if (keys.length > BARS_MAX) return null;
  return { ...base, xs: keys.map((_, at) => at), ys, labels: keys, isTime: false };
}

function numberOf(text: string | undefined): number | null {
  if (text === undefined || text.trim() === "") return null;
  const found = Number(text);
  return Number.isFinite(found) ? found : null;
}
