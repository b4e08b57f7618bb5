//! What an authorization server's answer means.

use model::authorization::{Answer, Change, Verdict, decode};
use model::matching::metadata::Structured;
use model::resources::ext_authz::{HttpService, Service};
use model::resources::header_mutation::AppendAction;
use proto::{HeaderMap, Known};

use super::{Configured, ExtAuthzFilter, Server};
use crate::http::own_call::Response;
use crate::telemetry::log::Level;

/// Where a server that speaks HTTP says which headers of the request go.
const TO_REMOVE: &[u8] = b"x-envoy-auth-headers-to-remove";

impl ExtAuthzFilter {
    pub(super) fn read(&self, of: &Configured, response: Response) -> Answer {
        match (&self.server, &self.config.service) {
            (Server::Http(_), Service::Http(http)) => of_http(http, response),
            (Server::Grpc(method), _) => match method.message(&response) {
                Ok(message) => decode(&message).unwrap_or_else(|| {
                    self.complain(of, "its answer is no CheckResponse");
                    Answer::default()
                }),
                Err(status) => {
                    let text = format!("gRPC status {}: {}", status.code, status.text);
                    self.complain(of, &text);
                    Answer::default()
                }
            },
            (Server::Http(_), Service::Grpc(_)) => Answer::default(),
        }
    }

    fn complain(&self, of: &Configured, what: &str) {
        crate::log!(
            Level::Debug,
            "ext_authz",
            "{}: the authorization server has not decided: {what}",
            of.name
        );
    }
}

/// 200 is a permission, 5xx an error, anything else a refusal.
fn of_http(http: &HttpService, response: Response) -> Answer {
    let Response {
        status,
        mut headers,
        body,
        ..
    } = response;
    if !(200..500).contains(&status) {
        return Answer::default();
    }
    proto::strip_hop_by_hop(&mut headers);
    let mut answer = Answer {
        metadata: metadata(http, &headers),
        ..Answer::default()
    };
    if status == 200 {
        answer.verdict = Verdict::Allowed;
        for value in headers.values_name(TO_REMOVE) {
            let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let names = names.filter(|name| !name.is_empty());
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            answer.headers_to_remove.extend(names.map(text));
        }
        headers.remove_name(TO_REMOVE);
        for (name, value) in headers.iter() {
            if http.upstream.contain(name) {
                let action = AppendAction::OverwriteIfExistsOrAdd;
                answer.headers.push(change(name, value, action));
            }
            if http.upstream_append.contain(name) {
                let action = AppendAction::AppendIfExistsOrAdd;
                answer.headers.push(change(name, value, action));
            }
            if http.client_on_success.contain(name) {
                let action = AppendAction::AppendIfExistsOrAdd;
                answer.response_headers.push(change(name, value, action));
            }
        }
        return answer;
    }
    answer.verdict = Verdict::Denied;
    answer.status = Some(status);
    answer.body = body;
    headers.remove_name(TO_REMOVE);
    let is_passed = |name: &[u8]| match &http.client {
        None => true,
        Some(names) => names.contain(name),
    };
    for (known, name, value) in headers.iter_known() {
        // How long our answer is we say ourselves.
        if known != Known::ContentLength && is_passed(name) {
            answer.say(name.to_vec(), value.to_vec());
        }
    }
    answer
}

fn metadata(http: &HttpService, headers: &HeaderMap) -> Vec<(String, Structured)> {
    let wanted = headers
        .iter()
        .filter(|(name, _)| http.metadata.contain(name));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let each = |(name, value): (&[u8], &[u8])| (text(name), Structured::Text(text(value).into()));
    wanted.map(each).collect()
}

fn change(name: &[u8], value: &[u8], action: AppendAction) -> Change {
    Change {
        name: name.to_vec(),
        value: value.to_vec(),
        action,
        joins: false,
    }
}

#[cfg(test)]
mod tests {
    use model::resources::ext_authz::Names;
    use model::resources::route::{StringMatcher, StringPattern};

    use super::*;

    fn names(prefix: &str) -> Names {
        Names(vec![StringMatcher {
            pattern: StringPattern::Prefix(prefix.as_bytes().into()),
            ignore_case: true,
        }])
    }

    fn service() -> HttpService {
        HttpService {
            cluster: "a".into(),
            timeout_ms: None,
            path_prefix: "".into(),
            headers_to_add: Vec::new(),
            upstream: names("x-up"),
            upstream_append: names("x-also"),
            client: None,
            client_on_success: names("x-client"),
            metadata: names("x-meta"),
        }
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> Response {
        let mut response = Response {
            status,
            body: b"body".to_vec(),
            ..Response::default()
        };
        for (name, value) in fields {
            let headers = &mut response.headers;
            assert!(headers.push(name.as_bytes(), value.as_bytes()));
        }
        response
    }

    #[test]
    fn only_200_is_a_permission() {
        for (status, verdict) in [
            (200, Verdict::Allowed),
            (201, Verdict::Denied),
            (302, Verdict::Denied),
            (404, Verdict::Denied),
            (500, Verdict::Error),
            (503, Verdict::Error),
            (101, Verdict::Error),
            (0, Verdict::Error),
        ] {
            let answer = of_http(&service(), response(status, &[]));
            assert_eq!(answer.verdict, verdict, "{status}");
        }
    }

    #[test]
    fn a_permission_has_headers_for_both_sides() {
        let fields = [
            ("x-up-a", "1"),
            ("x-also", "2"),
            ("x-client", "3"),
            ("x-meta", "4"),
            ("x-envoy-auth-headers-to-remove", "a, b,,c"),
            ("other", "5"),
        ];
        let answer = of_http(&service(), response(200, &fields));
        let names = |all: &[Change]| -> Vec<String> {
            let each = |c: &Change| String::from_utf8_lossy(&c.name).into_owned();
            all.iter().map(each).collect()
        };
        assert_eq!(names(&answer.headers), ["x-up-a", "x-also"]);
        assert_eq!(names(&answer.response_headers), ["x-client"]);
        assert_eq!(answer.headers_to_remove, ["a", "b", "c"]);
        assert_eq!(
            answer.metadata,
            [("x-meta".to_owned(), Structured::Text("4".into()))]
        );
        assert!(answer.body.is_empty());
    }

    #[test]
    fn a_refusal_passes_all_headers_or_those_that_are_listed() {
        let fields = [
            ("x-a", "1"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("content-length", "4"),
            ("x-envoy-auth-headers-to-remove", "a"),
        ];
        let answer = of_http(&service(), response(401, &fields));
        assert_eq!((answer.status, &*answer.body), (Some(401), &b"body"[..]));
        let said: Vec<_> = answer
            .headers
            .iter()
            .map(|c| (&*c.value, c.action))
            .collect();
        let (first, more) = (
            AppendAction::OverwriteIfExistsOrAdd,
            AppendAction::AppendIfExistsOrAdd,
        );
        assert_eq!(said, [(&b"1"[..], first), (b"a", first), (b"b", more)]);
        let service = HttpService {
            client: Some(names("x-")),
            ..service()
        };
        let answer = of_http(&service, response(401, &fields));
        assert_eq!(answer.headers.len(), 1);
    }
}
