//! The thread that writes access logs: the only one that may wait for a disk or a pipe.

use std::io::{self, Write};
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use model::resources::access_log::Sink;

use super::sinks::{Batch, Message, Shared, Target, lock, open_file};
use crate::telemetry::log::{Level, RateLimit};
use crate::telemetry::stats::Stats;

/// How often counters move and a reopen is noticed when nothing is written.
const PAUSE: Duration = Duration::from_secs(1);

static FAILURES: RateLimit = RateLimit::new(Duration::from_secs(10));

pub(super) fn run(messages: &Receiver<Message>, shared: &Weak<Shared>, stats: &Stats) {
    loop {
        let message = messages.recv_timeout(PAUSE);
        // Without its owner the thread still writes what is queued, then ends.
        if let Some(shared) = shared.upgrade() {
            serve(&shared, stats);
        }
        match message {
            Ok(Message::Write(batch)) => write(&batch, stats),
            Ok(Message::Flush(done)) => drop(done.try_send(())),
            Ok(Message::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What is not in the queue: reopening, and lines that did not fit it.
fn serve(shared: &Shared, stats: &Stats) {
    if shared.reopen.swap(false, Ordering::AcqRel) {
        let failed = shared.reopen_files();
        if failed != 0 {
            stats.add("filesystem.reopen_failed", failed);
        }
    }
    let lost = shared.lost.swap(0, Ordering::Relaxed);
    if lost != 0 {
        count(stats, "access_log.dropped", lost);
    }
}

fn count(stats: &Stats, name: &str, n: u64) {
    stats.add(name, i64::try_from(n).unwrap_or(i64::MAX));
}

fn write(batch: &Batch, stats: &Stats) {
    count(stats, "filesystem.write_buffered", batch.lines);
    if batch.by_timer {
        stats.add("filesystem.flushed_by_timer", 1);
    }
    let mut target = lock(&batch.sink.target);
    match write_all(&batch.sink.sink, &mut target, &batch.bytes) {
        Ok(()) => stats.add("filesystem.write_completed", 1),
        Err(error) => {
            stats.add("filesystem.write_failed", 1);
            count(stats, "access_log.dropped", batch.lines);
            if let Some(more) = FAILURES.allow() {
                crate::log!(
                    Level::Error,
                    "file",
                    "cannot write access log {:?}: {error} ({more} more since the last message)",
                    batch.sink.sink
                );
            }
        }
    }
}

/// Ends a line that an earlier failure tore, then writes.
fn write_all(sink: &Sink, target: &mut Target, bytes: &[u8]) -> io::Result<()> {
    if !target.opened {
        target.file = open_file(sink)?;
        target.opened = true;
    }
    if target.torn {
        write_some(sink, target, b"\n")?;
        target.torn = false;
    }
    write_some(sink, target, bytes)
}

fn write_some(sink: &Sink, target: &mut Target, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let result = match (&mut target.file, sink) {
            (Some(file), _) => file.write(rest),
            (None, Sink::Stdout) => {
                // Unbuffered: what std buffers would be lost when the process is killed.
                rustix::io::write(rustix::stdio::stdout(), rest).map_err(io::Error::from)
            }
            (None, _) => rustix::io::write(rustix::stdio::stderr(), rest).map_err(io::Error::from),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let written = bytes.len().saturating_sub(rest.len());
                let last = written.checked_sub(1).and_then(|n| bytes.get(n));
                target.torn |= last.is_some_and(|&byte| byte != b'\n');
                return Err(error);
            }
        }
    }
    Ok(())
}
