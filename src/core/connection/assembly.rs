//! A large read that fills the caller's memory in place, while others may look. What has come so far stays visible in the input buffer's
//! view, and goes back there if the read fails.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// Memory of a caller that waits in a read, and how much of it is filled.
#[derive(Debug)]
pub(super) struct Assembly {
    at: NonNull<MaybeUninit<u8>>,
    size: usize,
    filled: usize,
}

// SAFETY: the memory is lent exclusively (`Lent` holds the `&mut`) and is only touched under the lock that guards the `Assembly`.
unsafe impl Send for Assembly {}

/// The loan: as long as it lives, the memory is the assembly's.
pub(super) struct Lent<'m>(PhantomData<&'m mut [MaybeUninit<u8>]>);

impl Assembly {
    /// Borrows `memory` for as long as the loan is kept; the assembly must be gone by then.
    pub(super) fn new(memory: &mut [MaybeUninit<u8>]) -> (Self, Lent<'_>) {
        let size = memory.len();
        let at = NonNull::from(memory).cast();
        (Self { at, size, filled: 0 }, Lent(PhantomData))
    }

    /// What has come so far.
    pub(super) fn filled(&self) -> &[u8] {
        // SAFETY: the loan keeps the memory alive, and its first `filled` bytes were written.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast(), self.filled) }
    }

    /// What is still to come.
    pub(super) fn rest(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the loan keeps the memory alive and unshared; `filled` never exceeds `size`.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr().add(self.filled), self.size - self.filled) }
    }

    /// `count` more bytes of `rest` were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.size);
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.size
    }
}
