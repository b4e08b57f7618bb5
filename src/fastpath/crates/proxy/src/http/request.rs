//! What the HTTP connection manager does to a request, in Envoy's order
//! (`ConnectionManagerImpl::ActiveStream::decodeHeaders`, `ConnectionManagerUtility`).

use std::io::Write;
use std::net::IpAddr;
use std::rc::Rc;

use model::resources::address::Address;
use model::resources::hcm::Hcm;
use proto::h1::{BodyDecoder, HeadError, Scheme};
use proto::masque::{CONNECT_UDP, udp_authority};
use proto::{HeaderMap, Known};

use super::authority::normalize_host;
use super::deadlines::{after, millis};
use super::decimal::decimal;
use super::downstream::{Closing, Downstream};
use super::failure::Failure;
use super::forwarded::{Remote, forward_client_cert, is_internal, xff_address};
use super::grpc;
use super::path::{Normalized, normalize};
use super::request_id::uuid4;
use super::stream::Stream;
use super::upgrade::from_extended_connect;
use crate::http2::carrier::Carrier;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{HcmCounter, HcmGauge, ListenerHttpCounter};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// Headers that only a trusted (internal) client may send to steer the router.
const EXTERNAL_FORBIDDEN: &[Known] = &[
    Known::XEnvoyRetriableStatusCodes,
    Known::XEnvoyRetriableHeaderNames,
    Known::XEnvoyRetryOn,
    Known::XEnvoyRetryGrpcOn,
    Known::XEnvoyMaxRetries,
    Known::XEnvoyUpstreamAltStatName,
    Known::XEnvoyUpstreamRqTimeoutMs,
    Known::XEnvoyUpstreamRqPerTryTimeoutMs,
    Known::XEnvoyUpstreamRqTimeoutAltResponse,
    Known::XEnvoyExpectedRqTimeoutMs,
    Known::XEnvoyForceTrace,
    Known::XEnvoyIpTags,
    Known::XEnvoyOriginalUrl,
    Known::XEnvoyHedgeOnPerTryTimeout,
    Known::XEnvoyUpstreamStreamDurationMs,
];

/// And those an edge proxy drops, too.
const EDGE_FORBIDDEN: &[Known] = &[
    Known::XEnvoyDecoratorOperation,
    Known::XEnvoyDownstreamServiceCluster,
    Known::XEnvoyDownstreamServiceNode,
    Known::XEnvoyOriginalPath,
    Known::XEnvoyOriginalHost,
];

impl Worker {
    /// Counts a request and starts its clocks.
    pub fn start_accounting(&mut self, d: &Downstream, s: &mut Stream) {
        let stats = d.client.http.stats();
        stats.inc(HcmCounter::DownstreamRqTotal);
        stats.inc(if d.carrier.is_stream() {
            HcmCounter::DownstreamRqHttp2Total
        } else {
            HcmCounter::DownstreamRqHttp1Total
        });
        stats.gauge_inc(HcmGauge::DownstreamRqActive);
        s.info.start = self.clock.now_ns();
        s.info.start_wall = self.clock.wall_ns();
        s.info.downstream_remote = Some(d.client.peer.clone());
        s.info.downstream_direct_remote = Some(d.client.direct_peer.clone());
        s.info.downstream_local = Some(d.client.local.clone());
        s.info.connection_id = d.client.id;
        s.info.filter_chain_name = Some(Rc::clone(&d.client.chain.name));
        s.info.downstream_tls.clone_from(&d.client.tls);
        s.info.facts.clone_from(&d.client.facts);
        s.info.protocol = Some(s.request.version);
        s.info.attempt_count = 1;
        let now = self.clock.now_ms();
        let hcm = &d.client.http.hcm;
        s.last_activity = now;
        s.idle_timeout_ms = hcm.stream_idle_timeout.map_or(NEVER, millis);
        s.request_deadline = after(now, hcm.request_timeout);
        s.duration_deadline = after(now, hcm.max_stream_duration);
    }

