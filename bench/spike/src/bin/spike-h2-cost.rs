//! Prints what one request and its response cost in the `h2` crate, client and server together, in
//! memory: the exchange of `crates/proto/examples/h2_cost.rs`, header for header.

use std::error::Error;
use std::time::Instant;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderValue, Request, Response};

const REQUEST: &[(&str, &str)] = &[
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.60.1"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "gzip"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-for", "10.1.2.3"),
    ("x-envoy-expected-rq-timeout-ms", "15000"),
    ("x-tenant", "blue"),
    ("accept", "*/*"),
];

const RESPONSE: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("server", "envoy"),
    ("date", "Tue, 11 Jun 2024 10:00:00 GMT"),
    ("cache-control", "no-store"),
    ("x-envoy-upstream-service-time", "1"),
    ("vary", "accept-encoding"),
    ("x-frame-options", "deny"),
    ("x-content-type-options", "nosniff"),
    ("etag", "\"5f2a-61a9c3\""),
    ("x-tenant", "blue"),
    ("content-length", "100"),
];

const ROUNDS: usize = 200;
const EXCHANGES: usize = 500;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        for at_once in [1, 10, 100] {
            let ns = best(at_once).await?;
            println!("{at_once} at once: {ns:.0} ns per request and response, 100 bytes each way");
        }
        Ok(())
    })
}

/// The best of some rounds, in ns per exchange.
async fn best(at_once: usize) -> Result<f64, Failure> {
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(serve(far));
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(16 << 20)
        .initial_connection_window_size(24 << 20)
        .handshake::<_, Bytes>(near)
        .await?;
    tokio::spawn(connection);
    let mut best = f64::MAX;
    let mut ids = 0;
    let mut calls = Vec::with_capacity(at_once);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut done = 0;
        while done < EXCHANGES {
            for _ in 0..at_once {
                ids += 1;
                calls.push(open(&client, ids).await?);
            }
            for response in calls.drain(..) {
                drain(response.await?.into_body()).await?;
            }
            done += at_once;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / done as f64);
    }
    Ok(best)
}

async fn open(
    client: &SendRequest<Bytes>,
    id: u64,
) -> Result<h2::client::ResponseFuture, h2::Error> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() =
        http::Uri::from_static("http://cart.shop.svc.cluster.local:8080/shop.v1.Cart/Add");
    let headers = request.headers_mut();
    for (name, value) in REQUEST {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers.append("content-length", HeaderValue::from_static("100"));
    let id = format!("7b1f2c3d-4e5f-4a6b-8c7d-{id:012}");
    headers.append("x-request-id", HeaderValue::from_maybe_shared(id).map_err(|_| broken())?);
    let mut client = client.clone().ready().await?;
    let (response, mut body) = client.send_request(request, false)?;
    send_body(&mut body)?;
    Ok(response)
}

async fn serve(io: tokio::io::DuplexStream) -> Result<(), h2::Error> {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1024)
        .initial_window_size(16 << 20)
        .initial_connection_window_size(24 << 20)
        .handshake::<_, Bytes>(io)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(answer(request, respond));
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    drain(request.into_body()).await?;
    let mut response = Response::new(());
    for (name, value) in RESPONSE {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    send_body(&mut respond.send_response(response, false)?)
}

fn send_body(body: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    body.send_data(Bytes::from_static(&[b'x'; 100]), true)
}

async fn drain(mut body: RecvStream) -> Result<(), h2::Error> {
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
    }
    Ok(())
}

fn broken() -> h2::Error {
    h2::Error::from(h2::Reason::INTERNAL_ERROR)
}
