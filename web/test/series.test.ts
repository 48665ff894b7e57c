import { expect, test } from "vitest";
import { aligned } from "../src/shared/series";

test("runs with other steps stand in one table, with gaps", () => {
  const lines = [
    { run: "run:1", points: [[0, 5, 0.5], [2, 6, 0.7]] as const },
    { run: "run:2", points: [[1, 5, 0.1], [2, 7, null], [null, 8, 3]] as const },
  ];
  expect(aligned(lines)).toEqual([[0, 1, 2], [0.5, null, 0.7], [null, 0.1, null]]);
});

test("no line, no step", () => {
  expect(aligned([])).toEqual([[]]);
});
