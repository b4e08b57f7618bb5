//! Opens many keep-alive connections, sends one request on each, then holds them.

use std::io;

use super::client::{Client, Outcome};
use super::plan::Plan;
use crate::net::Poller;
use crate::tally::Tally;

const STDIN: u64 = u64::MAX;
/// Connections that are being opened at any time: few, so that the proxy's upstream pool stays small.
const WINDOW: usize = 16;

pub fn run(plan: &Plan, tally: &mut Tally) -> io::Result<()> {
    let mut poller = Poller::new()?;
    poller.add_level(io::stdin(), STDIN)?;
    let mut clients: Vec<Option<Client>> = Vec::with_capacity(plan.connections);
    let mut ready = Vec::new();
    let mut scratch = vec![0; 64 * 1024];
    let (mut finished, mut announced) = (0, false);
    loop {
        while clients.len() < plan.connections && clients.len() - finished < WINDOW {
            let mut client = Client::connect(plan)?;
            poller.add(client.fd(), clients.len() as u64)?;
            client.start(plan, 0, std::time::Instant::now());
            clients.push(Some(client));
        }
        if finished == plan.connections && !announced {
            println!("{}", tally.json());
            announced = true;
        }
        poller.wait(None, &mut ready)?;
        for &(token, readable, writable) in &ready {
            if token == STDIN {
                // Again, with what was lost meanwhile.
                println!("{}", tally.json());
                return Ok(());
            }
            let slot = &mut clients[token as usize];
            let Some(client) = slot else { continue };
            let mut outcome = if writable { client.write(plan) } else { Outcome::Pending };
            let started = client.started();
            if readable && matches!(outcome, Outcome::Pending) {
                outcome = client.read(plan, &mut scratch);
            }
            match outcome {
                Outcome::Pending => {}
                Outcome::Done(answer) => {
                    tally.answer(
                        answer.status,
                        answer.good,
                        started.map(|s| s.elapsed()).unwrap_or_default(),
                    );
                    finished += 1;
                }
                Outcome::Failed(reason) => {
                    finished += usize::from(client.busy());
                    tally.error(reason);
                    *slot = None;
                }
            }
        }
    }
}
