//! The messages of `envoy.service.auth.v3.Authorization`: what a server is asked, as bytes, and what
//! bytes of its answer mean.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::auth::v3 as pb;
use envoy_types::pb::google::protobuf as google;
use google::value::Kind;
use pb::attribute_context as context;
use pb::check_response::HttpResponse;
use prost::Message as _;

use crate::matching::metadata::{MetadataValue, Structured};
use crate::resources::address::Address;
use crate::resources::header_mutation::AppendAction;

/// `/package.Service/Method`
pub const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";

/// What a server is asked.
#[derive(Debug, Default)]
pub struct Check<'a> {
    pub source: Peer<'a>,
    pub destination: Peer<'a>,
    /// `None`: it is about a connection.
    pub request: Option<Request<'a>>,
    pub context_extensions: Vec<(&'a str, &'a str)>,
    /// Dynamic metadata: key and value by namespace.
    pub metadata: Vec<(&'a str, Vec<(&'a str, MetadataValue<'a>)>)>,
    /// `include_tls_session`: the server name that the client asked for, or nothing.
    pub tls_session: Option<&'a [u8]>,
}

/// One end of the connection.
#[derive(Debug, Default)]
pub struct Peer<'a> {
    pub address: Option<&'a Address>,
    pub service: &'a [u8],
    pub principal: &'a str,
    /// Its certificate, PEM and URL-encoded.
    pub certificate: String,
}

#[derive(Debug, Default)]
pub struct Request<'a> {
    /// When it began: nanoseconds since 1970.
    pub time_ns: u64,
    pub id: u64,
    pub method: &'a [u8],
    pub path: &'a [u8],
    pub host: &'a [u8],
    pub scheme: &'a str,
    pub protocol: &'static str,
    /// Bytes of the body that have come.
    pub size: u64,
    /// Lines of headers, pseudo-headers among them.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// `encode_raw_headers`
    pub raw_headers: bool,
    pub body: Option<Body<'a>>,
}

/// As much of the body as is told.
#[derive(Debug)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    pub as_bytes: bool,
}

impl Check<'_> {
    /// The message `CheckRequest`.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut metadata = HashMap::with_capacity(self.metadata.len());
        for (namespace, fields) in self.metadata {
            let field = |(key, value): (&str, MetadataValue<'_>)| (key.to_owned(), said(value));
            let fields = fields.into_iter().map(field).collect();
            metadata.insert(namespace.to_owned(), google::Struct { fields });
        }
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let is_request = self.request.is_some();
        let told = |filter_metadata| core::Metadata {
            filter_metadata,
            ..core::Metadata::default()
        };
        let attributes = pb::AttributeContext {
            source: Some(self.source.message()),
            destination: Some(self.destination.message()),
            request: self.request.map(Request::message),
            context_extensions: self.context_extensions.into_iter().map(pair).collect(),
            metadata_context: Some(told(metadata)),
            route_metadata_context: is_request.then(|| told(HashMap::new())),
            tls_session: self
                .tls_session
                .map(|name| context::TlsSession { sni: text(name) }),
        };
        let request = pb::CheckRequest {
            attributes: Some(attributes),
        };
        request.encode_to_vec()
    }
}

impl Peer<'_> {
    fn message(self) -> context::Peer {
        context::Peer {
            address: self.address.map(address),
            service: text(self.service),
            labels: HashMap::new(),
            principal: self.principal.to_owned(),
            certificate: self.certificate,
        }
    }
}

impl Request<'_> {
    fn message(self) -> context::Request {
        let seconds = self.time_ns / 1_000_000_000;
        // As precise as Envoy's.
        let micros = self.time_ns % 1_000_000_000 / 1000;
        let time = google::Timestamp {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            nanos: i32::try_from(micros.saturating_mul(1000)).unwrap_or(0),
        };
        let (mut body, mut raw_body) = (String::new(), Vec::new());
        match self.body {
            Some(said) if said.as_bytes => raw_body = said.bytes.to_vec(),
            Some(said) => body = text(said.bytes),
            None => {}
        }
        let (mut headers, mut header_map) = (HashMap::new(), None);
        if self.raw_headers {
            let raw = |(key, value): (&[u8], &[u8])| core::HeaderValue {
                key: text(key),
                value: String::new(),
                raw_value: value.to_vec(),
            };
            header_map = Some(core::HeaderMap {
                headers: self.headers.into_iter().map(raw).collect(),
            });
        } else {
            headers.reserve(self.headers.len());
            for (key, value) in self.headers {
                let value = text(value);
                match headers.entry(text(key)) {
                    Entry::Vacant(free) => {
                        free.insert(value);
                    }
                    Entry::Occupied(mut lines) => {
                        let joined: &mut String = lines.get_mut();
                        joined.push(',');
                        joined.push_str(&value);
                    }
                }
            }
        }
        context::Request {
            time: Some(time),
            http: Some(context::HttpRequest {
                id: self.id.to_string(),
                method: text(self.method),
                headers,
                header_map,
                path: text(self.path),
                host: text(self.host),
                scheme: self.scheme.to_owned(),
                // Envoy leaves these two to the path.
                query: String::new(),
                fragment: String::new(),
                size: i64::try_from(self.size).unwrap_or(i64::MAX),
                protocol: self.protocol.to_owned(),
                body,
                raw_body,
            }),
        }
    }
}

