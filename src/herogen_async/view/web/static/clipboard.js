// Texts to take along: answers, and commands as they are typed.
import { h, say } from "./dom.js";

const SAID_MS = 1500;

/** A button that copies what `text()` gives. Without a clipboard, as on another machine's address, it selects `shown`. */
export function copyButton(text, shown, title) {
  let timer = null;
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${title}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      say(button, "Copied");
    } catch {
      getSelection().selectAllChildren(shown);
      say(button, "Selected");
    }
    clearTimeout(timer);
    timer = setTimeout(() => say(button, "Copy"), SAID_MS);
  });
  return button;
}

/** A command, to be copied. */
export function commandLine(command) {
  const code = h("code", {}, command);
  return h("div", { class: "command" }, code, copyButton(() => command, code, "the command"));
}
