//! TLS handshakes, one after the other: connect, handshake, close, wait for the other side to close.
//! The server's close comes after it has checked our Finished; a server that did not like it sends
//! an alert instead, which counts as an error.

use std::io::ErrorKind;
use std::rc::Rc;

use rustls::HandshakeKind;
use rustls::client::Resumption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect;
use crate::args::Args;
use crate::drive::{OPTIONS, Run};
use crate::tls::Tls;

const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nhost: bench.test\r\nconnection: close\r\n\r\n";

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let args = Args::parse(raw, &[&OPTIONS[..], &["ca"]].concat(), &["resumed"])?;
    let run = Run::new(&args)?;
    let authority: String = args.get("ca")?.ok_or("--ca is required")?;
    let resumed = args.flag("resumed");
    let configs: Vec<Tls> = (0..run.connections)
        .map(|_| {
            let store =
                if resumed { Resumption::in_memory_sessions(1) } else { Resumption::disabled() };
            Tls::resuming(&authority, "http/1.1", store)
        })
        .collect::<Result<_, _>>()?;
    let turn = std::cell::Cell::new(0);
    run.drive(|run| {
        let tls = configs.get(turn.replace(turn.get() + 1)).cloned();
        worker(run, tls, resumed)
    })
}

async fn worker(run: Rc<Run>, tls: Option<Tls>, resumed: bool) {
    let Some(tls) = tls else { return };
    if resumed && let Err(reason) = obtain_ticket(&run, &tls).await {
        return run.failed(reason);
    }
    while let Some(exchange) = run.next() {
        exchange.ended(handshake(&run, &tls, resumed).await.map(|good| (200, good)));
    }
}

/// Was the handshake of the kind that was asked for?
async fn handshake(run: &Run, tls: &Tls, resumed: bool) -> Result<bool, &'static str> {
    let mut stream = connect::tls(run.target, tls).await?;
    let kind = stream.get_ref().1.handshake_kind();
    stream.shutdown().await.map_err(|_| "closed early")?;
    // New tickets, for the next handshake of this worker, come in before the close.
    match stream.read(&mut [0; 64]).await {
        Ok(0) => {}
        Ok(_) => return Err("answer without a request"),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(_) => return Err("TLS alert"),
    }
    Ok(kind == Some(if resumed { HandshakeKind::Resumed } else { HandshakeKind::Full }))
}

/// One request over a full handshake.
async fn obtain_ticket(run: &Run, tls: &Tls) -> Result<(), &'static str> {
    let mut stream = connect::tls(run.target, tls).await?;
    stream.write_all(REQUEST).await.map_err(|_| "closed early")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|_| "reset")?;
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("no answer") }
}
