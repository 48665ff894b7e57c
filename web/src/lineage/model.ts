/** A lineage through time: what each node was at a moment, what became of it between two, how to walk along its edges. No page here. */

export type Version = readonly [offset: number, state: string, flags: readonly string[]];

export interface NodeData {
  key: string;
  kind: "artifact" | "execution";
  type: string;
  label: string;
  /** Its centre. */
  x: number;
  y: number;
  time_ms: number;
  versions: readonly Version[];
  level?: number;
  hidden?: number;
  members?: readonly string[];
}

export interface EdgeData {
  /** Numbers of nodes. */
  source: number;
  target: number;
  born: number;
  role?: string;
  /** x, y, x, y, ... where it is more than a curve from the right side of its source to the left side of its target. */
  points?: readonly number[];
}

export interface GraphData {
  width: number;
  height: number;
  node_width: number;
  node_height: number;
  nodes: readonly NodeData[];
  edges: readonly EdgeData[];
  ticks: readonly Tick[];
}

export type Tick = readonly [offset: number, time_ms: number, count: number];

export const SAME = 0;
export const ADDED = 1;
export const CHANGED = 2;
export const GONE = 3;
export const UNBORN = 4;
export const STATUS_WORDS = ["", "added", "changed", "gone", "not yet"] as const;

const LEFT = new Set(["DELETED", "MARKED_FOR_DELETION", "ABANDONED"]);
const UNFINISHED = new Set(["NEW", "RUNNING", "PENDING", "LOST"]);
const UNREMARKABLE = new Set(["", "UNKNOWN", "LIVE", "LOST"]);

