//! What came of calls, for a thread that polls a descriptor.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// What happened to a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has taken it.
    Open,
    Message(Vec<u8>),
    /// It is over: gRPC's status and its text. Nothing follows.
    Closed {
        status: u32,
        message: String,
    },
}

/// Written by workers, read by one thread. Its size is bounded by the windows of the calls: a worker
/// gives them back only as messages are read.
#[derive(Debug)]
pub struct Inbox {
    events: Mutex<VecDeque<(u64, Event)>>,
    wake: OwnedFd,
}

impl Inbox {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            events: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Readable when there is something to take.
    pub fn raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    pub(super) fn push(&self, call: u64, event: Event) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((call, event));
        // Fails only when the counter is full, and then the reader is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(super) fn take(&self) -> VecDeque<(u64, Event)> {
        let mut counter = [0; 8];
        // Fails only when nobody woke us.
        let _ = rustix::io::read(&self.wake, &mut counter);
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
