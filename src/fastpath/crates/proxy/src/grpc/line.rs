//! The far end of a call: whoever wants it, on another thread than the worker that it lives in.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inbox::{Event, Inbox};
use super::status;
use crate::worker::command::{Command, Mailbox};

/// Bytes of messages that may wait to be sent in one call.
const MAX_UNSENT: usize = 64 * 1024 * 1024;
/// What messages that nobody has read cost, above which a call's window is not given back.
const MAX_UNREAD: usize = 1024 * 1024;
/// What a message that nobody has read costs besides its bytes: empty ones are not for nothing.
const OF_MESSAGE: usize = 64;
/// Bytes of one message, unless the caller says so: no xDS server sends as much.
const MAX_MESSAGE: u32 = 64 * 1024 * 1024;

/// Numbers of calls, of the process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What is called.
#[derive(Debug, Clone)]
pub struct Request {
    pub cluster: Arc<str>,
    /// `/package.Service/Method`
    pub path: String,
    /// Empty: the cluster's name.
    pub authority: String,
    /// Initial metadata.
    pub metadata: Vec<(String, String)>,
    /// Milliseconds for all of it; `None`: no end.
    pub timeout_ms: Option<u64>,
    /// Bytes of the largest message; `None`: `MAX_MESSAGE`.
    pub max_message: Option<u32>,
}

impl Request {
    pub fn max_message(&self) -> u32 {
        self.max_message.unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE)
    }
}

/// What a worker is told about a call.
#[derive(Debug, Clone)]
pub enum Order {
    Open(Arc<Line>, Arc<Request>),
    /// A message; `end`: the last one (without one: only the end).
    Send {
        call: u64,
        message: Option<Vec<u8>>,
        end: bool,
    },
    /// Messages were read: the window may be given back.
    Resume {
        call: u64,
    },
    Cancel {
        call: u64,
    },
}

/// What both ends of a call share.
#[derive(Debug)]
pub struct Line {
    pub id: u64,
    inbox: Arc<Inbox>,
    /// Bytes that the worker has not sent, and that nobody has read.
    unsent: AtomicUsize,
    unread: AtomicUsize,
}

impl Line {
    /// For the worker: hands something on.
    pub fn push(&self, event: Event) {
        if let Event::Message(message) = &event {
            self.unread.fetch_add(cost(message), Ordering::Relaxed);
        }
        self.inbox.push(self.id, event);
    }

    pub fn sent(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// More has come than was read.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed) > MAX_UNREAD
    }
}

/// The calls of one thread.
#[derive(Debug)]
pub struct Calls {
    mailbox: Arc<Mailbox>,
    inbox: Arc<Inbox>,
    open: Mutex<HashMap<u64, Arc<Line>>>,
}

impl Calls {
    /// `mailbox`: of the worker that they live in.
    pub fn new(mailbox: Arc<Mailbox>) -> std::io::Result<Self> {
        Ok(Self {
            mailbox,
            inbox: Arc::new(Inbox::new()?),
            open: Mutex::default(),
        })
    }

    /// Readable when `read` has something to say.
    pub fn raw_fd(&self) -> RawFd {
        self.inbox.raw_fd()
    }

    /// Begins a call. Whatever comes of it, `read` will tell.
    pub fn open(&self, request: Request) -> u64 {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let line = Arc::new(Line {
            id,
            inbox: Arc::clone(&self.inbox),
            unsent: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
        });
        self.lines().insert(id, Arc::clone(&line));
        self.order(Order::Open(line, Arc::new(request)));
        id
    }

    /// Sends a message. False: the call is over, or more waits than may.
    pub fn send(&self, call: u64, message: Vec<u8>, end: bool) -> bool {
        let Some(line) = self.lines().get(&call).cloned() else {
            return false;
        };
        let size = message.len();
        let waiting = line.unsent.load(Ordering::Relaxed);
        if waiting > 0 && waiting.saturating_add(size) > MAX_UNSENT {
            return false;
        }
        line.unsent.fetch_add(size, Ordering::Relaxed);
        self.order(Order::Send {
            call,
            message: Some(message),
            end,
        });
        true
    }

    /// Nothing more will be sent.
    pub fn finish(&self, call: u64) {
        self.order(Order::Send {
            call,
            message: None,
            end: true,
        });
    }

    /// Gives a call up: nothing is heard of it any more.
    pub fn cancel(&self, call: u64) {
        if self.lines().remove(&call).is_some() {
            self.order(Order::Cancel { call });
        }
    }

    /// What came since the last time.
    pub fn read(&self) -> Vec<(u64, Event)> {
        let taken = self.inbox.take();
        let mut events = Vec::with_capacity(taken.len());
        let mut resumed = Vec::new();
        let mut lines = self.lines();
        for (call, event) in taken {
            // What was given up meanwhile is of no interest.
            let Some(line) = lines.get(&call) else {
                continue;
            };
            match &event {
                Event::Open => {}
                Event::Message(message) => {
                    let before = line.unread.fetch_sub(cost(message), Ordering::Relaxed);
                    let after = before.saturating_sub(cost(message));
                    if before > MAX_UNREAD && after <= MAX_UNREAD {
                        resumed.push(call);
                    }
                }
                Event::Closed { .. } => {
                    lines.remove(&call);
                }
            }
            events.push((call, event));
        }
        drop(lines);
        for call in resumed {
            self.order(Order::Resume { call });
        }
        events
    }

    fn order(&self, order: Order) {
        self.mailbox.send(Command::Call(order));
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<u64, Arc<Line>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let calls: Vec<u64> = self.lines().drain().map(|(id, _)| id).collect();
        for call in calls {
            self.order(Order::Cancel { call });
        }
    }
}

fn cost(message: &[u8]) -> usize {
    message.len().saturating_add(OF_MESSAGE)
}

/// A call that never was: what its owner hears.
pub(super) fn refused(message: &str) -> Event {
    Event::Closed {
        status: status::UNAVAILABLE,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_nothing_are_not_for_nothing() {
        let line = Line {
            id: 1,
            inbox: Arc::new(Inbox::new().unwrap()),
            unsent: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
        };
        for _ in 0..=MAX_UNREAD / OF_MESSAGE {
            assert!(!line.is_unread());
            line.push(Event::Message(Vec::new()));
        }
        assert!(line.is_unread());
    }
}
