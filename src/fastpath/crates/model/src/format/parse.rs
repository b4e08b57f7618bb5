//! From text to commands, by Envoy's grammar: `%NAME(arguments):length%`.

use super::operator::{
    Command, Field, GrpcStatusStyle, HeaderSource, Operator, PathSource, Side, TimePoint, TimeUnit,
};
use super::table::{self, field, is_not_implemented};
use super::time::TimeFormat;
use super::{FormatError, Part};
use crate::resources::header_mutation::HeaderName;

/// A command as it stands in the text.
struct Raw<'a> {
    name: &'a str,
    arguments: Option<&'a str>,
    max_len: Option<usize>,
}

pub(super) fn parts(text: &str) -> Result<Vec<Part>, FormatError> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, command) = rest.split_at_checked(at).unwrap_or((rest, ""));
        plain.push_str(before);
        if let Some(after) = command.strip_prefix("%%") {
            plain.push('%');
            rest = after;
            continue;
        }
        let Some((raw, after)) = raw(command) else {
            let position = text.len().saturating_sub(command.len());
            return Err(FormatError::Syntax {
                position,
                rest: command.chars().take(40).collect(),
            });
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain).into_bytes().into()));
        }
        parts.push(Part::Command(command_of(&raw)?));
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain.into_bytes().into()));
    }
    Ok(parts)
}

/// Splits `%NAME(arguments):length%` off. Arguments end at the first `)` that lets the command end.
fn raw(text: &str) -> Option<(Raw<'_>, &str)> {
    let text = text.strip_prefix('%')?;
    let end = text.find(|c: char| !matches!(c, 'A'..='Z' | '0'..='9' | '_'))?;
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let Some(inner) = rest.strip_prefix('(') else {
        let (max_len, rest) = ending(rest)?;
        return Some((
            Raw {
                name,
                arguments: None,
                max_len,
            },
            rest,
        ));
    };
    inner.match_indices(')').find_map(|(at, _)| {
        let (arguments, rest) = inner.split_at_checked(at)?;
        let (max_len, rest) = ending(rest.strip_prefix(')')?)?;
        Some((
            Raw {
                name,
                arguments: Some(arguments),
                max_len,
            },
            rest,
        ))
    })
}