    /// A head has been read: from here to the router.
    pub fn begin_request(&mut self, d: &mut Downstream, mut s: Box<Stream>, head_bytes: usize) {
        if d.carrier.is_stream() {
            from_extended_connect(&mut s.request, &mut self.rng);
        }
        self.start_accounting(d, &mut s);
        s.info.downstream_header_bytes_received = head_bytes as u64;
        s.request_decoder = BodyDecoder::new(s.request.body);
        s.request_complete = match &d.carrier {
            Carrier::Socket(_) => s.request_decoder.is_done(),
            Carrier::Stream(carrier) => carrier.ended,
        };
        s.is_head = s.request.kind == proto::h1::Method::Head;
        s.is_grpc = grpc::is_grpc(&s.request.headers);
        if s.request_complete {
            s.info.downstream_rx_end = self.clock.now_ns();
        }
        let deadline = s.deadline();
        self.arm_downstream(d, deadline);

        if !s.request.headers.contains(Known::Host) {
            // RFC 9112 §3.2; only where the connection may go on (`RequestPolicy`).
            let details = HeadError::MissingHost.details();
            return self.local_reply(d, s, 400, b"", details.into());
        }
        let http = std::rc::Rc::clone(&d.client.http);
        let hcm = &*http.hcm;

        if s.request.version == proto::h1::Version::Http10 {
            // RFC 9110 §10.1.1: an expectation of HTTP/1.0 is ignored, so it is not passed on.
            s.request.headers.remove(Known::Expect);
        }
        if s.request.expect_continue && !hcm.proxy_100_continue {
            // RFC 9110 §10.1.1; Envoy answers by itself and does not pass the expectation on.
            self.send_continue(d);
            s.request.headers.remove(Known::Expect);
        }
        let upgrade = s.request.headers.get(Known::Upgrade);
        if upgrade.is_some_and(|token| token.eq_ignore_ascii_case(CONNECT_UDP)) {
            // From here on its authority is that of the host it wants to reach.
            let target = udp_authority(s.request.path());
            if !target.is_some_and(|target| s.request.set_authority(&target)) {
                return self.reply_failure(d, s, Failure::UdpPath);
            }
        }
        let is_connect = s.request.kind == proto::h1::Method::Connect;
        if !is_connect && s.request.path().first() != Some(&b'/') {
            return self.reply_failure(d, s, Failure::NoPath);
        }
        match normalize(hcm, s.request.path()) {
            Normalized::Unchanged => {}
            Normalized::Changed(path) => {
                if !s.request.set_path(&path) {
                    return self.refuse_path(d, s);
                }
            }
            Normalized::Redirect(path) => {
                return self.redirect_to_path(d, s, &path);
            }
            Normalized::Refused => return self.refuse_path(d, s),
        }
        // On a pipe no port is the one it came to.
        normalize_host(hcm, d.client.local.port().unwrap_or(0), &mut s);
        if s.request.headers.get(Known::Upgrade) == Some(b"h2c") {
            // Offered, not demanded: HTTP/1.1 goes on (RFC 9110 §7.8).
            s.request.upgrade = false;
        }
        self.mutate_request(d, hcm, &mut s);
        self.route(d, s);
    }

    fn refuse_path(&mut self, d: &mut Downstream, s: Box<Stream>) {
        d.close_after_response();
        self.reply_failure(d, s, Failure::PathNormalization);
    }

