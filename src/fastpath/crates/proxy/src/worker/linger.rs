//! Sockets that we are done with and whose peer is not: what it still sends is read and forgotten,
//! so that it gets our last bytes instead of a reset (RFC 9112 §9.6).

use super::admission::Surplus;
use super::slots::Key;
use super::{Kind, Worker};
use crate::net::io::{Input, Io, Scratch};
use crate::worker::timers::NEVER;

/// Reads before we have seen enough of it in one turn.
const MAX_READS: usize = 8;

#[derive(Debug)]
pub struct Lingering {
    io: Io,
    /// It was one too many, and is still counted.
    surplus: Option<Surplus>,
}

impl Worker {
    /// Keeps a socket, whose sending side is shut, until its peer closes or `until` (ms).
    pub fn linger(&mut self, io: Io, until: u64) {
        self.keep(Lingering { io, surplus: None }, true, until);
    }

    /// Keeps a connection that has no place, until `until` or its end.
    pub(super) fn hold(&mut self, io: Io, is_watched: bool, until: u64, surplus: Surplus) {
        let surplus = Some(surplus);
        self.keep(Lingering { io, surplus }, is_watched, until);
    }

    fn keep(&mut self, lingering: Lingering, is_watched: bool, until: u64) {
        let key = self.lingering.reserve();
        let adopted = self.adopt(Kind::Lingering, key, &lingering.io, is_watched);
        self.lingering.put(key, Box::new(lingering));
        if adopted.is_err() {
            return self.lingering_timer(key);
        }
        let now = self.clock.now_ms();
        let token = super::token(Kind::Lingering, key);
        self.timers.arm(token, &mut { NEVER }, now, until);
    }

    pub fn lingering_event(&mut self, key: Key) {
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let mut over = self.lingering.get(key).is_none();
        for _ in 0..MAX_READS {
            let Some(l) = self.lingering.get_mut(key) else {
                break;
            };
            match l.io.read(&mut scratch) {
                Input::Data { .. } | Input::Interrupted => {}
                Input::Empty => break,
                Input::Eof | Input::Broken => {
                    over = true;
                    break;
                }
            }
        }
        self.scratch = scratch;
        if over {
            self.lingering_timer(key);
        }
    }

    pub fn lingering_timer(&mut self, key: Key) {
        let over = self.lingering.free(key);
        if let Some(surplus) = over.and_then(|lingering| lingering.surplus) {
            self.count_connection_closed(&surplus.listener);
        }
    }
}
