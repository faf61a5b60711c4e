//! State behind a lock that survives fork(2). A child has the memory of its parent and one thread: a lock that another thread of the parent held at
//! that moment stays locked for ever, and whoever waited exists no more. So the child gets a slot of its own, filled with what could be taken
//! over. Asking which slot it is costs one atomic load.

use std::sync::OnceLock;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::sys;

/// What a child's state is made from.
pub(super) trait Inherit: Sized {
    /// From the parent's state; `None` if another thread was changing it when the process forked, so that it cannot be trusted.
    fn inherit(parents: Option<&mut Self>) -> Self;
}

/// A lock and those who wait for a change of what it guards.
#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) state: Mutex<T>,
    pub(super) changed: Condvar,
}

impl<T> Slot<T> {
    fn new(state: T) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

/// One state, or one for the process that made it and one for its child.
#[derive(Debug)]
pub(super) struct Forked<T> {
    made_in: u32,
    first: Slot<T>,
    child: OnceLock<Box<Slot<T>>>,
}

impl<T: Default> Default for Forked<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Forked<T> {
    pub(super) fn new(state: T) -> Self {
        sys::count_forks();
        Self { made_in: sys::generation(), first: Slot::new(state), child: OnceLock::new() }
    }

    /// Whether this process has it from its parent.
    pub(super) fn is_inherited(&self) -> bool {
        self.made_in != sys::generation()
    }
}

impl<T: Inherit> Forked<T> {
    /// The slot of this process.
    #[inline]
    pub(super) fn slot(&self) -> &Slot<T> {
        if self.is_inherited() { self.inherited() } else { &self.first }
    }

    /// The state of this process, locked.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.slot().state.lock()
    }

    #[cold]
    fn inherited(&self) -> &Slot<T> {
        self.child.get_or_init(|| Box::new(Slot::new(T::inherit(self.first.state.try_lock().as_deref_mut()))))
    }
}
