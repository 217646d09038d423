// Puts files and reads tickets, with `fetch` and the Arrow library alone.

/** What was refused: `code`, `place` and `hint` as in the problem document. */
export class Refused extends Error {
  constructor({ detail, code, place, hint }) {
    super(detail);
    Object.assign(this, { code, place, hint });
  }
}

async function checked(response) {
  if (response.ok) return response;
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json");
  throw new Refused(isProblem ? await response.json() : { detail: `HTTP ${response.status}`, code: "http_failed" });
}

/** Sends a file, as the browser reads it from the disk; answers the receipt, with the ticket. */
export async function put(name, file, format) {
  const query = format ? `?format=${encodeURIComponent(format)}` : "";
  const options = { method: "PUT", body: file };
  return (await checked(await fetch(`/tables/${encodeURI(name)}${query}`, options))).json();
}

/** Calls `onBatch` with each batch of the table as it arrives; answers how many rows there were. */
export async function read(ticket, Arrow, onBatch) {
  // `types=plain` are those that every Arrow library knows.
  const response = await checked(await fetch(`/tickets/${encodeURIComponent(ticket)}?types=plain`));
  const reader = await Arrow.RecordBatchReader.from(response);
  let rows = 0;
  for await (const batch of reader) {
    onBatch(batch);
    rows += batch.numRows;
  }
  return rows;
}
