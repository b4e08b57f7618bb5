//! Moving bytes: read from one side, written to the other, in both directions of a tunnel.
//!
//! A side is read only while the other one takes what it gets, so that no more than one read (or a
//! pipe) is held for a slow peer. Ordinarily bytes go through the worker's scratch buffer. A flow
//! whose reads fill that buffer again and again is bulk: it is spliced through a pipe, as long as
//! both sides are plain and the pieces stay large.

use proto::h1::{BodyDecoder, LAST_CHUNK};

use super::end::By;
use super::filters::{Gate, Passage};
use super::pipe::{Pipe, Pipes, Spliced};
use super::tunneling::{Unframed, send_chunk, unframe};
use super::{Side, Stage, To, Tunnel};
use crate::net::io::{Input, Scratch};
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, TcpCounter, TcpGauge};
use crate::worker::Worker;

/// Bytes in one direction in one turn before the others get theirs.
const SHARE: u64 = 1024 * 1024;

/// Reads in a row that filled their buffer before a flow is taken for bulk.
const BULK_AFTER: u8 = 4;

/// A splice that moves less than this is not worth its second system call.
const SMALL_SPLICE: usize = 16 * 1024;

/// Small splices in a row before a flow goes through memory again.
const SMALL_AFTER: u8 = 4;

/// One direction of a tunnel.
#[derive(Debug, Default)]
pub struct Flow {
    way: Way,
    pub framing: Framing,
    /// While it holds bytes.
    pipe: Option<Pipe>,
    /// The receiver takes no more for now, which was counted.
    paused: bool,
    /// What gauges have of the bytes held.
    gauged: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through memory; how many reads in a row filled it.
    Copied(u8),
    /// Through a pipe; how many splices in a row were small.
    Spliced(u8),
}

impl Default for Way {
    fn default() -> Self {
        Self::Copied(0)
    }
}

/// How the receiver's bytes stand to the sender's.
#[derive(Debug, Default)]
pub enum Framing {
    /// They are the same.
    #[default]
    None,
    /// Each part becomes a chunk of a request's body.
    Chunks,
    /// They are the body of a response.
    Body(Box<BodyDecoder>),
}

/// What moving bytes in one direction came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Moved {
    read: u64,
    written: u64,
    /// There is more that could move now.
    more: bool,
    lost: Option<Lost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Sender,
    Receiver,
}

