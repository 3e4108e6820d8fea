// What every page does: keep itself up to date, and draw what it has charts for.
import { live } from "./live.js";
import { board } from "./charts.js";
import { heat } from "./heat.js";
import { list } from "./list.js";

let drawn = board(document.getElementById("charts"));
let map = heat(document.getElementById("heat"));
if (document.body.dataset.page === "list") list();
live({
  changed() { // a page that had nothing to draw yet may have now
    if (drawn) drawn.refresh(); else drawn = board(document.getElementById("charts"));
    if (map) map.refresh(); else map = heat(document.getElementById("heat"));
  },
});
