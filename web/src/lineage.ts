/** The explorer of a lineage: the same as the picture and list of the page, to walk in and to move through time. */
import { eyeText, offsetText, pageOf, readEye, withQuery } from "./lineage/address";
import { type Camera, clampZoom, fitting, opening, revealing, zoomedAt } from "./lineage/camera";
import { type Marked, Painter } from "./lineage/draw";
import { listen } from "./lineage/input";
import { type GraphData, Model, STATUS_WORDS } from "./lineage/model";
import { type Links, panel } from "./lineage/panel";
import { button, TimeBar } from "./lineage/time";
import { element, factsOf, islands } from "./shared/island";

interface Facts {
  object: string;
  label: string;
  roots: readonly string[];
  opened: readonly string[];
  until: number;
  since: number | null;
  /** The moment up to which all of this is, as an offset, and as it was asked for, "" for now. */
  end: number;
  at: string;
  graph: GraphData;
}

const KEYS: readonly (readonly [string, string])[] = [
  ["← →", "to what it was made from, to what was made from it"],
  ["↑ ↓", "to the one above, below"],
  ["[ ]", "to the record before, to the next one"],
  ["Home End", "to the first moment, to now"],
  ["c", "compare with another moment, or no more"],
  ["space", "play, or pause"],
  ["p", "the way from here: choose the other end, and p again"],
  ["Enter", "open the page of the node"],
  ["o", "show the neighbours that are not, or each of a group"],
  ["/", "search"],
  ["+ - 0", "nearer, farther, all of it"],
  ["shift + arrows", "move the picture"],
  ["l", "to the list"],
  ["Escape", "choose nothing"],
  ["?", "these keys"],
];
const SETTLE_MS = 200;
const EASE_MS = 160;