impl Flow {
    /// Bytes in its pipe.
    pub fn held(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::held)
    }

    /// Lets go of the pipe.
    pub fn release(&mut self, pipes: &mut Pipes) {
        if let Some(pipe) = self.pipe.take() {
            pipes.give_back(pipe);
        }
    }

    /// Moves what can be moved without waiting.
    fn run(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        limit: usize,
        scratch: &mut Scratch,
        pipes: &mut Pipes,
        moved: &mut Moved,
    ) {
        loop {
            let goes_on = match self.way {
                Way::Copied(_) => self.copy(from, to, limit, scratch, moved),
                Way::Spliced(_) => self.splice(from, to, limit, pipes, moved),
            };
            if !goes_on {
                break;
            }
            if moved.read >= SHARE {
                moved.more = true;
                break;
            }
        }
        if self.held() == 0 {
            self.release(pipes);
        }
    }

    /// One read and its write. False: nothing more can be done now.
    fn copy(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        limit: usize,
        scratch: &mut Scratch,
        moved: &mut Moved,
    ) -> bool {
        if !from.readable || from.ended || to.io.backlog() > 0 {
            return false;
        }
        match from.io.read_at_most(limit, scratch) {
            Input::Data { bytes, drained } => {
                if drained && !from.hung_up {
                    from.readable = false;
                }
                self.hand_on(bytes, from, to, moved);
                if moved.lost.is_some() {
                    return false;
                }
                self.way = match self.way {
                    Way::Copied(full) if !drained => Way::Copied(full.saturating_add(1)),
                    _ => Way::Copied(0),
                };
                if self.way == Way::Copied(BULK_AFTER) {
                    let is_plain = from.io.is_plain() && to.io.is_plain();
                    self.way = if is_plain && matches!(self.framing, Framing::None) {
                        Way::Spliced(0)
                    } else {
                        Way::Copied(0)
                    };
                }
            }
            Input::Interrupted => {}
            Input::Empty => from.readable = false,
            Input::Eof => {
                from.readable = false;
                from.ended = true;
                if let Framing::Body(decoder) = &mut self.framing
                    && decoder.eof().is_err()
                {
                    moved.lost = Some(Lost::Sender);
                    return false;
                }
            }
            Input::Broken => {
                moved.lost = Some(Lost::Sender);
                return false;
            }
        }
        true
    }

    /// Gives the receiver what was read of the sender.
    fn hand_on(&mut self, bytes: &[u8], from: &mut Side, to: &mut Side, moved: &mut Moved) {
        if bytes.is_empty() {
            return;
        }
        let n = bytes.len() as u64;
        moved.read = moved.read.saturating_add(n);
        let written = match &mut self.framing {
            Framing::None => to.io.write(bytes, b"").map(|()| n),
            Framing::Chunks => send_chunk(to, bytes),
            Framing::Body(decoder) => {
                match unframe(decoder, bytes, to, &mut moved.written) {
                    Unframed::More => {}
                    Unframed::End => {
                        from.readable = false;
                        from.ended = true;
                    }
                    Unframed::Faulty => moved.lost = Some(Lost::Sender),
                    Unframed::Gone => moved.lost = Some(Lost::Receiver),
                }
                return;
            }
        };
        match written {
            Ok(n) => moved.written = moved.written.saturating_add(n),
            Err(_) => moved.lost = Some(Lost::Receiver),
        }
    }

    /// Empties the pipe, fills it, and empties it. False: nothing more can be done now.
    fn splice(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        limit: usize,
        pipes: &mut Pipes,
        moved: &mut Moved,
    ) -> bool {
        let may_read = from.readable && !from.ended;
        if to.full || to.io.backlog() > 0 || (self.held() == 0 && !may_read) {
            return false;
        }
        let Some(pipe) = self.pipe.take().or_else(|| pipes.take()) else {
            // All are in use.
            self.way = Way::Copied(0);
            return true;
        };
        let pipe = self.pipe.insert(pipe);
        if !empty(pipe, to, moved) || !may_read {
            return false;
        }
        match pipe.fill(&from.io, limit) {
            Spliced::Bytes(n) => {
                moved.read = moved.read.saturating_add(n as u64);
                self.way = match self.way {
                    Way::Spliced(small) if n < SMALL_SPLICE => {
                        Way::Spliced(small.saturating_add(1))
                    }
                    _ => Way::Spliced(0),
                };
            }
            Spliced::End => {
                from.readable = false;
                from.ended = true;
                return false;
            }
            Spliced::Blocked => {
                from.readable = false;
                return false;
            }
            Spliced::Broken => {
                moved.lost = Some(Lost::Sender);
                return false;
            }
        }
        if !empty(pipe, to, moved) {
            return false;
        }
        if self.way == Way::Spliced(SMALL_AFTER) {
            self.release(pipes);
            self.way = Way::Copied(0);
        }
        true
    }
}

/// Gives the receiver what is in the pipe. True: all of it.
fn empty(pipe: &mut Pipe, to: &mut Side, moved: &mut Moved) -> bool {
    while pipe.held() > 0 {
        match pipe.drain(&to.io) {
            Spliced::Bytes(n) => moved.written = moved.written.saturating_add(n as u64),
            Spliced::Blocked => {
                to.full = true;
                return false;
            }
            Spliced::End | Spliced::Broken => {
                moved.lost = Some(Lost::Receiver);
                return false;
            }
        }
    }
    true
}

impl Worker {
    /// Moves what can be moved, hands ends on, and puts the tunnel back unless it is over.
    pub(super) fn drive_tunnel(&mut self, t: Box<Tunnel>) {
        self.drive_with(t, &[], &[]);
    }

