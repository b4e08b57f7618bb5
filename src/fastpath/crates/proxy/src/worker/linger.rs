//! Sockets that we are done with and whose peer is not: what it still sends is read and forgotten,
//! so that it gets our last bytes instead of a reset (RFC 9112 §9.6).

use std::rc::Rc;

use super::admission::Surplus;
use super::slots::Key;
use super::{Kind, Worker};
use crate::http::client::Client;
use crate::net::io::{Input, Io, Scratch};

/// Reads before we have seen enough of it in one turn.
const MAX_READS: usize = 8;

#[derive(Debug)]
pub struct Lingering {
    io: Io,
    until: u64,
    /// It is still counted.
    counted: Option<Counted>,
    /// Counts it if it has to be cut.
    client: Option<Rc<Client>>,
}

/// A connection that may not go on and is held for a while, so that its client does not come back
/// at once.
#[derive(Debug)]
pub enum Counted {
    /// It was one too many.
    Surplus(Surplus),
    /// A network filter refused it.
    Refused(Rc<Client>),
}

impl Worker {
    /// Keeps a socket, whose sending side is shut, until its peer closes or `until` (ms). `client`:
    /// the latter is its `delayed_close_timeout`.
    pub fn linger(&mut self, io: Io, until: u64, client: Option<Rc<Client>>) {
        let lingering = Lingering {
            io,
            until,
            counted: None,
            client,
        };
        self.keep(lingering, true);
    }

    /// Keeps a connection that may not go on, until `until` or its end.
    pub fn hold(&mut self, io: Io, is_watched: bool, until: u64, counted: Counted) {
        let lingering = Lingering {
            io,
            until,
            counted: Some(counted),
            client: None,
        };
        self.keep(lingering, is_watched);
    }

    fn keep(&mut self, lingering: Lingering, is_watched: bool) {
        let until = lingering.until;
        let key = self.lingering.reserve();
        let adopted = self.adopt(Kind::Lingering, key, &lingering.io, is_watched);
        self.lingering.put(key, Box::new(lingering));
        if adopted.is_err() {
            return self.stop_lingering(key);
        }
        let now = self.clock.now_ms();
        let token = super::token(Kind::Lingering, key);
        self.timers.arm(token, now, until);
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
            self.stop_lingering(key);
        }
    }

    pub fn lingering_timer(&mut self, key: Key) {
        let now = self.clock.now_ms();
        match self.lingering.get(key).map(|l| l.until) {
            Some(until) if now < until => {
                let token = super::token(Kind::Lingering, key);
                self.timers.arm(token, now, until);
            }
            _ => {
                let client = self.lingering.get(key).and_then(|l| l.client.as_ref());
                if let Some(client) = client {
                    client.count_delayed_close();
                }
                self.stop_lingering(key);
            }
        }
    }

    fn stop_lingering(&mut self, key: Key) {
        let Some(mut over) = self.lingering.free(key) else {
            return;
        };
        match over.counted.take() {
            Some(Counted::Surplus(surplus)) => self.count_connection_closed(&surplus.listener),
            Some(Counted::Refused(client)) => {
                over.io.say_goodbye();
                self.count_closed(&client, None, true);
            }
            None => {}
        }
    }
}
