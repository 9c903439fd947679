// Buttons that change something: posted with this session's token, the page goes on from there.
import { postForm } from "./net.js";

const ASK = {
  cancel: "Cancel this sweep? Its running runs are stopped.",
  stop: "Stop here? Running runs go on to their end, no new ones begin.",
};

export function bindActions(form, after) {
  const problem = form.querySelector(".problem");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const action = event.submitter.value;
    if (ASK[action] && !confirm(ASK[action])) return;
    event.submitter.disabled = true;
    problem.hidden = true;
    try {
      await postForm(form.action, { action });
      await after();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    event.submitter.disabled = false;
  });
}
