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
  const to = canvas.getContext("2d");
  const size = canvas.width;
  to.imageSmoothingEnabled = false;
  to.drawImage(small, 0, 0, size, size);
  to.fillStyle = "#000";
  record.lines.forEach(([at, width]) => {
    const place = Math.round(at * size - width / 2);
    to.fillRect(place, 0, width, size);
    to.fillRect(0, place, size, width);
  });
};

document.querySelectorAll(".live").forEach((part) => { part.hidden = false; });
player(record.captions, record.steps, (i) => {
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
}, 250);
