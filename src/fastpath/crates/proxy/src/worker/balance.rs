//! `exact_balance`: a listener's next connection goes to the worker that has the fewest of it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Worker;
use super::command::Command;
use super::config::ListenerRuntime;
use crate::net::io::Io;
use crate::net::socket;
use model::resources::address::Address;

/// Connections of one listener, by worker.
#[derive(Debug)]
pub struct Balance(Box<[AtomicUsize]>);

impl Balance {
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Counts a connection in with the worker that has the fewest; of equals the one that asks.
    fn add_to_least(&self, own: usize) -> usize {
        let load = |worker: usize| self.0.get(worker).map(|n| n.load(Ordering::Relaxed));
        let mut best = own;
        for worker in 0..self.0.len() {
            if load(worker) < load(best) {
                best = worker;
            }
        }
        self.add(best);
        best
    }

    pub fn add(&self, worker: usize) {
        if let Some(count) = self.0.get(worker) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn sub(&self, worker: usize) {
        if let Some(count) = self.0.get(worker) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Worker {
    /// `None`: the connection has gone to another worker.
    pub fn balance(
        &self,
        listener: &ListenerRuntime,
        fd: OwnedFd,
        peer: &Address,
    ) -> Option<OwnedFd> {
        let Some(balance) = &listener.balance else {
            return Some(fd);
        };
        let target = balance.add_to_least(self.index);
        if target == self.index {
            return Some(fd);
        }
        let mailboxes = self.shared.mailboxes.get();
        let Some(mailbox) = mailboxes.and_then(|all| all.get(target)) else {
            balance.sub(target);
            balance.add(self.index);
            return Some(fd);
        };
        mailbox.send(Command::Accepted {
            listener: Arc::clone(&listener.config.name),
            fd: Arc::new(fd),
            peer: peer.clone(),
        });
        None
    }

    /// A connection that another worker accepted for us.
    pub fn accepted_elsewhere(&mut self, name: &str, fd: Arc<OwnedFd>, peer: Address) {
        let (Some(listener), Some(fd)) = (self.listeners.get(name).cloned(), Arc::into_inner(fd))
        else {
            // The listener is gone meanwhile.
            return;
        };
        let local = socket::local_address(&fd).unwrap_or_else(|| peer.clone());
        self.accepted(Io::plain(fd), peer, local, listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emptiest_worker_is_next() {
        let balance = Balance::new(3);
        assert_eq!(balance.add_to_least(1), 1);
        assert_eq!(balance.add_to_least(1), 0);
        assert_eq!(balance.add_to_least(1), 2);
        assert_eq!(balance.add_to_least(2), 2);
        balance.sub(0);
        assert_eq!(balance.add_to_least(2), 0);
    }
}
