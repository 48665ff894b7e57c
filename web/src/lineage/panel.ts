/** What is said of the selected node, beside the picture. */
import { element } from "../shared/island";
import { type Model, moment, plural, STATUS_WORDS } from "./model";
import { button } from "./time";

const SHOWN_MAX = 12;

export interface Links {
  page(key: string): string;
  lineage(key: string): string;
  opened(key: string): string;
  way(from: string, to: string): string;
}

export interface Acts {
  look(until: number): void;
  begin(at: number): void;
}

/** The key of the start of a path that is being looked for, "" for none. */
export function panel(model: Model, at: number, start: string, links: Links, acts: Acts): HTMLElement {
  const node = model.nodes[at]!;
  const isGroup = node.members !== undefined;
  const head = element("h2", {}, model.title(at));
  const said = model.remarks(at).join(" · ") || STATUS_WORDS[model.status[at]!]!;
  const made = element("aside", { class: "panel", "aria-label": "Selected" }, head, element("p", { class: "note" }, isGroup ? said : `${node.key} · ${said}`));
  const list = element("ul", { class: "links" });
  const add = (text: string, href: string): void => list.append(element("li", {}, element("a", { href }, text)));
  if (isGroup) add("show each of them", links.opened(node.key));
  else {
    add(node.kind === "artifact" ? "page of the artifact" : "page of the run", links.page(node.key));
    add("its own lineage", links.lineage(node.key));
    if (node.hidden) add(`show ${model.hiddenWords(at).replace("+", "")} more`, links.opened(node.key));
    if (start && start !== node.key) add(`the way from ${start}`, links.way(start, node.key));
    else list.append(element("li", {}, button("way from here to …", "way from here to …: choose the other end, then p", () => acts.begin(at))));
  }
  made.append(list);
  if (node.members) made.append(members(node.members, links));
  made.append(versions(model, at, acts));
  return made;
}

function members(keys: readonly string[], links: Links): HTMLElement {
  const shown = keys.slice(0, SHOWN_MAX).map((key) => element("li", {}, element("a", { href: links.page(key) }, key)));
  if (keys.length > SHOWN_MAX) shown.push(element("li", { class: "note" }, `and ${(keys.length - SHOWN_MAX).toLocaleString("en")} more`));
  return element("details", {}, element("summary", {}, plural(keys.length, "member")), element("ul", {}, ...shown));
}

/** When it was put, and put again; each a button to that moment. */
function versions(model: Model, at: number, acts: Acts): HTMLElement {
  const { versions: all } = model.nodes[at]!;
  const shown = all.slice(-SHOWN_MAX).reverse();
  const now = model.version(at);
  const rows = shown.map((version, index) => {
    const [offset, state, flags] = version;
    const words = [state, ...flags].filter(Boolean).join(", ") || (index === all.length - 1 ? "born" : "put again");
    const to = button(`#${offset.toLocaleString("en")}`, `Show the moment after record #${offset}`, () => acts.look(offset + 1));
    const time = model.timeAt(offset + 1);
    return element("li", version === now ? { "aria-current": "true" } : {}, to, ` ${words} `, element("span", { class: "note" }, time ? moment(time) : ""));
  });
  if (all.length > shown.length) rows.push(element("li", { class: "note" }, `and ${all.length - shown.length} before`));
  return element("div", {}, element("h3", {}, plural(all.length, "version")), element("ol", { class: "versions" }, ...rows));
}
