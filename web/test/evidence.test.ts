// The scripts that verify, against vectors that our Python makes (tests/kit/vectors.py), and against a server that lies.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Bytes, decode64, encode64, sha256, utf8 } from "../src/evidence/bytes";
import { examine, inWords, printable, type Shown, type Source, type Step } from "../src/evidence/examine";
import { decode } from "../src/evidence/msgpack";
import { parseCheckpoint, parseKeys, signersOf } from "../src/evidence/note";
import { changeOf, envelopeOf, leafOf, parseFrame } from "../src/evidence/record";
import { nameOf, Tiles } from "../src/evidence/tiles";
import { checkConsistency, consistency, inclusion, leafHash, type Node, nodeHash, rootOf, rootOfInclusion, rootOfRange } from "../src/evidence/tree";

interface Vectors {
  tree: {
    roots: Record<string, string>;
    inclusion: { index: number; size: number; path: string[] }[];
    consistency: { older: number; newer: number; path: string[] }[];
  };
  store: {
    checkpoint: string;
    older: string;
    unsigned: string;
    key: string;
    policy: string;
    tiles: Record<string, string>;
    frames: Record<string, string>;
    leafHashes: Record<string, string>;
    shown: Record<string, Record<string, string>>;
  };
  names: [number, number, number, string][];
  printable: [string, string][];
}

const vectors = JSON.parse(readFileSync(fileURLToPath(new URL("evidence.json", import.meta.url)), "ascii")) as Vectors;
const { tree, store } = vectors;
const leafCache = new Map<number, Promise<Bytes>>();

/** The nodes over leaves whose hashes are SHA-256 of their number, as the vectors have them. */
const node: Node = async (level, index) => {
  if (level > 0) return nodeHash(await node(level - 1, 2 * index), await node(level - 1, 2 * index + 1));
  let leaf = leafCache.get(index);
  if (leaf === undefined) leafCache.set(index, (leaf = sha256(utf8(String(index)))));
  return leaf;
};

const root = (size: number): Bytes => decode64(tree.roots[String(size)] as string);

