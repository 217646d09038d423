// The form and the table of the page.

import { put, read } from "./airlane.mjs";

const ROWS_SHOWN = 10;
const status = document.querySelector("#status");
const shown = document.querySelector("#rows");

function say(state, text) {
  status.dataset.state = state;
  status.textContent = text;
}

function cells(kind, values) {
  const row = shown.insertRow();
  for (const value of values) {
    // As text: what is in a table is never markup.
    row.appendChild(document.createElement(kind)).textContent = value === null ? "" : String(value);
  }
}

function show(batch) {
  const names = batch.schema.fields.map((field) => field.name);
  if (shown.rows.length === 0) cells("th", names);
  for (let at = 0; at < batch.numRows && shown.rows.length <= ROWS_SHOWN; at += 1) {
    cells("td", names.map((name) => batch.get(at)[name]));
  }
}

async function upload(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  const file = form.get("file");
  shown.replaceChildren();
  say("working", `sending ${file.name}`);
  try {
    const ending = file.name.includes(".") ? file.name.split(".").pop() : undefined;
    const receipt = await put(form.get("name"), file, ending);
    say("working", `reading ${receipt.ticket}`);
    const rows = await read(receipt.ticket, globalThis.Arrow, show);
    say("done", `${rows} rows, ticket ${receipt.ticket}`);
  } catch (error) {
    say("failed", [error.code, error.message, error.place, error.hint].filter(Boolean).join(" · "));
  }
}

document.querySelector("#upload").addEventListener("submit", upload);
