//! What an authorization server is asked about a request.

use std::rc::Rc;

use model::authorization::{Body, Check, Peer, Request};
use model::matching::metadata::MetadataValue;
use model::resources::ext_authz::{BodySettings, ExtAuthz, HttpService, Service};
use model::resources::http_filters::RouteFilterConfig;
use proto::h1::{Method, RequestHead, Version};
use proto::{HeaderMap, Known};
use tls::Sans;

use super::ExtAuthzFilter;
use crate::http::client::Client;
use crate::http::downstream::Downstream;
use crate::http::own_call::{self, MAX_ANSWER, Question};
use crate::http::stream::Stream;
use crate::telemetry::stream_info::StreamInfo;
use crate::worker::Worker;

const PARTIAL: &[u8] = b"x-envoy-auth-partial-body";

/// A body that was gathered.
pub(super) struct Gathered<'a> {
    pub bytes: &'a [u8],
    pub settings: BodySettings,
}

impl<'a> Gathered<'a> {
    /// What the server is told of it.
    fn told(&self) -> &'a [u8] {
        let most = self.settings.max_bytes;
        self.bytes.get(..most).unwrap_or(self.bytes)
    }

    /// The value of `x-envoy-auth-partial-body`.
    fn is_partial(&self) -> &'static [u8] {
        if self.bytes.len() > self.settings.max_bytes {
            b"true"
        } else {
            b"false"
        }
    }
}

/// A request that is asked about.
pub(super) struct Asked<'a> {
    pub config: &'a ExtAuthz,
    pub client: &'a Client,
    pub s: &'a Stream,
    pub body: Option<Gathered<'a>>,
}

