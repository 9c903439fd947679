// Questions to this server, and nothing else.

export async function getJson(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 401) {
    location.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    throw new Error("the session has ended");
  }
  if (!answer.ok) throw new Error(await readError(answer));
  return answer.json();
}

/** Posts a form as its page would, with the token that only this session's pages have. */
export async function postForm(path, values) {
  const token = document.querySelector('meta[name="form-token"]').content;
  const answer = await fetch(path, {
    method: "POST",
    headers: { Accept: "application/json", "X-Form-Token": token },
    body: new URLSearchParams(values),
  });
  if (!answer.ok) throw new Error(await readError(answer));
  return answer;
}

async function readError(answer) {
  const otherwise = `the server answered ${answer.status}`;
  try {
    return (await answer.json()).error ?? otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * Asks again and again while the page can be seen. Not a stream of events: over HTTP/1.1 a browser
 * holds six connections to a server, and the seventh open page would wait for ever.
 * The question returns how many milliseconds to wait until the next.
 */
export function poll(ask) {
  let timer = 0;
  let busy = false;
  async function turn() {
    clearTimeout(timer);
    if (busy || document.hidden) return;
    busy = true;
    let wait_ms = 5_000;
    try {
      wait_ms = await ask();
    } catch (error) {
      console.warn(error.message); // the server may be starting again: the next question will tell
    }
    busy = false;
    if (wait_ms !== null) timer = setTimeout(turn, wait_ms);
  }
  document.addEventListener("visibilitychange", turn);
  turn();
  return turn;
}
