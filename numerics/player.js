"use strict";
// A slider over frames.  The page defines show(i), which draws frame i, and captions, one text a frame.
const player = (captions, steps, show, wait) => {
  const box = document.getElementById("player");
  const slider = document.getElementById("frame");
  const text = document.getElementById("caption");
  const play = document.getElementById("play");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let timer = null;

  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  const update = () => {
    const i = Number(slider.value);
    slider.setAttribute("aria-valuetext", captions[i]);
    text.textContent = captions[i];
    show(i);
  };
  const advance = () => {
    if (Number(slider.value) >= captions.length - 1) return stop();
    slider.stepUp();
    update();
  };
  // #step=N in the address: the frame nearest to that step.
  const follow = () => {
    const wanted = /^#step=(\d+(?:\.\d+)?)$/.exec(window.location.hash);
    if (wanted === null) return;
    const away = steps.map((step) => Math.abs(step - Number(wanted[1])));
    slider.value = away.indexOf(Math.min(...away));
    update();
  };
  const quiet = () => {
    play.hidden = still.matches;
    if (still.matches) stop();
  };

  slider.addEventListener("input", () => { stop(); update(); });
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) >= captions.length - 1) slider.value = 0;
    play.textContent = "Pause";
    update();
    timer = setInterval(advance, wait);
  });
  still.addEventListener("change", quiet);
  window.addEventListener("hashchange", follow);
  quiet();
  box.hidden = false;
  update();
  follow();
};