/// What is no UTF-8 becomes `!`, as in Envoy.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        out.push_str(part.valid());
        out.extend(std::iter::repeat_n('!', part.invalid().len()));
    }
    out
}

fn address(address: &Address) -> core::Address {
    use core::address::Address as Kind;
    let address = match address.socket_addr() {
        Some(socket) => Kind::SocketAddress(core::SocketAddress {
            address: socket.ip().to_string(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(
                socket.port().into(),
            )),
            ..core::SocketAddress::default()
        }),
        None => Kind::Pipe(core::Pipe {
            path: address.to_string(),
            mode: 0,
        }),
    };
    core::Address {
        address: Some(address),
    }
}

fn said(value: MetadataValue<'_>) -> google::Value {
    let kind = match value {
        MetadataValue::Text(text) => Kind::StringValue(text.to_owned()),
        MetadataValue::Bool(flag) => Kind::BoolValue(flag),
        MetadataValue::Structured(structured) => return message_of(structured),
    };
    google::Value { kind: Some(kind) }
}

fn message_of(value: &Structured) -> google::Value {
    let kind = match value {
        Structured::Null => Kind::NullValue(0),
        Structured::Bool(flag) => Kind::BoolValue(*flag),
        Structured::Number(number) => Kind::NumberValue(*number),
        Structured::Text(text) => Kind::StringValue(text.to_string()),
        Structured::List(items) => Kind::ListValue(google::ListValue {
            values: items.iter().map(message_of).collect(),
        }),
        Structured::Struct(fields) => {
            let field =
                |(key, value): &(Box<str>, Structured)| (key.to_string(), message_of(value));
            Kind::StructValue(google::Struct {
                fields: fields.iter().map(field).collect(),
            })
        }
    };
    google::Value { kind: Some(kind) }
}

/// What a server says. (Of one that speaks HTTP the data plane makes the same.)
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub verdict: Verdict,
    /// To the request if it may pass, else to the answer that the client gets.
    pub headers: Vec<Change>,
    pub headers_to_remove: Vec<String>,
    /// To the response to a request that passes.
    pub response_headers: Vec<Change>,
    pub query_to_set: Vec<(String, String)>,
    pub query_to_remove: Vec<String>,
    /// `None`: what the proxy says by itself.
    pub status: Option<u16>,
    pub body: Vec<u8>,
    pub metadata: Vec<(String, Structured)>,
    /// It asks for something that is not known.
    pub is_invalid: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
    /// It does not know, or could not be asked.
    #[default]
    Error,
}

/// A header that is set or added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
    pub action: AppendAction,
    /// By the older `append`: it goes to the end of a value that is there, and nowhere else.
    pub joins: bool,
}

/// The message `CheckResponse`; `None`: it is none.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Answer> {
    let message = pb::CheckResponse::decode(bytes).ok()?;
    let mut answer = Answer::default();
    let code = message.status.map_or(0, |status| status.code);
    let mut metadata = message.dynamic_metadata;
    match (code, message.http_response) {
        (0, said) => {
            answer.verdict = Verdict::Allowed;
            if let Some(HttpResponse::OkResponse(ok)) = said {
                answer.headers = ok.headers.into_iter().map(of_request).collect();
                for option in ok.response_headers_to_add {
                    let change = of_response(option, &mut answer.is_invalid);
                    answer.response_headers.push(change);
                }
                answer.headers_to_remove = ok.headers_to_remove;
                let set = ok.query_parameters_to_set.into_iter();
                answer.query_to_set = set.map(|p| (p.key, p.value)).collect();
                answer.query_to_remove = ok.query_parameters_to_remove;
                metadata = ok.dynamic_metadata.or(metadata);
            }
        }
        (_, Some(HttpResponse::ErrorResponse(error))) => {
            answer.verdict = Verdict::Error;
            refusal(&mut answer, error);
        }
        (_, said) => {
            answer.verdict = Verdict::Denied;
            answer.status = Some(403);
            match said {
                Some(HttpResponse::DeniedResponse(denied)) => refusal(&mut answer, denied),
                Some(HttpResponse::OkResponse(ok)) => metadata = ok.dynamic_metadata.or(metadata),
                Some(HttpResponse::ErrorResponse(_)) | None => {}
            }
        }
    }
    answer.metadata = fields(metadata.unwrap_or_default());
    Some(answer)
}

