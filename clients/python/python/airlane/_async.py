"""The client for asyncio: the same names, to be awaited.

Calls run on threads of the client's own, which hold no lock of the interpreter while they wait. A task that is cancelled cancels
its call.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from . import _calls
from ._client import Client, Source, connect
from ._result import Batches, Result
from ._rows import Batch

if TYPE_CHECKING:
    import types

    import numpy
    import pandas
    import polars
    import pyarrow

P = ParamSpec("P")
T = TypeVar("T")

#: Calls of one client that run at the same time; more of them wait for their turn.
CALLS_MAX = 32


async def _run(threads: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The work, done on one of the threads. When the task is cancelled, so are the calls of the work."""
    scope = _calls.Scope()

    def inside() -> T:
        with _calls.inside(scope):
            return work(*args, **kwargs)

    try:
        return await asyncio.get_running_loop().run_in_executor(threads, inside)
    except asyncio.CancelledError:
        scope.cancel()
        raise


def _twin(method: Callable[Concatenate[Client, P], T]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A method of :class:`Client`, to be awaited."""

    @functools.wraps(method)
    async def awaited(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(self._threads, functools.partial(method, self._client), *args, **kwargs)

    return awaited


def _result_twin(
    method: Callable[Concatenate[Result, P], T],
) -> Callable[Concatenate[AsyncResult, P], Coroutine[Any, Any, T]]:
    """A method of :class:`Result`, to be awaited."""

    @functools.wraps(method)
    async def awaited(self: AsyncResult, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _run(self._threads, functools.partial(method, self._result), *args, **kwargs)

    return awaited


async def connect_async(
    url: str | None = None,
    *,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    tls_certificate: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    resume_for: float | None = None,
    progress: bool | None = None,
) -> AsyncClient:
    """Connects to a server, for asyncio: the arguments are those of :func:`connect`."""
    threads = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="airlane")
    try:
        client = await _run(
            threads,
            connect,
            url,
            token=token,
            user=user,
            password=password,
            tls_ca=tls_ca,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            timeout=timeout,
            resume_for=resume_for,
            progress=progress,
        )
    except BaseException:
        threads.shutdown(wait=False)
        raise
    return AsyncClient(client, threads)


class AsyncClient:
    """A :class:`Client` whose methods are awaited. With ``async with`` it closes itself."""

    def __init__(self, client: Client, threads: ThreadPoolExecutor) -> None:
        self._client = client
        self._threads = threads

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._client.url

    put = _twin(Client.put)
    append = _twin(Client.append)
    ls = _twin(Client.ls)
    info = _twin(Client.info)
    drop = _twin(Client.drop)
    retain = _twin(Client.retain)
    ticket = _twin(Client.ticket)
    status = _twin(Client.status)
    contract_add = _twin(Client.contract_add)
    contract_ls = _twin(Client.contract_ls)
    contract_show = _twin(Client.contract_show)
    contract_bind = _twin(Client.contract_bind)
    contract_unbind = _twin(Client.contract_unbind)
    upload_dataframe = _twin(Client.upload_dataframe)
    download_dataframe = _twin(Client.download_dataframe)
    upload_csv = _twin(Client.upload_csv)
    download_csv = _twin(Client.download_csv)

    async def get(self, source: Source, *, timeout: float | None = None) -> AsyncResult:
        """Reads what a ticket names: see :meth:`Client.get`."""
        return AsyncResult(await _run(self._threads, self._client.get, source, timeout=timeout), self._threads)

    async def close(self) -> None:
        """Closes the connection. Calls that run are waited for by the end of the interpreter only."""
        self._client.close()
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self._client).replace("Client", "AsyncClient", 1)


class AsyncResult:
    """A :class:`Result` whose methods are awaited, and over whose batches one iterates with ``async for``."""

    def __init__(self, result: Result, threads: ThreadPoolExecutor) -> None:
        self._result = result
        self._threads = threads

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """Name, type and whether there may be nulls, of each column."""
        return self._result.columns

    read = _result_twin(Result.read)
    to_file = _result_twin(Result.to_file)

    async def head(self, rows: int = 5) -> Batches:
        """The first rows: see :meth:`Result.head`."""
        return await _run(self._threads, self._result.head, rows)

    async def to_arrow(self) -> pyarrow.Table:
        """See :meth:`Result.to_arrow`."""
        return await _run(self._threads, self._result.to_arrow)

    async def to_pandas(self) -> pandas.DataFrame:
        """See :meth:`Result.to_pandas`."""
        return await _run(self._threads, self._result.to_pandas)

    async def to_polars(self) -> polars.DataFrame:
        """See :meth:`Result.to_polars`."""
        return await _run(self._threads, self._result.to_polars)

    async def to_numpy(self) -> dict[str, numpy.ndarray[Any, Any]]:
        """See :meth:`Result.to_numpy`."""
        return await _run(self._threads, self._result.to_numpy)

    async def batches(self) -> AsyncIterator[Batch]:
        """The batches as they arrive: see :meth:`Result.batches`. The same as iterating."""
        arriving = self._result.batches()
        while True:
            batch = await _run(self._threads, next, arriving, None)
            if batch is None:
                return
            yield batch

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self.batches()

    def __repr__(self) -> str:
        return repr(self._result).replace("Result", "AsyncResult", 1)
