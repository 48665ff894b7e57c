/** Where one looks from: the point of the picture in the middle of the window, and how many pixels one of its units takes. */

export interface Camera {
  x: number;
  y: number;
  zoom: number;
}

export interface Size {
  width: number;
  height: number;
}

export const ZOOM_MIN = 0.001;
export const ZOOM_MAX = 4;
const READABLE = 0.55; // Below, names cannot be read.

export function clampZoom(zoom: number): number {
  return Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, zoom));
}

/** See all of a picture, no larger than it is. */
export function fitting(picture: Size, window: Size): Camera {
  const zoom = clampZoom(Math.min(1, (window.width - 24) / picture.width, (window.height - 24) / picture.height));
  return { x: picture.width / 2, y: picture.height / 2, zoom };
}

/** See all of it where it can be read then, else its surroundings of one point. */
export function opening(picture: Size, window: Size, root: { x: number; y: number } | undefined): Camera {
  const all = fitting(picture, window);
  return all.zoom >= READABLE || !root ? all : { x: root.x, y: root.y, zoom: 0.8 };
}

/** Zoom so that a point of the window stays where it is. */
export function zoomedAt(camera: Camera, window: Size, px: number, py: number, factor: number): Camera {
  const zoom = clampZoom(camera.zoom * factor);
  const [dx, dy] = [px - window.width / 2, py - window.height / 2];
  return { x: camera.x + dx / camera.zoom - dx / zoom, y: camera.y + dy / camera.zoom - dy / zoom, zoom };
}

/** Move as little as it takes for a point to be well within the window. */
export function revealing(camera: Camera, window: Size, x: number, y: number, room: number): Camera {
  const along = (centre: number, point: number, length: number): number => {
    const reach = Math.max(0, length / 2 / camera.zoom - room);
    return Math.min(Math.max(centre, point - reach), point + reach);
  };
  return { ...camera, x: along(camera.x, x, window.width), y: along(camera.y, y, window.height) };
}

/** A camera as the end of a link holds it: rounded, which no eye sees. */
export function written(camera: Camera): string {
  return [camera.x.toFixed(0), camera.y.toFixed(0), camera.zoom.toFixed(3)].join(",");
}

export function readCamera(text: string | null): Camera | null {
  const numbers = (text ?? "").split(",").map(Number);
  if (numbers.length !== 3 || !numbers.every(Number.isFinite)) return null;
  const [x, y, zoom] = numbers as [number, number, number];
  return zoom > 0 ? { x, y, zoom: clampZoom(zoom) } : null;
}
