//! The process's open access-log files, and the queue to the thread that writes them.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::resources::access_log::Sink;

use super::AccessLogs;
use super::writer;
use crate::telemetry::stats::Stats;

/// Batches that may wait: with full buffers 8 MiB.
const QUEUE: usize = 128;

/// Process-wide. Cloning is cheap; all clones are the same sinks.
#[derive(Clone)]
pub struct Sinks {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    open: Mutex<Vec<Arc<OpenSink>>>,
    queue: SyncSender<Message>,
    pub(super) reopen: AtomicBool,
    /// Lines that were lost and not yet counted in the statistics.
    pub(super) lost: AtomicU64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A sink and what it writes to.
pub(super) struct OpenSink {
    pub(super) sink: Sink,
    pub(super) target: Mutex<Target>,
    /// No configuration names it any more: workers let go of it at their next tick.
    pub(super) closed: AtomicBool,
}

pub(super) struct Target {
    /// None: stdout, stderr, or a file that `opened` says is still to be opened.
    pub(super) file: Option<File>,
    pub(super) opened: bool,
    /// The last write ended within a line.
    pub(super) torn: bool,
}

/// Whole lines of one worker.
pub(super) struct Batch {
    pub(super) sink: Arc<OpenSink>,
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    pub(super) by_timer: bool,
}

pub(super) enum Message {
    Write(Batch),
    /// Look at `reopen`.
    Wake,
    /// Everything sent before this is written by the time the answer comes.
    Flush(SyncSender<()>),
    Stop,
}

impl Sinks {
    /// Starts the writer thread. Counts in `filesystem.*`.
    pub fn new(stats: Stats) -> io::Result<Self> {
        let (queue, messages): (_, Receiver<Message>) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            open: Mutex::new(Vec::new()),
            queue,
            reopen: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            writer: Mutex::new(None),
        });
        let weak = Arc::downgrade(&shared);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || writer::run(&messages, &weak, &stats))?;
        *lock(&shared.writer) = Some(thread);
        Ok(Self { shared })
    }

    /// Opens a sink unless it is open: at configuration time, so that errors refuse it.
    pub fn open(&self, sink: &Sink) -> io::Result<()> {
        if self.find(sink).is_some() {
            return Ok(());
        }
        // Not under the lock: opening may take its time on a network disk.
        let file = open_file(sink)?;
        let mut open = lock(&self.shared.open);
        if !open.iter().any(|other| same(&other.sink, sink)) {
            open.push(Arc::new(OpenSink {
                sink: sink.clone(),
                target: Mutex::new(Target {
                    file,
                    opened: true,
                    torn: false,
                }),
                closed: AtomicBool::new(false),
            }));
        }
        Ok(())
    }

    /// Closes every sink that is not in use any more, once what is buffered is written.
    pub fn retain(&self, in_use: &HashSet<Sink>) {
        lock(&self.shared.open).retain(|open| {
            let keep = in_use.contains(&open.sink);
            open.closed.store(!keep, Ordering::Relaxed);
            keep
        });
    }

    /// A worker's handle.
    #[must_use]
    pub fn worker(&self) -> AccessLogs {
        AccessLogs::new(self.clone())
    }

    /// Opens all files anew, after a rotation (`SIGUSR1`, `/reopen_logs`). A file that cannot be
    /// opened stays as it was and counts as `filesystem.reopen_failed`.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // A full queue wakes the writer too.
        let _ = self.shared.queue.try_send(Message::Wake);
    }

    /// Waits until what workers handed over is written, `timeout` at most; false if it took longer.
    #[must_use]
    pub fn flush_all(&self, timeout: Duration) -> bool {
        let (done, answer) = sync_channel(1);
        self.enqueue_waiting(Message::Flush(done), timeout) && answer.recv_timeout(timeout).is_ok()
    }

    /// Writes what is left and ends the thread. Workers must have flushed (their handles do when
    /// dropped). False: the writer hung for longer than `timeout` and was left alone.
    #[must_use]
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let flushed = self.flush_all(timeout);
        if flushed {
            self.enqueue_waiting(Message::Stop, timeout);
            if let Some(thread) = lock(&self.shared.writer).take() {
                return thread.join().is_ok();
            }
        }
        flushed
    }

    pub(super) fn find(&self, sink: &Sink) -> Option<Arc<OpenSink>> {
        lock(&self.shared.open)
            .iter()
            .find(|open| same(&open.sink, sink))
            .cloned()
    }

    /// For a worker: a sink that nobody opened is opened by the writer, when it first writes to it.
    pub(super) fn find_or_add(&self, sink: &Sink) -> Arc<OpenSink> {
        let mut open = lock(&self.shared.open);
        if let Some(found) = open.iter().find(|open| same(&open.sink, sink)) {
            return Arc::clone(found);
        }
        let added = Arc::new(OpenSink {
            sink: sink.clone(),
            target: Mutex::new(Target {
                file: None,
                opened: false,
                torn: false,
            }),
            closed: AtomicBool::new(false),
        });
        open.push(Arc::clone(&added));
        added
    }

    /// Never waits.
    pub(super) fn send(&self, batch: Batch) {
        match self.shared.queue.try_send(Message::Write(batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let Message::Write(batch) = message {
                    self.dropped(batch.lines);
                }
            }
        }
    }

    pub(super) fn send_waiting(&self, batch: Batch) {
        let lines = batch.lines;
        if !self.enqueue_waiting(Message::Write(batch), Duration::from_secs(1)) {
            self.dropped(lines);
        }
    }

    pub(super) fn dropped(&self, lines: u64) {
        self.shared.lost.fetch_add(lines, Ordering::Relaxed);
    }

    /// Off the data path only.
    fn enqueue_waiting(&self, message: Message, timeout: Duration) -> bool {
        let pause = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        let mut message = message;
        loop {
            match self.shared.queue.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(_)) if waited >= timeout => return false,
                Err(TrySendError::Full(back)) => message = back,
            }
            std::thread::sleep(pause);
            waited = waited.saturating_add(pause);
        }
    }
}

impl Shared {
    /// Opens every file again; returns how many could not be.
    pub(super) fn reopen_files(&self) -> i64 {
        let open = lock(&self.open).clone();
        let mut failed: i64 = 0;
        for sink in open {
            match open_file(&sink.sink) {
                Ok(file) => {
                    let mut target = lock(&sink.target);
                    (target.file, target.opened) = (file, true);
                }
                Err(_) => failed = failed.saturating_add(1),
            }
        }
        failed
    }
}

/// None for the standard streams.
pub(super) fn open_file(sink: &Sink) -> io::Result<Option<File>> {
    let Sink::File(path) = sink else {
        return Ok(None);
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)?;
    Ok(Some(file))
}

/// Equal as written: no parsing of path components on the way of a request.
pub(super) fn same(a: &Sink, b: &Sink) -> bool {
    match (a, b) {
        (Sink::File(a), Sink::File(b)) => a.as_os_str() == b.as_os_str(),
        (Sink::Stdout, Sink::Stdout) | (Sink::Stderr, Sink::Stderr) => true,
        _ => false,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
