import { describe, expect, test } from "vitest";
import { eyeText, offsetText, pageOf, readEye, withQuery } from "../src/lineage/address";
import { fitting, opening, readCamera, revealing, written, zoomedAt } from "../src/lineage/camera";
import { ADDED, CHANGED, GONE, type GraphData, Model, moment, type NodeData, SAME, statusOf, UNBORN, type Version, versionAt } from "../src/lineage/model";
import { pointsOf, Segments } from "../src/lineage/segments";

const node = (key: string, x: number, y: number, ...versions: Version[]): NodeData => ({
  key,
  kind: key.startsWith("art") ? "artifact" : "execution",
  type: key.startsWith("art") ? "Model" : "Trainer",
  label: key,
  x,
  y,
  time_ms: 1_700_000_000_000,
  versions,
});

/** art:1 -> run:1 -> art:2, and run:2, which reads art:1 later. */
const data: GraphData = {
  width: 800,
  height: 200,
  node_width: 168,
  node_height: 32,
  nodes: [
    node("art:1", 100, 50, [2, "LIVE", []], [8, "LIVE", ["tainted"]]),
    node("run:1", 332, 50, [3, "RUNNING", []], [5, "COMPLETE", []]),
    node("art:2", 564, 50, [5, "LIVE", ["live"]], [9, "DELETED", []]),
    { ...node("run:2", 332, 100, [7, "RUNNING", []]), hidden: 2 },
  ],
  edges: [
    { source: 0, target: 1, born: 5 },
    { source: 1, target: 2, born: 5, role: "model" },
    { source: 0, target: 3, born: 7, points: [184, 50, 248, 100] },
  ],
  ticks: [
    [2, 1000, 1],
    [3, 2000, 1],
    [5, 3000, 4],
    [7, 4000, 2],
    [8, 5000, 1],
    [9, 6000, 1],
  ],
};

describe("a node in time", () => {
  const versions: Version[] = [[2, "LIVE", []], [8, "LIVE", []], [9, "DELETED", []]];

  test("the version that held after so many records is the last one that they put", () => {
    expect([0, 2, 3, 8, 9, 10, 99].map((end) => versionAt(versions, end))).toEqual([-1, -1, 0, 0, 1, 2, 2]);
  });

  test("what became of it between two moments", () => {
    expect(statusOf(versions, null, 2)).toBe(UNBORN);
    expect(statusOf(versions, null, 3)).toBe(SAME);
    expect(statusOf(versions, 0, 3)).toBe(ADDED);
    expect(statusOf(versions, 3, 9)).toBe(CHANGED);
    expect(statusOf(versions, 3, 10)).toBe(GONE);
    expect(statusOf(versions, 0, 10)).toBe(GONE);
    expect(statusOf(versions, 10, 12)).toBe(SAME);
  });
});

describe("a lineage", () => {
  test("a moment shows what was there, and what differs from another, whichever comes first", () => {
    const model = new Model(data);
    expect(model.look(6, null)).toEqual({ there: 3, added: 0, changed: 0, gone: 0 });
    expect([...model.status]).toEqual([SAME, SAME, SAME, UNBORN]);
    expect(model.look(10, 4)).toEqual({ there: 4, added: 1, changed: 2, gone: 1 });
    expect(model.look(4, 10)).toEqual({ there: 4, added: 1, changed: 2, gone: 1 });
    expect(model.bornStatus(5)).toBe(ADDED);
    model.look(4, null);
    expect(model.bornStatus(5)).toBe(UNBORN);
    expect(model.bornStatus(3)).toBe(SAME);
  });

  test("relatives are all ancestors and descendants, and no siblings", () => {
    const model = new Model(data);
    expect([...model.relatives(2)].sort()).toEqual([0, 1, 2]);
    expect([...model.relatives(0)].sort()).toEqual([0, 1, 2, 3]);
  });

  test("a cycle ends", () => {
    const model = new Model({ ...data, edges: [...data.edges, { source: 2, target: 0, born: 6 }] });
    expect(model.relatives(1).size).toBe(4);
  });

  test("arrows walk along edges, the nearest first, and up and down a column", () => {
    const model = new Model(data);
    expect(model.walk(0, "right")).toBe(1);
    expect(model.walk(1, "left")).toBe(0);
    expect(model.walk(1, "down")).toBe(3);
    expect(model.walk(3, "up")).toBe(1);
    expect(model.walk(0, "left")).toBe(-1);
    expect(model.walk(0, "up")).toBe(-1);
  });

  test("steps go from record to record that put any of it", () => {
    const model = new Model(data);
    expect(model.step(0, true)).toBe(3);
    expect(model.step(6, true)).toBe(8);
    expect(model.step(6, false)).toBe(4);
    expect(model.step(10, true)).toBe(10);
    expect(model.step(3, false)).toBe(0);
    expect(model.timeAt(0)).toBe(0);
    expect(model.timeAt(6)).toBe(3000);
  });

  test("density counts everything once", () => {
    const model = new Model(data);
    expect(model.density(10, 5)).toEqual([0, 2, 4, 2, 2]);
    expect(model.density(0, 3).reduce((one, other) => one + other)).toBe(10);
  });

  test("a node is found by name, type, key and state at the moment", () => {
    const model = new Model(data);
    model.look(4, null);
    expect(model.search("RUNNING")).toEqual([1]);
    expect(model.search(" trainer ")).toEqual([1, 3]);
    expect(model.search("art:2")).toEqual([2]);
    expect(model.search("")).toEqual([]);
  });

  test("a point hits the node that is there", () => {
    const model = new Model(data);
    expect(model.hit(100, 50)).toBe(0);
    expect(model.hit(100 + 85, 50)).toBe(-1);
    expect(model.hit(100 + 85, 50, 4)).toBe(0);
  });

  test("a node is described in a sentence with what is not shown of it", () => {
    const model = new Model(data);
    model.look(10, null);
    expect(model.describe(3)).toBe("Trainer run:2, run, RUNNING, 14 Nov 2023, 1 arrow in, 0 out, +2 artifacts not shown");
    expect(model.describe(0)).toContain("art:1, artifact, tainted, Model, 14 Nov 2023");
    model.look(1, null);
    expect(model.describe(0)).toContain("not yet");
  });
});

