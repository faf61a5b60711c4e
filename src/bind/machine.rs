//! This machine's addresses and the addresses of names, for Python: plain values, which `socklens._ports` gives their names.

use pyo3::prelude::*;

use super::arguments::{TimeoutArg, python_address};
use super::opening::default_timeout;
use super::patience::{unhurried, waiting};
use crate::core::interfaces::{Interface, Kind, all};
use crate::core::resolve as names;

/// An interface as (name, address, prefix, kind, up).
type InterfaceRow = (String, String, u8, &'static str, Option<bool>);

/// The addresses of this machine: rows of (interface, address, prefix length, kind, whether it is up).
#[pyfunction]
#[pyo3(name = "_interfaces")]
pub(super) fn interfaces(py: Python<'_>) -> PyResult<Vec<InterfaceRow>> {
    let row = |one: Interface| (one.name, one.ip.to_string(), one.prefix, word(one.kind), one.up);
    Ok(unhurried(py, all)?.into_iter().map(row).collect())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Loopback => "loopback",
        Kind::LinkLocal => "link-local",
        Kind::Private => "private",
        Kind::Global => "global",
    }
}

/// Every address of a host, in the order in which connect tries them; the wait is connect's too.
#[pyfunction]
#[pyo3(name = "_resolve", signature = (host, port, timeout=TimeoutArg::OWN), text_signature = "(host, port, timeout=...)")]
pub(super) fn resolve<'py>(py: Python<'py>, host: &str, port: u16, timeout: TimeoutArg) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let found = waiting(py, timeout.or(default_timeout), |wait| names::resolve(host, port, wait))?;
    found.into_iter().map(|addr| python_address(py, addr)).collect()
}
