/** Mouse, wheel, touch and keys on the canvas, as what they mean. */
import { type Camera, type Size, zoomedAt } from "./camera";
import type { Way } from "./model";

const CLICK_MAX = 5; // Pixels that a pointer may move and still click.
const WHEEL = 0.0016;
const PAN = 80;

export interface Scene {
  camera: Camera;
  size(): Size;
  moved(camera: Camera): void;
  /** px, py: in the window; slack: how much around a node counts, for fingers. */
  hitAt(px: number, py: number, slack: number): number;
  select(at: number): void;
  hover(at: number): void;
  open(at: number): void;
  walk(way: Way): void;
  /** A key that is none of these; returns whether it meant something. */
  key(key: string): boolean;
}

const WAYS: Readonly<Record<string, Way>> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export function listen(canvas: HTMLCanvasElement, scene: Scene): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let travelled = 0;
  let spread = 0;
  const place = (event: MouseEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const panned = (dx: number, dy: number): void => {
    const { camera } = scene;
    scene.moved({ ...camera, x: camera.x - dx / camera.zoom, y: camera.y - dy / camera.zoom });
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    travelled = spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      scene.hover(scene.hitAt(here.x, here.y, 0));
      return;
    }
    const [dx, dy] = [here.x - before.x, here.y - before.y];
    travelled += Math.hypot(dx, dy);
    pointers.set(event.pointerId, here);
    if (travelled <= CLICK_MAX) return;
    panned(dx / pointers.size, dy / pointers.size);
    if (pointers.size === 2) {
      const [one, other] = [...pointers.values()] as [{ x: number; y: number }, { x: number; y: number }];
      const now = Math.hypot(one.x - other.x, one.y - other.y);
      if (spread > 0 && now > 0) scene.moved(zoomedAt(scene.camera, scene.size(), (one.x + other.x) / 2, (one.y + other.y) / 2, now / spread));
      spread = now;
    }
  });
  const lifted = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    const { x, y } = place(event);
    if (event.type === "pointerup" && travelled <= CLICK_MAX) scene.select(scene.hitAt(x, y, event.pointerType === "touch" ? 8 : 2));
  };
  canvas.addEventListener("pointerup", lifted);
  canvas.addEventListener("pointercancel", lifted);
  canvas.addEventListener("pointerleave", () => scene.hover(-1));
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    const at = scene.hitAt(x, y, 2);
    if (at >= 0) scene.open(at);
  });
  // A page that is scrolled passes over the picture: it takes the wheel once it has been clicked or focused.
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      const { x, y } = place(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      if (event.shiftKey) panned(-(event.deltaX + event.deltaY) * lines, 0);
      else scene.moved(zoomedAt(scene.camera, scene.size(), x, y, Math.exp(-event.deltaY * lines * WHEEL * (event.ctrlKey ? 4 : 1))));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = WAYS[event.key];
    const { width, height } = scene.size();
    if (way && event.shiftKey) {
      const [dx, dy] = { left: [PAN, 0], right: [-PAN, 0], up: [0, PAN], down: [0, -PAN] }[way] as [number, number];
      panned(dx, dy);
    } else if (way) scene.walk(way);
    else if (event.key === "+" || event.key === "=") scene.moved(zoomedAt(scene.camera, scene.size(), width / 2, height / 2, 1.25));
    else if (event.key === "-") scene.moved(zoomedAt(scene.camera, scene.size(), width / 2, height / 2, 0.8));
    else if (!scene.key(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}
