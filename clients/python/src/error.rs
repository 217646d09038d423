//! Errors of the model as exceptions of the package.

use airlane_model::{Error, codes};
use arrow_schema::ArrowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The function of the package that makes the exception of a kind.
static EXCEPTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception that an error is.
pub(crate) fn raise(error: Error) -> PyErr {
    // An interpreter that ends takes no more exceptions; nobody would see this one.
    Python::try_attach(|py| make(py, &error).unwrap_or_else(|failure| failure))
        .unwrap_or_else(|| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let exception = EXCEPTION.get_or_try_init(py, || {
        py.import("airlane._errors").and_then(|module| module.getattr("exception")).map(Bound::unbind)
    })?;
    let code = error.code();
    let retry_after = error.retry_after_time().map(|time| time.as_secs_f64());
    let parts = (error.message(), error.place(), error.hint_text());
    let made = exception
        .call1(py, (error.kind().name(), code.name(), parts.0, parts.1, parts.2, code.is_retryable(), retry_after))?;
    Ok(PyErr::from_value(made.into_bound(py)))
}

/// What Arrow says of data that came from the caller.
pub(crate) fn data(error: &ArrowError) -> Error {
    Error::new(codes::DATA_INVALID, error.to_string()).at("the data to put")
}
