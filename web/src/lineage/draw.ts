/**
 * The picture on a canvas. What is out of sight is not drawn, what is too small to be read is drawn as less. What was drawn is kept with a
 * margin around it, so that moving a little is copying.
 */
import type { Camera } from "./camera";
import { pointsOf, Segments } from "./segments";
import { ADDED, CHANGED, GONE, type EdgeData, type Model, SAME, UNBORN } from "./model";

const MARGIN = 256; // Pixels kept beyond each side.
const TEXT_ZOOM = 0.5;
const NAME_ZOOM = 0.3; // Names alone, larger than the picture says.
const SHAPE_ZOOM = 0.16;
const CURVE_ZOOM = 0.2;
const DASHED_MAX = 600; // Lines in sight: to dash more takes longer than all else.
const DIM = 0.22;
const DOT_ALPHAS = [DIM, 0.5, 0.85] as const;
const LINES = [UNBORN, UNBORN, SAME, SAME, ADDED, ADDED] as const; // Of each what is dim last.
const LINE_OF: Readonly<Record<number, number>> = { [UNBORN]: 0, [SAME]: 1, [ADDED]: 2 };
const FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif";
const COLOURS = ["ground", "text", "faint", "artifact", "execution", "border", "bad", "good", "past", "focus"] as const;
const MARKS: Record<number, readonly [Colour, number[]]> = { [ADDED]: ["good", [6, 3]], [CHANGED]: ["past", [1.5, 3]], [GONE]: ["bad", []] };

type Colour = (typeof COLOURS)[number];

export interface Marked {
  selected: number;
  hovered: number;
  /** Ancestors and descendants of the selected one, null where nothing is selected. */
  related: ReadonlySet<number> | null;
  matches: ReadonlySet<number>;
  roots: ReadonlySet<number>;
  /** Where a path begins. */
  start: number;
}

