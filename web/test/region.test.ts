import { expect, test } from "vitest";
import { signature } from "../src/shared/region";

const element = (tagName: string, attributes: Record<string, string>) => ({ tagName, getAttribute: (name: string) => attributes[name] ?? null });

test("the same tick in a newer table is told by its name and value", () => {
  expect(signature(element("INPUT", { name: "run", value: "5" }))).toBe(signature(element("INPUT", { name: "run", value: "5", class: "x" })));
  expect(signature(element("INPUT", { name: "run", value: "5" }))).not.toBe(signature(element("INPUT", { name: "run", value: "6" })));
  expect(signature(element("A", { href: "/runs/5" }))).not.toBe(signature(element("A", { href: "/runs/6" })));
});
