//! TcpState and TcpInfo for Python. The fields of TcpInfo come from the core's list; none is named here.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::core::{info, state};
use crate::tcp_info_fields;

/// A state of a TCP connection, by its name in RFC 9293 section 3.3.2.
///
/// `state.name`, `state.value` (Linux's number) and `state.meaning` (a line of explanation).
#[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the field's own names")]
#[pyclass(frozen, eq, hash, module = "socklens")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TcpState {
    ESTABLISHED = 1,
    SYN_SENT = 2,
    SYN_RECEIVED = 3,
    FIN_WAIT_1 = 4,
    FIN_WAIT_2 = 5,
    TIME_WAIT = 6,
    CLOSED = 7,
    CLOSE_WAIT = 8,
    LAST_ACK = 9,
    LISTEN = 10,
    CLOSING = 11,
}

impl TcpState {
    fn of(of: state::TcpState) -> Self {
        use state::TcpState as Core;
        match of {
            Core::ESTABLISHED => Self::ESTABLISHED,
            Core::SYN_SENT => Self::SYN_SENT,
            Core::SYN_RECEIVED => Self::SYN_RECEIVED,
            Core::FIN_WAIT_1 => Self::FIN_WAIT_1,
            Core::FIN_WAIT_2 => Self::FIN_WAIT_2,
            Core::TIME_WAIT => Self::TIME_WAIT,
            Core::CLOSED => Self::CLOSED,
            Core::CLOSE_WAIT => Self::CLOSE_WAIT,
            Core::LAST_ACK => Self::LAST_ACK,
            Core::LISTEN => Self::LISTEN,
            Core::CLOSING => Self::CLOSING,
        }
    }

    fn core(self) -> Option<state::TcpState> {
        state::TcpState::from_number(self as u8)
    }
}

/// A state on its way to Python, where it becomes the one object that the class has for it: `state is TcpState.LISTEN`, as with Python's own enums.
/// A `TcpState` that is handed over as it stands becomes a new object each time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) state::TcpState);

impl<'py> IntoPyObject<'py> for State {
    type Target = TcpState;
    type Output = Bound<'py, TcpState>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, TcpState>> {
        static MEMBERS: PyOnceLock<Vec<Py<TcpState>>> = PyOnceLock::new();
        let member = |state: state::TcpState| {
            let found = py.get_type::<TcpState>().getattr(TcpState::of(state).name())?;
            Ok::<_, PyErr>(found.cast_into::<TcpState>()?.unbind())
        };
        let members = MEMBERS.get_or_try_init(py, || state::TcpState::ALL.into_iter().map(member).collect::<PyResult<_>>())?;
        // In Linux's order, from 1 on.
        Ok(members[self.0 as usize - 1].bind(py).clone())
    }
}

#[pymethods]
impl TcpState {
    /// The name, such as "FIN_WAIT_2".
    #[getter]
    fn name(&self) -> String {
        self.core().map_or_else(String::new, |state| format!("{state:?}"))
    }

    /// Linux's number for it (include/net/tcp_states.h).
    #[getter]
    fn value(&self) -> u8 {
        *self as u8
    }

    /// What it means, in a line.
    #[getter]
    fn meaning(&self) -> &'static str {
        self.core().map_or("", state::TcpState::meaning)
    }

    fn __str__(&self) -> String {
        self.name()
    }

    fn __repr__(&self) -> String {
        format!("TcpState.{}", self.name())
    }

    /// Copied and pickled by name; there is one object of each state.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let getattr = py.import("builtins")?.getattr("getattr")?;
        (getattr, (py.get_type::<Self>(), self.name())).into_pyobject(py)
    }

    fn __format__<'py>(&self, py: Python<'py>, spec: &str) -> PyResult<Bound<'py, PyAny>> {
        self.name().into_pyobject(py)?.call_method1("__format__", (spec,))
    }
}

macro_rules! define {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $kind:ident @ $at:literal,)*) => {
        /// All that the kernel tells of one connection at one moment (TCP_INFO, tcp(7)): a frozen view.
        ///
        /// Each attribute is a field of Linux's `struct tcp_info` without its `tcpi_` prefix, in the kernel's unit, which the attribute's help names. A
        /// field that this kernel or system does not tell is None. `to_dict()` gives all that are known.
        #[pyclass(frozen, eq, get_all, module = "socklens")]
        #[derive(PartialEq)]
        pub(super) struct TcpInfo {
            /// The state of the connection (TcpState).
            state: Option<State>,
            $($(#[$doc])* $name: Option<$type>,)*
        }

        impl From<info::TcpInfo> for TcpInfo {
            fn from(of: info::TcpInfo) -> Self {
                Self { state: of.state.map(State), $($name: of.$name,)* }
            }
        }

        #[pymethods]
        impl TcpInfo {
            /// All fields that are known, by name.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let fields = PyDict::new(py);
                if let Some(state) = self.state {
                    fields.set_item("state", state)?;
                }
                $(if let Some(value) = self.$name {
                    fields.set_item(stringify!($name), value)?;
                })*
                Ok(fields)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let known = self.to_dict(py)?.len();
                let state = self.state.map_or("state unknown".into(), |state| TcpState::of(state.0).name());
                let mut text = format!("<TcpInfo {state}");
                for (name, value, unit) in [("rtt", self.rtt, " us"), ("snd_cwnd", self.snd_cwnd, " segments"), ("snd_wnd", self.snd_wnd, " B")] {
                    if let Some(value) = value {
                        text.push_str(&format!(", {name} {value}{unit}"));
                    }
                }
                Ok(format!("{text}; {known} fields, see .to_dict()>"))
            }
        }
    };
}

tcp_info_fields!(define);
