"use strict";
// Everything works without this script; it adds the keyboard, and forms that send themselves.
const rows = [...document.querySelectorAll("[data-row]")];
const search = document.querySelector('input[type="search"]');
const keys = document.getElementById("keys");
let current = -1;

function mark(place) {
  if (!rows.length) return;
  rows[current]?.classList.remove("current");
  current = Math.max(0, Math.min(rows.length - 1, place));
  rows[current].classList.add("current");
  rows[current].scrollIntoView({ block: "nearest" });
}

function follow(selector) {
  document.querySelector(selector)?.click();
}

document.getElementById("keys-button").addEventListener("click", () => keys.showModal());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const actions = {
    j: () => (rows.length ? mark(current + 1) : follow('a[rel="next"]')),
    k: () => (rows.length ? mark(current - 1) : follow('a[rel="prev"]')),
    Enter: () => (current >= 0 && event.target === document.body ? rows[current].querySelector("a").click() : null),
    "/": () => search?.focus(),
    u: () => follow("#up"),
    n: () => document.querySelector("#note textarea")?.focus(),
    "?": () => keys.showModal(),
  };
  if (!(event.key in actions)) return;
  if (event.key !== "Enter") event.preventDefault();
  actions[event.key]();
});

for (const field of document.querySelectorAll("[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
for (const field of document.querySelectorAll("[data-remember]")) {
  const name = `sdg-browse-${field.dataset.remember}`;
  field.value ||= localStorage.getItem(name) ?? ""; // a fast person has typed already
  field.form.addEventListener("submit", () => localStorage.setItem(name, field.value));
}
