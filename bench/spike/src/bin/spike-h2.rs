//! HTTP/2 by prior knowledge on the `h2` crate: heads, bodies and trailers are forwarded over two
//! connections to the origin, and nothing else is done.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tokio::net::{TcpListener, TcpStream};

/// As in the other spike, and in both products' defaults.
const STREAMS: u32 = 1024;
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
const UPSTREAMS: usize = 2;

type Upstream = SendRequest<Bytes>;

fn main() -> Result<(), Box<dyn Error>> {
    let (listen, upstream) = spike::addresses()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    Ok(runtime.block_on(serve(listen, upstream))?)
}

async fn serve(listen: SocketAddr, origin: SocketAddr) -> io::Result<()> {
    let mut upstreams = Vec::new();
    for _ in 0..UPSTREAMS {
        upstreams.push(connect(origin).await.map_err(io::Error::other)?);
    }
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(serve_client(socket, upstreams.clone()));
    }
}

async fn connect(origin: SocketAddr) -> Result<Upstream, Box<dyn Error + Send + Sync>> {
    let socket = TcpStream::connect(origin).await?;
    socket.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let (upstream, connection) = builder.handshake(socket).await?;
    tokio::spawn(connection);
    Ok(upstream)
}

async fn serve_client(socket: TcpStream, upstreams: Vec<Upstream>) {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    let mut turns = upstreams.iter().cycle();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let Some(upstream) = turns.next() else { return };
        tokio::spawn(exchange(request, respond, upstream.clone()));
    }
}

async fn exchange(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    upstream: Upstream,
) {
    if forward(request, &mut respond, upstream).await.is_err() {
        respond.send_reset(Reason::INTERNAL_ERROR);
    }
}

async fn forward(
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    upstream: Upstream,
) -> Result<(), h2::Error> {
    let (head, body) = request.into_parts();
    let is_all = body.is_end_stream();
    let mut upstream = upstream.ready().await?;
    let (response, up) = upstream.send_request(Request::from_parts(head, ()), is_all)?;
    let upload = async { if is_all { Ok(()) } else { forward_body(body, up).await } };
    let download = async {
        let (head, body) = response.await?.into_parts();
        let is_all = body.is_end_stream();
        let down = respond.send_response(http::Response::from_parts(head, ()), is_all)?;
        if is_all { Ok(()) } else { forward_body(body, down).await }
    };
    tokio::try_join!(upload, download).map(|_| ())
}

async fn forward_body(mut from: RecvStream, mut to: SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(chunk) = from.data().await {
        let chunk = chunk?;
        from.flow_control().release_capacity(chunk.len())?;
        let is_all = from.is_end_stream();
        to.send_data(chunk, is_all)?;
        if is_all {
            return Ok(());
        }
    }
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers),
        None => to.send_data(Bytes::new(), true),
    }
}
