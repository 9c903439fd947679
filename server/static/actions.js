// Buttons that change something: posted with this session's token, the page goes on from there.
import { postForm } from "./net.js";

export function bindActions(form, after) {
  const problem = form.querySelector(".problem");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const action = event.submitter.value;
    const { ask } = event.submitter.dataset;
    if (ask && !confirm(ask)) return;
    event.submitter.disabled = true;
    problem.hidden = true;
    try {
      // Not form.action: that is the buttons of this name.
      await postForm(form.getAttribute("action"), { action });
      await after();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    event.submitter.disabled = false;
  });
}
