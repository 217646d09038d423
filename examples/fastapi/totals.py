"""`totals`: takes a ticket, computes on the table that it stands for, and hands its result on by ticket too.

It knows neither who made the table nor where it came from, and gets the rows as Arrow: nothing is parsed.
"""

from contextlib import asynccontextmanager

import airlane
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    # The address is `AIRLANE_URL`, and `AIRLANE_TOKEN` says who asks.
    async with await airlane.connect_async() as client:
        app.state.airlane = client
        yield


app = FastAPI(title="totals", lifespan=lifespan)


class Order(BaseModel):
    ticket: str
    # The column whose values make the groups, and the numbers that are summed up.
    by: str
    of: str
    # The table of the result.
    result: str


class ColumnMissing(Exception):
    def __init__(self, name: str, names: list[str]):
        self.name, self.names = name, names


# The status for each kind of error, as Airlane has it over HTTP; the last one is for all others.
STATUS = [
    (airlane.InvalidArgumentError, 400),
    (airlane.UnauthenticatedError, 401),
    (airlane.PermissionDeniedError, 403),
    (airlane.NotFoundError, 404),
    (airlane.ResourceExhaustedError, 429),
    (airlane.UnavailableError, 503),
    (airlane.Error, 500),
]


def problem(status: int, code: str, detail: str, **more):
    document = {"title": code.replace("_", " "), "status": status, "detail": detail, "code": code}
    document |= {name: value for name, value in more.items() if value is not None}
    return JSONResponse(document, status, media_type="application/problem+json")


@app.exception_handler(airlane.Error)
async def refused(_: Request, error: airlane.Error):
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return problem(status, error.code, error.message, place=error.place, hint=error.hint)


@app.exception_handler(ColumnMissing)
async def column_missing(_: Request, error: ColumnMissing):
    hint = f"the table has {', '.join(error.names)}"
    return problem(400, "column_missing", f"there is no column `{error.name}`", hint=hint)


@app.post("/totals")
async def totals(order: Order, request: Request):
    client = request.app.state.airlane
    table = await (await client.get(order.ticket)).to_arrow()
    for name in (order.by, order.of):
        if name not in table.column_names:
            raise ColumnMissing(name, table.column_names)
    sums = grouped(table, order.by, order.of)
    receipt = await client.put(order.result, sums, ttl="1h")
    return {"ticket": receipt.ticket, "rows": table.num_rows, "groups": sums.num_rows, "total": pc.sum(sums["sum"]).as_py()}


def grouped(table: pa.Table, by: str, of: str) -> pa.Table:
    sums = table.group_by(by).aggregate([(of, "sum"), (of, "count")])
    return sums.rename_columns([by, "sum", "count"]).sort_by(by)