class Explorer {
  private readonly model: Model;
  private readonly painter: Painter;
  private readonly time: TimeBar;
  private readonly canvas = element("canvas", { tabindex: "0", role: "application", "aria-label": "Lineage. Arrows walk along it, ? tells all keys." });
  private readonly live = element("p", { class: "hidden", "aria-live": "polite" });
  private readonly aside = element("div", { class: "beside", hidden: true });
  private readonly search = element("input", { type: "search", placeholder: "search (/)", "aria-label": "Search in this lineage", autocomplete: "off" });
  private readonly svg = element("a", { class: "tool", download: true }, "SVG");
  private readonly marked: Marked & { selected: number; hovered: number; start: number };
  private readonly still = window.matchMedia("(prefers-reduced-motion: reduce)");
  private camera: Camera = { x: 0, y: 0, zoom: 1 };
  private frame = 0;
  private settling = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly facts: Facts,
  ) {
    this.model = new Model(facts.graph);
    this.marked = {
      selected: -1,
      hovered: -1,
      start: -1,
      related: null,
      matches: new Set(),
      roots: new Set(facts.roots.map((key) => this.model.numberOf(key))),
    };
    this.painter = new Painter(this.canvas, this.model);
    this.time = new TimeBar(this.model, facts.end, facts.until, facts.since, (until, since) => this.looked(until, since));
    this.show();
    this.begin();
  }

  private show(): void {
    const tool = (text: string, label: string, act: () => void): HTMLButtonElement => button(text, label, act);
    const middle = (factor: number) => () => {
      const { width, height } = this.painter;
      this.fly(zoomedAt(this.camera, this.painter, width / 2, height / 2, factor));
    };
    const bar = element(
      "div",
      { class: "tools" },
      this.search,
      tool("+", "Nearer (+)", middle(1.5)),
      tool("−", "Farther (−)", middle(1 / 1.5)),
      tool("Fit", "Fit: all of it (0)", () => this.fly(fitting(this.model, this.painter))),
      tool("Copy link", "Copy link to exactly this", () => void this.copy()),
      this.svg,
      tool("?", "Keys (?)", () => this.keys()),
    );
    const stage = this.root.querySelector<HTMLElement>("[data-stage]")!;
    stage.classList.add("live");
    stage.replaceChildren(bar, element("div", { class: "scene" }, this.canvas, this.aside), this.time.element, this.live);
    this.search.addEventListener("input", () => this.find(false));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.find(true);
      else if (event.key === "Escape") {
        this.search.value = "";
        this.find(false);
        this.canvas.focus();
      } else return;
      event.preventDefault();
    });
    for (const field of this.root.querySelectorAll<HTMLSelectElement | HTMLInputElement>(".rail select, .rail input[type=checkbox]")) {
      field.addEventListener("change", () => field.form?.requestSubmit());
    }
  }

  private begin(): void {
    const eye = readEye(location.hash);
    const first = this.facts.roots[0] ?? "";
    this.painter.resize();
    const root = this.model.nodes[this.model.numberOf(first)];
    this.camera = eye.camera ?? opening(this.model, this.painter, root);
    this.time.look(this.time.until, this.time.since);
    if (eye.node) this.select(this.model.numberOf(eye.node), false);
    listen(this.canvas, this.scene());
    new ResizeObserver(() => {
      this.painter.resize();
      this.time.draw();
      this.draw();
    }).observe(this.canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.painter.readColours();
      this.time.draw();
      this.draw();
    });
  }

  private scene(): Parameters<typeof listen>[1] {
    const explorer = this;
    return {
      get camera() {
        return explorer.camera;
      },
      size: () => this.painter,
      moved: (camera) => this.moveTo(camera),
      hitAt: (px, py, slack) => {
        const { x, y, zoom } = this.camera;
        return this.model.hit(x + (px - this.painter.width / 2) / zoom, y + (py - this.painter.height / 2) / zoom, slack / zoom);
      },
      select: (at) => this.select(at, false),
      hover: (at) => {
        if (at === this.marked.hovered) return;
        this.marked.hovered = at;
        this.canvas.classList.toggle("over", at >= 0);
        this.canvas.title = at >= 0 ? `${this.model.title(at)}\n${this.model.remarks(at).join(" · ")}` : "";
        this.painter.forget();
        this.draw();
      },
      open: (at) => this.openPage(at),
      walk: (way) => {
        const from = this.marked.selected;
        const to = from < 0 ? this.model.numberOf(this.facts.roots[0] ?? "") : this.model.walk(from, way);
        if (to >= 0) this.select(to, true);
        else this.say(`nothing ${{ left: "before", right: "after", up: "above", down: "below" }[way]} it here`);
      },
      key: (key) => this.key(key),
    };
  }

  private key(key: string): boolean {
    const at = this.marked.selected;
    const acts: Record<string, () => void> = {
      "[": () => this.time.step(false),
      "]": () => this.time.step(true),
      Home: () => this.time.first(),
      End: () => this.time.last(),
      c: () => this.time.toggleCompare(),
      " ": () => this.time.togglePlay(),
      p: () => this.pathKey(at),
      Enter: () => this.openPage(at),
      o: () => at >= 0 && location.assign(this.links().opened(this.model.nodes[at]!.key)),
      "/": () => this.search.focus(),
      "0": () => this.fly(fitting(this.model, this.painter)),
      l: () => {
        const list = document.getElementById("list");
        list?.querySelector<HTMLElement>("a, [tabindex]")?.focus();
      },
      Escape: () => {
        this.marked.start = -1;
        this.select(-1, false);
      },
      "?": () => this.keys(),
    };
    const act = acts[key];
    act?.();
    return act !== undefined;
  }

  private pathKey(at: number): void {
    const { start } = this.marked;
    if (at < 0) this.say("choose a node first: the way begins there");
    else if (start >= 0 && start !== at) location.assign(this.links().way(this.model.nodes[start]!.key, this.model.nodes[at]!.key));
    else this.beginPath(at);
  }

  private beginPath(at: number): void {
    if (this.model.nodes[at]!.members) return this.say("a group has no way of its own: show each of it first");
    this.marked.start = at;
    this.painter.forget();
    this.draw();
    this.say(`the way begins at ${this.model.title(at)}: choose the other end, then p`);
    this.canvas.focus();
  }

  private openPage(at: number): void {
    const key = this.model.nodes[at]?.key;
    if (key) location.assign(this.model.nodes[at]!.members ? this.links().opened(key) : this.links().page(key));
  }

  private links(): Links {
    const at = this.facts.at;
    const here = this.address();
    const to = (path: string, words: Record<string, string> = {}): string => {
      const url = withQuery(new URL(path, location.origin), { at, ...words });
      return url.pathname + url.search;
    };
    return {
      page: (key) => to(pageOf(key)),
      lineage: (key) => to(`/lineage/${encodeURIComponent(key).replace("%3A", ":")}`),
      opened: (key) => {
        const url = withQuery(here, { open: [...this.facts.opened, key] });
        return url.pathname + url.search;
      },
      way: (from, other) => to(`/lineage/${from}`, { to: other }),
    };
  }

  // Time ----------------------------------------------------------------------------------------------------------------

  private looked(until: number, since: number | null): ReturnType<Model["look"]> {
    const counts = this.model.look(until, since);
    this.painter.forget();
    this.draw();
    if (this.marked.selected >= 0) this.fillPanel();
    this.settle();
    return counts;
  }

  /** Take what is shown into the address, the fields and the list, once it has been still for a moment. */
  private settle(): void {
    window.clearTimeout(this.settling);
    this.settling = window.setTimeout(() => {
      const here = this.address();
      history.replaceState(history.state, "", here.pathname + here.search + here.hash);
      const svg = withQuery(here, {});
      this.svg.href = svg.pathname.replace(/(\/lineage)?\/?$/, "$1") + ".svg" + svg.search;
      const { until, since } = this.query();
      for (const [name, value] of Object.entries({ until, since })) {
        for (const field of document.querySelectorAll<HTMLInputElement>(`form input[name="${name}"]`)) field.value = value;
      }
      this.fillList();
    }, SETTLE_MS);
  }

  private query(): { until: string; since: string } {
    const { until, since, end } = this.time;
    return { until: until === end ? "" : offsetText(until), since: offsetText(since) };
  }

  private address(): URL {
    const url = withQuery(new URL(location.href), this.query());
    url.hash = eyeText({ node: this.model.nodes[this.marked.selected]?.key ?? "", camera: this.camera });
    return url;
  }

  private fillList(): void {
    for (const row of document.querySelectorAll<HTMLElement>("#list tr[data-key]")) {
      const at = this.model.numberOf(decodeURIComponent(row.dataset["key"] ?? "")); // The text of a page turns nothing around; a key may.
      if (at < 0) continue;
      const [, state, flags] = this.model.version(at) ?? [0, "not yet", []];
      const change = STATUS_WORDS[this.model.status[at]!]!;
      const cell = row.querySelector<HTMLElement>("[data-state]");
      const words = [state, ...flags.filter((flag) => flag !== "cached" && flag !== "lost")].filter((word) => word && word !== "UNKNOWN");
      const badges = words.map((word, index) => element("span", { class: `${index ? "badge" : "state"} ${word.toLowerCase()}` }, word));
      cell?.replaceChildren(...badges.flatMap((badge) => [badge, " "]));
      row.querySelector("[data-change]")?.replaceChildren(element("span", { class: `change ${change.replace(" ", "-")}` }, this.time.since === null ? "" : change));
    }
    const moment = document.querySelector("#list [data-moment]");
    if (moment) moment.textContent = this.time.element.querySelector("output")?.textContent ?? "";
  }

  // Where one looks -----------------------------------------------------------------------------------------------------

  private select(at: number, follow: boolean): void {
    this.marked.selected = at;
    this.marked.related = at < 0 ? null : this.model.relatives(at);
    this.painter.forget();
    if (at >= 0) {
      const { x, y } = this.model.nodes[at]!;
      if (follow) this.fly(revealing({ ...this.camera, zoom: Math.max(this.camera.zoom, 0.3) }, this.painter, x, y, this.model.halfWidth + 40));
      this.say(this.model.describe(at));
    }
    this.fillPanel();
    this.draw();
    this.settle();
  }

  private fillPanel(): void {
    const at = this.marked.selected;
    this.aside.hidden = at < 0;
    if (at < 0) return this.aside.replaceChildren();
    const start = this.model.nodes[this.marked.start]?.key ?? "";
    const focused = this.aside.contains(document.activeElement) ? (document.activeElement as HTMLElement).textContent : null;
    const made = panel(this.model, at, start, this.links(), {
      look: (until) => this.time.look(until, this.time.since),
      begin: (one) => this.beginPath(one),
    });
    this.aside.replaceChildren(made);
    if (focused !== null) [...made.querySelectorAll<HTMLElement>("a, button")].find((one) => one.textContent === focused)?.focus();
  }

  private find(go: boolean): void {
    const found = this.model.search(this.search.value);
    this.marked.matches = new Set(found);
    this.painter.forget();
    this.draw();
    if (!this.search.value) return;
    if (!found.length) return this.say("nothing of that name is here");
    if (go) {
      const next = found.find((at) => at > this.marked.selected) ?? found[0]!;
      this.select(next, true);
    } else this.say(`${found.length} found, Enter goes to the first`);
  }

  private moveTo(camera: Camera): void {
    this.camera = { ...camera, zoom: clampZoom(camera.zoom) };
    this.draw();
    this.settle();
  }

  /** Go there, in a moment rather than at once, unless motion is not wanted. */
  private fly(to: Camera): void {
    if (this.still.matches) return this.moveTo(to);
    const from = this.camera;
    const began = performance.now();
    const step = (now: number): void => {
      const part = Math.min(1, Math.max(0, (now - began) / EASE_MS));
      const eased = 1 - (1 - part) ** 3;
      const mix = (one: number, other: number): number => (part === 1 ? other : one + (other - one) * eased);
      this.moveTo({ x: mix(from.x, to.x), y: mix(from.y, to.y), zoom: mix(from.zoom, to.zoom) });
      if (part < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  private draw(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.painter.paint(this.camera, this.marked);
    });
  }

  private say(text: string): void {
    this.live.textContent = text;
  }

  private async copy(): Promise<void> {
    const link = withQuery(this.address(), { at: this.facts.at || offsetText(this.facts.end) }).href;
    try {
      await navigator.clipboard.writeText(link);
      this.say("the link is copied");
    } catch {
      const field = element("input", { value: link, readonly: true, "aria-label": "The link: copy it" });
      const shown = element("dialog", {}, field);
      this.root.append(shown);
      shown.addEventListener("close", () => shown.remove());
      shown.showModal();
      field.select();
    }
  }

  private keys(): void {
    const rows = KEYS.map(([key, means]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, means)));
    const shown = element("dialog", { class: "keys", "aria-label": "Keys" }, element("h2", {}, "Keys"), element("dl", {}, ...rows));
    const close = button("Close", "Close", () => shown.close());
    shown.append(close);
    shown.addEventListener("close", () => {
      shown.remove();
      this.canvas.focus();
    });
    this.root.append(shown);
    shown.showModal();
  }
}

islands("lineage", (root, source) => {
  factsOf<Facts>(source)
    .then((facts) => new Explorer(root, facts))
    .catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      root.prepend(element("p", { class: "alarm", role: "alert" }, `The explorer cannot start: ${why}. The list below holds the same.`));
    });
});
