// Elements without a template language.

/** The element of an id, which the page has. */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * An element: attributes (functions are listeners, booleans properties, null is left out), then children.
 * Texts become text nodes, so nothing of a table or a model is ever read as markup.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (typeof value === "boolean" || key === "value") element[key] = value;
    else element.setAttribute(key, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Says something to readers of a screen, without showing it. */
export function say(text) {
  byId("said").textContent = text;
}

/** Puts text onto the clipboard, also where the browser gives pages without TLS no clipboard; whether it did. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { value: text, class: "hidden-text" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Gives a file to the user. */
export function save(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
