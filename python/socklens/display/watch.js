// Shows the frames of what is watched. Python draws and escapes them; here elements are kept from frame to frame, so that bars
// glide, what is unfolded stays so, and a selection is not lost. Nothing is ever run from a frame.
function adapt(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
    now.replaceWith(next.cloneNode(true));
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (name !== "open" && !next.hasAttribute(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const before = [...now.childNodes];
  const after = [...next.childNodes];
  after.forEach((child, i) => (i < before.length ? adapt(before[i], child) : now.append(child.cloneNode(true))));
  before.slice(after.length).forEach((child) => child.remove());
}

function render({ model, el }) {
  const show = () => {
    const parsed = new DOMParser().parseFromString(`<div>${model.get("frame")}</div>`, "text/html");
    if (el.firstChild) adapt(el.firstChild, parsed.body.firstChild);
    else el.append(document.importNode(parsed.body.firstChild, true));
  };
  model.on("change:frame", show);
  show();
  return () => model.off("change:frame", show);
}

export default { render };
