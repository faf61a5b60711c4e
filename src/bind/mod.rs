//! The bridge to Python: convert the arguments, call the core, convert the answer. Nothing is decided here. Only `patience` lets go of the
//! interpreter, only `errors` makes exceptions, and only `bytes`, `handover` and `site` need raw pointers.

mod arguments;
mod awaiting;
mod bytes;
mod connection;
mod errors;
mod handover;
mod info;
mod listener;
mod look;
mod machine;
mod on_message;
mod opening;
mod options;
mod owners;
mod patience;
mod ports;
mod receiving;
mod record;
mod sending;
mod server;
mod site;
mod view;
mod wire;

use pyo3::prelude::*;

/// The compiled half of socklens.
#[pymodule]
mod _socklens {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::arguments::{Try, seconds};
    #[pymodule_export]
    use super::awaiting::{Connecting, Here, OnItsWay, Readiness};
    #[pymodule_export]
    use super::connection::Connection;
    #[pymodule_export]
    use super::info::{TcpInfo, TcpState};
    #[pymodule_export]
    use super::listener::Listener;
    #[pymodule_export]
    use super::look::look;
    #[pymodule_export]
    use super::machine::{interfaces, resolve};
    #[pymodule_export]
    use super::on_message::OnMessage;
    #[pymodule_export]
    use super::opening::{bind_listener, connect, get_default_timeout, holders, pair, parts, set_default_timeout};
    #[pymodule_export]
    use super::patience::serve_in_tasks;
    #[pymodule_export]
    use super::ports::{PortRow, PortRows, roles, some, table};
    #[pymodule_export]
    use super::receiving::Lines;
    #[pymodule_export]
    use super::record::{Paused, Recording, clock, handler, number, number_of, paused, record_call, under_way};
    #[pymodule_export]
    use super::server::{Chat, Daytime, Discard, Echo, LineEcho, Reactor};
    #[pymodule_export]
    use super::view::{InputBuffer, OutputBuffer, Totals};
    #[pymodule_export]
    use super::wire::Wire;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
