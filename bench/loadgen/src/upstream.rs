//! The origin server: one read and one write per small request.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::args::Args;
use crate::http::{Dechunker, Framing, framing, head_len, says_close};
use crate::net::{self, Poller};
use crate::pattern::Pattern;

const LISTENER: u64 = u64::MAX;
const SCRATCH: usize = 256 * 1024;

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let args = Args::parse(raw, &["listen", "header"], &[])?;
    let address = args.or("listen", SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let header: Option<String> = args.get("header")?;
    serve(address, header.as_deref()).map_err(|error| format!("upstream: {error}"))
}

fn serve(address: SocketAddr, header: Option<&str>) -> io::Result<()> {
    let listener = net::listen(address)?;
    println!("{{\"port\": {}}}", net::local_port(&listener)?);
    let mut poller = Poller::new()?;
    poller.add_level(&listener, LISTENER)?;
    let mut origin = Origin::new(header);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut ready = Vec::new();
    let mut scratch = vec![0; SCRATCH];
    loop {
        poller.wait(None, &mut ready)?;
        for &(token, readable, writable) in &ready {
            if token == LISTENER {
                while let Some(fd) = net::accept(&listener)? {
                    let slot = free.pop().unwrap_or(connections.len());
                    if slot == connections.len() {
                        connections.push(None);
                    }
                    poller.add(&fd, slot as u64)?;
                    connections[slot] = Some(Connection::new(fd));
                }
                continue;
            }
            let slot = token as usize;
            let Some(connection) = &mut connections[slot] else { continue };
            let keep = (!writable || connection.write())
                && (!readable || connection.read(&mut scratch, &mut origin));
            if !keep {
                connections[slot] = None;
                free.push(slot);
            }
        }
    }
}

/// What is served: the pattern, and each answer made once.
struct Origin {
    pattern: Pattern,
    /// A line of every answer's head, or nothing.
    header: String,
    answers: HashMap<Vec<u8>, Rc<[u8]>>,
}

impl Origin {
    fn new(header: Option<&str>) -> Self {
        let header = header.map(|line| format!("{line}\r\n")).unwrap_or_default();
        Self { pattern: Pattern::new(), header, answers: HashMap::new() }
    }

    fn answer(&mut self, name: &[u8]) -> Rc<[u8]> {
        if let Some(known) = self.answers.get(name) {
            return Rc::clone(known);
        }
        let size = match name {
            b"small" => Some(12),
            b"1k" => Some(1024),
            b"64k" => Some(64 * 1024),
            b"1m" => Some(1024 * 1024),
            digits => crate::http::number(digits).filter(|&size| size <= 64 * 1024 * 1024),
        };
        let answer: Rc<[u8]> = match size {
            Some(size) => response("200 OK", &self.header, &self.pattern.body(size)).into(),
            None => response("404 Not Found", &self.header, b"no such size\n").into(),
        };
        self.answers.insert(name.to_owned(), Rc::clone(&answer));
        answer
    }
}

fn response(status: &str, header: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nserver: loadgen\r\ncontent-type: text/plain\r\n\
         {header}content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The last segment of the request's path, without its query.
fn last_segment(head: &[u8]) -> &[u8] {
    let target = head.split(|&b| b == b' ').nth(1).unwrap_or_default();
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    path.rsplit(|&b| b == b'/').next().unwrap_or_default()
}

struct Upload {
    got: usize,
    good: bool,
    left: Option<usize>,
    dechunker: Dechunker,
}

struct Connection {
    fd: OwnedFd,
    partial: Vec<u8>,
    upload: Option<Upload>,
    out: Option<(Rc<[u8]>, usize)>,
    close: bool,
}

impl Connection {
    fn new(fd: OwnedFd) -> Self {
        Self { fd, partial: Vec::new(), upload: None, out: None, close: false }
    }

    /// False: close the connection.
    fn read(&mut self, scratch: &mut [u8], origin: &mut Origin) -> bool {
        loop {
            let got = match net::recv(&self.fd, scratch) {
                Ok(Some(0)) | Err(_) => return false,
                Ok(Some(got)) => got,
                Ok(None) => return true,
            };
            let bytes = scratch.get(..got).unwrap_or_default();
            let keep = if self.partial.is_empty() {
                self.feed(bytes, origin)
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(bytes);
                self.feed(&whole, origin)
            };
            if !keep || got < scratch.len() {
                return keep;
            }
        }
    }

    fn feed(&mut self, mut bytes: &[u8], origin: &mut Origin) -> bool {
        while !bytes.is_empty() {
            if let Some(upload) = &mut self.upload {
                let Some((used, done)) = upload.feed(bytes, &origin.pattern) else { return false };
                bytes = bytes.get(used..).unwrap_or_default();
                if done {
                    let verdict = if upload.good { "ok" } else { "bad" };
                    let body = format!("{} {verdict}\n", upload.got);
                    self.upload = None;
                    if !self.reply(response("200 OK", &origin.header, body.as_bytes()).into()) {
                        return false;
                    }
                }
                continue;
            }
            let Some(end) = head_len(bytes) else {
                self.partial = bytes.to_vec();
                return true;
            };
            let (head, rest) = bytes.split_at(end);
            bytes = rest;
            self.close = says_close(head);
            let has_body = !head.starts_with(b"GET ");
            match if has_body { framing(head) } else { Some(Framing::None) } {
                Some(Framing::None | Framing::Length(0)) => {
                    if !self.reply(origin.answer(last_segment(head))) {
                        return false;
                    }
                }
                Some(Framing::Length(length)) => self.upload = Some(Upload::new(Some(length))),
                Some(Framing::Chunked) => self.upload = Some(Upload::new(None)),
                None => return false,
            }
        }
        true
    }

    /// Sends; what the socket does not take waits for it to become writable. A second answer before
    /// the first has left (a pipelining client) is not what this server is for: it closes.
    fn reply(&mut self, answer: Rc<[u8]>) -> bool {
        if self.out.is_some() {
            return false;
        }
        self.out = Some((answer, 0));
        self.write()
    }

    fn write(&mut self) -> bool {
        while let Some((bytes, sent)) = &mut self.out {
            match net::send(&self.fd, bytes.get(*sent..).unwrap_or_default()) {
                Ok(Some(count)) => *sent += count,
                Ok(None) => return true,
                Err(_) => return false,
            }
            if *sent == bytes.len() {
                self.out = None;
                return !self.close;
            }
        }
        true
    }
}

impl Upload {
    fn new(left: Option<usize>) -> Self {
        Self { got: 0, good: true, left, dechunker: Dechunker::default() }
    }

    /// (bytes used, body complete)
    fn feed(&mut self, bytes: &[u8], pattern: &Pattern) -> Option<(usize, bool)> {
        let (got, good) = (&mut self.got, &mut self.good);
        let mut check = |piece: &[u8]| {
            *good &= pattern.matches(*got, piece);
            *got += piece.len();
        };
        if let Some(left) = &mut self.left {
            let used = bytes.len().min(*left);
            check(bytes.get(..used)?);
            *left -= used;
            return Some((used, *left == 0));
        }
        let done = self.dechunker.feed(bytes, check).ok()?;
        Some((bytes.len(), done))
    }
}
