//! A look at anybody's socket, by the number of its descriptor; `socklens.look` is the friendly form.

use pyo3::prelude::*;

use super::arguments::python_address;
use super::errors::plainly;
use super::handover;
use super::info::{State, TcpInfo};
use super::view::{InputBuffer, OutputBuffer};
use crate::core;

/// (local, peer, state, backlog, buffers and TCP_INFO of a connection).
type Row<'py> =
    (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<State>, Option<(u32, u32)>, Option<(InputBuffer, OutputBuffer, Option<TcpInfo>)>);

/// One look at the TCP socket with this descriptor, which stays its owner's.
#[pyfunction]
#[pyo3(name = "_look")]
pub(super) fn look(py: Python<'_>, number: i64) -> PyResult<Row<'_>> {
    let look = handover::borrowed(number, core::look::Look::of)?.map_err(plainly(py))?;
    Ok((
        python_address(py, look.local)?,
        look.peer.map(|peer| python_address(py, peer)).transpose()?,
        look.state.map(State),
        look.backlog,
        look.connection.map(|(input, output, info)| (InputBuffer(input), OutputBuffer(output), info.map(TcpInfo::from))),
    ))
}
