// The question as an editor: colours, names of tables and columns as one types, Ctrl-Enter. It is loaded by this page alone, and the
// field of the form stays what is sent. Two columns of numbers are drawn.
import { factsOf, islands } from "./shared/island";
import { drawable, type Answer } from "./shared/answer";
import type { Editor, Table } from "./sql/editor";

interface Facts {
  schema: Table[];
}

islands("sql", (root, source) => {
  const form = root as HTMLFormElement;
  const field = form.querySelector<HTMLTextAreaElement>("textarea");
  if (!field) return;
  const run = (): void => form.requestSubmit();
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
  form.addEventListener("submit", () => {
    const button = form.querySelector("button");
    if (button) button.textContent = "Running …";
  });
  addEventListener("pageshow", () => {
    const button = form.querySelector("button");
    if (button) button.textContent = "Run";
  });
  void Promise.all([import("./sql/editor"), factsOf<Facts>(source).catch(() => ({ schema: [] }))]).then(
    ([{ edit }, facts]: [{ edit: Editor }, Facts]) => edit(field, facts.schema, run),
    () => undefined, // The field works without.
  );
});

/** Read the answer from the page's own table. */
function answerOf(table: HTMLTableElement): Answer {
  const heads = [...table.tHead!.rows[0]!.cells];
  return {
    columns: heads.map((cell) => ({ name: cell.textContent, isNumber: cell.classList.contains("number") })),
    rows: [...table.tBodies[0]!.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim())),
  };
}

async function draw(place: HTMLElement, table: HTMLTableElement): Promise<void> {
  const chart = drawable(answerOf(table));
  if (!chart) return;
  const { default: Plot } = await import("uplot");
  place.hidden = false;
  const style = getComputedStyle(place);
  const line = getComputedStyle(document.documentElement).getPropertyValue("--line-0").trim();
  const axis = { stroke: style.color, grid: { stroke: style.getPropertyValue("--line").trim(), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const width = (): number => Math.max(240, place.clientWidth);
  const labels = chart.labels;
  const bars = Plot.paths.bars?.({ size: [0.7, 60] });
  const plot = new Plot(
    {
      width: width(),
      height: 190,
      scales: {
        x: { time: chart.isTime, ...(labels ? { range: [-0.5, labels.length - 0.5] as [number, number] } : {}) },
        // A bar is as long as its number.
        y: labels ? { range: (_: unknown, least: number, most: number): [number, number] => [Math.min(0, least), Math.max(0, most * 1.05)] } : {},
      },
      axes: [
        { ...axis, size: 30, ...(labels ? { splits: () => labels.map((_, at) => at), values: (_: unknown, at: number[]) => at.map((one) => short(labels[one])) } : {}) },
        { ...axis, size: 64 },
      ],
      legend: { show: false },
      series: [{ label: chart.x }, { label: chart.y, stroke: line, fill: labels ? line : "transparent", width: 1.5, ...(labels && bars ? { paths: bars } : {}), points: { show: chart.xs.length < 40 && !labels } }],
    },
    [chart.xs, chart.ys],
    place,
  );
  plot.root.setAttribute("aria-hidden", "true"); // The table has the values.
  const caption = document.createElement("p");
  caption.className = "note";
  caption.textContent = `${chart.y} by ${chart.x}`;
  place.append(caption);
  addEventListener("resize", () => plot.setSize({ width: width(), height: 190 }));
}

const short = (text: string | undefined): string => (text === undefined ? "" : text.length > 14 ? `${text.slice(0, 13)}…` : text);

const place = document.querySelector<HTMLElement>("[data-chart]");
const table = document.querySelector<HTMLTableElement>(".answer table");
if (place && table) void draw(place, table);
