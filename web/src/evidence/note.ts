/** Signed notes, checkpoints and the keys that sign them. Source: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature. */

import { type Bytes, decode64, EvidenceError, hex, joined, same, sha256, utf8 } from "./bytes";
import type { Head } from "./tree";

const LOG_KEY = 1;
const WITNESS_KEY = 4;
const NAME = /^[^\s+\p{Cc}\p{Cs}]+$/u;
const SIZE = /^(0|[1-9][0-9]{0,15})$/;

export interface Checkpoint extends Head {
  readonly origin: string;
  /** What is signed, its last line feed included. */
  readonly text: string;
  readonly signatures: readonly Signature[];
}

interface Signature {
  readonly name: string;
  readonly keyId: Bytes;
  readonly value: Bytes;
}

export interface VerifierKey {
  readonly name: string;
  readonly kind: number;
  readonly keyId: Bytes;
  readonly publicKey: Bytes;
}

/** Return the checkpoint in a text; its signatures are not checked yet. A text field may have lost the line feed at the end, or have gained some. */
export function parseCheckpoint(pasted: string): Checkpoint {
  const whole = pasted.replaceAll("\r\n", "\n").replace(/^\n+/, "").replace(/\s*$/, "\n");
  if ([...whole].some((char) => char < " " && char !== "\n")) throw new EvidenceError("the note holds control characters");
  const end = whole.lastIndexOf("\n\n");
  // An unsigned one ends in its text: what was pasted has lost the empty line.
  const text = end < 0 ? whole : whole.slice(0, end + 1);
  const lines = text.split("\n");
  const [origin = "", size = "", root = ""] = lines;
  if (lines.length < 4 || origin === "" || !SIZE.test(size) || Number(size) > Number.MAX_SAFE_INTEGER) {
    throw new EvidenceError("this is no checkpoint: its first lines are not an origin, a size and a root");
  }
  const digest = decode64(root);
  if (digest.length !== 32) throw new EvidenceError(`the root of a checkpoint has 32 bytes, not ${digest.length}`);
  const below = end < 0 ? [] : whole.slice(end + 2).split("\n").slice(0, -1);
  return { origin, size: Number(size), root: digest, text, signatures: below.map(signatureOf) };
}

function signatureOf(line: string): Signature {
  const [dash = "", name = "", encoded = "", ...more] = line.split(" ");
  if (dash !== "—" || !NAME.test(name) || more.length > 0) {
    throw new EvidenceError(`${JSON.stringify(line.slice(0, 60))} is no line of a signature`);
  }
  const value = decode64(encoded);
  if (value.length <= 4) throw new EvidenceError(`the signature of ${name} is too short`);
  return { name, keyId: value.slice(0, 4), value: value.slice(4) };
}

/** Return the keys in a text: verifier keys, a line each, or a policy. What a policy says of a quorum is not checked here. */
export async function parseKeys(pasted: string): Promise<VerifierKey[]> {
  const keys: VerifierKey[] = [];
  for (const line of pasted.split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0]?.startsWith("#") || words[0] === "quorum" || words[0] === "group") continue;
    const text = words[0] === "log" ? words[1] : words[0] === "witness" ? words[2] : words[0];
    keys.push(await parseKey(text ?? ""));
  }
  return keys;
}

async function parseKey(text: string): Promise<VerifierKey> {
  const [, name = "", keyId = "", encoded = ""] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? [];
  if (!NAME.test(name)) throw new EvidenceError(`${JSON.stringify(text.slice(0, 60))} is no verifier key: NAME+ID+KEY`);
  const material = decode64(encoded);
  const kind = material[0] ?? 0;
  if (material.length !== 33 || (kind !== LOG_KEY && kind !== WITNESS_KEY)) {
    throw new EvidenceError(`the key ${name} is none of Ed25519`);
  }
  const made = (await sha256(utf8(`${name}\n`), material)).slice(0, 4);
  if (hex(made) !== keyId) {
    throw new EvidenceError(`the id of the key ${name} does not fit it: a character is wrong or missing`);
  }
  return { name, kind, keyId: made, publicKey: material.slice(1) };
}

export interface Signers {
  readonly logs: readonly string[];
  readonly witnesses: readonly string[];
}

/**
 * Return who of the keys signed a checkpoint. Throws where a signature of one of them is wrong, or where its log did not sign.
 * Rejects with a NotSupportedError where the browser has no Ed25519.
 */
export async function signersOf(checkpoint: Checkpoint, keys: readonly VerifierKey[]): Promise<Signers> {
  const signed: VerifierKey[] = [];
  for (const key of keys) {
    if (key.kind === LOG_KEY && key.name !== checkpoint.origin) continue;
    const mine = checkpoint.signatures.filter((one) => one.name === key.name && same(one.keyId, key.keyId));
    for (const one of mine) {
      if (!(await verifies(key, checkpoint.text, one.value))) {
        throw new EvidenceError(`the signature of ${key.name} is wrong: the text was changed, or never signed by it`);
      }
      signed.push(key);
    }
  }
  const names = (kind: number): string[] => signed.filter((key) => key.kind === kind).map((key) => key.name);
  const found = { logs: names(LOG_KEY), witnesses: names(WITNESS_KEY) };
  if (found.logs.length === 0) throw new EvidenceError(`no key that was given signed the checkpoint of ${checkpoint.origin}`);
  return found;
}

async function verifies(key: VerifierKey, text: string, value: Bytes): Promise<boolean> {
  const time = key.kind === WITNESS_KEY ? value.slice(0, 8) : null;
  const signature = time === null ? value : value.slice(8);
  if (signature.length !== 64 || (time !== null && time.length !== 8)) return false;
  const seconds = time === null ? "" : new DataView(time.buffer).getBigUint64(0).toString();
  const message = time === null ? utf8(text) : joined(utf8(`cosignature/v1\ntime ${seconds}\n`), utf8(text));
  const imported = await crypto.subtle.importKey("raw", key.publicKey, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", imported, signature, message);
}
