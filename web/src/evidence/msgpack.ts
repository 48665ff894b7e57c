/** MessagePack, read: as much of it as records hold. Source: github.com/msgpack/msgpack/blob/master/spec.md. */

import { type Bytes, EvidenceError, textOf } from "./bytes";

export type Value = null | boolean | number | bigint | string | Bytes | Value[] | Map<Value, Value>;

const DEPTH_MAX = 200;

/** Return the one value in some bytes. Whole numbers beyond 2**53 are bigints; of an extension only the bytes are kept. */
export function decode(bytes: Bytes): Value {
  const cursor = new Cursor(bytes);
  const found = cursor.value(0);
  if (cursor.at !== bytes.length) throw new EvidenceError("bytes follow a value");
  return found;
}

class Cursor {
  at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth: number): Value {
    if (depth > DEPTH_MAX) throw new EvidenceError("values are nested too deeply");
    const code = this.number(1);
    if (code <= 0x7f) return code;
    if (code <= 0x8f) return this.map(code & 0x0f, depth);
    if (code <= 0x9f) return this.array(code & 0x0f, depth);
    if (code <= 0xbf) return textOf(this.take(code & 0x1f));
    if (code >= 0xe0) return code - 0x100;
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.take(this.number(2 ** (code - 0xc4)));
      case 0xc7: case 0xc8: case 0xc9: return this.extension(this.number(2 ** (code - 0xc7)));
      case 0xca: return this.view.getFloat32(this.skip(4));
      case 0xcb: return this.view.getFloat64(this.skip(8));
      case 0xcc: case 0xcd: case 0xce: return this.number(2 ** (code - 0xcc));
      case 0xcf: return whole(this.view.getBigUint64(this.skip(8)));
      case 0xd0: return this.view.getInt8(this.skip(1));
      case 0xd1: return this.view.getInt16(this.skip(2));
      case 0xd2: return this.view.getInt32(this.skip(4));
      case 0xd3: return whole(this.view.getBigInt64(this.skip(8)));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.extension(2 ** (code - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return textOf(this.take(this.number(2 ** (code - 0xd9))));
      case 0xdc: case 0xdd: return this.array(this.number(2 ** (code - 0xdb)), depth);
      case 0xde: case 0xdf: return this.map(this.number(2 ** (code - 0xdd)), depth);
      default: throw new EvidenceError(`0x${code.toString(16)} begins no value`);
    }
  }

  private array(count: number, depth: number): Value[] {
    const found: Value[] = [];
    for (let at = 0; at < count; at += 1) found.push(this.value(depth + 1));
    return found;
  }

  private map(count: number, depth: number): Map<Value, Value> {
    const found = new Map<Value, Value>();
    for (let at = 0; at < count; at += 1) {
      const key = this.value(depth + 1);
      if (found.has(key)) throw new EvidenceError(`${String(key)} stands twice in a map`);
      found.set(key, this.value(depth + 1));
    }
    return found;
  }

  private extension(size: number): Bytes {
    this.skip(1);
    return this.take(size);
  }

  private number(size: number): number {
    const at = this.skip(size);
    return size === 1 ? this.view.getUint8(at) : size === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private take(size: number): Bytes {
    const at = this.skip(size);
    return this.bytes.slice(at, at + size);
  }

  /** Move over so many bytes; return where they begin. */
  private skip(size: number): number {
    const at = this.at;
    if (at + size > this.bytes.length) throw new EvidenceError("a value ends too early");
    this.at += size;
    return at;
  }
}

function whole(number: bigint): number | bigint {
  return number >= BigInt(Number.MIN_SAFE_INTEGER) && number <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(number) : number;
}
