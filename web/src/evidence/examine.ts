/**
 * A store examined, step by step: its tree against a checkpoint that somebody kept, and each record that a page shows against the tree.
 *
 * Nothing that the server says is believed but what leads to the root of the checkpoint. What the page says of a record is compared with the
 * bytes that are in the tree.
 */

import { type Bytes, EvidenceError, hex, same } from "./bytes";
import type { Value } from "./msgpack";
import { type Checkpoint, parseCheckpoint, parseKeys, signersOf, type VerifierKey } from "./note";
import { envelopeOf, leafOf, parseFrame, type Stored } from "./record";
import { type Fetch, Tiles } from "./tiles";
import { checkConsistency, consistency, inclusion, leafHash, rootOfInclusion } from "./tree";

/** What a server hands out: its newest checkpoint, null where it has none; tiles by name; the frame of a record. */
export interface Source {
  checkpoint(): Promise<string | null>;
  readonly tile: Fetch;
  frame(offset: number): Promise<Bytes>;
}

/** A record as a page shows it: texts by the name of the fact, of those of FACTS. */
export interface Shown {
  readonly offset: number;
  readonly facts: ReadonlyMap<string, string>;
}

/** "ok", "bad", or "open": it could not be checked, and why. record: the one that it is about. */
export interface Step {
  readonly state: "ok" | "bad" | "open";
  readonly text: string;
  readonly record?: number;
  /** The record as its bytes say, once these are known to be in the tree. */
  readonly stored?: Stored;
}

export interface Asked {
  /** The checkpoint that somebody kept; "" for that of the store itself. */
  readonly pasted: string;
  /** Verifier keys or a policy; "" for none. */
  readonly keys: string;
  readonly shown: readonly Shown[];
}

const TEXTS = ["actor", "auth", "application", "host", "api", "reason"] as const;
/** What of a record is compared, where a page shows it. */
export const FACTS: readonly string[] = ["time", "changes", ...TEXTS];

/** Yield each step as it is done. The first that is bad is the last, but for those of the records. */
export async function* examine(asked: Asked, source: Source): AsyncGenerator<Step> {
  try {
    const keys = await parseKeys(asked.keys);
    const own = await source.checkpoint();
    if (own === null) throw new EvidenceError("this store publishes no checkpoint: nothing can be compared with it");
    const newest = parseCheckpoint(own);
    const kept = asked.pasted.trim() === "" ? null : parseCheckpoint(asked.pasted);
    yield kept === null
      ? open("No checkpoint was pasted. What follows shows only that the store agrees with itself.")
      : ok(`The checkpoint that was pasted is over ${count(kept.size)} of ${kept.origin}, root ${hex(kept.root)}.`);
    if (kept !== null) yield await signatureStep("The checkpoint that was pasted", kept, keys);
    yield await signatureStep("The newest checkpoint of the store", newest, keys);
    const tiles = new Tiles(source.tile, newest.size);
    const fault = newest.size > 0 ? await tiles.fault(newest, 0) : null;
    if (fault !== null) throw new EvidenceError(fault);
    yield ok(`The published tiles lead to the root of the store's newest checkpoint, over ${count(newest.size)}.`);
    if (kept !== null) yield await consistencyStep(kept, newest, tiles);
    for (const one of asked.shown) yield await recordStep(one, kept ?? newest, newest, tiles, source);
    const last = (kept ?? newest).size - 1;
    if (last >= 0 && asked.shown.every((one) => one.offset !== last)) yield* lastStep(last, kept ?? newest, newest, tiles, source);
  } catch (error) {
    yield { state: "bad", text: said(error) };
  }
}

async function signatureStep(what: string, checkpoint: Checkpoint, keys: readonly VerifierKey[]): Promise<Step> {
  if (keys.length === 0) return open(`${what}: who signed it was not checked, because no key was given.`);
  try {
    const { logs, witnesses } = await signersOf(checkpoint, keys);
    return ok(`${what} is signed by ${[...logs, ...witnesses].join(", ")}.`);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") {
      return open(`${what}: the signature was not checked here, because this browser has no Ed25519. \`evlog check\` checks it.`);
    }
    throw new EvidenceError(`${what}: ${said(error)}`);
  }
}

async function consistencyStep(kept: Checkpoint, newest: Checkpoint, tiles: Tiles): Promise<Step> {
  if (kept.origin !== newest.origin) {
    throw new EvidenceError(`the checkpoint that was pasted is of the log ${kept.origin}, this store is ${newest.origin}`);
  }
  if (kept.size > newest.size) {
    throw new EvidenceError(
      `the newest checkpoint of the store is over ${count(newest.size)}, the one that was pasted over ${count(kept.size)}:` +
        ` record ${newest.size} and those behind it are gone, or an older copy was put in the store's place`,
    );
  }
  const path = kept.size === 0 || kept.size === newest.size ? [] : await consistency(tiles.node, kept.size, newest.size);
  try {
    await checkConsistency(kept, newest, path);
  } catch (error) {
    throw new EvidenceError(
      `the store does not begin with the ${count(kept.size)} of the checkpoint that was pasted: one of the records 0 to` +
        ` ${kept.size - 1} was altered, removed or inserted (${said(error)})`,
    );
  }
  return ok(`The store's newest tree, over ${count(newest.size)}, begins with the tree of that checkpoint: ${path.length} hashes show it.`);
}

