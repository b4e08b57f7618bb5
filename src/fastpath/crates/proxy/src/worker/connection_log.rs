//! Access logs of listeners: a line for each connection that ends, whether or not it got to its
//! protocol. (Those of tunnels are written by `tcp::log`.)

use std::rc::Rc;

use model::resources::address::Address;
use proto::h1::{RequestHead, Version};
use tls::TlsError;

use super::Worker;
use super::config::ListenerRuntime;
use super::pending::Arrival;
use crate::http::client::{Client, Spoken};
use crate::listener::ConnectionFacts;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stream_info::{AccessLogType, LogContext, StreamInfo};

impl Worker {
    /// A connection without a filter chain: its listener filters refused it, or no chain takes it.
    pub(super) fn log_refused(
        &mut self,
        listener: &ListenerRuntime,
        facts: &ConnectionFacts,
        is_without_chain: bool,
    ) {
        if listener.config.access_logs.is_empty() {
            return;
        }
        let mut info = self.describe_connection(&facts.source, &facts.direct_source);
        info.downstream_local = Some(facts.destination.clone());
        info.facts = Some(Rc::new(facts.clone()));
        if is_without_chain {
            info.flags.insert(ResponseFlags::NO_ROUTE_FOUND);
            info.details = Some("filter_chain_not_found".into());
        }
        self.log_connection(listener, &mut info);
    }

    /// A connection that never got to its protocol.
    pub(super) fn log_arrival(&mut self, arrival: &Arrival) {
        if arrival.listener.config.access_logs.is_empty() {
            return;
        }
        let facts = &arrival.facts;
        let mut info = self.describe_connection(&arrival.peer, &facts.direct_source);
        info.start = arrival.opened_ns;
        info.connection_id = arrival.id;
        info.downstream_local = Some(arrival.local.clone());
        info.filter_chain_name = Some(Rc::clone(&arrival.chain.name));
        info.facts = Some(Rc::new((**facts).clone()));
        info.downstream_tls = arrival.io.tls_info().cloned();
        let reason = arrival.io.tls_failure().map(TlsError::reason);
        info.downstream_transport_failure = reason.map(|reason| reason.to_owned().into());
        self.log_connection(&arrival.listener, &mut info);
    }

    /// A connection that spoke HTTP.
    pub fn log_client(&mut self, client: &Client, spoken: Option<Spoken>) {
        if client.listener.config.access_logs.is_empty() {
            return;
        }
        let mut info = self.describe_connection(&client.peer, &client.direct_peer);
        info.start = client.opened_ns;
        info.connection_id = client.id;
        info.bytes_received = client.received.get();
        info.bytes_sent = client.sent.get();
        info.downstream_local = Some(client.local.clone());
        info.filter_chain_name = Some(Rc::clone(&client.chain.name));
        if let Some(refusal) = &client.termination {
            let details = refusal.details.as_ref();
            info.connection_termination_details = details.map(|text| text.to_string().into());
            info.flags.insert(refusal.flags);
        }
        let facts = client.connection_facts.as_ref().or(client.facts.as_ref());
        info.facts = facts.cloned();
        info.downstream_tls.clone_from(&client.tls);
        info.protocol = spoken.map(|spoken| match spoken {
            Spoken::Http1 => Version::Http11,
            Spoken::Http2 => Version::Http2,
        });
        self.log_connection(&client.listener, &mut info);
    }

    fn describe_connection(&mut self, peer: &Address, direct_peer: &Address) -> StreamInfo {
        let now = self.clock.now_ns();
        let id = self.rng.u128(..);
        StreamInfo {
            log_type: AccessLogType::NotSet,
            start: now,
            end: now,
            downstream_remote: Some(peer.clone()),
            downstream_direct_remote: Some(direct_peer.clone()),
            stream_id: Some(id),
            random: id,
            ..StreamInfo::default()
        }
    }

    fn log_connection(&mut self, listener: &ListenerRuntime, info: &mut StreamInfo) {
        let age = info.end.saturating_sub(info.start);
        info.start_wall = self.clock.wall_ns().saturating_sub(age);
        let request = RequestHead::default();
        let context = LogContext {
            request: &request,
            response: None,
            trailers: None,
            info,
        };
        for log in &listener.config.access_logs {
            self.logs.log(log, &context);
        }
    }
}
