//! gRPC calls over HTTP/2: unary ones, or streams on which message and echo take turns. Every byte of
//! an echo is checked, and that a call ends with `grpc-status: 0` in its trailers.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;

use super::connect;
use super::h2::data;
use crate::args::Args;
use crate::drive::{OPTIONS, Run};
use crate::pattern::Pattern;

const NO_TRAILERS: &str = "no trailers";
const BAD_STATUS: &str = "grpc-status is not 0";

struct Plan {
    uri: String,
    /// A message with the five bytes before it: not compressed, its length.
    framed: Bytes,
    streams: usize,
    /// Messages of a streaming call; `None`: unary calls.
    messages: Option<u32>,
}

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let own = ["message-size", "streams", "messages"];
    let args = Args::parse(raw, &[&OPTIONS[..], &own].concat(), &[])?;
    let run = Run::new(&args)?;
    let messages = args.get("messages")?;
    let method = if messages.is_some() { "Stream" } else { "Unary" };
    let plan = Rc::new(Plan {
        uri: format!("http://{}/bench.Echo/{method}", run.target),
        framed: framed(args.or("message-size", 128)?)?,
        streams: args.or("streams", 1)?,
        messages,
    });
    run.drive(|run| connection(run, Rc::clone(&plan)))
}

fn framed(size: u32) -> Result<Bytes, String> {
    let length = usize::try_from(size).map_err(|error| error.to_string())?;
    let mut bytes = BytesMut::with_capacity(length + 5);
    bytes.extend_from_slice(&[0]);
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(&Pattern::new().body(length));
    Ok(bytes.freeze())
}

async fn connection(run: Rc<Run>, plan: Rc<Plan>) {
    let send = match connect::h2(&run, None).await {
        Ok(send) => send,
        Err(reason) => return run.failed(reason),
    };
    let streams: Vec<_> = (0..plan.streams)
        .map(|_| tokio::task::spawn_local(calls(Rc::clone(&run), Rc::clone(&plan), send.clone())))
        .collect();
    drop(send);
    for stream in streams {
        if stream.await.is_err() {
            run.failed("a worker of the generator ended early");
        }
    }
}

async fn calls(run: Rc<Run>, plan: Rc<Plan>, mut send: SendRequest<Bytes>) {
    loop {
        let lost = match plan.messages {
            None => {
                let Some(exchange) = run.next() else { return };
                let result = unary(&mut send, &plan).await;
                let lost = result.is_err();
                exchange.ended(result);
                lost
            }
            Some(messages) => match stream(&run, &mut send, &plan, messages).await {
                Ok(true) => false,
                Ok(false) => return,
                Err(reason) => {
                    run.failed(reason);
                    true
                }
            },
        };
        if lost {
            return;
        }
    }
}

async fn unary(send: &mut SendRequest<Bytes>, plan: &Plan) -> Result<(u16, bool), &'static str> {
    let (response, mut body) = call(send, plan).await?;
    body.send_data(plan.framed.clone(), true).map_err(|_| "stream reset")?;
    let (status, mut body) = head(response).await?;
    let good = echo(&mut body, &plan.framed).await?;
    finish(body).await?;
    Ok((status, good))
}

/// A call of so many messages, each an exchange of its own. False: time to stop.
async fn stream(
    run: &Rc<Run>,
    send: &mut SendRequest<Bytes>,
    plan: &Plan,
    messages: u32,
) -> Result<bool, &'static str> {
    let Some(mut exchange) = run.next() else { return Ok(false) };
    let (response, mut out) = call(send, plan).await?;
    out.send_data(plan.framed.clone(), false).map_err(|_| "stream reset")?;
    let (status, mut body) = head(response).await?;
    let mut stopped = false;
    for turn in 1..=messages {
        let good = echo(&mut body, &plan.framed).await?;
        exchange.answered(status, good);
        let next = if turn < messages { run.next() } else { break };
        let Some(next) = next else {
            stopped = true;
            break;
        };
        exchange = next;
        out.send_data(plan.framed.clone(), false).map_err(|_| "stream reset")?;
    }
    out.send_data(Bytes::new(), true).map_err(|_| "stream reset")?;
    finish(body).await?;
    Ok(!stopped)
}

async fn call(
    send: &mut SendRequest<Bytes>,
    plan: &Plan,
) -> Result<(ResponseFuture, SendStream<Bytes>), &'static str> {
    std::future::poll_fn(|context| send.poll_ready(context)).await.map_err(|_| "not ready")?;
    let request = Request::post(&plan.uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "loadgen")
        .body(())
        .map_err(|_| "the request is not valid")?;
    send.send_request(request, false).map_err(|_| "stream refused")
}

async fn head(response: ResponseFuture) -> Result<(u16, RecvStream), &'static str> {
    let (head, body) = response.await.map_err(|_| "stream reset")?.into_parts();
    if head.headers.get("content-type").is_none_or(|value| value != "application/grpc") {
        return Err("content-type is not application/grpc");
    }
    Ok((head.status.as_u16(), body))
}

/// Reads as many bytes as one message has; are they the message?
async fn echo(body: &mut RecvStream, framed: &Bytes) -> Result<bool, &'static str> {
    let mut got = 0;
    let mut good = true;
    while got < framed.len() {
        let piece = data(body).await?.ok_or("ended before the message")?;
        good &= framed.get(got..got + piece.len()) == Some(&piece);
        got += piece.len();
    }
    Ok(good)
}

/// Nothing more but the trailers.
async fn finish(mut body: RecvStream) -> Result<(), &'static str> {
    while let Some(piece) = data(&mut body).await? {
        if !piece.is_empty() {
            return Err("more than one message");
        }
    }
    let trailers = body.trailers().await.map_err(|_| "stream reset")?.ok_or(NO_TRAILERS)?;
    if trailers.get("grpc-status").is_some_and(|status| status == "0") {
        Ok(())
    } else {
        Err(BAD_STATUS)
    }
}
