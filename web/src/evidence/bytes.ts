/** Bytes: compared, joined, hashed, and written as text. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** What was given is not what it must be, or does not prove what it should. */
export class EvidenceError extends Error {}

export async function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

export function joined(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function encode64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Return the bytes of standard base64, written in the one right way. */
export function decode64(text: string): Bytes {
  let found: Bytes;
  try {
    found = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    throw new EvidenceError(`${JSON.stringify(text.slice(0, 60))} is not base64`);
  }
  if (encode64(found) !== text) throw new EvidenceError(`${JSON.stringify(text.slice(0, 60))} is not base64`);
  return found;
}

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

/** Return the text in some bytes. Throws for what is not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new EvidenceError("a text is not UTF-8");
  }
}
