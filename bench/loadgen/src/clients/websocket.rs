//! WebSocket messages that come back: each connection opens, then sends one masked message after the
//! other and checks every byte of its echo, and closes as RFC 6455 says.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::connect;
use crate::args::Args;
use crate::drive::{OPTIONS, Run};
use crate::http::{header, status};
use crate::pattern::Pattern;
use crate::websocket::{BINARY, CLOSE, Reader, accept, write};

/// Status code 1000, "normal closure".
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
const STRIDE: u32 = 0x9E37_79B9;

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let args = Args::parse(raw, &[&OPTIONS[..], &["size"]].concat(), &[])?;
    let run = Run::new(&args)?;
    let message: Rc<[u8]> = Pattern::new().body(args.or("size", 125)?).into();
    run.drive(|run| worker(run, Rc::clone(&message)))
}

async fn worker(run: Rc<Run>, message: Rc<[u8]>) {
    let mut client = match Client::open(&run).await {
        Ok(client) => client,
        Err(reason) => return run.failed(reason),
    };
    while let Some(exchange) = run.next() {
        match client.echo(&message).await {
            Ok(good) => exchange.answered(200, good),
            Err(reason) => return exchange.failed(reason),
        }
    }
    if let Err(reason) = client.close().await {
        run.failed(reason);
    }
}

struct Client {
    socket: TcpStream,
    reader: Reader,
    mask: u32,
    scratch: Vec<u8>,
}

impl Client {
    async fn open(run: &Run) -> Result<Self, &'static str> {
        let mut socket = connect::tcp(run.target).await?;
        let mut reader = Reader::new();
        let key = STANDARD.encode(b"bench loadgen 16");
        let request = format!(
            "GET /echo HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n",
            run.target
        );
        socket.write_all(request.as_bytes()).await.map_err(|_| "reset")?;
        let head = reader.head(&mut socket).await.map_err(|_| "reset")?;
        let head = head.ok_or("closed before the answer")?;
        if status(&head) != Some(101) {
            return Err("not upgraded");
        }
        if header(&head, b"sec-websocket-accept") != Some(accept(key.as_bytes()).as_bytes()) {
            return Err("wrong Sec-WebSocket-Accept");
        }
        Ok(Self { socket, reader, mask: STRIDE, scratch: Vec::new() })
    }

    /// Did it come back as it was?
    async fn echo(&mut self, message: &[u8]) -> Result<bool, &'static str> {
        self.send(BINARY, message).await?;
        let frame = self.reader.frame(&mut self.socket, false).await.map_err(|_| "bad frame")?;
        let frame = frame.ok_or("closed before the answer")?;
        Ok(frame.opcode == BINARY && frame.payload == message)
    }

    async fn close(mut self) -> Result<(), &'static str> {
        self.send(CLOSE, &NORMAL).await?;
        let frame = self.reader.frame(&mut self.socket, false).await.map_err(|_| "bad frame")?;
        match frame {
            Some(frame) if frame.opcode == CLOSE && frame.payload == NORMAL => {}
            _ => return Err("no close frame came back"),
        }
        match self.reader.frame(&mut self.socket, false).await {
            Ok(None) => Ok(()),
            _ => Err("not closed after the close frame"),
        }
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), &'static str> {
        self.mask = self.mask.wrapping_add(STRIDE);
        let mask = Some(self.mask.to_be_bytes());
        write(&mut self.socket, &mut self.scratch, opcode, payload, mask)
            .await
            .map_err(|_| "reset while sending")
    }
}
