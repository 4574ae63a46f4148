// Asking again and again, while somebody looks.

/**
 * Calls `look` now, and again so many milliseconds after its end as it gives; null: not by itself. A page that nobody
 * sees asks nothing, and looks at once when it is seen again.
 */
export function polling(look) {
  let timer = null;
  let isEnded = false;
  let latest = 0;
  async function now() {
    clearTimeout(timer);
    if (isEnded || document.hidden) return;
    const mine = (latest += 1);
    const after = await look();
    if (mine === latest && !isEnded && after !== null) timer = setTimeout(now, after);
  }
  document.addEventListener("visibilitychange", now);
  now();
  return {
    now,
    end() {
      isEnded = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", now);
    },
  };
}
