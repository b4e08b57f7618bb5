//! Access logs: workers render lines into buffers of their own, one thread writes them out.
//!
//! A worker never waits: when the writer falls behind by more than its queue, or the disk is full,
//! lines are dropped and counted. Lines of one worker keep their order.

mod filter;
mod sinks;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::resources::access_log::{AccessLog, LogFormat, Sink};

pub use filter::header_matches;
pub use sinks::Sinks;

use super::format::{render, render_json};
use super::stream_info::LogContext;
use sinks::{Batch, OpenSink, same};

/// A buffer is handed to the writer when it holds this much.
const FLUSH_AT: usize = 64 * 1024;

/// One worker's way to the access logs; from `Sinks::worker`.
pub struct AccessLogs {
    sinks: Sinks,
    buffers: Vec<Buffer>,
    /// For `runtime_filter` fractions; the worker's own.
    random: u64,
}

struct Buffer {
    sink: Arc<OpenSink>,
    bytes: Vec<u8>,
    lines: u64,
}

impl AccessLogs {
    fn new(sinks: Sinks) -> Self {
        Self {
            sinks,
            buffers: Vec::new(),
            random: filter::seed(),
        }
    }

    /// Writes a line about a finished request, if the log's filter lets it.
    pub fn log(&mut self, log: &AccessLog, ctx: &LogContext<'_>) {
        if let Some(filter) = &log.filter
            && !filter::passes(filter, ctx, &mut self.random)
        {
            return;
        }
        let Some(buffer) = buffer_of(&mut self.buffers, &self.sinks, &log.sink) else {
            self.sinks.dropped(1);
            return;
        };
        match &log.format {
            LogFormat::Text(format) => render(format, ctx, &mut buffer.bytes),
            LogFormat::Json(format) => render_json(format, ctx, &mut buffer.bytes),
        }
        buffer.lines = buffer.lines.saturating_add(1);
        if buffer.bytes.len() >= FLUSH_AT {
            hand_over(&self.sinks, buffer, false);
        }
    }

    /// Writes lines that are there already.
    pub fn lines(&mut self, sink: &Sink, text: &str) {
        let count = text.lines().count() as u64;
        let Some(buffer) = buffer_of(&mut self.buffers, &self.sinks, sink) else {
            self.sinks.dropped(count);
            return;
        };
        buffer.bytes.extend_from_slice(text.as_bytes());
        buffer.lines = buffer.lines.saturating_add(count);
    }

    /// Hands over what was written since the last time; call about once a second.
    pub fn tick(&mut self) {
        for buffer in &mut self.buffers {
            hand_over(&self.sinks, buffer, true);
        }
        self.buffers
            .retain(|buffer| !buffer.sink.closed.load(Ordering::Relaxed));
    }

    /// True if a tick would do something: an idle worker needs none.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.buffers.iter().any(|buffer| !buffer.bytes.is_empty())
    }

    /// Hands everything over and waits for room in the queue (a second at most): for a worker that
    /// ends. `Sinks::shutdown` then waits until it is written.
    pub fn flush(&mut self) {
        for buffer in &mut self.buffers {
            if let Some(batch) = take(buffer, true) {
                self.sinks.send_waiting(batch);
            }
        }
    }
}

impl Drop for AccessLogs {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The worker's buffer for a sink, made when first asked for.
fn buffer_of<'a>(
    buffers: &'a mut Vec<Buffer>,
    sinks: &Sinks,
    sink: &Sink,
) -> Option<&'a mut Buffer> {
    // A handful of sinks at most: comparing beats hashing.
    let place = buffers
        .iter()
        .position(|buffer| same(&buffer.sink.sink, sink));
    let place = match place {
        Some(place) => place,
        None => {
            let sink = sinks.find_or_add(sink);
            buffers.push(Buffer {
                sink,
                bytes: Vec::new(),
                lines: 0,
            });
            buffers.len().checked_sub(1)?
        }
    };
    buffers.get_mut(place)
}

fn take(buffer: &mut Buffer, by_timer: bool) -> Option<Batch> {
    if buffer.bytes.is_empty() {
        return None;
    }
    let bytes = std::mem::take(&mut buffer.bytes);
    if !by_timer {
        // A busy log: the next buffer will fill as well.
        buffer.bytes.reserve(FLUSH_AT.saturating_add(4096));
    }
    let lines = std::mem::take(&mut buffer.lines);
    Some(Batch {
        sink: Arc::clone(&buffer.sink),
        bytes,
        lines,
        by_timer,
    })
}

fn hand_over(sinks: &Sinks, buffer: &mut Buffer, by_timer: bool) {
    if let Some(batch) = take(buffer, by_timer) {
        sinks.send(batch);
    }
}

#[cfg(test)]
mod tests;
