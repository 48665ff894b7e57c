/** The address of what is seen: the query holds what the server knows of, the part behind # where one looks and at what. */
import { type Camera, readCamera, written } from "./camera";

/** An offset as pages take it, "" for none. */
export function offsetText(offset: number | null): string {
  return offset === null ? "" : `#${offset}`;
}

/** An address with some of its query in other words; "" takes a word away. Several values are those of one name. */
export function withQuery(address: URL, words: Readonly<Record<string, string | readonly string[]>>): URL {
  const made = new URL(address);
  for (const [name, value] of Object.entries(words)) {
    made.searchParams.delete(name);
    for (const one of typeof value === "string" ? [value] : value) if (one) made.searchParams.append(name, one);
  }
  return made;
}

export interface Eye {
  node: string;
  camera: Camera | null;
}

export function eyeText(eye: Eye): string {
  const words = new URLSearchParams();
  if (eye.node) words.set("node", eye.node);
  if (eye.camera) words.set("view", written(eye.camera));
  const text = words.toString();
  return text && `#${text}`;
}

export function readEye(hash: string): Eye {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  return { node: words.get("node") ?? "", camera: readCamera(words.get("view")) };
}

/** The path of the page of a node, by its key. */
export function pageOf(key: string): string {
  const [kind, number] = key.split(":") as [string, string];
  return `${kind === "art" ? "/artifacts" : "/runs"}/${encodeURIComponent(number)}`;
}
