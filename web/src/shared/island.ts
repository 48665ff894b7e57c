/** What every island does first: find its element in the page, and what it shows. */

/** Call `mount` for each element of an island, with the address of its data ("" where it has none). */
export function islands(name: string, mount: (root: HTMLElement, source: string) => void): void {
  for (const root of document.querySelectorAll<HTMLElement>(`[data-island="${name}"]`)) {
    mount(root, root.dataset["source"] ?? "");
  }
}

/** Return the facts of a page by its JSON address. Rejects with what the server said, in words for people. */
export async function factsOf<Facts>(source: string, signal?: AbortSignal): Promise<Facts> {
  const answer = await fetch(source, { headers: { accept: "application/json" }, ...(signal ? { signal } : {}) });
  const body: unknown = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const said = (body as { message?: unknown }).message;
    throw new Error(typeof said === "string" ? said : `the server answered ${answer.status}`);
  }
  return (body as { facts: Facts }).facts;
}

type Child = Node | string | number | null;

/** Return a new element. Texts stay texts, whatever they hold. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child): child is Node | string | number => child !== null).map((child) => (typeof child === "number" ? String(child) : child)));
  return made;
}
