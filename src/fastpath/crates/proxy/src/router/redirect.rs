//! Redirects: what goes into `location` (`RouteEntryImplBase::newUri`).

use std::io::Write;

use model::resources::route::{Redirect, RedirectPath, SchemeRedirect};
use proto::Known;

use super::rewrite;
use crate::http::authority::split_port;
use crate::http::downstream::Downstream;
use crate::http::stream::Stream;
use crate::worker::Worker;
use crate::worker::chain::RouteRef;

impl Worker {
    /// `require_tls` on a plain connection.
    pub fn redirect_to_https(&mut self, d: &mut Downstream, mut s: Box<Stream>) {
        let mut location = b"https://".to_vec();
        location.extend_from_slice(s.request.authority());
        location.extend_from_slice(s.request.path());
        s.response.headers.push_known(Known::Location, &location);
        self.local_reply(d, s, 301, b"", "direct_response".into());
    }

    pub fn redirect(&mut self, d: &mut Downstream, mut s: Box<Stream>, redirect: &Redirect) {
        let location = location(&s, redirect);
        s.response.headers.push_known(Known::Location, &location);
        self.route_response_headers(&mut s);
        self.local_reply(d, s, redirect.status, b"", "direct_response".into());
    }
}

fn location(s: &Stream, redirect: &Redirect) -> Vec<u8> {
    // Nothing but plain connections yet; x-forwarded-proto says what the client used.
    let was_https = s.request.headers.get(Known::XForwardedProto) == Some(b"https");
    let from: &str = if was_https { "https" } else { "http" };
    let to: &str = match &redirect.scheme {
        SchemeRedirect::Keep => from,
        SchemeRedirect::Https => "https",
        SchemeRedirect::To(scheme) => scheme,
    };
    let authority = s.request.authority();
    let (host, port) = split_port(authority);
    let host = redirect.host.as_deref().map_or(host, str::as_bytes);
    let mut out = Vec::with_capacity(64);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{to}://");
    out.extend_from_slice(host);
    match redirect.port {
        Some(port) => {
            let _ = write!(out, ":{port}");
        }
        None => {
            let is_default = matches!((from, port), ("http", Some(80)) | ("https", Some(443)));
            let kept = port.filter(|_| redirect.host.is_none() && !(from != to && is_default));
            if let Some(port) = kept {
                let _ = write!(out, ":{port}");
            }
        }
    }
    let (path, query) = rewrite::split_query(s.request.path());
    match &redirect.path {
        RedirectPath::Keep => {
            out.extend_from_slice(path);
            keep_query(&mut out, query, redirect);
        }
        RedirectPath::Path(path) => {
            out.extend_from_slice(path.as_bytes());
            if !path.contains('?') {
                keep_query(&mut out, query, redirect);
            }
        }
        RedirectPath::Rewrite(rewrite) => {
            let new = s
                .route
                .as_ref()
                .and_then(|route: &RouteRef| rewrite::rewritten(path, route, rewrite));
            out.extend_from_slice(new.as_deref().unwrap_or(path));
            keep_query(&mut out, query, redirect);
        }
    }
    out
}

fn keep_query(out: &mut Vec<u8>, query: &[u8], redirect: &Redirect) {
    if !redirect.strip_query {
        out.extend_from_slice(query);
    }
}
