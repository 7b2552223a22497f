const film = JSON.parse(document.getElementById("film").textContent);
const picture = document.getElementById("screen");
player(film.captions, film.steps, (i) => {
  picture.src = film.pictures[i];
  picture.alt = `${film.alt} ${film.captions[i]}`;
}, film.wait);
