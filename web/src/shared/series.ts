/** Metrics of several runs as one table: the steps of all, and of each run a value for each step or none. */

export interface Line {
  readonly run: string;
  readonly points: readonly (readonly [number | null, number, number | null])[];
}

export function aligned(lines: readonly Line[]): [number[], ...(number | null)[][]] {
  const steps = [...new Set(lines.flatMap((line) => line.points.map(([step]) => step)))].filter((step): step is number => step !== null).sort((one, other) => one - other);
  const place = new Map(steps.map((step, at) => [step, at]));
  const values = lines.map((line) => {
    const own = new Array<number | null>(steps.length).fill(null);
    for (const [step, , value] of line.points) {
      const at = step === null ? undefined : place.get(step);
      if (at !== undefined) own[at] = value;
    }
    return own;
  });
  return [steps, ...values];
}
