// What every page does: keep itself up to date, and draw what it has charts for.
import { live } from "./live.js";
import { board } from "./charts.js";
import { heat } from "./heat.js";
import { list } from "./list.js";

const drawn = board(document.getElementById("charts"));
const map = heat(document.getElementById("heat"));
if (document.body.dataset.page === "list") list();
live({
  changed() {
    // A page that had nothing to draw yet shows all there is when it comes.
    if (!drawn && document.getElementById("charts")) return location.reload();
    if (!map && document.getElementById("heat")) return location.reload();
    drawn?.refresh();
    map?.refresh();
  },
});
