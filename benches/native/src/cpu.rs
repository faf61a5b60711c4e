//! Processor time of this process and of others, in seconds. No time on the wall here.
#![allow(unsafe_code)]

use std::io;

/// What this process used.
///
/// # Errors
/// As clock_gettime(2).
pub fn own() -> io::Result<f64> {
    seconds(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// What another process used with all its threads, those that have ended too: clock_getcpuclockid(3).
///
/// # Errors
/// ESRCH where there is no such process.
pub fn of(process: i32) -> io::Result<f64> {
    let mut clock = 0;
    // SAFETY: the pointer is to a clock number that lives through the call.
    match unsafe { libc::clock_getcpuclockid(process, &raw mut clock) } {
        0 => seconds(clock),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn seconds(clock: libc::clockid_t) -> io::Result<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => Ok(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9),
        _ => Err(io::Error::last_os_error()),
    }
}
