//! What becomes of a request by an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::authorization::{Answer, Change, Verdict};
use model::matching::metadata::Structured;
use proto::{HeaderMap, Known};

use super::{Asking, ExtAuthzFilter, Flow};
use crate::http::downstream::Downstream;
use crate::http::stream::Stream;
use crate::router::headers;
use crate::router::rewrite::split_query;
use crate::telemetry::dynamic_metadata::{Key, Value};
use crate::telemetry::stats::{ExtAuthzClusterCounter, ExtAuthzCounter};
use crate::worker::Worker;

/// Where its metadata is.
const NAMESPACE: &str = "envoy.filters.http.ext_authz";
const DURATION: &str = "ext_authz_duration";
const FAILURE_MODE_ALLOWED: &[u8] = b"x-envoy-auth-failure-mode-allowed";

/// A change of the request that may not be made, and is not to be overlooked.
struct Refused;

impl ExtAuthzFilter {
    pub(super) fn apply(
        &self,
        asking: &mut Asking,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
        mut answer: Answer,
    ) -> Flow {
        if answer.is_invalid {
            return self.invalid(worker, s);
        }
        let metadata = std::mem::take(&mut answer.metadata);
        self.tell(asking, worker, s, metadata, answer.verdict);
        match answer.verdict {
            Verdict::Allowed => self.allow(asking, worker, d, s, answer),
            Verdict::Denied => self.deny(worker, s, answer),
            Verdict::Error => self.error(worker, s, answer),
        }
    }

    /// Notes what the server tells other filters and logs.
    fn tell(
        &self,
        asking: &Asking,
        worker: &Worker,
        s: &mut Stream,
        mut metadata: Vec<(String, Structured)>,
        verdict: Verdict,
    ) {
        if metadata.is_empty() {
            return;
        }
        if !self.config.takes_metadata {
            return self.stats.inc(ExtAuthzCounter::IgnoredDynamicMetadata);
        }
        if verdict == Verdict::Allowed {
            let ms = worker.clock.now_ms().saturating_sub(asking.asked_ms);
            metadata.push((DURATION.to_owned(), Structured::Number(ms as f64)));
        }
        for (key, value) in metadata {
            let value = Value::Said(Arc::new(value));
            s.info
                .metadata
                .set(NAMESPACE, Key::Given(key.into()), value);
        }
    }

    fn allow(
        &self,
        asking: &mut Asking,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
        answer: Answer,
    ) -> Flow {
        let changes_request = !answer.headers.is_empty()
            || !answer.headers_to_remove.is_empty()
            || !answer.query_to_set.is_empty()
            || !answer.query_to_remove.is_empty();
        if self.change_request(s, &answer).is_err() {
            return self.invalid(worker, s);
        }
        let hcm = &d.client.http.hcm;
        let headers = &s.request.headers;
        if headers.len() > hcm.max_headers_count
            || headers.byte_size() > hcm.max_request_headers_bytes
        {
            self.stats.inc(ExtAuthzCounter::RequestHeaderLimitsReached);
            return self.invalid(worker, s);
        }
        if !answer.response_headers.iter().all(is_sayable) {
            return self.invalid(worker, s);
        }
        asking.response = answer.response_headers;
        // Envoy counts for the cluster that was chosen before.
        self.stats.inc(ExtAuthzCounter::Ok);
        self.count_cluster(worker, s, ExtAuthzClusterCounter::Ok);
        if changes_request && self.config.clear_route_cache {
            worker.choose_route_again(d, s);
        }
        Flow::Pass
    }

    fn deny(&self, worker: &mut Worker, s: &mut Stream, mut answer: Answer) -> Flow {
        self.stats.inc(ExtAuthzCounter::Denied);
        self.count_cluster(worker, s, ExtAuthzClusterCounter::Denied);
        let status = answer.status.unwrap_or(403);
        if self.config.charge_cluster_response_stats
            && let Some(cluster) = &s.cluster
        {
            cluster.stats().response_code(status, true);
        }
        if !answer.headers.iter().all(is_sayable) {
            return self.invalid(worker, s);
        }
        if let Some(most) = self.config.max_denied_body {
            answer.body.truncate(most);
        }
        let mut reply = self.refusal(s, status, "ext_authz_denied");
        reply.body = Some(answer.body.into());
        reply.headers = answer.headers;
        Flow::Reply(reply)
    }

