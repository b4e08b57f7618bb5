//! `tunneling_config`: the bytes go as the body of an HTTP CONNECT (or POST), over a connection of
//! HTTP/1.1 that is this tunnel's, or over a stream of HTTP/2 (`stream`).
//!
//! Nothing that the client sends goes on before the host has answered 2xx; anything else is an
//! attempt that failed.

use model::resources::cluster::UpstreamProtocol;
use model::resources::header_mutation::{AppendAction, HeaderAdd};
use model::resources::tcp_proxy::Tunneling;
use proto::h1::{
    BodyDecoder, BodyEvent, BodyLength, BodyLimits, CRLF, HeadLimits, HeadReader, Method,
    RequestHead, ResponseHead, write_chunk_size, write_request_head,
};

use super::end::{By, count_destroyed};
use super::log::context;
use super::relay::Framing;
use super::{Side, Stage, Tunnel};
use crate::http::failure::Failure;
use crate::net::io::{Input, Scratch};
use crate::net::out_buffer::Gone;
use crate::telemetry::format;
use crate::telemetry::stats::ClusterCounter;
use crate::worker::Worker;

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    method: Method,
    reader: HeadReader,
    inbuf: Vec<u8>,
    response: ResponseHead,
    /// Bytes of the heads that were read.
    head_bytes: u64,
}

/// What the host said.
enum Answer {
    Nothing,
    Yes,
    /// With this status.
    No(u16),
    /// It is gone, or talks nonsense.
    Gone,
}

impl Worker {
    /// The host is there: it is asked for a tunnel. `first`: what it has said already.
    pub(super) fn ask_host(&mut self, mut t: Box<Tunnel>, first: &[u8]) {
        let Some(server) = &t.server else {
            return self.tunnels.put(t.key, t);
        };
        let alpn = server.side.io.tls_info().and_then(|i| i.alpn.as_deref());
        let speaks_h2 = match server.host.pool.kind.protocol {
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Alpn => alpn == Some(b"h2"),
            UpstreamProtocol::Http1 | UpstreamProtocol::Downstream => false,
        };
        if speaks_h2 {
            return self.become_stream(t, first);
        }
        self.host_is_there(&mut t, Stage::Asking);
        let head = self.tunnel_request(&t);
        let Some(server) = &mut t.server else {
            return self.tunnels.put(t.key, t);
        };
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let sent = write_request_head(&mut out, &head, head.body)
            && server.side.io.write(&out, b"").is_ok();
        let stats = server.cluster.stats();
        stats.inc(ClusterCounter::UpstreamCxHttp1Total);
        stats.add(ClusterCounter::UpstreamCxTxBytesTotal, out.len() as u64);
        self.out = out;
        server.asked = Some(Box::new(Asked {
            method: head.kind,
            reader: HeadReader::new(),
            inbuf: first.to_vec(),
            response: ResponseHead::new(),
            head_bytes: 0,
        }));
        if !sent {
            t.note_failure(Failure::UpstreamClosed, None);
            return self.tunnel_refused(t);
        }
        self.tunnels.put(t.key, t);
    }

    /// The request for a tunnel.
    pub(super) fn tunnel_request(&self, t: &Tunnel) -> RequestHead {
        let mut head = RequestHead::new();
        let Some(tunneling) = &t.tcp.config.tunneling else {
            return head;
        };
        let info = self.describe_tunnel(t);
        let render = |format: &model::format::Format, head: &RequestHead| {
            let mut text = Vec::new();
            format::render(format, &context(head, &info), &mut text);
            text
        };
        // What these refuse is missed when the head is written.
        head.set_method(if tunneling.use_post {
            b"POST"
        } else {
            b"CONNECT"
        });
        if tunneling.use_post {
            head.set_path(tunneling.post_path.as_bytes());
            head.body = BodyLength::Chunked;
        }
        let hostname = render(&tunneling.hostname, &head);
        head.set_authority(&hostname);
        add_headers(&mut head, tunneling, render);
        head
    }

    /// Reads the answer of a host that was asked over HTTP/1.1.
    pub(super) fn read_answer(&mut self, mut t: Box<Tunnel>) {
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let answer = listen(&mut t, &mut scratch);
        self.scratch = scratch;
        if let Some(server) = &mut t.server
            && let Some(asked) = &mut server.asked
        {
            let bytes = std::mem::take(&mut asked.head_bytes);
            let stats = server.cluster.stats();
            stats.add(ClusterCounter::UpstreamCxRxBytesTotal, bytes);
        }
        match answer {
            Answer::Nothing => self.tunnels.put(t.key, t),
            Answer::Gone => {
                t.note_failure(Failure::UpstreamClosed, None);
                self.tunnel_refused(t);
            }
            Answer::No(status) => {
                keep_answer(&mut t);
                t.note_refusal(status);
                self.tunnel_refused(t);
            }
            Answer::Yes => {
                keep_answer(&mut t);
                let Some(server) = &mut t.server else {
                    return self.tunnels.put(t.key, t);
                };
                server.stage = Stage::Open;
                let Some(asked) = server.asked.take() else {
                    return self.tunnels.put(t.key, t);
                };
                if asked.method != Method::Connect {
                    t.up.framing = Framing::Chunks;
                    let decoder = BodyDecoder::new(asked.response.body);
                    t.down.framing = Framing::Body(Box::new(decoder));
                }
                self.begin_relay(t, &asked.inbuf);
            }
        }
    }