impl<'a> Asked<'a> {
    /// For a server that speaks gRPC. `levels`: what the route's levels say, the most specific first.
    pub fn message(&self, id: u64, levels: [Option<&'a RouteFilterConfig>; 4]) -> Check<'a> {
        let (config, client, s) = (self.config, self.client, self.s);
        let (mut source, destination) = ends(client, config.include_peer_certificate);
        let service = s.request.headers.get(Known::XEnvoyDownstreamServiceCluster);
        source.service = service.unwrap_or_default();
        let mut extensions: Vec<(&str, &str)> = Vec::new();
        for level in levels.into_iter().flatten() {
            let RouteFilterConfig::ExtAuthz(settings) = level else {
                continue;
            };
            for (key, value) in &settings.context_extensions {
                // Of the most specific level that has it.
                if !extensions.iter().any(|(known, _)| *known == &**key) {
                    extensions.push((key, value));
                }
            }
        }
        Check {
            source,
            destination,
            request: Some(Request {
                time_ns: s.info.start_wall,
                id,
                method: s.request.method(),
                path: s.request.path(),
                host: s.request.authority(),
                scheme: scheme(s),
                protocol: match s.info.protocol {
                    Some(Version::Http10) => "HTTP/1.0",
                    Some(Version::Http2) => "HTTP/2",
                    Some(Version::Http11) | None => "HTTP/1.1",
                },
                size: match &self.body {
                    Some(body) => body.bytes.len() as u64,
                    None => s.info.bytes_received,
                },
                headers: self.lines(),
                raw_headers: config.encode_raw_headers,
                body: self.body.as_ref().map(|body| Body {
                    bytes: body.told(),
                    as_bytes: body.settings.as_bytes,
                }),
            }),
            context_extensions: extensions,
            metadata: metadata(config, &s.info),
            tls_session: config.include_tls_session.then(|| server_name(client)),
        }
    }

    /// The headers that the server is told, pseudo-headers first.
    fn lines(&self) -> Vec<(&'a [u8], &'a [u8])> {
        let request = &self.s.request;
        let scheme = scheme(self.s).as_bytes();
        let pseudo = [
            (&b":authority"[..], request.authority()),
            (b":path", request.path()),
            (b":method", request.method()),
            (b":scheme", scheme),
        ];
        let pseudo = pseudo.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = request.headers.iter_known();
        let fields = fields.filter(|(known, _, _)| {
            // Whatever a client says of the last one is not true.
            !matches!(known, Known::Host | Known::XEnvoyAuthPartialBody)
        });
        let fields = fields.map(|(_, name, value)| (name, value));
        let is_told = |(name, _): &(&[u8], &[u8])| {
            let allowed = self.config.allowed_headers.as_ref();
            let disallowed = self.config.disallowed_headers.as_ref();
            allowed.is_none_or(|names| names.contain(name))
                && !disallowed.is_some_and(|names| names.contain(name))
        };
        let mut lines: Vec<_> = pseudo.chain(fields).filter(is_told).collect();
        if let Some(body) = &self.body {
            lines.push((PARTIAL, body.is_partial()));
        }
        lines
    }

    /// For a server that speaks HTTP; `None`: it cannot be said.
    fn head(&self, http: &HttpService, body: &[u8]) -> Option<RequestHead> {
        let request = &self.s.request;
        if request.kind == Method::Connect {
            // What would be agreed to is a tunnel.
            return None;
        }
        let mut head = RequestHead::new();
        head.body = own_call::framing_of(body);
        let path = [http.path_prefix.as_bytes(), request.path()].concat();
        let mut all = head.set_method(request.method())
            && head.set_path(&path)
            && head.set_authority(request.authority());
        for (name, value) in self.lines() {
            let is_framing = matches!(
                Known::of(name),
                Known::ContentLength | Known::TransferEncoding | Known::Expect
            );
            if name.first() != Some(&b':') && !is_framing {
                all &= join(&mut head.headers, name, value);
            }
        }
        all.then_some(head)
    }
}

impl ExtAuthzFilter {
    /// For a server that speaks HTTP.
    pub(super) fn http_question(
        &self,
        cluster: &Rc<str>,
        worker: &Worker,
        d: &Downstream,
        s: &mut Stream,
        body: Option<Gathered<'_>>,
    ) -> Option<Question> {
        let Service::Http(http) = &self.config.service else {
            return None;
        };
        let said = body.as_ref().map_or(&[][..], Gathered::told).to_vec();
        let asked = Asked {
            config: &self.config,
            client: &d.client,
            s,
            body,
        };
        let mut head = asked.head(http, &said)?;
        for add in &http.headers_to_add {
            worker.set_rendered(s, &mut head.headers, add);
        }
        own_call::set_internal(&mut head);
        own_call::set_expected_timeout(&mut head, http.timeout_ms);
        Some(Question {
            cluster: Rc::clone(cluster),
            head,
            body: said,
            timeout_ms: http.timeout_ms,
            most: MAX_ANSWER,
        })
    }
}

/// Lines of one name become one, as in Envoy's message.
fn join(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> bool {
    match headers.get_name(name) {
        None => headers.push(name, value),
        Some(before) => {
            let joined = [before, b",", value].concat();
            headers.set_name(name, &joined)
        }
    }
}

fn scheme(s: &Stream) -> &'static str {
    if s.info.scheme_https { "https" } else { "http" }
}

/// Both ends of a connection.
pub fn ends(client: &Client, with_certificate: bool) -> (Peer<'_>, Peer<'_>) {
    let peer = client.tls.as_ref().and_then(|tls| tls.peer.as_ref());
    let local = client.tls.as_ref().and_then(|tls| tls.local.as_ref());
    let source = Peer {
        address: Some(&client.peer),
        principal: peer.map_or("", |peer| principal(&peer.sans, &peer.subject)),
        certificate: peer
            .filter(|_| with_certificate)
            .map(|peer| peer.url_encoded_pem())
            .unwrap_or_default(),
        ..Peer::default()
    };
    let destination = Peer {
        address: Some(&client.local),
        principal: local.map_or("", |local| principal(&local.sans, &local.subject)),
        ..Peer::default()
    };
    (source, destination)
}

/// The first URI name of a certificate, else its first DNS name, else its subject.
fn principal<'a>(sans: &'a Sans, subject: &'a str) -> &'a str {
    let name = sans.uri.first().or_else(|| sans.dns.first());
    name.map_or(subject, |name| name)
}

/// What the client asked for, by TLS or its first bytes.
pub fn server_name(client: &Client) -> &[u8] {
    let agreed = client
        .tls
        .as_ref()
        .and_then(|tls| tls.server_name.as_deref());
    let inspected = || client.facts.as_ref().map(|facts| &*facts.server_name);
    let agreed = agreed.map(str::as_bytes).filter(|name| !name.is_empty());
    agreed.or_else(inspected).unwrap_or_default()
}

/// The namespaces that are told; of the request, else of its connection.
fn metadata<'a>(
    config: &'a ExtAuthz,
    info: &'a StreamInfo,
) -> Vec<(&'a str, Vec<(&'a str, MetadataValue<'a>)>)> {
    let of_namespace = |namespace: &'a str| {
        let mut fields: Vec<_> = info.metadata.all(namespace).collect();
        if fields.is_empty() {
            let facts = info.facts.as_deref();
            fields.extend(
                facts
                    .into_iter()
                    .flat_map(|facts| facts.all_metadata(namespace)),
            );
        }
        (!fields.is_empty()).then_some((namespace, fields))
    };
    let namespaces = config.metadata_namespaces.iter().map(|name| &**name);
    namespaces.filter_map(of_namespace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_and_says_so() {
        let settings = BodySettings {
            max_bytes: 3,
            allow_partial: true,
            as_bytes: false,
        };
        for (bytes, told, partial) in [
            (&b"abcd"[..], &b"abc"[..], &b"true"[..]),
            (b"abc", b"abc", b"false"),
            (b"", b"", b"false"),
        ] {
            let body = Gathered { bytes, settings };
            assert_eq!((body.told(), body.is_partial()), (told, partial));
        }
    }

    #[test]
    fn a_principal_is_the_best_name_that_there_is() {
        let names = |names: &[&str]| names.iter().map(|n| Box::from(*n)).collect();
        let mut sans = Sans::default();
        assert_eq!(principal(&sans, "CN=a"), "CN=a");
        sans.dns = names(&["a.test", "b.test"]);
        assert_eq!(principal(&sans, "CN=a"), "a.test");
        sans.uri = names(&["spiffe://a"]);
        assert_eq!(principal(&sans, "CN=a"), "spiffe://a");
    }

    #[test]
    fn lines_of_one_name_become_one() {
        let mut headers = HeaderMap::new();
        assert!(join(&mut headers, b"a", b"1") && join(&mut headers, b"a", b"2"));
        assert_eq!(headers.get_name(b"a"), Some(&b"1,2"[..]));
    }
}