fn refusal(answer: &mut Answer, said: pb::DeniedHttpResponse) {
    // As in Envoy, what is to be appended is left out, whatever else it says.
    let is_set = |option: &core::HeaderValueOption| !appends(option);
    for option in said.headers.into_iter().filter(is_set) {
        let (name, value) = field(option);
        answer.say(name, value);
    }
    let code = said.status.map_or(0, |status| status.code);
    if code > 0 {
        // What is no status of a response is none that can be passed on.
        let code = u16::try_from(code).ok();
        let code = code.filter(|code| (200..600).contains(code));
        answer.is_invalid |= code.is_none();
        answer.status = code.or(answer.status);
    }
    answer.body = said.body.into_bytes();
}

/// Of a request. As in Envoy it is set, whatever `append_action` says, unless `append` is.
fn of_request(option: core::HeaderValueOption) -> Change {
    let joins = appends(&option);
    let (name, value) = field(option);
    let action = if joins {
        AppendAction::AppendIfExistsOrAdd
    } else {
        AppendAction::OverwriteIfExistsOrAdd
    };
    Change {
        name,
        value,
        action,
        joins,
    }
}

/// Of the response to a request that passes.
fn of_response(option: core::HeaderValueOption, is_invalid: &mut bool) -> Change {
    let action = match &option.append {
        Some(append) if append.value => AppendAction::AppendIfExistsOrAdd,
        Some(_) => AppendAction::OverwriteIfExistsOrAdd,
        None => action(option.append_action, is_invalid),
    };
    let (name, value) = field(option);
    Change {
        name,
        value,
        action,
        joins: false,
    }
}

fn appends(option: &core::HeaderValueOption) -> bool {
    option.append.as_ref().is_some_and(|append| append.value)
}

/// Name and value. (Envoy takes no notice of a raw value, either.)
fn field(option: core::HeaderValueOption) -> (Vec<u8>, Vec<u8>) {
    let header = option.header.unwrap_or_default();
    let name = header.key.to_ascii_lowercase().into_bytes();
    (name, header.value.into_bytes())
}

impl Answer {
    /// A header of a refusal: it replaces what is there, and comes beside those that were said before.
    pub fn say(&mut self, name: Vec<u8>, value: Vec<u8>) {
        let is_first = self.headers.iter().all(|before| before.name != name);
        let action = if is_first {
            AppendAction::OverwriteIfExistsOrAdd
        } else {
            AppendAction::AppendIfExistsOrAdd
        };
        self.headers.push(Change {
            name,
            value,
            action,
            joins: false,
        });
    }
}

fn action(number: i32, is_invalid: &mut bool) -> AppendAction {
    use core::header_value_option::HeaderAppendAction as A;
    match A::try_from(number) {
        Ok(A::AppendIfExistsOrAdd) => AppendAction::AppendIfExistsOrAdd,
        Ok(A::AddIfAbsent) => AppendAction::AddIfAbsent,
        Ok(A::OverwriteIfExistsOrAdd) => AppendAction::OverwriteIfExistsOrAdd,
        Ok(A::OverwriteIfExists) => AppendAction::OverwriteIfExists,
        Err(_) => {
            *is_invalid = true;
            AppendAction::OverwriteIfExistsOrAdd
        }
    }
}

fn fields(message: google::Struct) -> Vec<(String, Structured)> {
    let mut all: Vec<_> = message.fields.into_iter().collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let each = |(key, value)| (key, structured(value));
    all.into_iter().map(each).collect()
}

