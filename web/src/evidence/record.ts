/** A record as its frame holds it, and the leaf that commits to it. The tables of docs/format.md, byte by byte. */

import { type Bytes, EvidenceError, joined, sha256, utf8 } from "./bytes";
import { decode, type Value } from "./msgpack";
import { leafHash, rootOf } from "./tree";

const HEADER_BYTES = 64;
const RECORD = 1;
const SHA256 = 1;

export interface Stored {
  readonly offset: number;
  /** Microseconds since 1970. */
  readonly timeUs: bigint;
  readonly flags: number;
  readonly envelope: Bytes;
  readonly changes: readonly Bytes[];
}

/** Return the record in the bytes of a frame. Its checksums are not looked at: what is proven is more. */
export function parseFrame(frame: Bytes): Stored {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < HEADER_BYTES || frame.slice(0, 4).some((byte, at) => byte !== utf8("MLJ1")[at])) {
    throw new EvidenceError("this is no frame");
  }
  const size = view.getUint32(8, true);
  if (view.getUint8(16) !== 1 || view.getUint8(17) !== RECORD) throw new EvidenceError("the frame is not one of a record");
  if (HEADER_BYTES + size > frame.length) throw new EvidenceError("the frame ends too early");
  const parts = split(frame.slice(HEADER_BYTES, HEADER_BYTES + size));
  const [envelope, ...changes] = parts;
  if (envelope === undefined || changes.length !== view.getUint32(20, true)) {
    throw new EvidenceError("the frame has another number of changes than it says");
  }
  const offset = view.getBigUint64(24, true);
  return { offset: Number(offset), timeUs: view.getBigUint64(32, true), flags: view.getUint16(18, true), envelope, changes };
}

/** Return the 96 bytes that the tree commits to for a record. */
export async function leafOf(stored: Stored): Promise<Bytes> {
  const head = new DataView(new ArrayBuffer(24));
  head.setUint8(0, RECORD);
  head.setUint8(1, SHA256);
  head.setUint16(2, stored.flags & 0xff, true);
  head.setUint32(4, stored.changes.length, true);
  head.setBigUint64(8, BigInt(stored.offset), true);
  head.setBigUint64(16, stored.timeUs, true);
  const root = await rootOf(await Promise.all(stored.changes.map(leafHash)));
  return joined(utf8("MLJLEAF1"), new Uint8Array(head.buffer), await sha256(stored.envelope), root);
}

/** Return what the envelope says: who put the record, through what, why. */
export function envelopeOf(stored: Stored): ReadonlyMap<string, Value> {
  const found = decode(stored.envelope);
  if (!(found instanceof Map)) throw new EvidenceError("the envelope is no map");
  return found as ReadonlyMap<string, Value>;
}

/** Return what a change says. Throws for a form of storage that is of a later release. */
export function changeOf(bytes: Bytes): Value {
  if (bytes[0] !== 0) throw new EvidenceError("the change is stored in a form that is not known here");
  return decode(bytes.slice(1));
}

function split(body: Bytes): Bytes[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const parts: Bytes[] = [];
  let at = 0;
  while (at < body.length) {
    if (at + 4 > body.length) throw new EvidenceError("the body of the frame ends inside a size");
    const size = view.getUint32(at, true);
    at += 4 + size;
    if (at > body.length) throw new EvidenceError("a part of the frame runs over its end");
    parts.push(body.slice(at - size, at));
  }
  return parts;
}