    /// `ConnectionManagerUtility::mutateRequestHeaders`.
    fn mutate_request(&mut self, d: &Downstream, hcm: &Hcm, s: &mut Stream) {
        let routes = d.client.http.routes();
        let scheme = hcm.scheme_to_overwrite.as_deref();
        let headers = &mut s.request.headers;
        if s.request.upgrade {
            proto::strip_for_upgrade(headers);
        } else {
            proto::strip_hop_by_hop(headers);
        }
        join_inline(headers);
        sanitize_referer(headers);

        let peer = d.client.peer.to_canonical();
        let remote = self.forwarded_for(hcm, headers, &peer);
        let trusts_proto = !hcm.use_remote_address || hcm.xff_num_trusted_hops > 0;
        if !(trusts_proto && headers.contains(Known::XForwardedProto)) {
            let proto: &[u8] = if d.client.tls.is_some() {
                b"https"
            } else {
                b"http"
            };
            headers.set(Known::XForwardedProto, proto);
        }
        if hcm.append_x_forwarded_port
            && (hcm.use_remote_address || !headers.contains(Known::XForwardedPort))
            && let Some(port) = d.client.local.port()
        {
            let mut text = [0; 5];
            headers.set(Known::XForwardedPort, decimal(&mut text, u64::from(port)));
        }
        if let Some(scheme) = scheme {
            headers.set(Known::XForwardedProto, scheme.as_bytes());
            s.request.scheme = Some(if scheme == "https" {
                Scheme::Https
            } else {
                Scheme::Http
            });
        }
        let headers = &mut s.request.headers;
        // HTTP/2 says so itself; HTTP/1 is what came by x-forwarded-proto (as in Envoy).
        s.info.scheme_https = match s.request.scheme {
            Some(scheme) if d.carrier.is_stream() => matches!(scheme, Scheme::Https),
            _ => headers.get(Known::XForwardedProto) == Some(b"https"),
        };

        // Internal: one address in all, and it is in the configured ranges.
        let internal = remote.single
            && remote
                .address
                .as_ref()
                .is_some_and(|address| is_internal(hcm, address));
        let edge = !internal && hcm.use_remote_address;
        headers.remove(Known::XEnvoyInternal);
        if internal {
            headers.set(Known::XEnvoyInternal, b"true");
        } else {
            if edge {
                remove_all(headers, EDGE_FORBIDDEN);
            }
            remove_all(headers, EXTERNAL_FORBIDDEN);
            for name in &routes.0.internal_only_headers {
                headers.remove_name(name.text.as_bytes());
            }
        }
        let external = remote.address.as_ref().unwrap_or(&peer).ip();
        if let Some(address) = remote.address {
            s.info.downstream_remote = Some(address);
        }
        if hcm.add_user_agent {
            let cluster = self.shared.service_cluster.as_bytes();
            headers.set(Known::XEnvoyDownstreamServiceCluster, cluster);
            if headers.get(Known::UserAgent).is_none_or(<[u8]>::is_empty) {
                headers.set(Known::UserAgent, cluster);
            }
            if !self.shared.service_node.is_empty() {
                let node = self.shared.service_node.as_bytes();
                headers.set(Known::XEnvoyDownstreamServiceNode, node);
            }
        }
        if let Some(via) = &hcm.via {
            headers.append_value(Known::Via, b", ", via.as_bytes());
        }
        if edge && let Some(address) = external {
            let mut text = Vec::new();
            // Writing to a Vec cannot fail.
            let _ = write!(text, "{address}");
            headers.set(Known::XEnvoyExternalAddress, &text);
        }
        self.request_id(hcm, edge, headers);
        forward_client_cert(hcm, d.client.tls.as_deref(), headers);
    }

    fn request_id(&mut self, hcm: &Hcm, edge: bool, headers: &mut HeaderMap) {
        let absent = headers.get(Known::XRequestId).is_none_or(<[u8]>::is_empty);
        if hcm.generate_request_id && (absent || (edge && !hcm.preserve_external_request_id)) {
            headers.set(Known::XRequestId, &uuid4(&mut self.rng));
        }
    }

    /// x-forwarded-for, and the address that is trusted as the client's.
    fn forwarded_for(&self, hcm: &Hcm, headers: &mut HeaderMap, peer: &Address) -> Remote {
        if !hcm.use_remote_address {
            let (address, single) = xff_address(headers, hcm.xff_num_trusted_hops as usize);
            return Remote { address, single };
        }
        let single = !headers.contains(Known::XForwardedFor);
        let mut address = match hcm.xff_num_trusted_hops {
            0 => None,
            n => xff_address(headers, n.saturating_sub(1) as usize).0,
        };
        address = address.or_else(|| Some(peer.clone()));
        // A pipe's end has no place in the list.
        if !hcm.skip_xff_append
            && let Some(peer) = peer.ip()
        {
            let own = if peer.is_loopback() {
                self.shared.local_address
            } else {
                peer
            };
            let mut text = Vec::with_capacity(40);
            let _ = match own {
                IpAddr::V4(v4)
                    if hcm.represent_ipv4_remote_address_as_ipv4_mapped_ipv6 && own == peer =>
                {
                    write!(text, "{}", v4.to_ipv6_mapped())
                }
                _ => write!(text, "{own}"),
            };
            headers.append_value(Known::XForwardedFor, b",", &text);
        }
        Remote { address, single }
    }

