// Pieces of a page as the server makes it now: whatever a model said is text in them already, and no script in them runs.

export async function page(url, options) {
  const response = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
  if (response.status === 401) location.reload(); // the session has ended: that leads to the login
  if (!response.ok) throw new Error(`That did not work (${response.status}).`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
