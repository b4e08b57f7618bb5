//! Bytes over plain TCP: transfers of the pattern, either way, or a connection for each of them.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect;
use crate::args::Args;
use crate::drive::{OPTIONS, Run};
use crate::pattern::Pattern;
use crate::transfer::{self, Transfer, Way};

struct Plan {
    transfer: Transfer,
    fresh: bool,
    pattern: Pattern,
}

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let own = ["size"];
    let flags = ["up", "new-connection-per-request"];
    let args = Args::parse(raw, &[&OPTIONS[..], &own].concat(), &flags)?;
    let run = Run::new(&args)?;
    let way = if args.flag("up") { Way::Up } else { Way::Down };
    let plan = Rc::new(Plan {
        transfer: Transfer { way, size: args.or("size", 1 << 20)? },
        fresh: args.flag("new-connection-per-request"),
        pattern: Pattern::new(),
    });
    run.drive(|run| worker(run, Rc::clone(&plan)))
}

async fn worker(run: Rc<Run>, plan: Rc<Plan>) {
    let mut buffer = vec![0; transfer::BUFFER];
    let mut kept = None;
    while let Some(exchange) = run.next() {
        match one(&run, &plan, kept.take(), &mut buffer).await {
            Ok((good, socket)) => {
                kept = socket;
                exchange.answered(200, good);
            }
            Err(reason) => exchange.failed(reason),
        }
    }
}

/// One transfer, on the kept connection if there is one; gives the connection back if it is kept.
async fn one(
    run: &Run,
    plan: &Plan,
    kept: Option<TcpStream>,
    buffer: &mut [u8],
) -> Result<(bool, Option<TcpStream>), &'static str> {
    let mut socket = match kept {
        Some(socket) => socket,
        None => connect::tcp(run.target).await?,
    };
    socket.write_all(&plan.transfer.request()).await.map_err(|_| "closed while sending")?;
    let good = match plan.transfer.way {
        Way::Down => {
            transfer::receive(&mut socket, &plan.pattern, plan.transfer.size, buffer).await
        }
        Way::Up => {
            transfer::send(&mut socket, &plan.pattern, plan.transfer.size)
                .await
                .map_err(|_| "closed while sending")?;
            socket.read_u8().await.map(|verdict| verdict == transfer::GOOD)
        }
    };
    let good = good.map_err(|_| "closed before the answer")?;
    if !plan.fresh {
        return Ok((good, Some(socket)));
    }
    // The close goes all the way through the proxy and comes back.
    socket.shutdown().await.map_err(|_| "reset")?;
    match socket.read(buffer).await {
        Ok(0) => Ok((good, None)),
        Ok(_) => Err("more than was asked for"),
        Err(_) => Err("reset"),
    }
}
