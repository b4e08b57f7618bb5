//! Requests over HTTP/2: so many streams at a time on each connection, every body checked.

use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;

use super::{connect, hold};
use crate::args::Args;
use crate::drive::{OPTIONS, Run};
use crate::pattern::Pattern;
use crate::tls::Tls;

pub struct Plan {
    uri: String,
    length: usize,
    streams: usize,
    pub tls: Option<Tls>,
    pattern: Pattern,
}

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let own = ["path", "expect-body", "streams", "ca"];
    let args = Args::parse(raw, &[&OPTIONS[..], &own].concat(), &["idle"])?;
    let run = Run::new(&args)?;
    let authority: Option<String> = args.get("ca")?;
    let tls = authority.map(|file| Tls::new(&file, "h2")).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let path: String = args.or("path", "/small".to_owned())?;
    let plan = Rc::new(Plan {
        uri: format!("{scheme}://{}{path}", run.target),
        length: args.or("expect-body", 12)?,
        streams: args.or("streams", 1)?,
        tls,
        pattern: Pattern::new(),
    });
    if args.flag("idle") {
        return hold::connections(&run, &plan);
    }
    run.drive(|run| connection(run, Rc::clone(&plan)))
}

async fn connection(run: Rc<Run>, plan: Rc<Plan>) {
    let send = match connect::h2(&run, plan.tls.as_ref()).await {
        Ok(send) => send,
        Err(reason) => return run.failed(reason),
    };
    let streams: Vec<_> = (0..plan.streams)
        .map(|_| {
            let (run, plan, mut send) = (Rc::clone(&run), Rc::clone(&plan), send.clone());
            tokio::task::spawn_local(async move {
                while let Some(exchange) = run.next() {
                    let result = request(&mut send, &plan).await;
                    let lost = result.is_err();
                    exchange.ended(result);
                    if lost {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(send);
    for stream in streams {
        if stream.await.is_err() {
            run.failed("a worker of the generator ended early");
        }
    }
}

/// (status, is the body what it must be)
pub async fn request(
    send: &mut SendRequest<Bytes>,
    plan: &Plan,
) -> Result<(u16, bool), &'static str> {
    std::future::poll_fn(|context| send.poll_ready(context)).await.map_err(|_| "not ready")?;
    let request = Request::get(&plan.uri)
        .header("user-agent", "loadgen")
        .header("accept", "*/*")
        .body(())
        .map_err(|_| "the request is not valid")?;
    let (response, _) = send.send_request(request, true).map_err(|_| "stream refused")?;
    let (head, mut body) = response.await.map_err(|_| "stream reset")?.into_parts();
    let (mut got, mut good) = (0, true);
    while let Some(piece) = data(&mut body).await? {
        good &= plan.pattern.matches(got, &piece);
        got += piece.len();
    }
    Ok((head.status.as_u16(), good && got == plan.length))
}

/// The next piece of a body, with its window given back.
pub async fn data(body: &mut RecvStream) -> Result<Option<Bytes>, &'static str> {
    let Some(piece) = body.data().await else { return Ok(None) };
    let piece = piece.map_err(|_| "stream reset")?;
    body.flow_control().release_capacity(piece.len()).map_err(|_| "window")?;
    Ok(Some(piece))
}
