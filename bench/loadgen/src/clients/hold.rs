//! Opens many HTTP/2 connections, sends one request on each, then holds them until stdin closes.

use std::io::Read;
use std::rc::Rc;

use tokio::sync::Semaphore;

use super::connect;
use super::h2::{Plan, request};
use crate::drive::{Run, on_this_thread};

/// Connections that are being opened at any time: few, so that the proxy's upstream pool stays small.
const WINDOW: usize = 16;

/// Prints the result once all are open, and again at the end, with what was lost meanwhile.
pub fn connections(run: &Rc<Run>, plan: &Rc<Plan>) -> Result<(), String> {
    on_this_thread(async {
        let window = Rc::new(Semaphore::new(WINDOW));
        let opening: Vec<_> = (0..run.connections)
            .map(|_| {
                let (run, plan, window) = (Rc::clone(run), Rc::clone(plan), Rc::clone(&window));
                tokio::task::spawn_local(async move {
                    let _turn = window.acquire().await;
                    open(&run, &plan).await
                })
            })
            .collect();
        let mut held = Vec::with_capacity(run.connections);
        for one in opening {
            held.push(one.await.ok().flatten());
        }
        println!("{}", run.report());
        let stdin = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let closed = stdin.await.map_err(|error| error.to_string())?;
        println!("{}", run.report());
        closed.map(drop).map_err(|error| error.to_string())
    })?
}

async fn open(run: &Rc<Run>, plan: &Plan) -> Option<h2::client::SendRequest<bytes::Bytes>> {
    let exchange = run.one();
    let mut send = match connect::h2(run, plan.tls.as_ref()).await {
        Ok(send) => send,
        Err(reason) => {
            exchange.failed(reason);
            return None;
        }
    };
    exchange.ended(request(&mut send, plan).await);
    Some(send)
}