/** The number of the version that held after the first `end` records, -1 before the first one. */
export function versionAt(versions: readonly Version[], end: number): number {
  let low = 0;
  let high = versions.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (versions[middle]![0] < end) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What became of a node between two moments; `since` null where nothing is compared. */
export function statusOf(versions: readonly Version[], since: number | null, until: number): number {
  const now = versionAt(versions, until);
  if (now < 0) return UNBORN;
  if (since === null) return SAME;
  const then = versionAt(versions, since);
  if (LEFT.has(versions[now]![1]) && (then < 0 || !LEFT.has(versions[then]![1]))) return GONE;
  if (then < 0) return ADDED;
  return then === now ? SAME : CHANGED;
}

export interface Counts {
  there: number;
  added: number;
  changed: number;
  gone: number;
}

export type Way = "left" | "right" | "up" | "down";

export class Model {
  readonly nodes: readonly NodeData[];
  readonly edges: readonly EdgeData[];
  readonly ticks: readonly Tick[];
  readonly width: number;
  readonly height: number;
  readonly halfWidth: number;
  readonly halfHeight: number;
  /** Of each node: the version that holds, -1 for none yet; what became of it. */
  readonly now: Int32Array;
  readonly status: Uint8Array;
  until = 0;
  since: number | null = null;
  private readonly into: number[][];
  private readonly from: number[][];
  private readonly byKey = new Map<string, number>();

  constructor(data: GraphData) {
    this.nodes = data.nodes;
    this.edges = data.edges;
    this.ticks = data.ticks;
    this.width = data.width;
    this.height = data.height;
    this.halfWidth = data.node_width / 2;
    this.halfHeight = data.node_height / 2;
    this.now = new Int32Array(data.nodes.length);
    this.status = new Uint8Array(data.nodes.length);
    this.into = data.nodes.map(() => []);
    this.from = data.nodes.map(() => []);
    data.nodes.forEach((node, at) => this.byKey.set(node.key, at));
    for (const edge of data.edges) {
      this.from[edge.source]!.push(edge.target);
      this.into[edge.target]!.push(edge.source);
    }
  }

  numberOf(key: string): number {
    return this.byKey.get(key) ?? -1;
  }

  /** Look at a moment, and compare it with another. */
  look(until: number, since: number | null): Counts {
    this.until = until;
    this.since = since;
    const from = since === null ? null : Math.min(since, until);
    const to = since === null ? until : Math.max(since, until);
    const counts = [0, 0, 0, 0, 0];
    this.nodes.forEach((node, at) => {
      this.now[at] = versionAt(node.versions, to);
      const status = statusOf(node.versions, from, to);
      this.status[at] = status;
      counts[status]!++;
    });
    return { there: this.nodes.length - counts[UNBORN]!, added: counts[ADDED]!, changed: counts[CHANGED]!, gone: counts[GONE]! };
  }

  /** What became of an edge that a record put. */
  bornStatus(born: number): number {
    const to = this.since === null ? this.until : Math.max(this.since, this.until);
    if (born >= to) return UNBORN;
    return this.since !== null && born >= Math.min(this.since, this.until) ? ADDED : SAME;
  }

  version(at: number): Version | undefined {
    return this.nodes[at]!.versions[this.now[at]!];
  }

  unfinished(at: number): boolean {
    return UNFINISHED.has(this.version(at)?.[1] ?? "NEW");
  }

  has(at: number, flag: string): boolean {
    return this.version(at)?.[2].includes(flag) ?? false;
  }

  /** All that a node was made from, and all that was made from it, itself among them. */
  relatives(at: number): Set<number> {
    const found = new Set([at]);
    for (const steps of [this.into, this.from]) {
      const waiting = [at];
      const met = new Set(waiting);
      for (const one of waiting) {
        for (const next of steps[one]!) {
          if (!met.has(next)) {
            met.add(next);
            found.add(next);
            waiting.push(next);
          }
        }
      }
    }
    return found;
  }

  /** The node to go to from another: left and right along edges, the nearest in height first; up and down among those of the same column. */
  walk(at: number, way: Way): number {
    const { x, y } = this.nodes[at]!;
    if (way === "left" || way === "right") {
      return this.best((way === "left" ? this.into : this.from)[at]!, (one) => Math.abs(one.y - y));
    }
    const sign = way === "up" ? -1 : 1;
    const column = this.nodes.flatMap((one, number) => (Math.abs(one.x - x) < 1 && (one.y - y) * sign > 0 ? [number] : []));
    return this.best(column, (one) => Math.abs(one.y - y));
  }

  private best(among: readonly number[], far: (node: NodeData) => number): number {
    let found = -1;
    let least = Infinity;
    for (const one of among) {
      const distance = far(this.nodes[one]!);
      if (distance < least) [found, least] = [one, distance];
    }
    return found;
  }

  /** The nodes whose name, type, key or state has a text in it. */
  search(text: string): number[] {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    return this.nodes.flatMap((node, at) =>
      [node.label, node.type, node.key, this.version(at)?.[1] ?? ""].some((word) => word.toLowerCase().includes(wanted)) ? [at] : [],
    );
  }

  /** The node under a point, -1 for none. */
  hit(x: number, y: number, slack = 0): number {
    const wide = this.halfWidth + slack;
    const high = this.halfHeight + slack;
    return this.nodes.findIndex((node) => Math.abs(node.x - x) <= wide && Math.abs(node.y - y) <= high);
  }

  title(at: number): string {
    const node = this.nodes[at]!;
    return node.kind === "artifact" || !node.type ? node.label : `${node.type} ${node.label}`;
  }

  /** What else is to be said, in the order of weight; as in the picture of the server. */
  remarks(at: number): string[] {
    const node = this.nodes[at]!;
    const version = this.version(at);
    const [, state, flags] = version ?? [0, "", []];
    if (node.members) return [STATUS_WORDS[this.status[at]!]!, state].filter(Boolean); // Its state counts the flags of all.
    const said: string[] = [STATUS_WORDS[this.status[at]!]!, ...["tainted", "lost", "live"].filter((flag) => flags.includes(flag))];
    if (node.kind === "artifact") said.push(node.type);
    if (!UNREMARKABLE.has(state)) said.push(state);
    if (node.time_ms) said.push(day(node.time_ms));
    return said.filter(Boolean);
  }

  /** How many neighbours of a node are not here, in words. */
  hiddenWords(at: number): string {
    const { hidden, kind } = this.nodes[at]!;
    if (!hidden) return "";
    const other = kind === "artifact" ? "run" : "artifact";
    return `+${hidden.toLocaleString("en")} ${other}${hidden === 1 ? "" : "s"}`;
  }

  /** A node in a sentence, for who hears it. */
  describe(at: number): string {
    const node = this.nodes[at]!;
    const what = node.members ? `group of ${node.members.length}` : node.kind === "artifact" ? "artifact" : "run";
    const ways = `${plural(this.into[at]!.length, "arrow")} in, ${this.from[at]!.length} out`;
    const key = node.members || this.title(at).includes(node.key) ? "" : ` ${node.key}`;
    return [this.title(at), what + key, ...this.remarks(at), ways, this.hiddenWords(at) && `${this.hiddenWords(at)} not shown`]
      .filter(Boolean)
      .join(", ");
  }

  /** The offset after the next record that put any of this, or before the last one. */
  step(from: number, forth: boolean): number {
    const ends = this.ticks.map(([offset]) => offset + 1);
    const found = forth ? ends.find((end) => end > from) : ends.findLast((end) => end < from);
    return found ?? (forth ? from : 0);
  }

  /** When the last of the first `end` records that put any of this was put; 0 for none. */
  timeAt(end: number): number {
    let low = 0;
    let high = this.ticks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ticks[middle]![0] < end) low = middle + 1;
      else high = middle;
    }
    return low ? this.ticks[low - 1]![1] : 0;
  }

  /** How much was put in each of so many equal parts of the log. */
  density(end: number, parts: number): number[] {
    const counts = new Array<number>(parts).fill(0);
    for (const [offset, , count] of this.ticks) {
      const part = Math.min(parts - 1, Math.floor((offset / Math.max(1, end)) * parts));
      counts[part]! += count;
    }
    return counts;
  }
}

export function plural(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** A time as the pages write it: to the second, in UTC. */
export function moment(time_ms: number): string {
  const time = new Date(time_ms);
  return Number.isNaN(time.getTime()) ? "-" : `${time.toISOString().slice(0, 19).replace("T", " ")}Z`;
}

function day(time_ms: number): string {
  const time = new Date(time_ms);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}
