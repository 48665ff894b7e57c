// Metrics over steps, drawn by uPlot, which is loaded when the first chart comes into view. The page has the line and the points already.
import { islands } from "./shared/island";
import { aligned, type Line } from "./shared/series";

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

function colours(): string[] {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: 8 }, (_, at) => style.getPropertyValue(`--line-${at}`).trim() || "#24527a");
}

async function draw(root: HTMLElement): Promise<void> {
  const { default: Plot } = await import("uplot");
  const lines = JSON.parse(root.dataset["lines"] ?? "[]") as Line[];
  const picture = root.querySelector("svg");
  if (!picture || root.querySelector(".u-wrap")) return;
  const paint = colours();
  const style = getComputedStyle(root);
  const axis = { stroke: style.color, grid: { stroke: style.getPropertyValue("--line").trim(), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const [steps, ...values] = aligned(lines);
  const width = (): number => Math.max(240, root.clientWidth);
  const holder = document.createElement("div");
  holder.setAttribute("aria-hidden", "true"); // The picture before it has the name, and the table the values.
  picture.after(holder);
  const plot = new Plot(
    {
      width: width(),
      height: 170,
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 28 }, { ...axis, size: 56 }],
      legend: { show: true, live: true },
      cursor: { sync: { key: "steps" }, drag: { x: true, y: false } },
      series: [
        { label: "step" },
        ...lines.map((line, at) => ({
          label: line.run,
          stroke: paint[at % 8] as string,
          dash: DASHES[Math.floor(at / 8) % DASHES.length] as number[],
          width: 1.5,
          spanGaps: true,
          points: { show: line.points.length < 30 },
        })),
      ],
    },
    [steps, ...values],
    holder,
  );
  picture.classList.add("hidden");
  new ResizeObserver(() => plot.setSize({ width: width(), height: 170 })).observe(root);
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      void draw(entry.target as HTMLElement).catch(() => undefined); // The line that is there stays.
    }
  },
  { rootMargin: "200px" },
);

const watch = (): void => islands("charts", (root) => seen.observe(root));
document.addEventListener("regions", watch);
watch();
