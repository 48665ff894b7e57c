/** The tree as tiles of 256 hashes that are fetched, and which of them does not fit. Source: c2sp.org/tlog-tiles. */

import { type Bytes, EvidenceError, same } from "./bytes";
import { type Head, type Node, rootOf, rootOfRange } from "./tree";

export const WIDTH = 256;
const HEIGHT = 8; // Levels of the tree in one tile.
const HASH_BYTES = 32;

/** Returns the bytes under a name such as tile/0/x001/067, null where there are none. */
export type Fetch = (name: string) => Promise<Bytes | null>;

export function nameOf(level: number, number: number, width: number = WIDTH): string {
  const digits = String(number);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const groups = padded.match(/\d{3}/g) ?? [];
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${path}${width < WIDTH ? `.p/${width}` : ""}`;
}

/** The tiles of a tree of `size` leaves. Nothing that they say is believed before it leads to a root. */
export class Tiles {
  private readonly read = new Map<string, Promise<Bytes[]>>();
  private readonly made = new Map<string, Promise<Bytes>>();

  constructor(
    private readonly fetch: Fetch,
    readonly size: number,
  ) {}

  readonly node: Node = (level, index) => {
    const key = `${level}/${index}`;
    let found = this.made.get(key);
    if (found === undefined) {
      found = this.make(level, index);
      this.made.set(key, found);
    }
    return found;
  };

  private async make(level: number, index: number): Promise<Bytes> {
    const row = Math.floor(level / HEIGHT);
    const height = level % HEIGHT;
    const first = index * 2 ** height;
    const number = Math.floor(first / WIDTH);
    const tile = await this.hashes(row, number);
    return rootOf(tile.slice(first % WIDTH, (first % WIDTH) + 2 ** height));
  }

  /** Return the hashes of a tile, as many as the tree has there. */
  hashes(level: number, number: number): Promise<Bytes[]> {
    const key = `${level}/${number}`;
    let found = this.read.get(key);
    if (found === undefined) {
      found = this.load(level, number);
      this.read.set(key, found);
    }
    return found;
  }

  /**
   * Return what is wrong with the tiles over a leaf, null where they lead to the root: the tiles of the right edge first, which the root is
   * made of, then from the top down, each of which the one above tells what it must be.
   */
  async fault(head: Head, index: number): Promise<string | null> {
    if (!same(await rootOfRange(this.node, 0, head.size), head.root)) return this.edgeFault(head);
    for (let level = this.levels(head.size) - 1; level > 0; level -= 1) {
      const number = Math.floor(index / WIDTH ** level);
      const name = await this.childFault(level - 1, number);
      if (name !== null) return `${name} does not fit the tile above it`;
    }
    return null;
  }

  /** Return which of the tiles that the root is made of does not fit, as far as that can be told. */
  private async edgeFault(head: Head): Promise<string> {
    const names: string[] = [];
    for (let level = 0; level < this.levels(head.size); level += 1) {
      const width = Math.floor(head.size / WIDTH ** level);
      const number = Math.floor(width / WIDTH);
      if (level > 0) {
        for (let below = number * WIDTH; below < width; below += 1) {
          const name = await this.childFault(level - 1, below);
          if (name !== null) return `${name} and ${nameOf(level, number, this.widthOf(level, number))} above it do not fit together`;
        }
      }
      if (width % WIDTH > 0) names.push(nameOf(level, number, this.widthOf(level, number)));
    }
    return `the tiles do not lead to the root of the checkpoint: ${names.join(", ")}`;
  }

  /** Return the name of a full tile that is not what the one above says of it, null where it is, or has none above. */
  private async childFault(level: number, number: number): Promise<string | null> {
    if (this.widthOf(level, number) < WIDTH) return null;
    const above = await this.hashes(level + 1, Math.floor(number / WIDTH));
    const said = above[number % WIDTH];
    if (said === undefined) return null;
    return same(await rootOf(await this.hashes(level, number)), said) ? null : nameOf(level, number);
  }

  private levels(size: number): number {
    let levels = 0;
    for (let width = size; width > 0; width = Math.floor(width / WIDTH)) levels += 1;
    return levels;
  }

  private widthOf(level: number, number: number): number {
    return Math.min(WIDTH, Math.floor(this.size / WIDTH ** level) - number * WIDTH);
  }

  private async load(level: number, number: number): Promise<Bytes[]> {
    const width = this.widthOf(level, number);
    for (const wide of new Set([width, WIDTH])) { // Once it is full, a narrower one may be gone.
      const data = await this.fetch(nameOf(level, number, wide));
      if (data === null) continue;
      if (data.length !== wide * HASH_BYTES) {
        throw new EvidenceError(`${nameOf(level, number, wide)} has ${data.length} bytes, not ${wide * HASH_BYTES}`);
      }
      return Array.from({ length: width }, (_, at) => data.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES));
    }
    throw new EvidenceError(`${nameOf(level, number, width)} is missing`);
  }
}
