//! Opens connections for the loads on tokio: TCP, TLS over it, HTTP/2 over either.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::drive::Run;
use crate::tls::Tls;
use crate::windows::{CONNECTION_WINDOW, DATA_FRAMES, STREAM_WINDOW};

pub async fn tcp(target: SocketAddr) -> Result<TcpStream, &'static str> {
    let socket = TcpStream::connect(target).await.map_err(|_| "refused")?;
    socket.set_nodelay(true).map_err(|_| "refused")?;
    Ok(socket)
}

/// A connection whose handshake is over, and was what we asked for.
pub async fn tls(target: SocketAddr, tls: &Tls) -> Result<TlsStream<TcpStream>, &'static str> {
    let socket = tcp(target).await?;
    let connector = TlsConnector::from(tls.config());
    let stream = connector.connect(tls.name(), socket).await.map_err(|_| "TLS handshake")?;
    if tls.agreed(stream.get_ref().1) {
        Ok(stream)
    } else {
        Err("ALPN: the peer took another protocol")
    }
}

/// An HTTP/2 connection, by prior knowledge or by ALPN. It is an error of the run if it ends before
/// its last handle is dropped.
pub async fn h2(run: &Rc<Run>, over: Option<&Tls>) -> Result<SendRequest<Bytes>, &'static str> {
    match over {
        None => start(run, tcp(run.target).await?).await,
        Some(config) => start(run, tls(run.target, config).await?).await,
    }
}

async fn start<S>(run: &Rc<Run>, socket: S) -> Result<SendRequest<Bytes>, &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAMES)
        .enable_push(false)
        .handshake(socket)
        .await
        .map_err(|_| "HTTP/2 preface")?;
    let run = Rc::clone(run);
    tokio::task::spawn_local(async move {
        if connection.await.is_err() {
            run.failed("HTTP/2 connection lost");
        }
    });
    Ok(send)
}
