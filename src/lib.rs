//! Real TCP sockets you can see through: the compiled half of the Python package `socklens`.
//!
//! [`core`] is plain Rust and knows nothing of Python; `bind` converts, calls the core and converts back.

pub mod core;

#[cfg(feature = "python")]
mod bind;