    /// The same, with what was already read of the client and of the host.
    pub(super) fn drive_with(&mut self, mut t: Box<Tunnel>, early: &[u8], first: &[u8]) {
        if !t.is_open() {
            return self.drive_early(t);
        }
        if t.link.is_some() {
            return self.drive_link(t);
        }
        let is_full = t.server.as_ref().is_some_and(|s| s.side.io.backlog() > 0);
        let waits = early.is_empty() && (is_full || t.flushing.is_some());
        if t.gate == Gate::Open || waits {
            return self.drive_open(t, early, first);
        }
        match self.filter_client(&mut t, early.to_vec()) {
            Passage::Bytes(bytes) => self.drive_open(t, &bytes, first),
            Passage::Refused => self.end_tunnel(t, By::Us),
            Passage::Gone => self.client_lost(t),
        }
    }

    /// `early`: what may go on of what was read of the client.
    pub(super) fn drive_open(&mut self, mut t: Box<Tunnel>, early: &[u8], first: &[u8]) {
        let (up, down) = self.relay(&mut t, early, first);
        self.count_moved(&mut t, up, down);
        match (up.lost, down.lost) {
            (Some(Lost::Sender), _) | (_, Some(Lost::Receiver)) => return self.client_lost(t),
            (Some(Lost::Receiver), _) | (_, Some(Lost::Sender)) => return self.server_lost(t),
            (None, None) => {}
        }
        if let Some(by) = hand_ends_on(&mut t) {
            return self.end_tunnel(t, by);
        }
        if up.more || down.more || t.has_more_to_filter() {
            self.ready_tunnels.push(t.key);
        }
        self.tunnels.put(t.key, t);
    }

    fn relay(&mut self, t: &mut Tunnel, early: &[u8], first: &[u8]) -> (Moved, Moved) {
        let limit = t.buffer_limit();
        let Some(server) = &mut t.server else {
            return (Moved::default(), Moved::default());
        };
        let host_limit = server
            .cluster
            .config
            .borrow()
            .per_connection_buffer_limit_bytes;
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let pipes = &mut self.pipes;
        let (client, server) = (&mut t.client, &mut server.side);
        let (mut up, mut down) = (Moved::default(), Moved::default());
        t.up.hand_on(early, client, server, &mut up);
        t.down.hand_on(first, server, client, &mut down);
        // Filters that look at all of it read it themselves.
        if t.gate == Gate::Open && t.flushing != Some(To::Client) && up.lost.is_none() {
            t.up.run(client, server, limit, &mut scratch, pipes, &mut up);
        }
        if t.flushing != Some(To::Host) && up.lost.is_none() && down.lost.is_none() {
            t.down
                .run(server, client, host_limit, &mut scratch, pipes, &mut down);
        }
        self.scratch = scratch;
        (up, down)
    }

    fn count_moved(&mut self, t: &mut Tunnel, up: Moved, down: Moved) {
        self.count_bytes(t, [up.read, up.written, down.read, down.written]);
        let Some(server) = &t.server else { return };
        let blocked = |flow: &Flow, to: &Side| flow.held() > 0 || to.io.backlog() > 0;
        let is_blocked = blocked(&t.up, &server.side);
        if is_blocked != std::mem::replace(&mut t.up.paused, is_blocked) {
            t.tcp.stats().inc(if is_blocked {
                TcpCounter::DownstreamFlowControlPausedReadingTotal
            } else {
                TcpCounter::DownstreamFlowControlResumedReadingTotal
            });
        }
        let is_blocked = blocked(&t.down, &t.client);
        if is_blocked != std::mem::replace(&mut t.down.paused, is_blocked) {
            server.cluster.stats().inc(if is_blocked {
                ClusterCounter::UpstreamFlowControlPausedReadingTotal
            } else {
                ClusterCounter::UpstreamFlowControlResumedReadingTotal
            });
        }
        self.gauge_held(t);
    }