function flipped(bytes: Bytes, at: number): Bytes {
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

describe("the tree", () => {
  test("roots and paths are those of our Python", async () => {
    for (const [size, expected] of Object.entries(tree.roots)) {
      expect(encode64(await rootOfRange(node, 0, Number(size)))).toBe(expected);
    }
    for (const { index, size, path } of tree.inclusion) {
      expect((await inclusion(node, index, size)).map(encode64), `${index} of ${size}`).toEqual(path);
      expect(encode64(await rootOfInclusion(await node(0, index), index, size, path.map(decode64)))).toBe(tree.roots[String(size)]);
    }
    for (const { older, newer, path } of tree.consistency) {
      expect((await consistency(node, older, newer)).map(encode64), `${older} to ${newer}`).toEqual(path);
      await checkConsistency({ size: older, root: root(older) }, { size: newer, root: root(newer) }, path.map(decode64));
    }
  });

  test("a path that was changed, cut or lengthened anywhere proves nothing", async () => {
    for (const { index, size, path } of tree.inclusion.filter((one) => one.path.length > 0 && one.size < 14)) {
      const right = path.map(decode64);
      const wrong = [right.slice(1), right.slice(0, -1), [...right, root(1)], [root(1), ...right], ...right.map((one, at) => right.with(at, flipped(one, 5)))];
      for (const changed of wrong) {
        const found = await rootOfInclusion(await node(0, index), index, size, changed).then(encode64, () => "refused");
        expect(found).not.toBe(tree.roots[String(size)]);
      }
    }
    for (const { older, newer, path } of tree.consistency.filter((one) => one.newer < 14)) {
      const right = path.map(decode64);
      const wrong = [right.slice(1), right.slice(0, -1), [...right, root(1)], ...right.map((one, at) => right.with(at, flipped(one, 5)))];
      for (const changed of wrong) {
        await expect(checkConsistency({ size: older, root: root(older) }, { size: newer, root: root(newer) }, changed)).rejects.toThrow();
      }
    }
  });

  test("a smaller or another tree is not consistent", async () => {
    await expect(checkConsistency({ size: 8, root: root(8) }, { size: 7, root: root(7) }, [])).rejects.toThrow("cannot begin");
    await expect(checkConsistency({ size: 8, root: root(7) }, { size: 8, root: root(8) }, [])).rejects.toThrow("do not agree");
    await expect(checkConsistency({ size: 7, root: flipped(root(7), 0) }, { size: 13, root: root(13) }, await consistency(node, 7, 13))).rejects.toThrow();
  });

  test("the tree over no leaf has the root of no bytes", async () => {
    expect(encode64(await rootOf([]))).toBe(encode64(await sha256()));
  });
});

test("tiles are named as the specification names them", () => {
  for (const [level, number, width, name] of vectors.names) expect(nameOf(level, number, width)).toBe(name);
});

test("texts are written as pages write them", () => {
  for (const [text, written] of vectors.printable) expect(printable(text)).toBe(written);
});

describe("notes", () => {
  test("a checkpoint is read, pasted in whatever way, and its signature is checked", async () => {
    const keys = await parseKeys(store.key);
    for (const pasted of [store.checkpoint, `\n${store.checkpoint}\n\n`, store.checkpoint.trimEnd(), store.checkpoint.replaceAll("\n", "\r\n")]) {
      const read = parseCheckpoint(pasted);
      expect([read.size, read.signatures.length]).toEqual([300, 1]);
      expect((await signersOf(read, keys)).logs).toEqual([read.origin]);
    }
    expect((await signersOf(parseCheckpoint(store.older), await parseKeys(store.policy))).logs).toHaveLength(1);
    expect(parseCheckpoint(store.unsigned).signatures).toEqual([]);
    expect(parseCheckpoint(store.unsigned.trimEnd()).size).toBe(200);
  });

  test("a text or signature that was changed is refused", async () => {
    const keys = await parseKeys(store.key);
    const [body, signature] = store.checkpoint.split("\n\n") as [string, string];
    await expect(signersOf(parseCheckpoint(`${body.replace("300", "301")}\n\n${signature}`), keys)).rejects.toThrow("is wrong");
    await expect(signersOf(parseCheckpoint(store.unsigned), keys)).rejects.toThrow("no key that was given signed");
    const foreign = await parseKeys(store.key);
    await expect(signersOf(parseCheckpoint(store.checkpoint.replace(/^evlog\/\d\d/, "evlog/ff")), foreign)).rejects.toThrow();
  });

  test("what is no checkpoint and no key is refused in words", async () => {
    for (const text of ["hello", "a\nb\nc\n", "a\n1\nAAAA\n", "a\n01\n" + encode64(root(1)) + "\n", "a\n1\n" + encode64(root(1)) + "\n\nnonsense\n", "\u0007\n1\n" + encode64(root(1)) + "\n"]) {
      expect(() => parseCheckpoint(text), text).toThrow();
    }
    for (const text of ["nonsense", "a+b+c", store.key.slice(0, -1), store.key.replace(/\+[0-9a-f]/, "+g"), store.key.replace("evlog", "elvog")]) {
      await expect(parseKeys(text), text).rejects.toThrow();
    }
    expect(await parseKeys("# nothing\n\nquorum none\n")).toEqual([]);
  });
});

describe("records", () => {
  test("the leaf of a frame is that of our Python", async () => {
    for (const [offset, frame] of Object.entries(store.frames)) {
      const stored = parseFrame(decode64(frame));
      expect(stored.offset).toBe(Number(offset));
      expect(encode64(await leafHash(await leafOf(stored)))).toBe(store.leafHashes[offset]);
      expect(envelopeOf(stored).get("api")).toBe("PutArtifacts");
    }
    const change = changeOf(parseFrame(decode64(store.frames["7"] as string)).changes[0] as Bytes) as Map<string, unknown>;
    expect(change.get("name")).toBe("artifact 7");
    expect((change.get("properties") as Map<string, unknown>).get("big")).toBe(2n ** 60n + 7n);
    expect((change.get("properties") as Map<string, unknown>).get("loss")).toBe(1);
  });

  test("a frame cut anywhere is refused, or has another leaf", async () => {
    const frame = decode64(store.frames["7"] as string);
    for (let size = 0; size < frame.length - 8; size += 1) expect(() => parseFrame(frame.slice(0, size)), String(size)).toThrow();
  });

  test("MessagePack of every form is read, and what is none is refused", () => {
    const read = (...bytes: number[]): unknown => decode(Uint8Array.from(bytes));
    expect([read(0x05), read(0xe0), read(0xcc, 200), read(0xcd, 1, 0), read(0xce, 0, 1, 0, 0), read(0xd0, 0x80), read(0xd1, 0xff, 0), read(0xd2, 0xff, 0, 0, 0)]).toEqual([5, -32, 200, 256, 65536, -128, -256, -16777216]);
    expect([read(0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0), read(0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe)]).toEqual([0xff00000000000000n, -2]);
    expect([read(0xc0), read(0xc2), read(0xc3), read(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0), read(0xca, 0x3f, 0x80, 0, 0)]).toEqual([null, false, true, 1, 1]);
    expect([read(0xa1, 0x61), read(0xd9, 1, 0x61), read(0xda, 0, 1, 0x61), read(0xdb, 0, 0, 0, 1, 0x61)]).toEqual(["a", "a", "a", "a"]);
    expect([read(0x91, 1), read(0xdc, 0, 1, 1), read(0xdd, 0, 0, 0, 1, 1)]).toEqual([[1], [1], [1]]);
    expect([read(0x81, 1, 2), read(0xde, 0, 1, 1, 2), read(0xdf, 0, 0, 0, 1, 1, 2)]).toEqual([new Map([[1, 2]]), new Map([[1, 2]]), new Map([[1, 2]])]);
    expect([read(0xc4, 1, 9), read(0xd4, 0, 9), read(0xc7, 1, 0, 9), read(0xd5, 0, 9, 9)]).toEqual([Uint8Array.of(9), Uint8Array.of(9), Uint8Array.of(9), Uint8Array.of(9, 9)]);
    for (const bytes of [[], [0xc1], [0xa2, 0x61], [0xcd, 1], [1, 2], [0xa1, 0xff], [0xdd, 0xff, 0xff, 0xff, 0xff], [0x82, 1, 1, 1, 1], Array(300).fill(0x91)]) {
      expect(() => decode(Uint8Array.from(bytes as number[]))).toThrow();
    }
  });
});

// The whole, against a server ---------------------------------------------------------------------------------------------

/** A server that hands out the vectors, but for what is put in their place. */
class Server implements Source {
  readonly tiles = new Map(Object.entries(store.tiles).map(([name, data]) => [name, decode64(data)]));
  readonly frames = new Map(Object.entries(store.frames).map(([offset, data]) => [Number(offset), decode64(data)]));
  own: string | null = store.checkpoint;
  asked: string[] = [];

  checkpoint = async (): Promise<string | null> => this.own;
  tile = async (name: string): Promise<Bytes | null> => {
    this.asked.push(name);
    return this.tiles.get(name) ?? null;
  };
  frame = async (offset: number): Promise<Bytes> => {
    const found = this.frames.get(offset);
    if (found === undefined) throw new Error("the server does not have it");
    return found;
  };
}

const shown = (...offsets: number[]): Shown[] => offsets.map((offset) => ({ offset, facts: new Map(Object.entries(store.shown[String(offset)] ?? {})) }));
const ALL = [0, 7, 199, 200, 255, 256, 299];

async function examined(source: Source, asked: Partial<{ pasted: string; keys: string; shown: Shown[] }> = {}): Promise<Step[]> {
  const steps: Step[] = [];
  for await (const step of examine({ pasted: store.older, keys: store.key, shown: shown(...ALL), ...asked }, source)) steps.push(step);
  return steps;
}

const bad = (steps: readonly Step[]): string[] => steps.filter((step) => step.state === "bad").map((step) => step.text);

describe("an honest server", () => {
  test("is found to be one, records before and behind the checkpoint that was pasted", async () => {
    const steps = await examined(new Server());
    expect(bad(steps)).toEqual([]);
    expect(steps.filter((step) => step.state === "ok")).toHaveLength(5 + ALL.length);
    expect(steps.find((step) => step.record === 256)?.text).toContain("came after the checkpoint");
    expect(inWords(steps, true)).toEqual({ state: "ok", text: expect.stringContaining("7 of 7 records") as string });
  });

  test("of which nothing was pasted only agrees with itself", async () => {
    const steps = await examined(new Server(), { pasted: " \n", keys: "" });
    expect(bad(steps)).toEqual([]);
    expect(inWords(steps, false).state).toBe("open");
  });

  test("is not blamed for records that nobody signed yet, or for keys that were not given", async () => {
    const steps = await examined(new Server(), { keys: "", shown: shown(7, 300) });
    expect(bad(steps)).toEqual([]);
    expect(steps.filter((step) => step.state === "open").map((step) => step.record)).toEqual([undefined, undefined, 300]);
    expect(inWords(steps, true).state).toBe("open");
  });

  test("whose last tile is full by now is understood", async () => {
    const server = new Server();
    const partial = server.tiles.get("tile/0/001.p/44") as Bytes;
    server.tiles.delete("tile/0/001.p/44");
    const full = new Uint8Array(256 * 32);
    full.set(partial);
    server.tiles.set("tile/0/001", full);
    expect(bad(await examined(server))).toEqual([]);
  });

  test("is asked for each tile once", async () => {
    const server = new Server();
    await examined(server);
    expect(server.asked.sort()).toEqual(["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"]);
  });
});

describe("a server that lies", () => {
  test("about a byte of any tile is caught, and the tile is named", async () => {
    for (const name of Object.keys(store.tiles)) {
      for (const at of [0, 31, (store.tiles[name] as string).length / 2]) {
        const server = new Server();
        server.tiles.set(name, flipped(server.tiles.get(name) as Bytes, Math.floor(at)));
        expect(bad(await examined(server))[0], name).toContain(name);
      }
    }
  });

  test("and makes all tiles anew for a forged record is caught by the checkpoint that was pasted", async () => {
    const server = new Server();
    const frame = flipped(server.frames.get(7) as Bytes, 200);
    server.frames.set(7, frame);
    const first = (server.tiles.get("tile/0/000") as Bytes).slice();
    first.set(await leafHash(await leafOf(parseFrame(frame))), 7 * 32);
    server.tiles.set("tile/0/000", first);
    const hashes = Array.from({ length: 256 }, (_, at) => first.slice(at * 32, at * 32 + 32));
    server.tiles.set("tile/1/000.p/1", await rootOf(hashes));
    const tiles = new Tiles(server.tile, 300);
    const forged = encode64(await rootOfRange(tiles.node, 0, 300));
    server.own = `${store.checkpoint.split("\n")[0]}\n300\n${forged}\n\n`;
    expect(bad(await examined(server, { keys: "" }))).toEqual([expect.stringContaining("records 0 to 199 was altered")]);
    expect(bad(await examined(server))).toEqual([expect.stringContaining("no key that was given signed")]);
    expect(bad(await examined(server, { keys: "", pasted: "" }))[0] ?? "").not.toContain("checkpoint"); // Alone it agrees with itself.
  });

  test("about the bytes of a record is caught, and the record is named", async () => {
    for (const at of [24, 32, 70, 120, 200]) {
      const server = new Server();
      server.frames.set(7, flipped(server.frames.get(7) as Bytes, at));
      const [said, ...more] = bad(await examined(server));
      expect(said).toMatch(/^Record 7: /);
      expect(more).toEqual([]);
    }
  });

  test("and swaps two records is caught", async () => {
    const server = new Server();
    const [one, other] = [server.frames.get(0) as Bytes, server.frames.get(7) as Bytes];
    server.frames.set(0, other).set(7, one);
    expect(bad(await examined(server)).map((text) => text.slice(0, 9))).toEqual(["Record 0:", "Record 7:"]);
    const renumbered = other.slice();
    new DataView(renumbered.buffer).setBigUint64(24, 0n, true); // It says that it is record 0.
    const lying = new Server();
    lying.frames.set(0, renumbered);
    expect(bad(await examined(lying, { shown: shown(0) }))).toEqual(["Record 0: its bytes are not those that the tree commits to: it was altered"]);
  });

  test("on its page about who did what, when and why is caught", async () => {
    for (const [name, text] of Object.entries({ actor: "eve", time: "2026-03-03 12:00:01Z", api: "PutEvents", reason: "none", changes: "2", application: "x" })) {
      const facts = new Map(Object.entries({ ...store.shown["7"], [name]: text }));
      expect(bad(await examined(new Server(), { shown: [{ offset: 7, facts }] }))).toEqual([expect.stringContaining(`the page says ${name}`)]);
    }
  });

  test("or was rolled back is caught by the checkpoint that was pasted", async () => {
    const server = new Server();
    server.own = store.older;
    expect(bad(await examined(server, { pasted: store.checkpoint }))[0]).toBeDefined();
    const cut = new Server();
    cut.own = store.older;
    cut.tiles.clear();
    cut.tiles.set("tile/0/000.p/200", (new Server().tiles.get("tile/0/000") as Bytes).slice(0, 200 * 32));
    expect(bad(await examined(cut, { pasted: store.checkpoint, shown: [] }))).toEqual([expect.stringContaining("record 200 and those behind it are gone")]);
    expect(bad(await examined(cut, { pasted: store.older, shown: shown(7, 199) }))).toEqual([]);
  });

  test("and whose log was cut is caught on a page of what is left", async () => {
    const cut = new Server();
    cut.frames.delete(199);
    expect(bad(await examined(cut, { shown: shown(0, 7) }))).toEqual([expect.stringMatching(/^Record 199, the last under that checkpoint: /)]);
    expect(bad(await examined(cut, { shown: shown(199) }))).toEqual([expect.stringMatching(/^Record 199: /)]);
  });

  test("with another log, no checkpoint, or nonsense is caught", async () => {
    const other = Object.assign(new Server(), { own: store.checkpoint.replace(/^evlog\/00/, "evlog/ff") });
    expect(bad(await examined(other, { keys: "" }))).toEqual([expect.stringContaining("is of the log")]);
    expect(bad(await examined(Object.assign(new Server(), { own: null })))).toEqual([expect.stringContaining("publishes no checkpoint")]);
    expect(bad(await examined(Object.assign(new Server(), { own: "<html>" })))).toHaveLength(1);
    expect(bad(await examined(new Server(), { pasted: "nonsense" }))).toEqual([expect.stringContaining("this is no checkpoint")]);
  });

  test("that lacks a tile or sends one of another size is caught", async () => {
    const lacking = new Server();
    lacking.tiles.delete("tile/0/000");
    expect(bad(await examined(lacking))).toEqual([expect.stringContaining("tile/0/000 is missing")]);
    const short = new Server();
    short.tiles.set("tile/0/000", new Uint8Array(31));
    expect(bad(await examined(short))).toEqual([expect.stringContaining("tile/0/000 has 31 bytes")]);
  });
});
