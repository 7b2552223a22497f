const record = JSON.parse(document.getElementById("frames").textContent);
const bytes = Uint8Array.from(atob(record.grams), (letter) => letter.charCodeAt(0));
const canvases = ["forecast", "observed"].map((name) => document.getElementById(`gram-${name}`));
const cursors = [...document.querySelectorAll(".cursor")];
const cells = [...document.querySelectorAll("td[data-share]")];
const side = record.side;
const small = document.createElement("canvas");
small.width = small.height = side;
const ink = small.getContext("2d");
const pixels = ink.createImageData(side, side);

const draw = (canvas, from) => {
  for (let k = 0; k < side * side; k += 1) {
    const colour = record.colours[bytes[from + k]];
    for (let c = 0; c < 3; c += 1) pixels.data[4 * k + c] = colour[c];
    pixels.data[4 * k + 3] = 255;
  }
  ink.putImageData(pixels, 0, 0);
  // As many pixels as the screen has: scaled down, thin lines would get lost.
  const ratio = window.devicePixelRatio || 1;
  const size = Math.round((canvas.clientWidth || 320) * ratio);
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const to = canvas.getContext("2d");
  to.imageSmoothingEnabled = false;
  to.drawImage(small, 0, 0, size, size);
  record.lines.forEach(([at, thick]) => {
    to.fillStyle = thick === 2 ? "#000" : "rgb(0 0 0 / 40%)";
    const width = Math.max(1, Math.round(ratio));
    const place = Math.round(at * size - width / 2);
    to.fillRect(place, 0, width, size);
    to.fillRect(0, place, size, width);
  });
};

document.querySelectorAll(".live").forEach((part) => { part.hidden = false; });
const show = (i) => {
  canvases.forEach((canvas, k) => {
    draw(canvas, (k * record.captions.length + i) * side * side);
    canvas.setAttribute("aria-label", `Gram matrix, ${canvas.dataset.name}, at ${record.captions[i]}`);
  });
  cursors.forEach((cursor) => { cursor.style.left = `${100 * record.cursors[cursor.dataset.figure].at[i]}%`; });
  cells.forEach((cell) => {
    const value = record[cell.dataset.share][i][Number(cell.dataset.stratum)];
    cell.textContent = value.toFixed(3);
    cell.style.setProperty("--share", value);
  });
};
player(record.captions, record.steps, show, 250);
window.addEventListener("resize", () => show(Number(document.getElementById("frame").value)));