    /// Counts bytes: read of the client, written to the host, read of the host, written to the
    /// client.
    pub(super) fn count_bytes(&mut self, t: &mut Tunnel, moved: [u64; 4]) {
        if moved == [0; 4] {
            return;
        }
        let [up_read, up_written, down_read, down_written] = moved;
        let counted = t.early_counted.min(up_read);
        t.early_counted = t.early_counted.saturating_sub(counted);
        let up_read = up_read.saturating_sub(counted);
        t.active_ms = self.clock.now_ms();
        t.seen.received = t.seen.received.saturating_add(up_read);
        t.seen.sent = t.seen.sent.saturating_add(down_written);
        let tcp = t.tcp.stats();
        tcp.add(TcpCounter::DownstreamCxRxBytesTotal, up_read);
        tcp.add(TcpCounter::DownstreamCxTxBytesTotal, down_written);
        if let Some(cluster) = &t.seen.cluster {
            let stats = cluster.stats();
            stats.add(ClusterCounter::UpstreamCxTxBytesTotal, up_written);
            stats.add(ClusterCounter::UpstreamCxRxBytesTotal, down_read);
        }
    }

    /// Brings the gauges of buffered bytes up to date.
    pub(super) fn gauge_held(&self, t: &mut Tunnel) {
        let held = |flow: &Flow, to: &Side| flow.held().saturating_add(to.io.backlog()) as u64;
        let Some(server) = &t.server else { return };
        let now = match server.stage {
            Stage::Open => held(&t.up, &server.side),
            Stage::Connecting { .. } | Stage::Handshaking { .. } | Stage::Asking => 0,
        };
        let before = std::mem::replace(&mut t.up.gauged, now);
        let stats = server.cluster.stats();
        stats.gauge_add(
            ClusterGauge::UpstreamCxTxBytesBuffered,
            now.saturating_sub(before),
        );
        stats.gauge_sub(
            ClusterGauge::UpstreamCxTxBytesBuffered,
            before.saturating_sub(now),
        );
        let now = held(&t.down, &t.client);
        let before = std::mem::replace(&mut t.down.gauged, now);
        let stats = t.tcp.stats();
        stats.gauge_add(
            TcpGauge::DownstreamCxTxBytesBuffered,
            now.saturating_sub(before),
        );
        stats.gauge_sub(
            TcpGauge::DownstreamCxTxBytesBuffered,
            before.saturating_sub(now),
        );
    }

    /// Takes both gauges back.
    pub(super) fn forget_held(&self, t: &mut Tunnel) {
        let up = std::mem::take(&mut t.up.gauged);
        if let Some(server) = &t.server {
            let stats = server.cluster.stats();
            stats.gauge_sub(ClusterGauge::UpstreamCxTxBytesBuffered, up);
        }
        let down = std::mem::take(&mut t.down.gauged);
        let stats = t.tcp.stats();
        stats.gauge_sub(TcpGauge::DownstreamCxTxBytesBuffered, down);
    }
}

/// Tells each side that the other has ended, once it has all that came before. `Some`: the tunnel is
/// over.
fn hand_ends_on(t: &mut Tunnel) -> Option<By> {
    let is_held = t.is_held();
    let server = t.server.as_mut()?;
    let cluster = &server.cluster;
    let (client, server) = (&mut t.client, &mut server.side);
    let up = client.ended && !is_held && t.up.held() == 0 && server.io.backlog() == 0;
    let down = server.ended && t.down.held() == 0 && client.io.backlog() == 0;
    match t.flushing {
        Some(To::Host) => return up.then_some(By::Peer),
        Some(To::Client) => return down.then_some(By::Peer),
        // A host that ended before its client did is closed by us.
        None if up && down && client.shut && !server.shut => return Some(By::Us),
        None if up && down => return Some(By::Peer),
        None => {}
    }
    // Whether a side is there to hear it, its next event tells.
    if up && !server.shut {
        server.shut = true;
        if matches!(t.up.framing, Framing::Chunks) {
            // The body ends, not the connection; a failure shows in the next event.
            let _ = server.io.write(LAST_CHUNK, b"");
            let bytes = LAST_CHUNK.len() as u64;
            let stats = cluster.stats();
            stats.add(ClusterCounter::UpstreamCxTxBytesTotal, bytes);
        } else {
            server.io.shutdown();
        }
    }
    if down && !client.shut {
        client.shut = true;
        client.io.shutdown();
    }
    None
}
