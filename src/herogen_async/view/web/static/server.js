// What the page asks, of the server that it came from. A copy has copy.js in the place of this file.

/** Whether answers can be marked here. */
export const canMark = true;

/** Whether a view of a run can be shown here. */
export const hasView = () => true;

/** What there is to say of all that is shown; null: nothing. */
export const aboutAll = () => null;

const gone = (what) => Object.assign(new Error(what), { fix: "start it again: herogen-async view" });

/** The response at an address; an error with `message` and `fix` where the server refuses, or is not there. */
async function responseOf(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : gone("The server does not answer");
  }
  if (response.ok) return response;
  const is_json = (response.headers.get("content-type") ?? "").startsWith("application/json");
  const told = is_json ? await response.json() : { error: await response.text() };
  throw Object.assign(new Error(told.error), { fix: told.fix });
}

const posted = (said) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) });

/** The JSON at an address; errors as `responseOf` has them. */
export const ask = async (path, options) => (await responseOf(path, options)).json();

export const post = (path, said) => ask(path, posted(said));

/** What is answered to what was said, line by line as it comes. Leaving the loop, or the signal, ends the asking. */
export async function* postForLines(path, said, signal) {
  const response = await responseOf(path, { ...posted(said), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) throw new DOMException("stopped", "AbortError");
    throw gone("The server has ended in the middle of an answer");
  }
}

/** Follow the events at an address: `on.NAME(data)` for each, `on.lost(isOver)` when the server does not answer. */
export function listen(path, { lost, ...on }) {
  const source = new EventSource(path);
  for (const [name, heard] of Object.entries(on)) source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  source.addEventListener("error", () => lost(source.readyState === EventSource.CLOSED));
  return () => source.close();
}
