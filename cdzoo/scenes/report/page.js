
"use strict";
(() => {
  const get = (id) => document.getElementById(id), map = get("map"), stage = map.parentElement;
  const width = +map.dataset.width, height = +map.dataset.height, meters = +map.dataset.meters;
  const rows = [...document.querySelectorAll("tr[data-box]")], labels = [...document.querySelectorAll(".labels text")];
  const whole = () => ({ x: width / 2, y: height / 2, u: Math.max(width / map.clientWidth, height / map.clientHeight) });
  let view = whole(), fitted = true, at = 0.5, drag = null;

  const set = (element, values) => Object.entries(values).forEach(([name, value]) => element.setAttribute(name, value));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  function draw() {
    if (!map.clientWidth) return;
    const full = whole();
    view = fitted ? full : { x: clamp(view.x, 0, width), y: clamp(view.y, 0, height), u: clamp(view.u, 1 / 16, full.u) };
    const u = view.u, w = map.clientWidth * u, h = map.clientHeight * u, left = view.x - w / 2, top = view.y - h / 2;
    map.setAttribute("viewBox", [left, top, w, h].join(" "));
    map.style.setProperty("--u", u);
    map.classList.toggle("zoomed", u < full.u * 0.999);
    map.classList.toggle("near", u < +map.dataset.factor * 0.75);
    const edge = left + at * w;
    set(get("right"), { x: edge, y: top, width: w, height: h });
    for (const line of document.querySelectorAll("#bar line")) set(line, { x1: edge, x2: edge, y1: top, y2: top + h });
    get("knob").setAttribute("transform", `translate(${edge} ${view.y}) scale(${u})`);
    for (const label of labels) {
      const box = boxOf(label);
      if (label.classList.contains("small")) label.classList.toggle("off", Math.max(box.width, box.height) / u < 36);
    }
    drawScale(u);
  }
  function drawScale(u) {
    const most = 140 * u * (meters || 1), power = 10 ** Math.floor(Math.log10(most));
    const length = [5, 2, 1].map((step) => step * power).find((step) => step <= most) || power;
    const [bar, text] = get("scale").children;
    bar.style.width = length / (meters || 1) / u + "px";
    const shown = meters && length >= 1000 ? length / 1000 : length;
    text.textContent = +shown.toPrecision(6) + (meters ? (length >= 1000 ? " km" : " m") : " px");
  }
  function zoom(factor, x = view.x, y = view.y) {
    const u = clamp(view.u * factor, 1 / 16, whole().u), k = u / view.u;
    view = { x: x + (view.x - x) * k, y: y + (view.y - y) * k, u };
    fitted = u >= whole().u * 0.999;
    draw();
  }
  function boxOf(element) {
    const [x, y, w, h] = element.dataset.box.split(" ").map(Number);
    return { x, y, width: w, height: h };
  }
  function showAll() {
    fitted = true;
    choose(null);
    draw();
  }
  function choose(row) {
    for (const other of rows) other.classList.toggle("chosen-row", other === row);
    const outline = row && row.dataset.outline;
    if (outline) get("chosen").setAttribute("href", "#" + outline);
    get("chosen").classList.toggle("off", !outline);
    get("frame").classList.toggle("off", !row || Boolean(outline));
    if (row) set(get("frame"), boxOf(row));
    get("status").textContent = row ? row.dataset.label || row.cells[0].textContent : "";
  }
  function show(row) {
    const { x, y, width: w, height: h } = boxOf(row);
    choose(row);
    view = { x: x + w / 2, y: y + h / 2, u: Math.max(w / map.clientWidth, h / map.clientHeight, 24 / map.clientHeight) * 2 };
    fitted = view.u >= whole().u;
    draw();
    stage.scrollIntoView({ block: "nearest" });
  }
  for (const row of rows) row.addEventListener("click", () => show(row));
  for (const label of labels) label.addEventListener("click", () => show(rows.find((row) => row.dataset.outline === label.dataset.outline)));
  for (const crop of document.querySelectorAll("figure button")) {
    crop.addEventListener("click", () => show(rows.find((row) => row.dataset.outline === crop.dataset.outline)));
  }

  get("at").addEventListener("input", (event) => { at = event.target.value / 100; draw(); });
  get("in").addEventListener("click", () => zoom(0.5));
  get("out").addEventListener("click", () => zoom(2));
  get("all").addEventListener("click", showAll);
  get("lines").addEventListener("change", (event) => {
    for (const group of document.querySelectorAll("#map .outlines")) group.classList.toggle("off", !event.target.checked);
  });
  get("shown").addEventListener("change", (event) => {
    const index = event.target.value;
    for (const one of document.querySelectorAll("[data-map]")) one.classList.toggle("shown", one.dataset.map === index);
    for (const one of document.querySelectorAll("[data-legend]")) one.classList.toggle("off", one.dataset.legend !== index);
  });
  map.addEventListener("keydown", (event) => {
    const step = 60 * view.u;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (moves) { view.x += moves[0]; view.y += moves[1]; draw(); }
    else if (event.key === "+" || event.key === "=") zoom(0.5);
    else if (event.key === "-") zoom(2);
    else if (event.key === "0" || event.key === "Escape") showAll();
    else return;
    event.preventDefault();
  });
  map.addEventListener("pointerdown", (event) => {
    const x = event.clientX - map.getBoundingClientRect().left;
    const swipes = fitted || Math.abs(x - at * map.clientWidth) < 16;
    drag = { swipes, x: event.clientX, y: event.clientY, from: view };
    if (swipes && event.pointerType !== "touch") move(event);
  });
  function move(event) {
    if (!drag) return;
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > 4) map.setPointerCapture(event.pointerId);
    else if (drag.swipes) return;
    if (drag.swipes) {
      const box = map.getBoundingClientRect();
      at = clamp((event.clientX - box.left) / box.width, 0, 1);
      get("at").value = 100 * at;
    } else {
      view = { ...drag.from, x: drag.from.x - (event.clientX - drag.x) * view.u, y: drag.from.y - (event.clientY - drag.y) * view.u };
    }
    draw();
  }
  map.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, () => { drag = null; });
  map.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = map.getBoundingClientRect();
    const x = view.x + (event.clientX - box.left - box.width / 2) * view.u, y = view.y + (event.clientY - box.top - box.height / 2) * view.u;
    zoom(Math.exp(event.deltaY * 0.01), x, y);
  }, { passive: false });
  new ResizeObserver(draw).observe(map);
  draw();
})();
