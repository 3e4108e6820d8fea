// The list of runs: a filter over what its rows say.
export function list() {
  const input = document.getElementById("filter");
  if (!input) return;
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("#rows > tr")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((w) => text.includes(w));
    }
  };
  input.addEventListener("input", apply);
  input.addEventListener("keydown", (e) => e.key === "Enter" && e.preventDefault());
  document.addEventListener("page-changed", apply);
}
