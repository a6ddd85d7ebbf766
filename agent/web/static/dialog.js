// Asks before something is gone for good. The focus begins at what does no harm, and comes back to where it was.

const dialog = document.getElementById("dialog");
const part = (name) => document.getElementById(`dialog-${name}`);

// Runs `work` once somebody says yes; what it throws is said in the dialog, which stays. True when it is done.
export function ask(title, words, work) {
  part("title").textContent = title;
  part("words").textContent = words;
  part("error").hidden = true;
  const [yes, no] = [part("yes"), part("no")];
  yes.removeAttribute("aria-busy");
  return new Promise((resolve) => {
    let done = false;
    no.onclick = () => dialog.close();
    yes.onclick = async () => {
      if (yes.hasAttribute("aria-busy")) return;
      yes.setAttribute("aria-busy", "true");
      try {
        await work();
        done = true;
        dialog.close();
      } catch (error) {
        part("error").textContent = error.message;
        part("error").hidden = false;
      } finally {
        yes.removeAttribute("aria-busy");
      }
    };
    dialog.onclose = () => resolve(done);
    dialog.showModal(); // gives the focus back to what had it when it closes
    no.focus();
  });
}
