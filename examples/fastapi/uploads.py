"""`uploads`: takes files from people, hands them on to Airlane as they arrive, and answers the ticket.

No more of a file is held here than the piece that is on its way. The page of `examples/browser` is served too, so that a browser
finds all under one origin.
"""

import os
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import ClientDisconnect

# `grpc://host:port` as everywhere; HTTP is spoken on the same port.
AIRLANE = os.environ.get("AIRLANE_URL", "grpc://127.0.0.1:8815").replace("grpc", "http", 1).replace("http+tls", "https", 1)
TOKEN = os.environ.get("AIRLANE_TOKEN")
PAGE = Path(__file__).resolve().parent.parent / "browser"

# What is handed on of a request, and of an answer. Of the rest each connection has its own.
ASKED = {"accept", "content-encoding", "content-length", "content-type", "idempotency-key", "if-none-match"}
ANSWERED = {"content-type", "etag", "location", "retry-after", "vary"}


def handed_on(headers, names):
    return {name: value for name, value in headers.items() if name in names or name.startswith("airlane-")}


class NameInvalid(Exception):
    pass


def address(kind, name):
    """Where Airlane has it. What comes from outside names something there, and leads to no other path of Airlane's."""
    if {"", ".", ".."} & set(name.split("/")):
        raise NameInvalid
    return f"/v1/{kind}/{quote(name)}"


def problem(status, code, detail):
    document = {"title": code.replace("_", " "), "status": status, "detail": detail, "code": code}
    return JSONResponse(document, status, media_type="application/problem+json")


@asynccontextmanager
async def lifespan(app: FastAPI):
    headers = {"authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    # A put answers when its table is committed, which may take a while after the last byte. Requests wait for a connection
    # rather than be many: each upload keeps one.
    timeout = httpx.Timeout(10, read=600, write=600, pool=60)
    async with httpx.AsyncClient(base_url=AIRLANE, headers=headers, timeout=timeout) as client:
        app.state.airlane = client
        yield


app = FastAPI(title="uploads", lifespan=lifespan)


@app.exception_handler(httpx.TransportError)
async def unreachable(_: Request, error: httpx.TransportError):
    return problem(502, "server_unreachable", f"Airlane does not answer: {error}")


@app.exception_handler(NameInvalid)
async def name_invalid(_: Request, __: NameInvalid):
    return problem(400, "table_name_invalid", "a name is of parts with `/` between them, none of them empty, `.` or `..`")


@app.put("/tables/{name:path}")
async def upload(name: str, request: Request):
    """The receipt of Airlane, which has the `ticket`; or its problem document, which says what is wrong and where."""
    try:
        answer = await request.app.state.airlane.put(
            address("tables", name),
            params=request.query_params,
            headers=handed_on(request.headers, ASKED),
            content=request.stream(),
        )
    except ClientDisconnect:
        # The sender is gone: so is the request to Airlane, which keeps nothing of it. Nobody reads this.
        return Response(status_code=400)
    return Response(answer.content, answer.status_code, handed_on(answer.headers, ANSWERED))


@app.get("/tickets/{ticket:path}")
async def download(ticket: str, request: Request):
    """What the ticket stands for, as it comes: an Arrow stream, or what `?format=` names."""
    airlane = request.app.state.airlane
    asked = airlane.build_request(
        "GET",
        address("tickets", ticket),
        params=request.query_params,
        # Packed as the reader takes it, and not as the library in between would.
        headers={"accept-encoding": "identity"} | handed_on(request.headers, ASKED | {"accept-encoding"}),
    )
    answer = await airlane.send(asked, stream=True)

    async def body():
        # In `finally`: whoever stops reading ends the read at Airlane too.
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    return StreamingResponse(body(), answer.status_code, handed_on(answer.headers, ANSWERED | {"content-encoding"}))


@app.get("/arrow.js", include_in_schema=False)
async def arrow():
    return FileResponse(PAGE / "node_modules/apache-arrow/Arrow.es2015.min.js", media_type="text/javascript")


@app.get("/", include_in_schema=False)
async def page():
    return FileResponse(PAGE / "index.html")


app.mount("/static", StaticFiles(directory=PAGE / "static"))
