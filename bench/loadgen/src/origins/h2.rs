//! HTTP/2 by prior knowledge: the pattern for GET, an echo with trailers for gRPC calls.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpStream;

use crate::pattern::Pattern;
use crate::windows::{CONNECTION_WINDOW, DATA_FRAMES, STREAM_WINDOW};

const MAX_STREAMS: u32 = 1024;

/// The bodies there are, by the last segment of the path.
pub struct Answers([(&'static str, Bytes); 4]);

impl Answers {
    pub fn new(pattern: &Pattern) -> Self {
        let sizes = [("small", 12), ("1k", 1024), ("64k", 64 * 1024), ("1m", 1024 * 1024)];
        Self(sizes.map(|(name, size)| (name, pattern.body(size).into())))
    }

    fn find(&self, path: &str) -> Option<Bytes> {
        let name = path.rsplit('/').next()?;
        self.0.iter().find(|(known, _)| *known == name).map(|(_, body)| body.clone())
    }
}

pub async fn connection(socket: TcpStream, answers: Rc<Answers>) -> io::Result<()> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAMES)
        .max_concurrent_streams(MAX_STREAMS)
        .handshake(socket)
        .await
        .map_err(io::Error::other)?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request.map_err(io::Error::other)?;
        // In a task, so that the answers to what came together leave together. What breaks off is
        // the client's to report.
        if is_grpc(&request) {
            tokio::task::spawn_local(echo(request, respond));
        } else {
            tokio::task::spawn_local(answer(request, respond, Rc::clone(&answers)));
        }
    }
    Ok(())
}

fn is_grpc(request: &Request<RecvStream>) -> bool {
    request.headers().get("content-type").is_some_and(|value| value == "application/grpc")
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    answers: Rc<Answers>,
) -> Result<(), h2::Error> {
    let found = answers.find(request.uri().path());
    let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let body = found.unwrap_or_default();
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("server", HeaderValue::from_static("loadgen"));
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    respond.send_response(response, false)?.send_data(body, true)
}

/// Sends back what comes, as it comes, then `grpc-status: 0`.
async fn echo(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut response = Response::new(());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut out = respond.send_response(response, false)?;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        // The half-close of a client is an empty one.
        if !piece.is_empty() {
            out.send_data(piece, false)?;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    out.send_trailers(trailers)
}
