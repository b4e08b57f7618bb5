//! The origin servers that are not plain HTTP/1.1: HTTP/2 with gRPC, TCP, WebSocket. One thread.

mod h2;
mod tcp;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::args::Args;
use crate::drive::on_this_thread;
use crate::pattern::Pattern;

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const BACKLOG: u32 = 4096;

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    Args::parse(raw, &[], &[])?;
    on_this_thread(serve())?.map_err(|error| format!("origins: {error}"))
}

async fn serve() -> std::io::Result<()> {
    let (h2, tcp, websocket) = (listen()?, listen()?, listen()?);
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    println!(
        "{{\"h2\": {}, \"tcp\": {}, \"websocket\": {}}}",
        port(&h2)?,
        port(&tcp)?,
        port(&websocket)?
    );
    let pattern = Rc::new(Pattern::new());
    let answers = Rc::new(h2::Answers::new(&pattern));
    tokio::task::spawn_local(accept(h2, move |socket| h2::connection(socket, Rc::clone(&answers))));
    tokio::task::spawn_local(accept(websocket, websocket::connection));
    accept(tcp, move |socket| tcp::connection(socket, Rc::clone(&pattern))).await;
    Ok(())
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(ANY_PORT))?;
    socket.listen(BACKLOG)
}

/// Serves each connection in a task of its own. One that fails is the client's to report.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + 'static,
{
    loop {
        if let Ok((socket, _)) = listener.accept().await
            && socket.set_nodelay(true).is_ok()
        {
            tokio::task::spawn_local(serve(socket));
        }
    }
}
