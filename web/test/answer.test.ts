import { describe, expect, test } from "vitest";
import { drawable, type Answer } from "../src/shared/answer";

const answer = (rows: string[][], isNumber = [false, true]): Answer => ({
  columns: isNumber.map((one, at) => ({ name: `c${at}`, isNumber: one })),
  rows,
});

describe("what of an answer is drawn", () => {
  test("names and numbers are bars", () => {
    const chart = drawable(answer([["a", "1"], ["b", "2.5"], ["c", "null"]]));
    expect(chart).toMatchObject({ labels: ["a", "b", "c"], ys: [1, 2.5, null], isTime: false });
  });
  test("days are a line through time, in order", () => {
    const chart = drawable(answer([["2026-03-02", "2"], ["2026-03-01", "1"], ["2026-03-03T00:00:00Z", "3"]]));
    expect(chart).toMatchObject({ labels: null, isTime: true, ys: [1, 2, 3] });
    expect(chart?.xs[0]).toBe(Date.parse("2026-03-01") / 1000);
  });
  test("numbers over numbers are a line", () => {
    expect(drawable(answer([["3", "1"], ["1", "2"], ["2", "3"]], [true, true]))).toMatchObject({ xs: [1, 2, 3], ys: [2, 3, 1] });
  });
  test("nothing else is", () => {
    expect(drawable(answer([["a", "1"], ["b", "2"]]))).toBeNull();
    expect(drawable(answer([["a", "b"], ["b", "b"], ["c", "b"]], [false, false]))).toBeNull();
    expect(drawable(answer([["1", "2", "3"]], [true, true, true]))).toBeNull();
    expect(drawable(answer(Array.from({ length: 30 }, (_, at) => [`n${at}`, "1"])))).toBeNull();
    expect(drawable(answer([]))).toBeNull();
  });
});