    /// The host does not give a tunnel, which was noted.
    pub(super) fn tunnel_refused(&mut self, mut t: Box<Tunnel>) {
        if let Some(mut server) = t.server.take() {
            server.host.note_tunnel_failure(Failure::UpstreamClosed);
            server.side.io.say_goodbye();
            count_destroyed(&server, By::Us, true);
            self.count_server_closed(&server);
        }
        self.try_again(t);
    }
}

fn keep_answer(t: &mut Tunnel) {
    let asked = t.server.as_mut().and_then(|server| server.asked.take());
    if let Some(asked) = asked {
        t.keep_answer(asked.response.status, &asked.response.headers);
        if let Some(server) = &mut t.server {
            server.asked = Some(asked);
        }
    }
}

/// Reads up to the end of the answer's head.
fn listen(t: &mut Tunnel, scratch: &mut Scratch) -> Answer {
    let Some(server) = &mut t.server else {
        return Answer::Nothing;
    };
    let Some(asked) = &mut server.asked else {
        return Answer::Gone;
    };
    let http = server.cluster.config.borrow().http.clone();
    let limits = HeadLimits {
        max_head_bytes: http.max_response_headers_bytes,
        max_headers: http.max_headers_count,
        ..HeadLimits::default()
    };
    let side = &mut server.side;
    loop {
        match asked.read(&limits) {
            Answer::Nothing if side.readable => {}
            answer => return answer,
        }
        match side.io.read_at_most(limits.max_head_bytes, scratch) {
            Input::Data { bytes, drained } => {
                if drained && !side.hung_up {
                    side.readable = false;
                }
                asked.inbuf.extend_from_slice(bytes);
            }
            Input::Interrupted => {}
            Input::Empty => side.readable = false,
            Input::Eof | Input::Broken => return Answer::Gone,
        }
    }
}

impl Asked {
    fn read(&mut self, limits: &HeadLimits) -> Answer {
        loop {
            let Self { reader, inbuf, .. } = self;
            match reader.read_response(inbuf, limits, self.method, &mut self.response) {
                Ok(None) => return Answer::Nothing,
                Ok(Some(n)) => {
                    self.inbuf.drain(..n);
                    self.head_bytes = self.head_bytes.saturating_add(n as u64);
                    match self.response.status {
                        200..300 => return Answer::Yes,
                        100..200 if !self.response.switching => self.response.clear(),
                        status => return Answer::No(status),
                    }
                }
                Err(_) => return Answer::Gone,
            }
        }
    }
}

fn add_headers(
    head: &mut RequestHead,
    tunneling: &Tunneling,
    render: impl Fn(&model::format::Format, &RequestHead) -> Vec<u8>,
) {
    for add in &tunneling.headers {
        let value = render(&add.value, head);
        if !value.is_empty() || add.keep_empty_value {
            add_header(head, add, &value);
        }
    }
}

fn add_header(head: &mut RequestHead, add: &HeaderAdd, value: &[u8]) {
    let name = add.name.text.as_bytes();
    if matches!(name, b":authority" | b"host") {
        head.set_authority(value);
        return;
    }
    let is_there = head.headers.get_name(name).is_some();
    match add.action {
        AppendAction::AppendIfExistsOrAdd => {
            head.headers.push(name, value);
        }
        AppendAction::OverwriteIfExistsOrAdd => {
            head.headers.set_name(name, value);
        }
        AppendAction::AddIfAbsent if !is_there => {
            head.headers.push(name, value);
        }
        AppendAction::OverwriteIfExists if is_there => {
            head.headers.set_name(name, value);
        }
        AppendAction::AddIfAbsent | AppendAction::OverwriteIfExists => {}
    }
}

/// Sends bytes as a chunk, in one write: there are receivers that wait for all of a chunk. Returns
/// the size of the chunk.
pub(super) fn send_chunk(to: &mut Side, bytes: &[u8]) -> Result<u64, Gone> {
    let mut chunk = Vec::with_capacity(bytes.len().saturating_add(20));
    write_chunk_size(&mut chunk, bytes.len() as u64);
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(CRLF);
    to.io.write(&chunk, b"")?;
    Ok(chunk.len() as u64)
}

/// What the body of an answer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unframed {
    More,
    End,
    Faulty,
    Gone,
}

/// Hands the data in a part of the answer's body on, and counts it in `written`.
pub(super) fn unframe(
    decoder: &mut BodyDecoder,
    mut bytes: &[u8],
    to: &mut Side,
    written: &mut u64,
) -> Unframed {
    loop {
        let Ok((n, event)) = decoder.next(bytes, None, &BodyLimits::default()) else {
            return Unframed::Faulty;
        };
        match event {
            BodyEvent::Data { start, len } => {
                let data = bytes.get(start..start.saturating_add(len));
                let data = data.unwrap_or_default();
                if to.io.write(data, b"").is_err() {
                    return Unframed::Gone;
                }
                *written = written.saturating_add(len as u64);
            }
            BodyEvent::Trailers => {}
            BodyEvent::End => return Unframed::End,
            BodyEvent::NeedMore => return Unframed::More,
        }
        bytes = bytes.get(n..).unwrap_or_default();
        if decoder.is_done() {
            return Unframed::End;
        }
    }
}
