//! Which thread calls, by the name that the program knows it by. Asked once for each thread; no lock is held while somebody is asked.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Who knows the names of threads that Rust did not start.
static NAMES: OnceLock<fn() -> Option<String>> = OnceLock::new();

thread_local! {
    static NAME: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Says who knows the names of threads. It is asked by the thread itself, once, with no lock held.
pub fn names_by(names: fn() -> Option<String>) {
    let _the_first = NAMES.set(names);
}

/// This thread's name, asked for once. Who is asked may run Python, and no lock is held while that runs.
pub(super) fn thread(may_ask: bool) -> Arc<str> {
    static UNKNOWN: AtomicU32 = AtomicU32::new(0);
    if let Some(known) = NAME.with_borrow(Clone::clone) {
        return known;
    }
    let mut name = std::thread::current().name().map(str::to_owned);
    if name.is_none() && may_ask {
        name = NAMES.get().and_then(|ask| ask());
    }
    if name.is_none() && !may_ask {
        return "unnamed".into();
    }
    let name: Arc<str> = name.unwrap_or_else(|| format!("unnamed-{}", UNKNOWN.fetch_add(1, Relaxed) + 1)).into();
    NAME.set(Some(name.clone()));
    name
}
