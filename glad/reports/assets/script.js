"use strict";

const tip = document.getElementById("tip");
let shown = null; // the image that the tip is about

function hideTip() {
  tip.hidden = true;
  for (const img of document.querySelectorAll(".twin")) img.classList.remove("twin");
}

function placeTip() {
  if (tip.hidden) return;
  const at = shown.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const below = at.bottom + 8 + own.height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - own.width - 8))}px`;
  tip.style.top = `${below ? at.bottom + 8 : Math.max(8, at.top - own.height - 8)}px`;
}

function showTip(img) {
  hideTip();
  const { number, label, near, nearPicture } = img.dataset;
  const picture = new Image();
  picture.src = img.src;
  picture.alt = "";
  const name = document.createElement("b");
  name.textContent = img.dataset.class;
  const text = document.createElement("span");
  text.textContent = `image ${number}, label ${label}, ${img.closest(".tiles").dataset.when}` + (near ? `; ${near}` : "");
  const pictures = [picture];
  if (nearPicture) {
    const nearest = new Image();
    nearest.src = nearPicture;
    nearest.alt = "the nearest training image";
    pictures.push(nearest);
  }
  tip.replaceChildren(...pictures, name, text);
  tip.hidden = false;
  shown = img;
  placeTip();
  for (const twin of img.closest(".film").querySelectorAll(`img[data-number="${number}"]`)) twin.classList.toggle("twin", twin !== img);
}

// In a grid one image takes part in the tab order; arrows move on from it.
function moveWithin(tiles, event) {
  const images = [...tiles.querySelectorAll("img")];
  const at = images.indexOf(event.target);
  const top = images[0].offsetTop;
  const columns = images.filter((img) => img.offsetTop === top).length;
  const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: images.length - 1 };
  const next = images[steps[event.key]];
  if (at < 0 || !(event.key in steps)) return;
  event.preventDefault();
  if (!next) return;
  images[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function startTiles(tiles) {
  tiles.addEventListener("keydown", (event) => moveWithin(tiles, event));
  for (const kind of ["mouseover", "focusin", "click"]) {
    tiles.addEventListener(kind, (event) => { if (event.target.matches("img")) showTip(event.target); });
  }
  for (const kind of ["mouseout", "focusout"]) tiles.addEventListener(kind, hideTip);
}

function startFilm(film) {
  const { best, frames } = JSON.parse(document.getElementById(film.dataset.frames).textContent);
  const slider = film.querySelector("input");
  const middle = document.getElementById(`${film.id}-middle`);
  const heading = document.getElementById(`${film.id}-middle-heading`);
  const note = document.getElementById(`${film.id}-middle-note`);
  function show(place) {
    const { iteration, loss, pictures } = frames[place];
    const name = place === best ? "Best" : `Iteration ${iteration}`;
    heading.textContent = name;
    note.textContent = `after ${iteration} iterations` + (loss === null ? "" : `, loss ${loss}`);
    middle.dataset.when = `after ${iteration} iterations`;
    slider.value = place;
    slider.setAttribute("aria-valuetext", note.textContent);
    middle.querySelectorAll("img").forEach((img, i) => {
      img.src = pictures[i];
      img.alt = `${img.dataset.class}, image ${img.dataset.number}, after ${iteration} iterations`;
    });
  }
  function choose(place) {
    film.dataset.chosen = frames[place].iteration;
    show(place);
  }
  slider.addEventListener("input", () => choose(Number(slider.value)));
  for (const button of film.querySelectorAll("button")) button.addEventListener("click", () => choose(Number(button.dataset.frame)));
  film.chooseIteration = (iteration) => {
    const place = frames.findIndex((frame) => frame.iteration === iteration);
    if (place >= 0) choose(place);
  };
  film.querySelector(".controls").hidden = frames.length < 2;
}

function start() {
  document.querySelectorAll(".tiles").forEach(startTiles);
  document.querySelectorAll(".film").forEach(startFilm);
}

function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
  button.hidden = false;
}

// Puts the new page in the place of the old one; what the reader did to that one is done again.
function replaceMain(text) {
  const old = document.getElementById("main");
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
  const chosen = [...old.querySelectorAll(".film[data-chosen]")].map((film) => [film.id, Number(film.dataset.chosen)]);
  const open = [...old.querySelectorAll("details[open]")].map((details) => details.id);
  const focused = document.activeElement.id;
  const { scrollX: x, scrollY: y } = window;
  hideTip();
  old.replaceWith(document.adoptNode(fresh));
  start();
  for (const [id, iteration] of chosen) document.getElementById(id)?.chooseIteration(iteration);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  window.scrollTo({ left: x, top: y });
}

async function follow(line) {
  const said = line.textContent;
  try {
    const version = await fetch("version").then((answer) => answer.text());
    if (version !== document.getElementById("main").dataset.version) {
      const answer = await fetch("page");
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      replaceMain(text);
    }
    line.textContent = line.dataset.said;
    line.classList.remove("lost");
  } catch (error) {
    line.textContent = error instanceof TypeError ? "No longer live: the server does not answer." : error.message;
    line.classList.add("lost");
  }
  setTimeout(follow, 2000, line);
}

start();
startTheme();
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
document.addEventListener("scroll", placeTip, { passive: true });
const live = document.getElementById("live");
if (live) {
  live.dataset.said = live.textContent;
  follow(live);
}