    fn error(&self, worker: &mut Worker, s: &mut Stream, mut answer: Answer) -> Flow {
        self.stats.inc(ExtAuthzCounter::Error);
        self.count_cluster(worker, s, ExtAuthzClusterCounter::Error);
        if self.config.failure_mode_allow {
            self.stats.inc(ExtAuthzCounter::FailureModeAllowed);
            self.count_cluster(worker, s, ExtAuthzClusterCounter::FailureModeAllowed);
            if self.config.failure_mode_allow_header_add {
                s.request.headers.push(FAILURE_MODE_ALLOWED, b"true");
            }
            return Flow::Pass;
        }
        // As in Envoy, what is wrong here is left out: there is an error already.
        answer.headers.retain(is_sayable);
        let status = answer.status.unwrap_or(self.config.status_on_error);
        let mut reply = self.refusal(s, status, "ext_authz_error");
        reply.body = Some(answer.body.into());
        reply.headers = answer.headers;
        Flow::Reply(reply)
    }

    /// The server says what cannot be done.
    fn invalid(&self, worker: &mut Worker, s: &mut Stream) -> Flow {
        self.stats.inc(ExtAuthzCounter::Invalid);
        self.count_cluster(worker, s, ExtAuthzClusterCounter::Invalid);
        Flow::Reply(self.refusal(s, 500, "ext_authz_invalid"))
    }

    fn change_request(&self, s: &mut Stream, answer: &Answer) -> Result<(), Refused> {
        for change in &answer.headers {
            if self.may_change(&change.name)? {
                change_header(s, change)?;
            }
        }
        for name in &answer.headers_to_remove {
            let name = name.to_ascii_lowercase().into_bytes();
            // Without those the request would be none.
            let is_needed = name.first() == Some(&b':') || name == b"host";
            if is_needed {
                self.disallowed()?;
            } else if self.may_change(&name)? {
                s.request.headers.remove_name(&name);
            }
        }
        if !answer.query_to_set.is_empty() || !answer.query_to_remove.is_empty() {
            let path = changed_query(s.request.path(), answer)?;
            if !s.request.set_path(&path) {
                return Err(Refused);
            }
        }
        Ok(())
    }

    /// Whether a header of the request may be changed, by `decoder_header_mutation_rules`.
    fn may_change(&self, name: &[u8]) -> Result<bool, Refused> {
        let Some(rules) = &self.config.mutation_rules else {
            return Ok(true);
        };
        let name = std::str::from_utf8(name).map_err(|_| Refused)?;
        if rules.allows(name) {
            return Ok(true);
        }
        self.disallowed().map(|()| false)
    }

    /// A change that may not be made is left out, or is an error.
    fn disallowed(&self) -> Result<(), Refused> {
        let rules = self.config.mutation_rules.as_ref();
        if rules.is_some_and(|rules| rules.disallow_is_error) {
            return Err(Refused);
        }
        Ok(())
    }
}

/// What cannot be said in HTTP leaves nothing behind that somebody would believe in.
fn change_header(s: &mut Stream, change: &Change) -> Result<(), Refused> {
    let value = &*change.value;
    let is_done = match &*change.name {
        b":path" => s.request.set_path(value),
        b":method" => s.request.set_method(value),
        b":authority" | b"host" => s.request.set_authority(value),
        b":scheme" if value == b"http" || value == b"https" => {
            s.info.scheme_https = value == b"https";
            true
        }
        _ if !is_sayable(change) => false,
        name if change.joins => join_if_there(&mut s.request.headers, name, value),
        _ => headers::change(&mut s.request.headers, change),
    };
    if is_done { Ok(()) } else { Err(Refused) }
}

