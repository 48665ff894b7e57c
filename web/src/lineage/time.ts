/** The bar below the picture: how much happened when, the moment that is shown, the one it is compared with, play. */
import { element } from "../shared/island";
import { type Counts, type Model, moment } from "./model";

const FRAME_MS = 350;
const FRAMES_MAX = 40; // A play takes no longer than so many frames.
const PARTS = 240;

export class TimeBar {
  readonly element: HTMLElement;
  private readonly density = element("canvas", { class: "density", "aria-hidden": "true" });
  private readonly untilRange: HTMLInputElement;
  private readonly sinceRange: HTMLInputElement;
  private readonly sinceRow: HTMLElement;
  private readonly said = element("output", { class: "said" });
  private readonly play = button("Play", "Play: watch it grow", () => this.togglePlay());
  private readonly compare = button("Compare", "Compare with another moment (c)", () => this.toggleCompare());
  private playing = 0;
  until: number;
  since: number | null;

  constructor(
    private readonly model: Model,
    readonly end: number,
    until: number,
    since: number | null,
    private readonly moved: (until: number, since: number | null) => Counts,
  ) {
    [this.until, this.since] = [until, since];
    this.untilRange = this.range("Moment that is shown", (value) => this.look(value, this.since));
    this.sinceRange = this.range("Moment it is compared with", (value) => this.look(this.until, value));
    this.sinceRow = element("div", { class: "track since" }, this.sinceRange);
    this.play.setAttribute("aria-pressed", "false");
    this.compare.setAttribute("aria-pressed", "false");
    const now = button("Now", "Now: the newest moment (End)", () => this.look(this.end, this.since));
    const back = button("[", "To the record before ([)", () => this.step(false));
    const forth = button("]", "To the next record (])", () => this.step(true));
    this.element = element(
      "div",
      { class: "time", role: "group", "aria-label": "Time" },
      element("div", { class: "controls" }, this.play, back, forth, now, this.compare, this.said),
      this.density,
      element("div", { class: "track" }, this.untilRange),
      this.sinceRow,
    );
  }

  private range(label: string, moved: (value: number) => void): HTMLInputElement {
    const made = element("input", { type: "range", min: "0", max: String(this.end), step: "1", "aria-label": label });
    made.addEventListener("input", () => {
      this.stop();
      moved(Number(made.value));
    });
    made.addEventListener("keydown", (event) => {
      const forth = { ArrowRight: true, ArrowUp: true, ArrowLeft: false, ArrowDown: false }[event.key];
      if (forth === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault(); // A step is to where something happened: most records are of other things.
      this.stop();
      moved(this.model.step(Number(made.value), forth));
    });
    return made;
  }

  /** Show a moment, and what differs from another. */
  look(until: number, since: number | null): void {
    [this.until, this.since] = [until, since];
    const counts = this.moved(until, since);
    this.untilRange.value = String(until);
    this.sinceRange.value = String(since ?? 0);
    this.sinceRow.hidden = since === null;
    this.compare.setAttribute("aria-pressed", String(since !== null));
    for (const [range, offset] of [[this.untilRange, until], [this.sinceRange, since ?? 0]] as const) {
      range.setAttribute("aria-valuetext", this.words(offset));
    }
    this.said.replaceChildren(...this.summary(counts));
    this.draw();
  }

  private words(offset: number): string {
    const time = this.model.timeAt(offset);
    return `${time ? moment(time) : "before all of this"}, #${offset.toLocaleString("en")}${offset === this.end ? ", now" : ""}`;
  }

  private summary(counts: Counts): (Node | string)[] {
    const there = `${counts.there.toLocaleString("en")} of ${this.model.nodes.length.toLocaleString("en")} nodes`;
    if (this.since === null) return [`${this.words(this.until)} · ${there}`];
    const [from, to] = [Math.min(this.since, this.until), Math.max(this.since, this.until)];
    return [
      `#${from.toLocaleString("en")} → #${to.toLocaleString("en")} · ${there} · `,
      element("span", { class: "added" }, `+${counts.added} added`),
      " ",
      element("span", { class: "changed" }, `~${counts.changed} changed`),
      " ",
      element("span", { class: "gone" }, `−${counts.gone} gone`),
    ];
  }

  step(forth: boolean): void {
    this.stop();
    this.look(Math.min(this.end, this.model.step(this.until, forth)), this.since);
  }

  first(): void {
    this.stop();
    this.look(this.model.step(0, true), this.since);
  }

  last(): void {
    this.stop();
    this.look(this.end, this.since);
  }

  toggleCompare(): void {
    const before = this.model.step(this.model.step(this.until + 1, false), false); // So that the last change is seen.
    this.look(this.until, this.since === null ? before : null);
  }

  togglePlay(): void {
    if (this.playing) {
      this.stop();
      return;
    }
    if (this.until >= this.end) this.look(0, this.since);
    const ends = this.model.ticks.map(([offset]) => offset + 1);
    const stride = Math.max(1, Math.ceil(ends.length / FRAMES_MAX));
    this.play.setAttribute("aria-pressed", "true");
    this.play.textContent = "Pause";
    this.playing = window.setInterval(() => {
      const at = ends.findIndex((end) => end > this.until);
      if (at < 0) {
        this.stop();
        this.look(this.end, this.since);
      } else this.look(ends[Math.min(at + stride, ends.length) - 1]!, this.since);
    }, FRAME_MS);
  }

  stop(): void {
    window.clearInterval(this.playing);
    this.playing = 0;
    this.play.setAttribute("aria-pressed", "false");
    this.play.textContent = "Play";
  }

  /** Draw how much was put when; darker what is shown, or what is compared. */
  draw(): void {
    const { width, height } = this.density.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.density.width = Math.round(width * ratio);
    this.density.height = Math.round(height * ratio);
    const to = this.density.getContext("2d")!;
    const style = getComputedStyle(this.density);
    to.scale(ratio, ratio);
    to.fillStyle = style.color;
    const counts = this.model.density(this.end, PARTS);
    const most = Math.max(1, ...counts);
    const from = this.since === null ? 0 : Math.min(this.since, this.until);
    const until = this.since === null ? this.until : Math.max(this.since, this.until);
    const wide = width / PARTS;
    counts.forEach((count, part) => {
      if (!count) return;
      const offset = (part / PARTS) * this.end;
      to.globalAlpha = offset >= from && offset < until ? 0.9 : 0.25;
      const high = Math.max(2, Math.sqrt(count / most) * height);
      to.fillRect(part * wide, height - high, Math.max(1, wide - 0.5), high);
    });
  }
}

export function button(text: string, label: string, act: () => void): HTMLButtonElement {
  const made = element("button", { type: "button", title: label, ...(text === label ? {} : { "aria-label": label }) }, text);
  made.addEventListener("click", act);
  return made;
}
