//! Listening sockets of a worker: accepting, and pausing when descriptors run out.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::address::Address;
use rustix::io::Errno;

use super::config::ListenerRuntime;
use super::slots::Key;
use super::{Kind, Worker};
use crate::net::io::Io;
use crate::net::socket;
use crate::telemetry::log::Level;
use crate::telemetry::stats::ListenerCounter;

/// How long accepting rests after the process ran out of descriptors or memory.
const PAUSE_MS: u64 = 50;

#[derive(Debug)]
pub struct ListenSocket {
    pub fd: Arc<OwnedFd>,
    pub listener: Rc<ListenerRuntime>,
    /// Where it is bound; `None` if that does not say where a connection arrived.
    bound: Option<Address>,
    paused: bool,
}

impl Worker {
    /// Starts to accept on `fd` for `listener`.
    pub fn listen(&mut self, fd: Arc<OwnedFd>, listener: Rc<ListenerRuntime>) {
        let key = self.sockets.reserve();
        if let Err(e) = self.register(Kind::Listener, key, &fd) {
            crate::log!(
                Level::Error,
                "main",
                "listener {}: cannot watch its socket: {e}",
                listener.config.name
            );
            self.sockets.free(key);
            return;
        }
        listener.sockets.borrow_mut().push(key);
        let bound = socket::local_address(&fd);
        let bound = bound.filter(|a| !a.ip().is_some_and(|ip| ip.is_unspecified()));
        self.sockets.put(
            key,
            Box::new(ListenSocket {
                fd,
                listener,
                bound,
                paused: false,
            }),
        );
    }

    /// Stops to accept; what the kernel has already queued is accepted first, so that it is not
    /// reset.
    pub fn stop_listening(&mut self, key: Key) {
        for _ in 0..4096 {
            if !self.accept_one(key) {
                break;
            }
        }
        if let Some(socket) = self.sockets.free(key) {
            self.unregister(&socket.fd);
        }
    }

    /// One connection an event: level-triggered epoll asks again, beside the others' work, and no
    /// `accept` is spent on finding the queue empty.
    pub fn accept(&mut self, key: Key) {
        self.accept_one(key);
    }

    /// Whether there may be more to accept.
    fn accept_one(&mut self, key: Key) -> bool {
        let Some(socket) = self.sockets.get(key) else {
            return false;
        };
        let listener = Rc::clone(&socket.listener);
        let bound = socket.bound.clone();
        match socket::accept(&socket.fd) {
            Ok(Some((fd, peer))) => {
                let peer = named(peer, bound.as_ref());
                let Some(fd) = self.balance(&listener, fd, &peer) else {
                    return true;
                };
                let local = bound.or_else(|| socket::local_address(&fd));
                let local = local.unwrap_or_else(|| peer.clone());
                self.accepted(Io::plain(fd), peer, local, listener);
                true
            }
            Ok(None) => false,
            Err(e) => {
                self.accept_failed(key, e);
                false
            }
        }
    }

    fn accept_failed(&mut self, key: Key, error: Errno) {
        if let Some(mut socket) = self.sockets.take(key) {
            if !socket.paused {
                socket.paused = true;
                crate::log!(
                    Level::Warning,
                    "main",
                    "listener {}: accept: {error}; resting {PAUSE_MS} ms (raise the limit of open files?)",
                    socket.listener.config.name
                );
            }
            socket
                .listener
                .stats()
                .inc(ListenerCounter::DownstreamCxOverflow);
            self.listen_events(key, &socket.fd, false);
            self.sockets.put(key, socket);
            self.arm_listener(key, self.clock.now_ms().saturating_add(PAUSE_MS));
        }
    }

    pub fn listener_timer(&mut self, key: Key) {
        if let Some(mut socket) = self.sockets.take(key) {
            socket.paused = false;
            self.listen_events(key, &socket.fd, true);
            self.sockets.put(key, socket);
        }
    }
}

/// A client on a pipe has no name as a rule; it is shown with that of the listener, as in Envoy.
fn named(peer: Address, bound: Option<&Address>) -> Address {
    match (&peer, bound) {
        (Address::Pipe(path), Some(bound)) if path.is_empty() => bound.clone(),
        _ => peer,
    }
}
