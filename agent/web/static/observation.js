// One observation: the picture that the model got is asked for when somebody wants to see it, and deleting.

import { api } from "./api.js";
import { ask } from "./dialog.js";

const sent = document.getElementById("sent");
sent?.addEventListener("toggle", () => {
  const image = sent.querySelector("img");
  if (!sent.open || image.src) return;
  image.onerror = () => {
    image.hidden = true;
    image.nextElementSibling.hidden = false;
  };
  image.src = image.dataset.src;
});

const button = document.getElementById("delete");
button.hidden = false;
button.addEventListener("click", async () => {
  const done = await ask("Delete this observation?", "With its pictures. It can't be brought back.", () =>
    api.send("DELETE", `/api/v1/observations/${button.dataset.id}`),
  );
  if (done) location.replace(button.dataset.next);
});
