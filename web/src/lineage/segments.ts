/** The lines of a picture. Edges of one source share their way, so what they have in common is drawn once. */
import type { EdgeData, Model } from "./model";

/** The points of an edge: x, y, x, y, ... */
export function pointsOf(model: Model, edge: EdgeData): readonly number[] {
  if (edge.points) return edge.points;
  const [source, target] = [model.nodes[edge.source]!, model.nodes[edge.target]!];
  return [source.x + model.halfWidth, source.y, target.x - model.halfWidth, target.y];
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
    this.ofEdge = model.edges.map((edge) => {
      const points = pointsOf(model, edge);
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
