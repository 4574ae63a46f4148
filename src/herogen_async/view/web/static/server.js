// What the page asks, of the server that it came from. A copy has copy.js in the place of this file.

/** Whether answers can be marked here. */
export const canMark = true;

/** Whether a view of a run can be shown here. */
export const hasView = () => true;

/** What there is to say of all that is shown; null: nothing. */
export const aboutAll = () => null;

/** The JSON at an address; an error with `message` and `fix` where the server refuses. */
export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The server does not answer"), { fix: "start it again: herogen-async view" });
  }
  const is_json = (response.headers.get("content-type") ?? "").startsWith("application/json");
  const told = is_json ? await response.json() : { error: await response.text() };
  if (!response.ok) throw Object.assign(new Error(told.error), { fix: told.fix });
  return told;
}

export const post = (path, said) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) });

/** Follow the events at an address: `on.NAME(data)` for each, `on.lost(isOver)` when the server does not answer. */
export function listen(path, { lost, ...on }) {
  const source = new EventSource(path);
  for (const [name, heard] of Object.entries(on)) source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  source.addEventListener("error", () => lost(source.readyState === EventSource.CLOSED));
  return () => source.close();
}