/// Its depth is bounded by prost's limit of recursion.
fn structured(value: google::Value) -> Structured {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Structured::Null,
        Some(Kind::BoolValue(flag)) => Structured::Bool(flag),
        Some(Kind::NumberValue(number)) => Structured::Number(number),
        Some(Kind::StringValue(text)) => Structured::Text(text.into()),
        Some(Kind::ListValue(list)) => {
            Structured::List(list.values.into_iter().map(structured).collect())
        }
        Some(Kind::StructValue(inner)) => {
            let inner = fields(inner).into_iter();
            Structured::Struct(inner.map(|(key, value)| (key.into(), value)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_what_there_is_and_bytes_that_are_no_text_as_marks() {
        let local: Address = "127.0.0.1:80"
            .parse::<std::net::SocketAddr>()
            .unwrap()
            .into();
        let check = Check {
            destination: Peer {
                address: Some(&local),
                principal: "spiffe://a",
                ..Peer::default()
            },
            request: Some(Request {
                time_ns: 1_000_002_345,
                headers: vec![(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff\xfex")],
                body: Some(Body {
                    bytes: b"\xc3",
                    as_bytes: false,
                }),
                ..Request::default()
            }),
            metadata: vec![("n", vec![("k", MetadataValue::Text("v"))])],
            ..Check::default()
        };
        let sent = pb::CheckRequest::decode(&*check.encode()).unwrap();
        let attributes = sent.attributes.unwrap();
        assert_eq!(attributes.destination.unwrap().principal, "spiffe://a");
        let request = attributes.request.unwrap();
        let time = request.time.unwrap();
        assert_eq!((time.seconds, time.nanos), (1, 2_000));
        let http = request.http.unwrap();
        assert_eq!(http.headers["a"], "1,2");
        assert_eq!(http.headers["b"], "!!x");
        assert_eq!(http.body, "!");
        let metadata = attributes.metadata_context.unwrap().filter_metadata;
        let value = metadata["n"].fields["k"].kind.clone();
        assert_eq!(value, Some(Kind::StringValue("v".into())));
    }

    fn answer(message: pb::CheckResponse) -> Answer {
        decode(&message.encode_to_vec()).unwrap()
    }

    fn with_status(code: i32, said: Option<HttpResponse>) -> pb::CheckResponse {
        pb::CheckResponse {
            status: Some(envoy_types::pb::google::rpc::Status {
                code,
                ..Default::default()
            }),
            http_response: said,
            ..Default::default()
        }
    }

    #[test]
    fn who_is_denied_and_how() {
        assert_eq!(answer(with_status(0, None)).verdict, Verdict::Allowed);
        let denied = answer(with_status(7, None));
        assert_eq!(
            (denied.verdict, denied.status),
            (Verdict::Denied, Some(403))
        );
        // What is said of a permission does not count when there is none.
        let ok = HttpResponse::OkResponse(pb::OkHttpResponse::default());
        assert_eq!(answer(with_status(7, Some(ok))).verdict, Verdict::Denied);
        let status = |code| {
            Some(HttpResponse::DeniedResponse(pb::DeniedHttpResponse {
                status: Some(envoy_types::pb::envoy::r#type::v3::HttpStatus { code }),
                ..Default::default()
            }))
        };
        assert_eq!(answer(with_status(7, status(401))).status, Some(401));
        let strange = answer(with_status(7, status(9999)));
        assert!(strange.is_invalid && strange.status == Some(403));
        let error = HttpResponse::ErrorResponse(pb::DeniedHttpResponse::default());
        let error = answer(with_status(14, Some(error)));
        assert_eq!((error.verdict, error.status), (Verdict::Error, None));
        assert_eq!(decode(b"\xff\xff"), None);
    }

    #[test]
    fn how_headers_are_changed() {
        use envoy_types::pb::envoy::config::core::v3 as core;
        use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction as A;
        let option = |append: Option<bool>, action: i32| core::HeaderValueOption {
            header: Some(core::HeaderValue {
                key: "X-A".into(),
                ..Default::default()
            }),
            append: append.map(|value| google::BoolValue { value }),
            append_action: action,
            ..Default::default()
        };
        use AppendAction::{AddIfAbsent, AppendIfExistsOrAdd, OverwriteIfExistsOrAdd};
        for (append, number, set, joins) in [
            (
                None,
                A::AppendIfExistsOrAdd as i32,
                OverwriteIfExistsOrAdd,
                false,
            ),
            (None, A::AddIfAbsent as i32, OverwriteIfExistsOrAdd, false),
            (Some(true), 0, AppendIfExistsOrAdd, true),
            (Some(false), 0, OverwriteIfExistsOrAdd, false),
            (None, 99, OverwriteIfExistsOrAdd, false),
        ] {
            let got = of_request(option(append, number));
            assert_eq!(got.name, b"x-a");
            assert_eq!((got.action, got.joins), (set, joins));
        }
        for (append, number, set, invalid) in [
            (
                None,
                A::AppendIfExistsOrAdd as i32,
                AppendIfExistsOrAdd,
                false,
            ),
            (None, A::AddIfAbsent as i32, AddIfAbsent, false),
            (Some(true), 1, AppendIfExistsOrAdd, false),
            (Some(false), 0, OverwriteIfExistsOrAdd, false),
            (None, 99, OverwriteIfExistsOrAdd, true),
        ] {
            let mut is_invalid = false;
            let got = of_response(option(append, number), &mut is_invalid);
            assert_eq!((got.action, got.joins, is_invalid), (set, false, invalid));
        }
        let mut refused = Answer::default();
        let headers = vec![
            option(None, 0),
            option(Some(true), 0),
            option(Some(false), 1),
        ];
        refusal(
            &mut refused,
            pb::DeniedHttpResponse {
                headers,
                ..Default::default()
            },
        );
        let actions: Vec<_> = refused.headers.iter().map(|c| c.action).collect();
        assert_eq!(actions, [OverwriteIfExistsOrAdd, AppendIfExistsOrAdd]);
    }
}