    /// A head that is not HTTP/1.1 as we accept it.
    pub fn refuse_head(&mut self, d: &mut Downstream, mut s: Box<Stream>, error: HeadError) {
        self.start_accounting(d, &mut s);
        let status = error.status();
        let stats = d.client.http.stats();
        if status == 400 || status == 501 {
            stats.inc(HcmCounter::DownstreamCxProtocolError);
        }
        s.request_complete = true;
        if error != HeadError::MissingHost {
            s.info
                .flags
                .insert(ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR);
            // What was read of it is not to be trusted, and Envoy logs none of it.
            s.request.clear();
        }
        d.closing = Closing::AfterFlush;
        d.linger = true;
        let body = match error {
            HeadError::MissingHost => "",
            _ => proto::h1::reason_phrase(status),
        };
        self.local_reply(d, s, status, body.as_bytes(), error.details().into());
    }

    /// Counts a response by its class, where Envoy does.
    pub fn count_response(&mut self, d: &Downstream, status: u16) {
        let (hcm, listener) = match status / 100 {
            1 => (
                HcmCounter::DownstreamRq1xx,
                ListenerHttpCounter::DownstreamRq1xx,
            ),
            2 => (
                HcmCounter::DownstreamRq2xx,
                ListenerHttpCounter::DownstreamRq2xx,
            ),
            3 => (
                HcmCounter::DownstreamRq3xx,
                ListenerHttpCounter::DownstreamRq3xx,
            ),
            4 => (
                HcmCounter::DownstreamRq4xx,
                ListenerHttpCounter::DownstreamRq4xx,
            ),
            _ => (
                HcmCounter::DownstreamRq5xx,
                ListenerHttpCounter::DownstreamRq5xx,
            ),
        };
        let stats = d.client.http.stats();
        stats.inc(HcmCounter::DownstreamRqCompleted);
        stats.inc(hcm);
        let stats = d.client.http.listener_stats();
        stats.inc(ListenerHttpCounter::DownstreamRqCompleted);
        stats.inc(listener);
    }
}

fn remove_all(headers: &mut HeaderMap, names: &[Known]) {
    for name in names {
        headers.remove(*name);
    }
}

fn sanitize_referer(headers: &mut HeaderMap) {
    if headers
        .get(Known::Referer)
        .is_some_and(|referer| !is_absolute_url(referer))
    {
        headers.remove(Known::Referer);
    }
}

/// Headers that Envoy keeps one line of: more lines are joined with a comma, so that nobody can
/// hide a value from whoever looks at the first.
const INLINE: &[Known] = &[
    Known::Accept,
    Known::AcceptEncoding,
    Known::Authorization,
    Known::CacheControl,
    Known::ContentType,
    Known::Expect,
    Known::GrpcTimeout,
    Known::XForwardedPort,
    Known::UserAgent,
    // Who may upgrade is decided by the whole of it.
    Known::Upgrade,
    Known::Via,
    Known::Referer,
    Known::XForwardedFor,
    Known::XForwardedProto,
    Known::XForwardedHost,
    Known::XForwardedClientCert,
    Known::XRequestId,
    Known::Origin,
    Known::AccessControlRequestMethod,
    Known::AccessControlRequestHeaders,
];

fn join_inline(headers: &mut HeaderMap) {
    for name in INLINE {
        if headers.contains(*name) && headers.count(*name) > 1 {
            let joined = headers.values(*name).collect::<Vec<_>>().join(&b","[..]);
            headers.set(*name, &joined);
        }
    }
}

/// What Envoy keeps a referer for: `scheme://host...`, or a path.
fn is_absolute_url(referer: &[u8]) -> bool {
    if referer.first() == Some(&b'/') {
        return true;
    }
    let rest = referer
        .strip_prefix(b"http://")
        .or_else(|| referer.strip_prefix(b"https://"));
    rest.is_some_and(|r| r.first().is_some_and(|b| *b != b'/' && *b != b'?'))
}
