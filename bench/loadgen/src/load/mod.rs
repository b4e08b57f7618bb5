//! The load generator: closed loop (every connection always busy) or open loop (requests are due at
//! fixed times, whether or not earlier ones are answered; latency counts from when they were due).

mod client;
mod idle;
mod plan;

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use client::{Client, Outcome};
use plan::Plan;

use crate::net::Poller;
use crate::tally::Tally;

/// How long unanswered requests are waited for at the end.
const GRACE: Duration = Duration::from_secs(3);
/// A target this broken is not worth more of anybody's time.
const FAILURES_TO_GIVE_UP: u64 = 1000;
const SCRATCH: usize = 256 * 1024;

pub fn main(raw: impl Iterator<Item = String>) -> Result<(), String> {
    let plan = Plan::parse(raw)?;
    // The default slack of 50 µs would be most of the latency that is measured.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).map_err(|e| e.to_string())?;
    let mut tally = Tally::new()?;
    if plan.idle {
        return idle::run(&plan, &mut tally).map_err(|error| format!("load: {error}"));
    }
    let mut run = Run::new(&plan, tally).map_err(|error| format!("load: {error}"))?;
    run.drive().map_err(|error| format!("load: {error}"))?;
    println!("{}", run.tally.json());
    Ok(())
}

struct Run<'a> {
    plan: &'a Plan,
    poller: Poller,
    clients: Vec<Client>,
    /// Counts the connections each slot had, so that events of an earlier one are not taken for its.
    generations: Vec<u32>,
    /// Connections without a request, longest idle first.
    idle: VecDeque<usize>,
    /// Open loop: requests that are due and wait for a connection.
    due: VecDeque<Instant>,
    sent: u64,
    in_flight: usize,
    accepting: bool,
    tally: Tally,
    scratch: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, tally: Tally) -> io::Result<Self> {
        let mut run = Self {
            plan,
            poller: Poller::new()?,
            clients: Vec::new(),
            generations: Vec::new(),
            idle: VecDeque::new(),
            due: VecDeque::new(),
            sent: 0,
            in_flight: 0,
            accepting: true,
            tally,
            scratch: vec![0; SCRATCH],
        };
        for slot in 0..plan.connections {
            let client = Client::connect(plan)?;
            run.poller.add(client.fd(), slot as u64)?;
            run.clients.push(client);
            run.generations.push(0);
            run.idle.push_back(slot);
        }
        Ok(run)
    }

    fn drive(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        let measure_from = begin + self.plan.warmup;
        let end = measure_from + self.plan.duration;
        let mut warming = !self.plan.warmup.is_zero();
        let interval = self.plan.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        let mut next_due = begin;
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            if warming && now >= measure_from {
                warming = false;
                self.tally.restart();
            }
            self.accepting &= now < end
                && self.sent < self.plan.requests
                && self.tally.failures() < FAILURES_TO_GIVE_UP;
            let unanswered = self.in_flight + self.due.len();
            if !self.accepting && (unanswered == 0 || now >= end + GRACE) {
                self.tally.unfinished = unanswered as u64;
                return Ok(());
            }
            let mut timeout = Duration::from_millis(100);
            if let Some(interval) = interval {
                while self.accepting && next_due <= now {
                    self.due.push_back(next_due);
                    next_due += interval;
                }
                timeout = timeout.min(next_due.saturating_duration_since(Instant::now()));
            }
            self.start_due()?;
            self.poller.wait(Some(timeout), &mut ready)?;
            for &(token, readable, writable) in &ready {
                self.on_ready(token, readable, writable)?;
            }
        }
    }

    /// Gives idle connections what is due: in closed loop that is always something.
    fn start_due(&mut self) -> io::Result<()> {
        while !self.idle.is_empty()
            && let Some(started) = self.next_start()
            && let Some(slot) = self.idle.pop_front()
        {
            self.start(slot, started)?;
        }
        Ok(())
    }

    fn next_start(&mut self) -> Option<Instant> {
        if self.plan.rate.is_none() {
            return (self.accepting && self.sent < self.plan.requests).then(Instant::now);
        }
        let due = self.due.pop_front()?;
        self.tally.lag(due.elapsed());
        Some(due)
    }

    fn start(&mut self, slot: usize, started: Instant) -> io::Result<()> {
        let head = self.plan.head(self.sent);
        self.sent += 1;
        self.in_flight += 1;
        let outcome = self.clients[slot].start(self.plan, head, started);
        self.settle(slot, Some(started), outcome)
    }

    fn on_ready(&mut self, token: u64, readable: bool, writable: bool) -> io::Result<()> {
        let (slot, generation) = ((token & 0xFFFF_FFFF) as usize, (token >> 32) as u32);
        if self.generations[slot] != generation {
            return Ok(());
        }
        let client = &mut self.clients[slot];
        let started = client.started();
        let mut outcome = if writable { client.write(self.plan) } else { Outcome::Pending };
        if readable && matches!(outcome, Outcome::Pending) {
            outcome = client.read(self.plan, &mut self.scratch);
        }
        self.settle(slot, started, outcome)
    }

    fn settle(
        &mut self,
        slot: usize,
        started: Option<Instant>,
        outcome: Outcome,
    ) -> io::Result<()> {
        match outcome {
            Outcome::Pending => return Ok(()),
            Outcome::Done(answer) => {
                self.tally.answer(
                    answer.status,
                    answer.good,
                    started.map(|s| s.elapsed()).unwrap_or_default(),
                );
                self.in_flight -= 1;
                if self.plan.fresh_connections || !answer.reusable {
                    self.reconnect(slot)?;
                }
                self.idle.push_back(slot);
            }
            Outcome::Failed(reason) => {
                self.tally.error(reason);
                if self.clients[slot].busy() {
                    self.in_flight -= 1;
                    self.idle.push_back(slot);
                }
                self.reconnect(slot)?;
            }
        }
        if self.plan.rate.is_none() { self.start_due() } else { Ok(()) }
    }

    fn reconnect(&mut self, slot: usize) -> io::Result<()> {
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        let client = Client::connect(self.plan)?;
        let token = (u64::from(self.generations[slot]) << 32) | slot as u64;
        self.poller.add(client.fd(), token)?;
        self.clients[slot] = client;
        Ok(())
    }
}
