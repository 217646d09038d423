"""Airlane: programs hand each other Arrow tables by ticket instead of by payload.

>>> import airlane
>>> with airlane.connect("grpc://localhost:8815") as client:
...     receipt = client.put("eu/prices", frame)
...     same = client.get(receipt).to_polars()

Nothing else is needed. pyarrow, pandas, polars and numpy are imported by the methods that answer their types, when they are called.
"""

from ._answers import Listing, Receipt, SignedTicket, TableInfo
from ._async import AsyncClient, AsyncResult, connect_async
from ._client import Client, connect
from ._errors import (
    AlreadyExistsError,
    CancelledError,
    DataLossError,
    DeadlineExceededError,
    Error,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from ._result import Batches, Result
from ._rows import Batch
from ._rules import TicketRules
from ._server import Server, serve

__all__ = [
    "AlreadyExistsError",
    "AsyncClient",
    "AsyncResult",
    "Batch",
    "Batches",
    "CancelledError",
    "Client",
    "DataLossError",
    "DeadlineExceededError",
    "Error",
    "FailedPreconditionError",
    "InternalError",
    "InvalidArgumentError",
    "Listing",
    "NotFoundError",
    "NotImplementedByServerError",
    "PermissionDeniedError",
    "Receipt",
    "ResourceExhaustedError",
    "Result",
    "Server",
    "SignedTicket",
    "TableInfo",
    "TicketRules",
    "UnauthenticatedError",
    "UnavailableError",
    "connect",
    "connect_async",
    "serve",
]
