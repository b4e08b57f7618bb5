//! HTTP/2 by prior knowledge on the codec of `crates/proto`, over the epoll loop of ADR 0001: heads,
//! bodies and trailers are forwarded over two connections to the origin, and nothing else is done.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use proto::h1::Scheme;
use proto::h2::{Connection, ErrorCode, Event, Options, StreamId};
use proto::{RequestHead, ResponseHead};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, sockopt,
};

const LISTENER: u64 = u64::MAX;
const SCRATCH: usize = 64 * 1024;
const UPSTREAMS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let (listen, upstream) = spike::addresses()?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut worker = Worker {
        epoll,
        links: Vec::new(),
        exchanges: Vec::new(),
        free: Vec::new(),
        written: Vec::new(),
        turn: 0,
        request: RequestHead::new(),
        response: ResponseHead::new(),
        trailers: proto::HeaderMap::new(),
    };
    for _ in 0..UPSTREAMS {
        let fd = stream_socket()?;
        match connect(&fd, &upstream) {
            Ok(()) | Err(Errno::INPROGRESS) => worker.add(fd, true)?,
            Err(error) => return Err(error.into()),
        }
    }
    let listener = stream_socket()?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    bind(&listener, &listen)?;
    net::listen(&listener, 4096)?;
    epoll::add(&worker.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = Vec::with_capacity(256);
    let mut scratch = vec![0; SCRATCH];
    loop {
        events.clear();
        match epoll::wait(&worker.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == LISTENER {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                while let Ok(fd) = net::accept_with(&listener, flags) {
                    worker.add(fd, false)?;
                }
                continue;
            }
            let slot = token as usize;
            if flags.contains(EventFlags::OUT) {
                worker.wrote(slot);
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP) {
                worker.read(slot, &mut scratch);
            }
        }
        while let Some(slot) = worker.written.pop() {
            worker.flush(slot);
        }
    }
}

struct Worker {
    epoll: OwnedFd,
    /// Connections; the first are those to the origin. Slots are not used again.
    links: Vec<Option<Link>>,
    exchanges: Vec<[Half; 2]>,
    free: Vec<u32>,
    /// Connections with something to send.
    written: Vec<usize>,
    turn: usize,
    // What is swapped with the codecs' heads.
    request: RequestHead,
    response: ResponseHead,
    trailers: proto::HeaderMap,
}

struct Link {
    fd: OwnedFd,
    codec: Connection,
    is_upstream: bool,
    is_listed: bool,
    /// The place of each stream's exchange.
    streams: HashMap<StreamId, u32>,
    /// The beginning of a frame.
    partial: Vec<u8>,
    out: Vec<u8>,
}

/// One side of an exchange: [client's, origin's].
#[derive(Default)]
struct Half {
    slot: usize,
    stream: StreamId,
    /// DATA that the windows had no room for, and whether it ends the body.
    held: Vec<u8>,
    end: bool,
    /// This side has nothing more to say.
    done: bool,
}

