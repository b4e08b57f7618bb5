//! One client connection and the exchange that is on it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::plan::{Expected, Plan};
use crate::http::{Dechunker, Framing, framing, head_len, says_close, status};
use crate::stream::Stream;

/// What became of an exchange.
pub enum Outcome {
    /// Nothing to tell yet.
    Pending,
    Done(Answer),
    Failed(&'static str),
}

pub struct Answer {
    pub status: u16,
    /// The body is what it must be.
    pub good: bool,
    /// The connection can carry another request.
    pub reusable: bool,
}

pub struct Client {
    stream: Stream,
    pub connected: bool,
    exchange: Option<Exchange>,
}

/// A request under way and what came back of it.
struct Exchange {
    head: usize,
    sent: usize,
    /// When the request was due (open loop) or sent (closed loop).
    started: Instant,
    partial_head: Vec<u8>,
    response: Option<Response>,
}

struct Response {
    answer: Answer,
    framing: Framing,
    got: usize,
    dechunker: Dechunker,
}

impl Client {
    pub fn connect(plan: &Plan) -> io::Result<Self> {
        let stream = Stream::connect(plan.target, plan.tls.as_ref())?;
        Ok(Self { stream, connected: false, exchange: None })
    }

    pub fn fd(&self) -> &OwnedFd {
        self.stream.fd()
    }

    pub fn busy(&self) -> bool {
        self.exchange.is_some()
    }

    pub fn started(&self) -> Option<Instant> {
        self.exchange.as_ref().map(|exchange| exchange.started)
    }

    pub fn start(&mut self, plan: &Plan, head: usize, started: Instant) -> Outcome {
        self.exchange =
            Some(Exchange { head, sent: 0, started, partial_head: Vec::new(), response: None });
        if self.connected { self.write(plan) } else { Outcome::Pending }
    }

    /// Sends what the socket takes.
    pub fn write(&mut self, plan: &Plan) -> Outcome {
        self.connected = true;
        if self.stream.flush().is_err() {
            return Outcome::Failed("reset while sending");
        }
        let Some(exchange) = &mut self.exchange else { return Outcome::Pending };
        let head = plan.heads.get(exchange.head).map(Vec::as_slice).unwrap_or_default();
        let total = head.len() + plan.body.len();
        while exchange.sent < total {
            let bytes = match exchange.sent.checked_sub(head.len()) {
                None => head.get(exchange.sent..),
                Some(offset) => plan.body.get(offset..),
            };
            match self.stream.send(bytes.unwrap_or_default()) {
                Ok(Some(count)) => exchange.sent += count,
                Ok(None) => return Outcome::Pending,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Outcome::Failed("refused");
                }
                Err(_) => return Outcome::Failed("reset while sending"),
            }
        }
        Outcome::Pending
    }

    /// Reads until the socket has no more; a short read is taken to be the end.
    pub fn read(&mut self, plan: &Plan, scratch: &mut [u8]) -> Outcome {
        loop {
            let got = match self.stream.recv(scratch) {
                Ok(Some(0)) if self.busy() => return Outcome::Failed("closed before the answer"),
                Ok(Some(0)) => return Outcome::Failed("closed while idle"),
                Ok(Some(got)) => got,
                Ok(None) => return Outcome::Pending,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Outcome::Failed("refused");
                }
                Err(error) if error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) => {
                    return Outcome::Failed("TLS");
                }
                Err(_) => return Outcome::Failed("reset"),
            };
            let Some(exchange) = &mut self.exchange else {
                return Outcome::Failed("answer without a request");
            };
            let bytes = scratch.get(..got).unwrap_or_default();
            match exchange.feed(plan, bytes) {
                Ok(Some(answer)) => {
                    self.exchange = None;
                    return Outcome::Done(answer);
                }
                Ok(None) if got < scratch.len() && self.stream.short_read_is_the_end() => {
                    return Outcome::Pending;
                }
                Ok(None) => {}
                Err(reason) => return Outcome::Failed(reason),
            }
        }
    }
}

impl Exchange {
    fn feed(&mut self, plan: &Plan, bytes: &[u8]) -> Result<Option<Answer>, &'static str> {
        if let Some(response) = &mut self.response {
            return if response.feed(plan, bytes)? { self.finish(plan) } else { Ok(None) };
        }
        let mut whole = std::mem::take(&mut self.partial_head);
        let bytes = if whole.is_empty() {
            bytes
        } else {
            whole.extend_from_slice(bytes);
            &whole
        };
        let Some(end) = head_len(bytes) else {
            self.partial_head = bytes.to_vec();
            return Ok(None);
        };
        let (head, rest) = bytes.split_at(end);
        let response = self.response.insert(Response::from_head(head)?);
        if response.feed(plan, rest)? { self.finish(plan) } else { Ok(None) }
    }

    fn finish(&mut self, plan: &Plan) -> Result<Option<Answer>, &'static str> {
        let request = plan.heads.get(self.head).map_or(0, Vec::len) + plan.body.len();
        if self.sent < request {
            return Err("answered before the request was sent");
        }
        Ok(self.response.take().map(|response| response.judged(plan)))
    }
}

impl Response {
    fn from_head(head: &[u8]) -> Result<Self, &'static str> {
        let status = status(head).ok_or("not an HTTP response")?;
        let framing = match framing(head).ok_or("framing not understood")? {
            Framing::None => return Err("answer without a length"),
            framing => framing,
        };
        let answer = Answer { status, good: true, reusable: !says_close(head) };
        Ok(Self { answer, framing, got: 0, dechunker: Dechunker::default() })
    }

    /// True once the body is complete.
    fn feed(&mut self, plan: &Plan, bytes: &[u8]) -> Result<bool, &'static str> {
        let (got, good) = (&mut self.got, &mut self.answer.good);
        let mut check = |piece: &[u8]| {
            *good &= match &plan.expected {
                Expected::Pattern(_) => plan.pattern.matches(*got, piece),
                Expected::Exactly(body) => body.get(*got..*got + piece.len()) == Some(piece),
            };
            *got += piece.len();
        };
        match self.framing {
            Framing::None => Ok(true),
            Framing::Chunked => self.dechunker.feed(bytes, check).map_err(|()| "bad chunks"),
            Framing::Length(length) => {
                check(bytes);
                if self.got > length {
                    Err("more than was announced")
                } else {
                    Ok(self.got == length)
                }
            }
        }
    }

    fn judged(mut self, plan: &Plan) -> Answer {
        let length = match &plan.expected {
            Expected::Pattern(length) => *length,
            Expected::Exactly(body) => Some(body.len()),
        };
        self.answer.good &= length.is_none_or(|length| length == self.got);
        self.answer
    }
}
