"""The exceptions of the package: one base, and a class for each kind of error, which says what the caller can do."""

from __future__ import annotations


class Error(Exception):
    """What every failed call raises. Its text has the message, the place and the hint on lines of their own.

    Attributes:
        code: The name of the cause, such as ``table_not_found``; the reference of errors has a cause and a cure for each.
        message: What happened.
        place: Where: a table, row, column, file or setting; ``None`` where there is none.
        hint: What to do about it; ``None`` where that is not known.
        retryable: Whether the same call may succeed later without a change, and does nothing twice.
        retry_after: The seconds after which repeating it is worth a try; ``None`` where that is not known.
    """

    code: str
    message: str
    place: str | None
    hint: str | None
    retryable: bool
    retry_after: float | None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        place: str | None = None,
        hint: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.place = place
        self.hint = hint
        self.retryable = retryable
        self.retry_after = retry_after

    def __str__(self) -> str:
        lines = [self.message]
        if self.place is not None:
            lines.append(f"at: {self.place}")
        if self.hint is not None:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between processes (multiprocessing, concurrent.futures) by pickle.
        return (_again, (type(self), self.message, self.code, self.place, self.hint, self.retryable, self.retry_after))


class InvalidArgumentError(Error, ValueError):
    """The request is wrong: change it."""


class NotFoundError(Error, LookupError):
    """What was asked for is not there, or not visible to the caller."""


class AlreadyExistsError(Error):
    """What was to be made is there already."""


class FailedPreconditionError(Error):
    """The request is right, but not in the present state: change the state first."""


class ResourceExhaustedError(Error):
    """A limit or a store is full: ask for less, or later."""


class UnavailableError(Error, ConnectionError):
    """The server cannot answer now: repeat later."""


class CancelledError(Error):
    """The caller went away or gave up."""


class DeadlineExceededError(Error, TimeoutError):
    """The time that the caller gave is over."""


class DataLossError(Error):
    """Stored bytes are damaged."""


class NotImplementedByServerError(Error, NotImplementedError):
    """This version of the server does not do this."""


class InternalError(Error):
    """A fault of the server, or of the client."""


class UnauthenticatedError(Error):
    """Who asks is not known: bring credentials, or other ones."""


class PermissionDeniedError(Error, PermissionError):
    """Who asks may not do this."""


KINDS: dict[str, type[Error]] = {
    "invalid_argument": InvalidArgumentError,
    "not_found": NotFoundError,
    "already_exists": AlreadyExistsError,
    "failed_precondition": FailedPreconditionError,
    "resource_exhausted": ResourceExhaustedError,
    "unavailable": UnavailableError,
    "cancelled": CancelledError,
    "deadline_exceeded": DeadlineExceededError,
    "data_loss": DataLossError,
    "not_implemented": NotImplementedByServerError,
    "internal": InternalError,
    "unauthenticated": UnauthenticatedError,
    "permission_denied": PermissionDeniedError,
}


def exception(
    kind: str,
    code: str,
    message: str,
    place: str | None,
    hint: str | None,
    retryable: bool,
    retry_after: float | None,
) -> Error:
    """The exception of a kind; the native half calls this."""
    return _again(KINDS.get(kind, Error), message, code, place, hint, retryable, retry_after)


def _again(
    kind: type[Error],
    message: str,
    code: str,
    place: str | None,
    hint: str | None,
    retryable: bool,
    retry_after: float | None,
) -> Error:
    return kind(message, code=code, place=place, hint=hint, retryable=retryable, retry_after=retry_after)