/// `:length%` or `%`.
fn ending(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let (digits, rest) = text.strip_prefix(':')?.split_once('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Some(digits.parse().ok()?), rest))
}

impl Raw<'_> {
    fn bad(&self, reason: &'static str) -> FormatError {
        let argument = self.arguments.unwrap_or_default().to_owned();
        FormatError::BadArgument {
            operator: self.name.to_owned(),
            argument,
            reason,
        }
    }

    /// Arguments that must be there and say something.
    fn required(&self) -> Result<&str, FormatError> {
        self.arguments
            .filter(|arguments| !arguments.is_empty())
            .ok_or_else(|| FormatError::ArgumentsRequired {
                operator: self.name.to_owned(),
            })
    }

    fn no_length(&self) -> Result<(), FormatError> {
        match self.max_len {
            Some(_) => Err(FormatError::NoLength {
                operator: self.name.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

fn command_of(raw: &Raw<'_>) -> Result<Command, FormatError> {
    let operator = match raw.name {
        "REQ" | "REQUEST_HEADER" => {
            let (main, alternative) = headers(raw)?;
            Operator::Request(main, alternative)
        }
        "RESP" | "RESPONSE_HEADER" => {
            let (main, alternative) = headers(raw)?;
            Operator::Response(main, alternative)
        }
        "TRAILER" | "RESPONSE_TRAILER" => {
            let (main, alternative) = headers(raw)?;
            Operator::Trailer(main, alternative)
        }
        "REQ_WITHOUT_QUERY" => {
            let (main, alternative) = headers(raw)?;
            Operator::RequestWithoutQuery(main, alternative)
        }
        "QUERY_PARAM" => Operator::QueryParameter(raw.required()?.as_bytes().into()),
        "QUERY_PARAMS" => query_parameters(raw)?,
        "PATH" => path(raw)?,
        "ENVIRONMENT" => environment(raw)?,
        "COALESCE" => Operator::Coalesce(coalesce(raw)?),
        "START_TIME" => {
            raw.no_length()?;
            Operator::StartTime(time(raw)?)
        }
        "EMIT_TIME" => {
            raw.no_length()?;
            Operator::EmitTime(time(raw)?)
        }
        "DOWNSTREAM_PEER_CERT_V_START"
        | "DOWNSTREAM_PEER_CERT_V_END"
        | "UPSTREAM_PEER_CERT_V_START"
        | "UPSTREAM_PEER_CERT_V_END" => certificate_time(raw)?,
        "DYNAMIC_METADATA" => dynamic_metadata(raw)?,
        "FILTER_STATE" => filter_state(raw)?,
        "COMMON_DURATION" => {
            raw.no_length()?;
            duration(raw)?
        }
        "GRPC_STATUS" | "GRPC_STATUS_NUMBER" => {
            raw.no_length()?;
            grpc_status(raw)?
        }
        "RESPONSE_CODE_DETAILS" => {
            raw.no_length()?;
            match raw.arguments.unwrap_or_default() {
                "" => Operator::ResponseCodeDetails { keep_spaces: false },
                "ALLOW_WHITESPACES" => Operator::ResponseCodeDetails { keep_spaces: true },
                _ => return Err(raw.bad("only ALLOW_WHITESPACES is known")),
            }
        }
        name => {
            if is_not_implemented(name) {
                return Err(FormatError::NotImplemented {
                    operator: name.to_owned(),
                });
            }
            let Some(field) = field(name) else {
                return Err(FormatError::Unknown {
                    operator: name.to_owned(),
                });
            };
            if raw.max_len.is_some() || raw.arguments.is_some_and(|text| !text.is_empty()) {
                return Err(FormatError::NoArguments {
                    operator: name.to_owned(),
                });
            }
            Operator::Field(field)
        }
    };
    Ok(Command {
        operator,
        max_len: raw.max_len,
    })
}

/// `main?alternative`.
fn headers(raw: &Raw<'_>) -> Result<(HeaderSource, Option<HeaderSource>), FormatError> {
    let text = raw.required()?;
    let (main, alternative) = match text.split_once('?') {
        Some((_, second)) if second.contains('?') => {
            return Err(raw.bad("more than one alternative header"));
        }
        Some((main, alternative)) => (main, Some(alternative)),
        None => (text, None),
    };
    let source = |name| header(name).ok_or_else(|| raw.bad("is not a header name"));
    Ok((source(main)?, alternative.map(source).transpose()?))
}

fn header(name: &str) -> Option<HeaderSource> {
    let lower = name.to_ascii_lowercase();
    let source = match lower.as_str() {
        ":method" => HeaderSource::Method,
        ":path" => HeaderSource::Path,
        ":authority" | "host" => HeaderSource::Authority,
        ":scheme" => HeaderSource::Scheme,
        ":status" => HeaderSource::Status,
        _ => {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if lower.is_empty() || !lower.bytes().all(is_name) {
                return None;
            }
            let known = proto::Known::of(lower.as_bytes());
            HeaderSource::Header(HeaderName {
                known,
                text: lower.into(),
            })
        }
    };
    Some(source)
}

fn time(raw: &Raw<'_>) -> Result<TimeFormat, FormatError> {
    match raw.arguments.unwrap_or_default() {
        "" => Ok(TimeFormat::iso()),
        text => TimeFormat::parse(raw.name, text),
    }
}

fn certificate_time(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    raw.no_length()?;
    let side = table::side(raw.name).map_or(Side::Downstream, |(side, _)| side);
    Ok(Operator::CertificateTime {
        side,
        end: raw.name.ends_with("_V_END"),
        format: time(raw)?,
    })
}

fn dynamic_metadata(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    let mut parts = raw.required()?.split(':').map(Box::from);
    Ok(Operator::DynamicMetadata {
        namespace: parts.next().unwrap_or_default(),
        path: parts.collect(),
    })
}

/// What the TCP proxy puts there is a structure: it has neither a text of its own (`PLAIN`) nor
/// fields, and Envoy prints `-` for those. What `grpc_stats` puts there has a text.
fn filter_state(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    let arguments = raw.required()?;
    let (key, how) = arguments.split_once(':').unwrap_or((arguments, "TYPED"));
    let operator = match key {
        "envoy.tcp_proxy.propagate_response_headers" => Operator::TunnelHeaders,
        "envoy.tcp_proxy.propagate_response_trailers" => Operator::TunnelTrailers,
        "envoy.filters.http.grpc_stats" if matches!(how, "TYPED" | "PLAIN") => {
            return Ok(Operator::GrpcMessages {
                plain: how == "PLAIN",
            });
        }
        _ => {
            return Err(FormatError::NotImplemented {
                operator: format!("FILTER_STATE({arguments})"),
            });
        }
    };
    match how {
        "TYPED" => Ok(operator),
        "PLAIN" => Ok(Operator::Field(Field::Missing)),
        _ => Err(FormatError::NotImplemented {
            operator: format!("FILTER_STATE({arguments})"),
        }),
    }
}

fn path(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    let text = raw.arguments.unwrap_or_default();
    let (query, source) = text.split_once(':').unwrap_or((text, ""));
    let query = match query {
        "" | "WQ" => true,
        "NQ" => false,
        _ => return Err(raw.bad("only WQ and NQ are allowed before the colon")),
    };
    let source = match source {
        "" | "ORIG_OR_PATH" => PathSource::OriginalOrPath,
        "ORIG" => PathSource::Original,
        "PATH" => PathSource::Path,
        _ => return Err(raw.bad("only ORIG, PATH and ORIG_OR_PATH are allowed after the colon")),
    };
    Ok(Operator::Path { query, source })
}

fn query_parameters(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    match raw.arguments.unwrap_or_default() {
        "" | "ORIG" => Ok(Operator::QueryParameters(PathSource::Path)),
        "DECODED" => Err(FormatError::NotImplemented {
            operator: "QUERY_PARAMS(DECODED)".to_owned(),
        }),
        _ => Err(raw.bad("only ORIG is allowed")),
    }
}

fn environment(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    let value = std::env::var(raw.required()?);
    let value = value
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "-".to_owned());
    Ok(Operator::Environment(value.into_bytes().into()))
}

fn duration(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    let pieces: Vec<&str> = raw.required()?.split(':').collect();
    let [from, to, unit] = pieces.as_slice() else {
        return Err(raw.bad("must be FROM:TO:UNIT"));
    };
    let unit = match *unit {
        "ms" => TimeUnit::Milliseconds,
        "us" => TimeUnit::Microseconds,
        "ns" => TimeUnit::Nanoseconds,
        _ => return Err(raw.bad("the unit must be ms, us or ns")),
    };
    Ok(Operator::Duration {
        from: time_point(from),
        to: time_point(to),
        unit,
    })
}

/// None for points that only filters or TLS set: no request passes them.
fn time_point(name: &str) -> Option<TimePoint> {
    Some(match name {
        "DS_RX_BEG" => TimePoint::DownstreamRxBegin,
        "DS_RX_END" => TimePoint::DownstreamRxEnd,
        "US_CX_BEG" => TimePoint::UpstreamConnectBegin,
        "US_CX_END" => TimePoint::UpstreamConnectEnd,
        "US_TX_BEG" => TimePoint::UpstreamTxBegin,
        "US_TX_END" => TimePoint::UpstreamTxEnd,
        "US_RX_BEG" => TimePoint::UpstreamRxBegin,
        "US_RX_BODY_BEG" => TimePoint::UpstreamRxBodyBegin,
        "US_RX_END" => TimePoint::UpstreamRxEnd,
        "DS_TX_BEG" => TimePoint::DownstreamTxBegin,
        "DS_TX_END" => TimePoint::DownstreamTxEnd,
        _ => return None,
    })
}

fn grpc_status(raw: &Raw<'_>) -> Result<Operator, FormatError> {
    if raw.name == "GRPC_STATUS_NUMBER" {
        return Ok(Operator::GrpcStatus(GrpcStatusStyle::Number));
    }
    Ok(Operator::GrpcStatus(
        match raw.arguments.unwrap_or_default() {
            "" | "CAMEL_STRING" => GrpcStatusStyle::Camel,
            "SNAKE_STRING" => GrpcStatusStyle::Snake,
            "NUMBER" => GrpcStatusStyle::Number,
            _ => return Err(raw.bad("only CAMEL_STRING, SNAKE_STRING and NUMBER are allowed")),
        },
    ))
}

/// `{"operators": ["PROTOCOL", {"command": "REQ", "param": "x", "max_length": 3}]}`
fn coalesce(raw: &Raw<'_>) -> Result<Vec<Command>, FormatError> {
    let text = raw.required()?;
    let object = serde_json::from_str::<serde_json::Value>(text)
        .map_err(|_| raw.bad("is not a JSON object"))?;
    let list = object.get("operators").and_then(|list| list.as_array());
    let list = list.filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| raw.bad("needs a list of operators"))?;
    let mut commands = Vec::with_capacity(list.len());
    for entry in list {
        let get = |key| entry.get(key).and_then(serde_json::Value::as_str);
        let name = entry.as_str().or_else(|| get("command"));
        let name = name.ok_or_else(|| raw.bad("an operator has no command"))?;
        if name == "COALESCE" {
            return Err(raw.bad("operators do not nest"));
        }
        let max_len = entry.get("max_length").and_then(serde_json::Value::as_u64);
        let max_len = max_len.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        commands.push(command_of(&Raw {
            name,
            arguments: get("param"),
            max_len,
        })?);
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{DEFAULT_ACCESS_LOG_FORMAT, Field, Format, TimeFormat};

    fn one(text: &str) -> Command {
        match Format::parse(text).unwrap().parts() {
            [Part::Command(command)] => command.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn text_and_commands_alternate() {
        let format = Format::parse("a%%b%PROTOCOL%c%REQ(X-A?:path):7%").unwrap();
        let [
            Part::Text(a),
            Part::Command(b),
            Part::Text(c),
            Part::Command(d),
        ] = format.parts()
        else {
            panic!("{format:?}");
        };
        assert_eq!((&**a, &**c), (&b"a%b"[..], &b"c"[..]));
        assert_eq!(b.operator, Operator::Field(Field::Protocol));
        let name = HeaderName {
            known: proto::Known::Other,
            text: "x-a".into(),
        };
        let want = Operator::Request(HeaderSource::Header(name), Some(HeaderSource::Path));
        assert_eq!((&d.operator, d.max_len), (&want, Some(7)));
        assert_eq!(
            Format::parse("100%%").unwrap().as_literal(),
            Some(&b"100%"[..])
        );
        assert_eq!(Format::parse("").unwrap().as_literal(), Some(&b""[..]));
    }

    #[test]
    fn the_default_format_parses() {
        let format = Format::default_access_log();
        assert_eq!(format, Format::parse(DEFAULT_ACCESS_LOG_FORMAT).unwrap());
        assert_eq!(format.parts().len(), 31);
    }

    #[test]
    fn arguments_may_hold_percents_and_brackets() {
        let Operator::StartTime(time) = one("%START_TIME(%s.%3f (x))%").operator else {
            panic!()
        };
        assert_eq!(time.parts.len(), 4);
        assert!(
            matches!(one("%START_TIME%").operator, Operator::StartTime(t) if t == TimeFormat::iso())
        );
        let Operator::Coalesce(list) =
            one(r#"%COALESCE({"operators":[{"command":"REQ","param":"x"},"PROTOCOL"]})%"#).operator
        else {
            panic!()
        };
        assert_eq!(list.len(), 2);
    }

    /// Every verdict is what `envoy --mode validate` 1.40 says, but for those marked.
    #[test]
    fn refusals() {
        for bad in [
            "%",
            "100%",
            "%FOO%",
            "%REQ%",
            "%REQ(a%",
            "%REQ()%",
            "%REQ(a?b?c)%",
            "%REQ(a):x%",
            "%PATH(X)%",
            "%QUERY_PARAM%",
            "%ENVIRONMENT%",
            "%START_TIME():3%",
            "%COMMON_DURATION(DS_RX_BEG)%",
            "%REQ( a )%",
            "%req(a)%",
            "%TRACE_ID:3%",
            "%DURATION%x%REQ(a)%x%",
            "%DURATION(1)%",
            "%HOSTNAME:2%",
            "%QUERY_PARAMS(X)%",
            "%REQ(:path):5:3%",
            "%START_TIME(%3f%",
            "%COALESCE({\"operators\":[\"REQ(a)\"]})%",
            // Envoy takes these: the C library decides what they mean.
            "%START_TIME(%q)%",
            "%START_TIME(%15f)%",
            // Envoy has these.
            "%FILTER_STATE(a)%",
            "%FILTER_STATE(envoy.filters.http.grpc_stats:FIELD:request_message_count)%",
            "%START_TIME_LOCAL%",
        ] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "%REQ(a):0%",
            "%ENVIRONMENT(X):2%",
            "%COMMON_DURATION(A:B:ms)%",
            "%RESPONSE_FLAGS()%",
            "%RESP(a%b)%",
            "%GRPC_STATUS(SNAKE_STRING)%",
            "%FILTER_STATE(envoy.filters.http.grpc_stats:PLAIN):2%",
            "%FILTER_STATE(envoy.filters.http.grpc_stats)%",
            "%DYNAMIC_METADATA(a)%",
            "%DYNAMIC_METADATA(a:b:c):9%",
            "%EMIT_TIME(%s)%",
            "%ACCESS_LOG_TYPE%",
            "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)%",
            "%FILTER_STATE(envoy.tcp_proxy.propagate_response_trailers:TYPED):9%",
            "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers:PLAIN)%",
        ] {
            assert!(Format::parse(good).is_ok(), "{good}");
        }
        let error = Format::parse("%NOPE(x)%").unwrap_err();
        assert_eq!(error.to_string(), "unknown format operator NOPE");
        let error = Format::parse("%FILTER_STATE(x)%").unwrap_err();
        assert_eq!(
            error.to_string(),
            "format operator FILTER_STATE(x) is not implemented"
        );
    }

    /// Each of Envoy's 165 operators is answered or refused by name, none is unknown to us.
    #[test]
    fn no_operator_of_envoys_is_unknown() {
        for name in include_str!("envoy_operators.txt").lines() {
            for text in [format!("%{name}%"), format!("%{name}(a)%")] {
                if let Err(FormatError::Unknown { operator }) = Format::parse(&text) {
                    panic!("{operator}");
                }
            }
        }
    }
}
