//! Closed loop on tokio, one thread: each worker does one exchange after the other until the time is
//! up. What cannot be a line of epoll (HTTP/2, WebSocket, TCP streams, handshakes) is driven by it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::args::Args;
use crate::tally::Tally;

/// Options that every command on this file has.
pub const OPTIONS: [&str; 4] = ["target", "connections", "duration", "requests"];
/// How long unanswered exchanges are waited for at the end.
const GRACE: Duration = Duration::from_secs(3);
/// A target this broken is not worth more of anybody's time.
const FAILURES_TO_GIVE_UP: u64 = 1000;

/// One run of a load: when it ends, and what came of it.
pub struct Run {
    pub target: SocketAddr,
    pub connections: usize,
    duration: Duration,
    end: Cell<Instant>,
    left: Cell<u64>,
    in_flight: Cell<u64>,
    tally: RefCell<Tally>,
}

/// An exchange under way. Dropped without a word about it, it counts as unfinished.
pub struct Exchange {
    run: Rc<Run>,
    began: Instant,
}

impl Run {
    pub fn new(args: &Args) -> Result<Rc<Self>, String> {
        let duration = Duration::try_from_secs_f64(args.or("duration", 5.0)?);
        Ok(Rc::new(Self {
            target: args.get("target")?.ok_or("--target is required")?,
            connections: args.or("connections", 16)?,
            duration: duration.map_err(|error| error.to_string())?,
            end: Cell::new(Instant::now()),
            left: Cell::new(args.or("requests", u64::MAX)?),
            in_flight: Cell::new(0),
            tally: RefCell::new(Tally::new()?),
        }))
    }

    /// Runs a worker for each connection, to the end, and prints the result.
    pub fn drive<W, F>(self: &Rc<Self>, worker: W) -> Result<(), String>
    where
        W: Fn(Rc<Self>) -> F,
        F: Future<Output = ()> + 'static,
    {
        on_this_thread(async {
            self.end.set(Instant::now() + self.duration);
            let workers: Vec<_> = (0..self.connections)
                .map(|_| tokio::task::spawn_local(worker(Rc::clone(self))))
                .collect();
            let all = async {
                for worker in workers {
                    if worker.await.is_err() {
                        self.failed("a worker of the generator ended early");
                    }
                }
            };
            // What has not come by then is unfinished.
            let _ = tokio::time::timeout(self.duration + GRACE, all).await;
        })?;
        println!("{}", self.report());
        Ok(())
    }

    /// The next exchange; `None` once it is time to stop.
    pub fn next(self: &Rc<Self>) -> Option<Exchange> {
        let began = Instant::now();
        let left = self.left.get().checked_sub(1)?;
        if began >= self.end.get() || self.tally.borrow().failures() >= FAILURES_TO_GIVE_UP {
            return None;
        }
        self.left.set(left);
        Some(self.one())
    }

    /// An exchange whatever the time.
    pub fn one(self: &Rc<Self>) -> Exchange {
        self.in_flight.set(self.in_flight.get() + 1);
        Exchange { run: Rc::clone(self), began: Instant::now() }
    }

    /// What went wrong outside any exchange.
    pub fn failed(&self, reason: &'static str) {
        self.tally.borrow_mut().error(reason);
    }

    pub fn report(&self) -> String {
        let mut tally = self.tally.borrow_mut();
        tally.unfinished = self.in_flight.get();
        tally.json()
    }
}

impl Exchange {
    /// `good`: everything in the answer is what it must be.
    pub fn answered(self, status: u16, good: bool) {
        self.close();
        self.run.tally.borrow_mut().answer(status, good, self.began.elapsed());
    }

    pub fn failed(self, reason: &'static str) {
        self.close();
        self.run.failed(reason);
    }

    pub fn ended(self, result: Result<(u16, bool), &'static str>) {
        match result {
            Ok((status, good)) => self.answered(status, good),
            Err(reason) => self.failed(reason),
        }
    }

    fn close(&self) {
        self.run.in_flight.set(self.run.in_flight.get().saturating_sub(1));
    }
}

/// Runs it and all it spawns on this thread.
pub fn on_this_thread<F: Future>(future: F) -> Result<F::Output, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    Ok(LocalSet::new().block_on(&runtime, future))
}