/// To the end of the value that is there, if one is.
fn join_if_there(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> bool {
    let lines: Vec<&[u8]> = headers.values_name(name).collect();
    if lines.is_empty() {
        return true;
    }
    let joined = [&lines.join(&b","[..])[..], b",", value].concat();
    headers.set_name(name, &joined)
}

/// Whether it is a header at all.
fn is_sayable(change: &Change) -> bool {
    let mut headers = HeaderMap::new();
    let is_framing = matches!(
        Known::of(&change.name),
        Known::TransferEncoding | Known::Connection | Known::Upgrade
    );
    !is_framing && headers.push(&change.name, &change.value)
}

/// The path with parameters of its query set and removed: in the order of their names, as in Envoy.
fn changed_query(path: &[u8], answer: &Answer) -> Result<Vec<u8>, Refused> {
    let (before, query) = split_query(path);
    let mut all: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    let query = query.strip_prefix(b"?").unwrap_or(query);
    let parts = query.split(|byte| *byte == b'&');
    for part in parts.filter(|part| !part.is_empty()) {
        let at = part.iter().position(|byte| *byte == b'=');
        let (key, value) = part
            .split_at_checked(at.unwrap_or(part.len()))
            .ok_or(Refused)?;
        let value = value.strip_prefix(b"=").unwrap_or_default();
        all.entry(key).or_default().push(value);
    }
    for (key, value) in &answer.query_to_set {
        if !is_encoded(key) || !is_encoded(value) {
            return Err(Refused);
        }
        all.insert(key.as_bytes(), vec![value.as_bytes()]);
    }
    for key in &answer.query_to_remove {
        all.remove(key.as_bytes());
    }
    let mut path = before.to_vec();
    let mut separator = b'?';
    for (key, values) in all {
        for value in values {
            path.push(separator);
            path.extend_from_slice(key);
            path.push(b'=');
            path.extend_from_slice(value);
            separator = b'&';
        }
    }
    Ok(path)
}

/// What could end a parameter, or a query, would be taken for another one.
fn is_encoded(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'#' | b'='))
}

#[cfg(test)]
mod tests {
    use model::resources::header_mutation::AppendAction;

    use super::*;

    fn answer(set: &[(&str, &str)], remove: &[&str]) -> Answer {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Answer {
            query_to_set: set.iter().map(pair).collect(),
            query_to_remove: remove.iter().map(|key| (*key).to_owned()).collect(),
            ..Answer::default()
        }
    }

    #[test]
    fn parameters_are_set_and_removed() {
        for (path, set, remove, want) in [
            ("/a", &[("k", "v")][..], &[][..], "/a?k=v"),
            ("/a?z=1&b=2&b=3", &[("k", "v")], &[], "/a?b=2&b=3&k=v&z=1"),
            ("/a?b=2&b=3", &[("b", "1")], &[], "/a?b=1"),
            ("/a?b=2&c", &[], &["b"], "/a?c="),
            ("/a?b=2", &[], &["b"], "/a"),
        ] {
            let changed = changed_query(path.as_bytes(), &answer(set, remove));
            let changed = changed.map(|path| String::from_utf8_lossy(&path).into_owned());
            assert_eq!(changed.ok().as_deref(), Some(want), "{path}");
        }
        for (key, value) in [("a&b", "1"), ("a", "1#"), ("a=b", "1"), ("a", "1 2")] {
            assert!(changed_query(b"/a", &answer(&[(key, value)], &[])).is_err());
        }
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let change = |name: &str, value: &str| Change {
            name: name.into(),
            value: value.into(),
            action: AppendAction::OverwriteIfExistsOrAdd,
            joins: false,
        };
        let mut s = Stream::default();
        s.request.headers.push(b"x-user", b"liar");
        for (name, value) in [
            ("x-user", "a\r\nb"),
            ("x user", "a"),
            ("", "a"),
            (":path", "no path"),
            (":method", "no token "),
            ("host", "a b"),
            (":scheme", "ftp"),
            (":other", "a"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ] {
            assert!(
                change_header(&mut s, &change(name, value)).is_err(),
                "{name}"
            );
        }
        assert!(change_header(&mut s, &change("x-user", "anna")).is_ok());
        assert_eq!(s.request.headers.get_name(b"x-user"), Some(&b"anna"[..]));
        assert!(change_header(&mut s, &change(":path", "/b")).is_ok());
        assert_eq!(s.request.path(), b"/b");
        assert!(!is_sayable(&change("transfer-encoding", "chunked")));
    }

    #[test]
    fn an_older_append_needs_a_value_to_append_to() {
        let mut headers = HeaderMap::new();
        assert!(join_if_there(&mut headers, b"a", b"1"));
        assert!(headers.is_empty());
        headers.push(b"a", b"1");
        headers.push(b"a", b"2");
        assert!(join_if_there(&mut headers, b"a", b"3"));
        assert_eq!(headers.get_name(b"a"), Some(&b"1,2,3"[..]));
    }
}
