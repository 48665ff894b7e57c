/** The lines of a picture. Edges of one source share their way, so what they have in common is drawn once. */
import type { EdgeData, Model } from "./model";

/** The points of an edge: x, y, x, y, ... */
export function pointsOf(model: Model, edge: EdgeData): readonly number[] {
  if (edge.points) return edge.points;
  const [source, target] = [model.nodes[edge.source]!, model.nodes[edge.target]!];
  return [source.x + model.halfWidth, source.y, target.x - model.halfWidth, target.y];
}

const FAN = 24; // So many curves from or to one point are drawn as a comb: it is clearer, and takes a tenth of the time.

/** How many edges begin and end at each point. */
function fansOf(model: Model): Map<string, number> {
  const counts = new Map<string, number>();
  for (const edge of model.edges) {
    const points = pointsOf(model, edge);
    for (const name of [`${points[0]},${points[1]}`, points.slice(-2).join()]) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** A route whose first and last curve, where they are part of a wide fan, go level, upright, and level again. */
function squared(points: readonly number[], fans: ReadonlyMap<string, number>): readonly number[] {
  const made = [points[0]!, points[1]!];
  for (let at = 2; at < points.length; at += 2) {
    const [fromX, fromY, x, y] = [points[at - 2]!, points[at - 1]!, points[at]!, points[at + 1]!];
    const first = at === 2 && (fans.get(`${fromX},${fromY}`) ?? 0) > FAN;
    const last = at === points.length - 2 && (fans.get(`${x},${y}`) ?? 0) > FAN;
    if (fromY !== y && (first || last)) {
      const middle = (fromX + x) / 2;
      made.push(middle, fromY, middle, y);
    }
    made.push(x, y);
  }
  return made;
}

export class Segments {
  readonly count: number;
  /** Of each: x and y of its start, x and y of its end. */
  readonly ends: Float32Array;
  /** The offset from which on it is there: that of the first edge that goes along it. */
  readonly born: Int32Array;
  private readonly ofEdge: readonly (readonly number[])[];

  constructor(private readonly model: Model) {
    const numbers = new Map<string, number>();
    const ends: number[] = [];
    const born: number[] = [];
    const leaving = fansOf(model);
    this.ofEdge = model.edges.map((edge) => {
      const points = squared(pointsOf(model, edge), leaving);
      const passed: number[] = [];
      for (let at = 2; at < points.length; at += 2) {
        const piece = points.slice(at - 2, at + 2);
        const name = piece.join();
        let number = numbers.get(name);
        if (number === undefined) {
          numbers.set(name, (number = born.length));
          ends.push(...piece);
          born.push(edge.born);
        }
        born[number] = Math.min(born[number]!, edge.born);
        passed.push(number);
      }
      return passed;
    });
    this.count = born.length;
    this.ends = Float32Array.from(ends);
    this.born = Int32Array.from(born);
  }

  /** 1 for each line along which no edge goes but those that are told. */
  beside(told: (edge: EdgeData) => boolean): Uint8Array {
    const found = new Uint8Array(this.count).fill(1);
    this.model.edges.forEach((edge, at) => {
      if (!told(edge)) for (const number of this.ofEdge[at]!) found[number] = 0;
    });
    return found;
  }
}
