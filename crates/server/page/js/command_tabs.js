// The commands, one at a time, each with a button that copies it.

import { curl, note, python, shell } from "./commands.js";
import { copy, h, say } from "./dom.js";

const KINDS = [["curl", "curl", curl], ["python", "Python", python], ["shell", "ptsm", shell]];
let chosen = "curl";

export function commands() {
  const list = h("div", { class: "segmented", role: "tablist", "aria-label": "Language" });
  const panel = h("div", { role: "tabpanel", id: "command-panel", class: "command" });
  const draw = () => {
    list.replaceChildren(...KINDS.map(([kind, title]) => h("button", {
      type: "button", role: "tab", id: `command-${kind}`, "aria-selected": String(kind === chosen), "aria-controls": "command-panel",
      tabindex: kind === chosen ? "0" : "-1",
      click: () => choose(kind),
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const at = KINDS.findIndex(([other]) => other === kind);
        choose(KINDS[(at + step + KINDS.length) % KINDS.length][0]);
        list.querySelector("[aria-selected=true]").focus();
      },
    }, title)));
    const [, title, make] = KINDS.find(([kind]) => kind === chosen);
    const text = make();
    const button = h("button", {
      type: "button", class: "copy",
      click: async () => {
        const done = await copy(text);
        button.textContent = done ? "Copied" : "Select and copy";
        say(done ? `The ${title} command was copied.` : "The browser did not copy; select the text.");
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      },
    }, "Copy");
    const remark = note(chosen);
    panel.setAttribute("aria-labelledby", `command-${chosen}`);
    panel.replaceChildren(h("pre", { tabindex: "0" }, h("code", {}, text)), button, remark ? h("p", { class: "muted help" }, remark) : "");
  };
  const choose = (kind) => {
    chosen = kind;
    draw();
    list.querySelector("[aria-selected=true]").focus();
  };
  draw();
  return h("div", {}, list, panel);
}
