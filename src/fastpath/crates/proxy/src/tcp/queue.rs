//! Tunnels that wait for a stream of HTTP/2. Like requests they have a place in the queue of their
//! host's pool, which makes one connection for all of them.

use std::rc::Rc;

use model::resources::cluster::UpstreamProtocol;

use super::Tunnel;
use super::connect::{Begun, Refused};
use crate::cluster::ClusterRuntime;
use crate::cluster::host::{Host, Pool, PoolKey};
use crate::http::failure::Failure;
use crate::telemetry::stats::ClusterCounter;
use crate::upstream::queued::{PRIORITY, Queued, Rider};
use crate::worker::Worker;
use crate::worker::slots::Key;

impl Tunnel {
    /// The pool whose connections may carry it beside others: apart for each address that they
    /// leave from (`original_src`). `None`: too many kinds of them are in use.
    pub(super) fn shared_pool(&self, host: &Host) -> Option<Rc<Pool>> {
        host.pool_of(PoolKey {
            protocol: host.pool.kind.protocol,
            source: self.facts.upstream_source,
            ..PoolKey::default()
        })
    }

    /// Gives its place up.
    pub(super) fn leave_queue(&mut self) {
        if let Some(queued) = self.queued.take() {
            queued.cancel();
        }
    }
}

impl Worker {
    /// A stream of a connection that is there, or a place in the queue. `None`: only a connection
    /// of the tunnel's own will tell what the host speaks.
    pub(super) fn find_stream(
        &mut self,
        t: &mut Tunnel,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
    ) -> Option<Result<Begun, Refused>> {
        let protocol = host.pool.kind.protocol;
        if matches!(
            protocol,
            UpstreamProtocol::Http1 | UpstreamProtocol::Downstream
        ) {
            return None;
        }
        let Some(pool) = t.shared_pool(host) else {
            cluster.stats().inc(ClusterCounter::UpstreamCxPoolOverflow);
            return Some(Err(Refused::Once));
        };
        if let Some(http2) = self.http2_with_room(&pool) {
            t.seen.host = Some(Rc::clone(host));
            t.seen.connect_begin = self.clock.now_ns();
            return Some(Ok(Begun::On(Rc::clone(cluster), Rc::clone(host), http2)));
        }
        let is_known = protocol == UpstreamProtocol::Http2;
        is_known.then(|| self.wait_for_stream(t, cluster, host, &pool))
    }

    fn wait_for_stream(
        &mut self,
        t: &mut Tunnel,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        pool: &Rc<Pool>,
    ) -> Result<Begun, Refused> {
        let Some(queued) = Queued::join(Rider::Tunnel(t.key), cluster, host, pool) else {
            return Err(Refused::Once);
        };
        t.seen.host = Some(Rc::clone(host));
        t.seen.connect_begin = self.clock.now_ns();
        t.queued = Some(queued);
        match self.connect_for_waiting(cluster, host, pool, PRIORITY) {
            Ok(()) => Ok(Begun::Connection),
            Err(failure) => {
                eject(t, failure, None);
                Err(Refused::Once)
            }
        }
    }

    /// A connection takes another stream. False: the tunnel does not wait for it.
    pub fn offer_to_tunnel(&mut self, key: Key, connection: Key) -> bool {
        let Some(mut t) = self.tunnels.take(key) else {
            return false;
        };
        let Some(queued) = t.queued.take() else {
            self.tunnels.put(key, t);
            return false;
        };
        queued.leave();
        self.open_link(t, &queued.cluster, &queued.host, connection);
        true
    }

    /// There is no connection for the tunnel: its attempt failed. `reason`: what TLS says of it.
    pub fn fail_queued_tunnel(&mut self, key: Key, failure: Failure, reason: Option<&str>) {
        if let Some(mut t) = self.tunnels.take(key) {
            eject(&mut t, failure, reason);
            self.try_again(t);
        }
    }
}

/// Takes a tunnel out of its queue.
fn eject(t: &mut Tunnel, failure: Failure, reason: Option<&str>) {
    let queued = t.queued.take();
    if let Some(queued) = &queued {
        queued.host.note_tunnel_failure(failure);
        queued.eject();
    }
    t.note_failure(failure, queued.as_ref().map(|queued| &*queued.host));
    if let Some(reason) = reason {
        t.seen.transport_failure = Some(reason.into());
    }
}
