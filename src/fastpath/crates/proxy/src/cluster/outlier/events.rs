//! What the life of requests and tunnels says of their host, as Envoy's router and TCP proxy tell
//! it. Where the cluster watches nobody this is one comparison.

use proto::HeaderMap;

use crate::cluster::host::Host;
use crate::http::failure::{Failure, Reset};
use crate::http::grpc;

/// How far a request had come when it failed.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// It had a connection.
    pub was_sent: bool,
    /// So has the head of its response.
    pub is_answered: bool,
    /// `x-envoy-upstream-rq-timeout-alt-response`: its client is told 204 of a timeout.
    pub timeout_alt_response: bool,
}

impl Host {
    /// A request has its connection (`UpstreamRequest::onPoolReady`).
    pub fn note_connected(&self) {
        if let Some(monitor) = &self.monitor {
            monitor.connected();
        }
    }

    /// A response's head. To a gRPC request the status of gRPC counts, where it is there.
    pub fn note_answer(&self, is_grpc: bool, status: u16, headers: &HeaderMap) {
        let Some(monitor) = &self.monitor else {
            return;
        };
        let said = if is_grpc {
            grpc::http_status(headers)
        } else {
            None
        };
        monitor.answered(match monitor.lists(status) {
            None => said.unwrap_or(status),
            Some(true) => said.unwrap_or(status).max(500),
            // What gRPC says is asked all the same.
            Some(false) => said.unwrap_or(200),
        });
    }

    /// A request failed (`Router::Filter::onUpstreamReset`, `onResponseTimeout` and
    /// `onPerTryTimeout`).
    pub fn note_failure(&self, failure: Failure, attempt: Attempt) {
        let Some(monitor) = &self.monitor else {
            return;
        };
        match failure.reset() {
            Some(Reset::ConnectFailure | Reset::Refused | Reset::Other) => monitor.failed(),
            Some(Reset::Timeout) | None => {
                if failure.is_timeout() && attempt.was_sent && !attempt.is_answered {
                    let alt = attempt.timeout_alt_response;
                    monitor.timed_out(if alt { 204 } else { 504 });
                }
            }
        }
    }

    /// A TCP tunnel has come to its host (`TcpProxy::Filter::onUpstreamConnection`).
    pub fn note_tunnel(&self) {
        if let Some(monitor) = &self.monitor {
            monitor.carries_tunnel();
        }
    }

    /// An attempt of a TCP tunnel failed. A connection that could not leave here says nothing of
    /// the host.
    pub fn note_tunnel_failure(&self, failure: Failure) {
        let Some(monitor) = &self.monitor else {
            return;
        };
        match failure {
            Failure::LocalConnectFailure(_) | Failure::Overflow => {}
            Failure::ConnectTimeout => monitor.timed_out(504),
            _ => monitor.failed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, watched_host};
    use super::super::{Origin, Reports};
    use super::*;
    use proto::Known;
    use rustix::io::Errno;

    fn noted(note: impl FnOnce(&Host)) -> (u32, u32) {
        let (host, _reports): (Host, std::sync::Arc<Reports>) = watched_host(config(|_| {}));
        note(&host);
        host.monitor.as_ref().unwrap().take(Origin::External)
    }

    #[test]
    fn statuses_of_grpc_stand_for_those_of_http() {
        let answer = |is_grpc, status, grpc: Option<&[u8]>| {
            let mut headers = HeaderMap::new();
            if let Some(grpc) = grpc {
                headers.push_known(Known::GrpcStatus, grpc);
            }
            noted(|host| host.note_answer(is_grpc, status, &headers))
        };
        let (good, bad) = ((1, 1), (1, 0));
        assert_eq!(answer(false, 200, Some(b"14")), good);
        assert_eq!(answer(true, 200, Some(b"14")), bad);
        assert_eq!(answer(true, 200, Some(b"5")), good);
        assert_eq!(answer(true, 503, Some(b"0")), good);
        assert_eq!(answer(true, 503, None), bad);
        assert_eq!(answer(true, 200, Some(b"nonsense")), bad);
    }

    #[test]
    fn failures_are_the_hosts_or_nobodys() {
        let sent = Attempt {
            was_sent: true,
            is_answered: false,
            timeout_alt_response: false,
        };
        let waiting = Attempt {
            was_sent: false,
            ..sent
        };
        let answered = Attempt {
            is_answered: true,
            ..sent
        };
        let alt = Attempt {
            timeout_alt_response: true,
            ..sent
        };
        let (nothing, good, bad) = ((0, 0), (1, 1), (1, 0));
        for (failure, attempt, expected) in [
            (Failure::ConnectFailure(Errno::CONNREFUSED), waiting, bad),
            (Failure::LocalConnectFailure(None), waiting, bad),
            (Failure::ConnectTimeout, waiting, bad),
            (Failure::UpstreamClosed, answered, bad),
            (Failure::UpstreamReset, sent, bad),
            (Failure::UpstreamProtocol, sent, bad),
            (Failure::ResponseTimeout, sent, bad),
            (Failure::ResponseTimeout, waiting, nothing),
            (Failure::ResponseTimeout, answered, nothing),
            (Failure::PerTryTimeout, alt, good),
            (Failure::Overflow, waiting, nothing),
            (Failure::DownstreamGone, sent, nothing),
            (
                Failure::StreamIdle {
                    request_complete: true,
                },
                sent,
                nothing,
            ),
        ] {
            let found = noted(|host| host.note_failure(failure, attempt));
            assert_eq!(found, expected, "{failure:?} {attempt:?}");
        }
    }

    #[test]
    fn tunnels_say_whether_they_came_to_their_host() {
        assert_eq!(noted(Host::note_tunnel), (1, 1));
        for (failure, expected) in [
            (Failure::ConnectFailure(Errno::CONNREFUSED), (1, 0)),
            (Failure::ConnectTimeout, (1, 0)),
            (Failure::LocalConnectFailure(None), (0, 0)),
        ] {
            assert_eq!(noted(|host| host.note_tunnel_failure(failure)), expected);
        }
    }
}