describe("lines", () => {
  test("what two edges have in common is one line, there from the first of them on", () => {
    const shared = [0, 0, 10, 0];
    const model = new Model({ ...data, edges: [{ source: 0, target: 1, born: 9, points: [...shared, 20, 5] }, { source: 0, target: 3, born: 4, points: [...shared, 20, 9] }] });
    const segments = new Segments(model);
    expect(segments.count).toBe(3);
    expect([...segments.born]).toEqual([4, 9, 4]);
    expect([...segments.beside((edge) => edge.target === 1)]).toEqual([0, 1, 0]);
  });

  test("an edge without points leads from right to left side", () => {
    expect(pointsOf(new Model(data), data.edges[0]!)).toEqual([184, 50, 248, 50]);
  });

  test("curves of a wide fan become a comb with one handle", () => {
    const nodes = [node("art:1", 0, 0, [0, "", []]), ...Array.from({ length: 40 }, (_, at) => node(`run:${at + 1}`, 232, 44 * (at + 1), [0, "", []]))];
    const edges = nodes.slice(1).map((_, at) => ({ source: 0, target: at + 1, born: at }));
    const { count, ends } = new Segments(new Model({ ...data, nodes, edges }));
    expect(count).toBe(1 + 2 * 40);
    for (let at = 0; at < count; at++) expect(ends[4 * at] === ends[4 * at + 2] || ends[4 * at + 1] === ends[4 * at + 3]).toBe(true);
  });
});

describe("where one looks from", () => {
  const window = { width: 1000, height: 500 };

  test("all of a picture is seen, no larger than it is", () => {
    expect(fitting({ width: 100, height: 50 }, window)).toEqual({ x: 50, y: 25, zoom: 1 });
    expect(fitting({ width: 9760, height: 100 }, window).zoom).toBeCloseTo(0.1);
  });

  test("a picture that cannot be read as a whole opens at its root", () => {
    expect(opening({ width: 900, height: 100 }, window, { x: 1, y: 2 }).zoom).toBe(1);
    expect(opening({ width: 9000, height: 100 }, window, { x: 1, y: 2 })).toEqual({ x: 1, y: 2, zoom: 0.8 });
  });

  test("what is under the pointer stays there", () => {
    const before = { x: 10, y: 20, zoom: 0.5 };
    const after = zoomedAt(before, window, 900, 50, 2);
    const under = (camera: typeof before): number[] => [camera.x + (900 - 500) / camera.zoom, camera.y + (50 - 250) / camera.zoom];
    expect(after.zoom).toBe(1);
    expect(under(after)).toEqual(under(before));
    expect(zoomedAt(before, window, 0, 0, 1e9).zoom).toBe(4);
  });

  test("no more is moved than it takes to see a node", () => {
    const camera = { x: 0, y: 0, zoom: 1 };
    expect(revealing(camera, window, 100, 100, 100)).toEqual(camera);
    expect(revealing(camera, window, 700, 0, 100)).toEqual({ x: 300, y: 0, zoom: 1 });
  });

  test("a link holds it, and nonsense in a link is none", () => {
    expect(readCamera(written({ x: 12.4, y: -3, zoom: 0.25 }))).toEqual({ x: 12, y: -3, zoom: 0.25 });
    for (const text of [null, "", "1,2", "a,b,c", "1,2,0", "1,2,Infinity"]) expect(readCamera(text)).toBeNull();
  });
});

describe("addresses", () => {
  test("words are put, replaced and taken away", () => {
    const made = withQuery(new URL("http://h/lineage/art:1?until=%235&up=2#x"), { until: "", since: "#3", open: ["art:1", "group:A b"] });
    expect(made.search).toBe("?up=2&since=%233&open=art%3A1&open=group%3AA+b");
  });

  test("node and view are read as they were written", () => {
    const eye = { node: "group:A & b", camera: { x: 1, y: 2, zoom: 0.5 } };
    expect(readEye(eyeText(eye))).toEqual(eye);
    expect(eyeText({ node: "", camera: null })).toBe("");
    expect(readEye("")).toEqual({ node: "", camera: null });
  });

  test("an offset is written as pages take it", () => {
    expect([offsetText(5), offsetText(null)]).toEqual(["#5", ""]);
    expect([pageOf("art:3"), pageOf("run:7")]).toEqual(["/artifacts/3", "/runs/7"]);
    expect([moment(0), moment(8.64e18)]).toEqual(["1970-01-01 00:00:00Z", "-"]);
  });
});