export class Painter {
  private readonly kept = document.createElement("canvas");
  private keptAt: Camera | null = null;
  private margin = 0;
  private colours = {} as Record<Colour, string>;
  private readonly segments: Segments;
  private readonly fitted = new Map<string, string>();
  private ratio = 1;
  width = 0;
  height = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly model: Model,
  ) {
    this.segments = new Segments(model);
    this.readColours();
  }

  /** Take the colours of the page: light or dark. */
  readColours(): void {
    const style = getComputedStyle(document.documentElement);
    for (const name of COLOURS) this.colours[name] = style.getPropertyValue(`--${name}`).trim() || "gray";
    this.forget();
  }

  /** Take the size that the page gives the canvas. */
  resize(): void {
    const box = this.canvas.getBoundingClientRect();
    this.ratio = window.devicePixelRatio || 1;
    [this.width, this.height] = [Math.max(1, box.width), Math.max(1, box.height)];
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.kept.width = Math.round((this.width + 2 * MARGIN) * this.ratio);
    this.kept.height = Math.round((this.height + 2 * MARGIN) * this.ratio);
    this.forget();
  }

  /** Draw anew next time. */
  forget(): void {
    this.keptAt = null;
  }

  paint(camera: Camera, marked: Marked): void {
    const kept = this.keptAt;
    const shift = kept === null ? [0, 0] : [(kept.x - camera.x) * camera.zoom, (kept.y - camera.y) * camera.zoom];
    if (kept === null || kept.zoom !== camera.zoom || Math.abs(shift[0]!) > this.margin || Math.abs(shift[1]!) > this.margin) {
      // Who pans goes on panning; else what is out of sight would be drawn for nothing.
      this.margin = kept !== null && kept.zoom === camera.zoom ? MARGIN : 0;
      this.draw(camera, marked);
      this.keptAt = { ...camera };
      shift.fill(0);
    }
    const onto = this.canvas.getContext("2d")!;
    onto.setTransform(1, 0, 0, 1, 0, 0);
    onto.fillStyle = this.colours.ground;
    onto.fillRect(0, 0, this.canvas.width, this.canvas.height);
    onto.drawImage(this.kept, Math.round((shift[0]! - MARGIN) * this.ratio), Math.round((shift[1]! - MARGIN) * this.ratio));
  }

  private draw(camera: Camera, marked: Marked): void {
    const to = this.kept.getContext("2d")!;
    const { zoom } = camera;
    const scale = zoom * this.ratio;
    const [wide, high] = [(this.width + 2 * this.margin) * this.ratio, (this.height + 2 * this.margin) * this.ratio];
    to.save();
    to.setTransform(1, 0, 0, 1, 0, 0);
    to.beginPath();
    to.rect((this.kept.width - wide) / 2, (this.kept.height - high) / 2, wide, high);
    to.clip();
    to.fillStyle = this.colours.ground;
    to.fillRect(0, 0, this.kept.width, this.kept.height);
    to.setTransform(scale, 0, 0, scale, this.kept.width / 2 - camera.x * scale, this.kept.height / 2 - camera.y * scale);
    const [halfX, halfY] = [wide / 2 / scale, high / 2 / scale];
    const seen: Bounds = [camera.x - halfX, camera.y - halfY, camera.x + halfX, camera.y + halfY];
    this.drawEdges(to, zoom, seen, marked);
    if (zoom < SHAPE_ZOOM) this.drawDots(to, zoom, seen, marked);
    else this.drawNodes(to, zoom, seen, marked);
    to.restore();
  }

  private drawEdges(to: CanvasRenderingContext2D, zoom: number, seen: Bounds, marked: Marked): void {
    const { model, segments } = this;
    const { ends, count } = segments;
    const dim = marked.related === null ? null : segments.beside((edge) => !isRelated(edge, marked));
    const heaps = LINES.map(() => new Uint32Array(count));
    const filled = LINES.map(() => 0);
    for (let at = 0; at < count; at++) {
      const [x, y, toX, toY] = [ends[4 * at]!, ends[4 * at + 1]!, ends[4 * at + 2]!, ends[4 * at + 3]!];
      if (Math.max(x, toX) < seen[0] || Math.min(x, toX) > seen[2] || Math.max(y, toY) < seen[1] || Math.min(y, toY) > seen[3]) continue;
      const line = 2 * LINE_OF[model.bornStatus(segments.born[at]!)]! + (dim?.[at] ?? 0);
      heaps[line]![filled[line]!++] = at;
    }
    const wide = Math.max(1, 0.7 / zoom);
    LINES.forEach((status, line) => {
      if (!filled[line]) return;
      const look = lineOf(status, line % 2 === 1, marked.related !== null, this.colours);
      to.globalAlpha = look.alpha;
      to.strokeStyle = look.colour;
      to.lineWidth = wide * look.weight;
      to.setLineDash(zoom >= SHAPE_ZOOM && filled[line]! <= DASHED_MAX ? look.dash : []);
      to.beginPath();
      this.trace(to, heaps[line]!.subarray(0, filled[line]), zoom >= CURVE_ZOOM);
      to.stroke();
    });
    to.setLineDash([]);
    if (zoom >= TEXT_ZOOM) {
      for (const edge of model.edges) this.head(to, edge, seen, marked);
      to.globalAlpha = 1;
      this.drawRoles(to, seen, marked);
    }
    to.globalAlpha = 1;
  }

  private trace(to: CanvasRenderingContext2D, heap: Uint32Array, curved: boolean): void {
    const { ends } = this.segments;
    for (const at of heap) {
      const [fromX, fromY, x, y] = [ends[4 * at]!, ends[4 * at + 1]!, ends[4 * at + 2]!, ends[4 * at + 3]!];
      to.moveTo(fromX, fromY);
      if (!curved || fromY === y || fromX === x) to.lineTo(x, y);
      else {
        const middle = (fromX + x) / 2;
        to.bezierCurveTo(middle, fromY, middle, y, x, y);
      }
    }
  }

  private head(to: CanvasRenderingContext2D, edge: EdgeData, seen: Bounds, marked: Marked): void {
    const points = pointsOf(this.model, edge);
    const [x, y] = [points[points.length - 2]!, points[points.length - 1]!];
    if (x < seen[0] || x > seen[2] || y < seen[1] || y > seen[3]) return;
    const look = lineOf(this.model.bornStatus(edge.born), marked.related !== null && !isRelated(edge, marked), marked.related !== null, this.colours);
    const back = x > points[points.length - 4]! ? -6 : 6;
    to.globalAlpha = look.alpha;
    to.fillStyle = look.colour;
    to.beginPath();
    to.moveTo(x, y);
    to.lineTo(x + back, y - 3);
    to.lineTo(x + back, y + 3);
    to.fill();
  }

  private drawRoles(to: CanvasRenderingContext2D, seen: Bounds, marked: Marked): void {
    to.font = `9.5px ${FONT}`;
    to.textBaseline = "alphabetic";
    to.lineWidth = 3;
    to.strokeStyle = this.colours.ground;
    to.fillStyle = this.colours.faint;
    for (const edge of this.model.edges) {
      if (!edge.role || this.model.bornStatus(edge.born) === UNBORN) continue;
      if (marked.related !== null && !isRelated(edge, marked)) continue;
      const points = pointsOf(this.model, edge);
      const [x, y] = [points[0]!, points[1]!];
      if (x < seen[0] || x > seen[2] || y < seen[1] || y > seen[3]) continue;
      const forth = points[2]! > x;
      to.textAlign = forth ? "left" : "right";
      const text = this.fit(to, edge.role, 54);
      to.strokeText(text, x + (forth ? 4 : -4), y - 4);
      to.fillText(text, x + (forth ? 4 : -4), y - 4);
    }
  }

  /** Draw nodes as dots of a colour, one stroke of the brush for each: very many are in sight. */
  private drawDots(to: CanvasRenderingContext2D, zoom: number, seen: Bounds, marked: Marked): void {
    const { model } = this;
    const { halfWidth, halfHeight } = model;
    const heaps = COLOURS.map(() => DOT_ALPHAS.map(() => [] as number[]));
    model.nodes.forEach((node, at) => {
      if (node.x + halfWidth < seen[0] || node.x - halfWidth > seen[2] || node.y + halfHeight < seen[1] || node.y - halfHeight > seen[3]) return;
      const status = model.status[at]!;
      const mark = MARKS[status];
      const colour: Colour =
        at === marked.selected || marked.matches.has(at) ? "focus" : mark ? mark[0] : model.has(at, "tainted") ? "bad" : status === UNBORN ? "faint" : "border";
      const dim = (marked.related !== null && !marked.related.has(at)) || status === UNBORN;
      heaps[COLOURS.indexOf(colour)]![dim ? 0 : node.kind === "artifact" ? 2 : 1]!.push(at);
    });
    const high = Math.max(2 * halfHeight, 1.5 / zoom);
    heaps.forEach((alphas, colour) => {
      to.fillStyle = this.colours[COLOURS[colour]!];
      alphas.forEach((heap, alpha) => {
        to.globalAlpha = DOT_ALPHAS[alpha]!;
        for (const at of heap) {
          const node = model.nodes[at]!;
          to.fillRect(node.x - halfWidth, node.y - high / 2, 2 * halfWidth, high);
        }
      });
    });
    to.globalAlpha = 1;
  }

  private drawNodes(to: CanvasRenderingContext2D, zoom: number, seen: Bounds, marked: Marked): void {
    const { halfWidth } = this.model;
    this.model.nodes.forEach((node, at) => {
      if (node.x + halfWidth + 8 < seen[0] || node.x - halfWidth - 8 > seen[2] || node.y + 30 < seen[1] || node.y - 30 > seen[3]) return;
      to.globalAlpha = marked.related !== null && !marked.related.has(at) ? DIM : 1;
      this.drawNode(to, at, zoom, marked);
    });
    to.globalAlpha = 1;
    to.setLineDash([]);
  }

  private drawNode(to: CanvasRenderingContext2D, at: number, zoom: number, marked: Marked): void {
    const { model, colours } = this;
    const node = model.nodes[at]!;
    const unborn = model.status[at] === UNBORN;
    const bad = model.has(at, "tainted");
    const wide = Math.max(1, 0.8 / zoom);
    to.strokeStyle = unborn ? colours.faint : bad ? colours.bad : colours.border;
    to.fillStyle = unborn ? colours.ground : colours[node.kind];
    to.lineWidth = marked.roots.has(at) ? 2.5 * wide : wide;
    to.setLineDash(unborn || model.unfinished(at) ? [5, 3] : []);
    if (node.members) {
      this.shape(to, at, 0, 4);
      to.fill();
      to.stroke();
    }
    this.shape(to, at, 0);
    to.fill();
    to.stroke();
    if (bad) {
      this.shape(to, at, 3);
      to.stroke();
    }
    const mark = MARKS[model.status[at]!];
    if (mark) {
      to.strokeStyle = colours[mark[0]];
      to.setLineDash(mark[1]);
      to.lineWidth = 1.6 * wide;
      this.shape(to, at, -3.5);
      to.stroke();
      if (model.status[at] === GONE) {
        to.beginPath();
        to.moveTo(node.x - model.halfWidth - 6, node.y);
        to.lineTo(node.x + model.halfWidth + 6, node.y);
        to.stroke();
      }
    }
    to.setLineDash([]);
    if (at === marked.selected || at === marked.hovered || at === marked.start || marked.matches.has(at)) {
      to.strokeStyle = colours.focus;
      to.lineWidth = (at === marked.selected ? 3 : 1.5) * wide;
      if (at === marked.start) to.setLineDash([2, 2]);
      this.shape(to, at, -6);
      to.stroke();
      to.setLineDash([]);
    }
    const ink = unborn ? colours.faint : colours.text;
    if (zoom >= TEXT_ZOOM) this.drawWords(to, at, ink, marked.roots.has(at));
    else if (zoom >= NAME_ZOOM) this.drawName(to, at, ink);
  }

  private shape(to: CanvasRenderingContext2D, at: number, inset: number, shift = 0): void {
    const { halfWidth, halfHeight, nodes } = this.model;
    const { x, y, kind } = nodes[at]!;
    const [w, h] = [halfWidth - inset, halfHeight - inset];
    to.beginPath();
    to.roundRect(x - w + shift, y - h + shift, 2 * w, 2 * h, kind === "artifact" ? h : 3);
  }

  private drawName(to: CanvasRenderingContext2D, at: number, ink: string): void {
    const { x, y } = this.model.nodes[at]!;
    to.fillStyle = ink;
    to.textAlign = "center";
    to.textBaseline = "middle";
    to.font = `22px ${FONT}`;
    to.fillText(this.fit(to, this.model.title(at), 2 * this.model.halfWidth - 14), x, y + 1);
  }

  private drawWords(to: CanvasRenderingContext2D, at: number, ink: string, root: boolean): void {
    const { model } = this;
    const { x, y } = model.nodes[at]!;
    const room = 2 * model.halfWidth - 20;
    const tail = model.remarks(at).join(" · ");
    to.fillStyle = ink;
    to.textAlign = "center";
    to.textBaseline = "alphabetic";
    to.font = `${root ? "600 " : ""}12px ${FONT}`;
    to.fillText(this.fit(to, model.title(at), room), x, y - (tail ? 2 : -4));
    to.font = `9.5px ${FONT}`;
    if (tail) to.fillText(this.fit(to, tail, room), x, y + 11);
    const hidden = model.hiddenWords(at);
    if (hidden) {
      to.fillStyle = this.colours.faint;
      to.fillText(hidden, x, y + model.halfHeight + 9);
    }
  }

  /** As much of a text as has room. What was measured once is known. */
  private fit(to: CanvasRenderingContext2D, text: string, room: number): string {
    const name = `${to.font}|${text}`;
    let kept = this.fitted.get(name);
    if (kept === undefined) {
      kept = text;
      if (to.measureText(text).width > room) {
        let [low, high] = [0, text.length];
        while (low < high) {
          const middle = (low + high + 1) >> 1;
          if (to.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
          else high = middle - 1;
        }
        kept = `${text.slice(0, low).trimEnd()}…`;
      }
      if (this.fitted.size > 50_000) this.fitted.clear();
      this.fitted.set(name, kept);
    }
    return kept;
  }
}

type Bounds = readonly [left: number, top: number, right: number, bottom: number];

interface Line {
  alpha: number;
  colour: string;
  dash: number[];
  weight: number;
}

function lineOf(status: number, dim: boolean, selected: boolean, colours: Record<Colour, string>): Line {
  const weight = selected && !dim ? 1.6 : 1;
  if (status === UNBORN) return { alpha: dim ? 0.12 : 0.5, colour: colours.faint, dash: [2, 4], weight };
  if (status === ADDED) return { alpha: dim ? DIM : 1, colour: colours.good, dash: [6, 3], weight: 1.4 * weight };
  return { alpha: dim ? 0.15 : selected ? 1 : 0.75, colour: selected && !dim ? colours.border : colours.faint, dash: [], weight };
}

function isRelated(edge: EdgeData, marked: Marked): boolean {
  return marked.related === null || (marked.related.has(edge.source) && marked.related.has(edge.target));
}