impl Worker {
    fn add(&mut self, fd: OwnedFd, is_upstream: bool) -> io::Result<()> {
        sockopt::set_tcp_nodelay(&fd, true)?;
        let slot = self.links.len();
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &fd, EventData::new_u64(slot as u64), flags)?;
        let options = Options::default();
        let (partial, mut out) = (Vec::new(), Vec::new());
        let mut codec =
            if is_upstream { Connection::client(options) } else { Connection::server(options) };
        codec.start(&mut out);
        let (is_listed, streams) = (false, HashMap::new());
        self.links.push(Some(Link { fd, codec, is_upstream, is_listed, streams, partial, out }));
        self.wrote(slot);
        Ok(())
    }

    fn wrote(&mut self, slot: usize) {
        if let Some(link) = &mut self.links[slot]
            && !link.is_listed
        {
            link.is_listed = true;
            self.written.push(slot);
        }
    }

    fn read(&mut self, slot: usize, scratch: &mut [u8]) {
        loop {
            let Some(link) = &mut self.links[slot] else { return };
            let got = match net::recv(&link.fd, &mut *scratch, RecvFlags::empty()) {
                Ok((_, got)) if got > 0 => got,
                Err(Errno::AGAIN) => return,
                _ => return self.close(slot),
            };
            if link.partial.is_empty() {
                let Some(used) = self.take(slot, &scratch[..got]) else { return };
                if let Some(link) = &mut self.links[slot] {
                    link.partial.extend_from_slice(&scratch[used..got]);
                }
            } else {
                let mut whole = std::mem::take(&mut link.partial);
                whole.extend_from_slice(&scratch[..got]);
                let Some(used) = self.take(slot, &whole) else { return };
                whole.drain(..used);
                if let Some(link) = &mut self.links[slot] {
                    link.partial = whole;
                }
            }
            if got < scratch.len() {
                return;
            }
        }
    }

    /// All events in `bytes`; how many of them are done with, `None` if the connection is gone.
    fn take(&mut self, slot: usize, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let link = self.links[slot].as_mut()?;
            let Ok((used, event)) = link.codec.next(&bytes[at..], 0, &mut link.out) else {
                self.flush(slot);
                self.close(slot);
                return None;
            };
            let frame = at;
            at += used;
            match event {
                Event::NeedMore => {
                    self.wrote(slot); // answers, such as window updates
                    return Some(at);
                }
                Event::Request { stream, end } => {
                    std::mem::swap(&mut link.codec.request, &mut self.request);
                    self.open(slot, stream, end);
                }
                Event::Response { stream, end } => {
                    std::mem::swap(&mut link.codec.response, &mut self.response);
                    self.respond(slot, stream, end);
                }
                Event::Data { stream, start, len, end } => {
                    let data = &bytes[frame + start..frame + start + len];
                    self.forward(slot, stream, data, end);
                    if let Some(link) = &mut self.links[slot] {
                        link.codec.consumed(&mut link.out, stream, len);
                    }
                }
                Event::Trailers { stream } => {
                    std::mem::swap(&mut link.codec.trailers, &mut self.trailers);
                    self.end(slot, stream);
                }
                Event::Window { .. } | Event::Settings => self.resume(slot),
                _ => {}
            }
        }
    }

    /// A request: a stream to the origin, and an exchange that knows both.
    fn open(&mut self, slot: usize, stream: StreamId, end: bool) {
        self.turn += 1;
        let to = self.turn % UPSTREAMS;
        let tag = self.free.pop().unwrap_or_else(|| {
            self.exchanges.push(Default::default());
            self.exchanges.len() as u32 - 1
        });
        let Some(link) = &mut self.links[to] else { return };
        let (head, out) = (&self.request, &mut link.out);
        match link.codec.send_request(out, head, Scheme::Http, head.body, end) {
            Ok(up) => {
                link.streams.insert(up, tag);
                self.exchanges[tag as usize] = [
                    Half { slot, stream, done: end, ..Half::default() },
                    Half { slot: to, stream: up, ..Half::default() },
                ];
                self.wrote(to);
                if let Some(link) = &mut self.links[slot] {
                    link.streams.insert(stream, tag);
                }
            }
            Err(_) => {
                self.free.push(tag);
                if let Some(link) = &mut self.links[slot] {
                    link.codec.reset(&mut link.out, stream, ErrorCode::REFUSED_STREAM);
                }
            }
        }
    }

    /// The exchange of a stream, and which half of it the other side is.
    fn exchange(&self, slot: usize, stream: StreamId) -> Option<(u32, usize)> {
        let link = self.links[slot].as_ref()?;
        Some((*link.streams.get(&stream)?, usize::from(!link.is_upstream)))
    }

    fn respond(&mut self, slot: usize, stream: StreamId, end: bool) {
        let Some((tag, _)) = self.exchange(slot, stream) else { return };
        let Half { slot: to, stream: down, .. } = self.exchanges[tag as usize][0];
        let Some(link) = &mut self.links[to] else { return };
        let head = &self.response;
        link.codec.send_response(&mut link.out, down, head.status, &head.headers, head.body, end);
        self.wrote(to);
        if end {
            self.side_done(tag, 1);
        }
    }

    fn forward(&mut self, slot: usize, stream: StreamId, data: &[u8], end: bool) {
        let Some((tag, other)) = self.exchange(slot, stream) else { return };
        let half = &mut self.exchanges[tag as usize][other];
        let to = half.slot;
        let Some(link) = &mut self.links[to] else { return };
        let mut taken = 0;
        if half.held.is_empty() {
            taken = link.codec.send_data(&mut link.out, half.stream, data, end);
        }
        if taken < data.len() {
            half.held.extend_from_slice(&data[taken..]);
            half.end = end;
        }
        self.wrote(to);
        if end && taken == data.len() {
            self.side_done(tag, 1 - other);
        }
    }

    fn end(&mut self, slot: usize, stream: StreamId) {
        let Some((tag, other)) = self.exchange(slot, stream) else { return };
        let Half { slot: to, stream, .. } = self.exchanges[tag as usize][other];
        let Some(link) = &mut self.links[to] else { return };
        link.codec.send_trailers(&mut link.out, stream, &self.trailers);
        self.wrote(to);
        self.side_done(tag, 1 - other);
    }

    /// A side has ended; the exchange is free for another when both have.
    fn side_done(&mut self, tag: u32, side: usize) {
        let halves = &mut self.exchanges[tag as usize];
        halves[side].done = true;
        if halves.iter().all(|half| half.done) {
            for Half { slot, stream, .. } in halves {
                if let Some(link) = &mut self.links[*slot] {
                    link.streams.remove(stream);
                }
            }
            self.free.push(tag);
        }
    }

    /// Windows have opened: what was held goes on.
    fn resume(&mut self, slot: usize) {
        for tag in 0..self.exchanges.len() {
            for side in 0..2 {
                let half = &mut self.exchanges[tag][side];
                if half.slot != slot || half.held.is_empty() {
                    continue;
                }
                let Some(link) = &mut self.links[slot] else { return };
                let taken = link.codec.send_data(&mut link.out, half.stream, &half.held, half.end);
                half.held.drain(..taken);
                let is_done = half.held.is_empty() && half.end;
                self.wrote(slot);
                if is_done {
                    self.side_done(tag as u32, 1 - side);
                }
            }
        }
    }

    /// Sends what was gathered in this turn, in one call.
    fn flush(&mut self, slot: usize) {
        let Some(link) = &mut self.links[slot] else { return };
        link.is_listed = false;
        let mut sent = 0;
        while sent < link.out.len() {
            match net::send(&link.fd, &link.out[sent..], SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN) => break,
                Err(_) => return self.close(slot),
            }
        }
        link.out.drain(..sent);
        link.codec.set_unsent(link.out.len());
    }

    fn close(&mut self, slot: usize) {
        self.links[slot] = None;
    }
}

fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}