async function recordStep(shown: Shown, kept: Checkpoint, newest: Checkpoint, tiles: Tiles, source: Source): Promise<Step> {
  const record = shown.offset;
  if (record >= newest.size) {
    return { ...open(`Record ${record}: not under a checkpoint yet, the newest is over ${count(newest.size)}.`), record };
  }
  try {
    const stored = parseFrame(await source.frame(record));
    if (stored.offset !== record) throw new EvidenceError(`the server sent record ${stored.offset}`);
    await check(stored, record < kept.size ? kept : newest, tiles, newest);
    compare(shown, stored);
    const under = record < kept.size ? "" : " It came after the checkpoint that was pasted, and is under the store's newest one.";
    return { state: "ok", text: `Record ${record} is in the log as it is shown.${under}`, record, stored };
  } catch (error) {
    return { state: "bad", text: `Record ${record}: ${said(error)}`, record };
  }
}

/** Tell where the last record under a checkpoint is not in the log: tiles are there still when records are cut off that no page shows. */
async function* lastStep(last: number, under: Checkpoint, newest: Checkpoint, tiles: Tiles, source: Source): AsyncGenerator<Step> {
  const { state, text } = await recordStep({ offset: last, facts: new Map() }, under, newest, tiles, source);
  if (state === "bad") yield { state, text: text.replace(`Record ${last}:`, `Record ${last}, the last under that checkpoint:`) };
}

/** Throw unless a record is in the tree of a checkpoint; say whether it is the record or a tile that does not fit. */
async function check(stored: Stored, under: Checkpoint, tiles: Tiles, newest: Checkpoint): Promise<void> {
  const leaf = await leafHash(await leafOf(stored));
  const path = await inclusion(tiles.node, stored.offset, under.size);
  if (same(await rootOfInclusion(leaf, stored.offset, under.size, path), under.root)) return;
  const fault = await tiles.fault(newest, stored.offset);
  throw new EvidenceError(fault ?? "its bytes are not those that the tree commits to: it was altered");
}

/** Throw where a page says something else of a record than its bytes do. */
function compare(shown: Shown, stored: Stored): void {
  const envelope = envelopeOf(stored);
  for (const [name, text] of shown.facts) {
    if (!FACTS.includes(name)) continue;
    const true_ = factOf(name, stored, envelope);
    if (collapsed(text) !== collapsed(true_)) throw new EvidenceError(`the page says ${name} ${JSON.stringify(text)}, the record ${JSON.stringify(true_)}`);
  }
}

function factOf(name: string, stored: Stored, envelope: ReadonlyMap<string, Value>): string {
  if (name === "time") return timeOf(stored.timeUs);
  if (name === "changes") return String(stored.changes.length);
  const value = envelope.get(name) ?? "";
  if (typeof value !== "string") throw new EvidenceError(`${name} is no text in the record`);
  return printable(value);
}

/** Return microseconds since 1970 as pages write a time: in UTC, to the second. */
export function timeOf(timeUs: bigint): string {
  return `${new Date(Number(timeUs / 1_000_000n) * 1000).toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** Return a text as a browser shows it: one space for any number. */
function collapsed(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** Return a text as pages write it: in one line, nothing in it that hides or turns around what stands beside it. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g, (char) => {
    const code = char.charCodeAt(0);
    if (char === "\t" || char === "\n" || char === "\r") return " ";
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function ok(text: string): Step {
  return { state: "ok", text };
}

function open(text: string): Step {
  return { state: "open", text };
}

function count(records: number): string {
  return `${records} record${records === 1 ? "" : "s"}`;
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Return the outcome of all steps in words. kept: was there a checkpoint from elsewhere? */
export function inWords(steps: readonly Step[], kept: boolean): { state: Step["state"]; text: string } {
  const bad = steps.find((step) => step.state === "bad");
  if (bad !== undefined) return { state: "bad", text: `Not verified. ${bad.text}` };
  const records = steps.filter((step) => step.record !== undefined);
  const proven = records.filter((step) => step.state === "ok").length;
  const shown = `${proven} of ${records.length} record${records.length === 1 ? "" : "s"} of this page`;
  if (!kept) return { state: "open", text: `The store agrees with itself: ${shown}. Paste a checkpoint from elsewhere to know more.` };
  const state = proven === records.length ? "ok" : "open";
  return { state, text: `Verified by this browser: the log begins with what your checkpoint stands for; ${shown} are in it as shown.` };
}
