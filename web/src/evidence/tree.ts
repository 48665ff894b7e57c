/**
 * Proofs in the tree of RFC 6962: that a leaf is in it, and that a larger tree begins with a smaller one.
 *
 * A prover asks for nodes: `node(level, index)` is the root of the perfect subtree over the leaves [index, index + 1) * 2**level. Nodes are
 * not to be believed: what counts is that the path made of them leads to the root that is.
 * Source: RFC 6962 section 2.1, RFC 9162 sections 2.1.3.2 and 2.1.4.2. Numbers of leaves are below 2**53, so no bitwise operators.
 */

import { type Bytes, EvidenceError, same, sha256 } from "./bytes";

export type Node = (level: number, index: number) => Promise<Bytes>;

export interface Head {
  readonly size: number;
  readonly root: Bytes;
}

const LEAF = Uint8Array.of(0);
const INNER = Uint8Array.of(1);

export function leafHash(leaf: Uint8Array): Promise<Bytes> {
  return sha256(LEAF, leaf);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(INNER, left, right);
}

/** Return the root over the leaves [start, stop), start being a multiple of the power of two that holds them. */
export async function rootOfRange(node: Node, start: number, stop: number): Promise<Bytes> {
  const size = stop - start;
  if (size === 0) return sha256();
  const level = levelOf(size);
  const width = 2 ** level;
  if (size === width) return node(level, start / width);
  const [left, right] = await Promise.all([node(level, start / width), rootOfRange(node, start + width, stop)]);
  return nodeHash(left, right);
}

/** Return the root over some leaves, given their hashes. */
export async function rootOf(hashes: readonly Bytes[]): Promise<Bytes> {
  let row = hashes.length > 0 ? [...hashes] : [await sha256()];
  while (row.length > 1) {
    const above: Promise<Bytes>[] = [];
    for (let at = 0; at < row.length; at += 2) {
      const [left, right] = [row[at] as Bytes, row[at + 1]];
      above.push(right === undefined ? Promise.resolve(left) : nodeHash(left, right));
    }
    row = await Promise.all(above);
  }
  return row[0] as Bytes;
}

/** Return the path from the leaf `index` up to the root over `size` leaves, the leaf's sibling first. */
export async function inclusion(node: Node, index: number, size: number): Promise<Bytes[]> {
  const path: Promise<Bytes>[] = [];
  let [start, stop] = [0, size];
  while (stop - start > 1) {
    const middle = middleOf(start, stop);
    if (index < middle) {
      path.push(rootOfRange(node, middle, stop));
      stop = middle;
    } else {
      path.push(rootOfRange(node, start, middle));
      start = middle;
    }
  }
  return (await Promise.all(path)).reverse();
}

/** Return the hashes that show that the tree over `after` leaves begins with that over `before`; both above 0. */
export async function consistency(node: Node, before: number, after: number): Promise<Bytes[]> {
  const path: Promise<Bytes>[] = [];
  let [start, stop] = [0, after];
  while (before < stop) {
    const middle = middleOf(start, stop);
    if (before <= middle) {
      path.push(rootOfRange(node, middle, stop));
      stop = middle;
    } else {
      path.push(rootOfRange(node, start, middle));
      start = middle;
    }
  }
  if (start > 0) path.push(rootOfRange(node, start, stop)); // Else it is the older tree itself, whose root is known.
  return (await Promise.all(path)).reverse();
}

/** Return the root to which a path leads from a leaf. Throws where it has another length than it must. */
export async function rootOfInclusion(leaf: Bytes, index: number, size: number, path: readonly Bytes[]): Promise<Bytes> {
  if (!(index >= 0 && index < size)) throw new EvidenceError(`record ${index} is not among the ${size} of the tree`);
  const walk = new Walk(index, size - 1);
  let found = leaf;
  for (const one of path) found = walk.right() ? await nodeHash(one, found) : await nodeHash(found, one);
  walk.end();
  return found;
}

/** Throw unless a path shows that the newer tree begins with the older one. */
export async function checkConsistency(older: Head, newer: Head, path: readonly Bytes[]): Promise<void> {
  if (older.size > newer.size) {
    throw new EvidenceError(`a tree of ${newer.size} records cannot begin with one of ${older.size}`);
  }
  if (older.size === 0 || older.size === newer.size) {
    const root = older.size === 0 ? await sha256() : newer.root;
    if (path.length > 0 || !same(older.root, root)) throw new EvidenceError("the two trees do not agree");
    return;
  }
  let [at, last] = [older.size - 1, newer.size - 1];
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  const [first, ...rest] = at === 0 ? [older.root, ...path] : path; // A perfect tree: its root is the first node.
  if (first === undefined) throw new EvidenceError("the path of the proof is too short");
  const walk = new Walk(at, last);
  let [was, now] = [first, first];
  for (const one of rest) {
    if (walk.right()) [was, now] = [await nodeHash(one, was), await nodeHash(one, now)];
    else now = await nodeHash(now, one);
  }
  walk.end();
  if (!same(was, older.root) || !same(now, newer.root)) {
    throw new EvidenceError("the newer tree does not begin with the older one");
  }
}

/** Goes up from a leaf, as RFC 9162 has it. */
class Walk {
  constructor(
    private at: number,
    private last: number,
  ) {}

  /** Go up one step; tell whether the other node of this step stands left. */
  right(): boolean {
    if (this.last === 0) throw new EvidenceError("the path of the proof is too long");
    const isRight = this.at % 2 === 1 || this.at === this.last;
    if (isRight) while (this.at !== 0 && this.at % 2 === 0) this.up();
    this.up();
    return isRight;
  }

  end(): void {
    if (this.last !== 0) throw new EvidenceError("the path of the proof is too short");
  }

  private up(): void {
    [this.at, this.last] = [half(this.at), half(this.last)];
  }
}

function half(number: number): number {
  return Math.floor(number / 2);
}

/** Return the level of the largest perfect subtree in so many leaves. */
function levelOf(size: number): number {
  let level = 0;
  while (2 ** (level + 1) <= size) level += 1;
  return level;
}

/** Return where RFC 6962 splits a range: after the largest power of two smaller than its size. */
function middleOf(start: number, stop: number): number {
  return start + 2 ** levelOf(stop - start - 1);
}
