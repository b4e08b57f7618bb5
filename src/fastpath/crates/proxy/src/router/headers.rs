//! Headers that the configuration adds and removes, in Envoy's order of levels.

use model::authorization::Change;
use model::format::Format;
use model::resources::header_mutation::{AppendAction, HeaderAdd, HeaderMutations, HeaderName};
use model::resources::http_filters::Mutation;
use model::resources::route::Action;
use proto::{HeaderMap, Known};

use crate::http::stream::Stream;
use crate::telemetry::stream_info::LogContext;
use crate::worker::Worker;
use crate::worker::chain::RouteRef;

/// Whose headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Response,
}

impl Worker {
    /// `request_headers_to_add/_remove` of all levels.
    pub fn route_request_headers(&mut self, s: &mut Stream, route: &RouteRef) {
        self.mutate(s, route, Side::Request);
    }

    /// `response_headers_to_add/_remove` of all levels.
    pub fn route_response_headers(&mut self, s: &mut Stream) {
        if let Some(route) = s.route.clone() {
            self.mutate(s, &route, Side::Response);
        }
    }

    fn mutate(&mut self, s: &mut Stream, route: &RouteRef, side: Side) {
        let config = route.config();
        let weighted = match route.route().map(|r| &r.action) {
            Some(Action::Forward(forward)) => s
                .weighted
                .and_then(|at| super::weighted(&forward.cluster, at))
                .map(|w| &w.mutations),
            _ => None,
        };
        // Most specific first, unless the flag turns it round (then the last one wins).
        let levels = [
            weighted,
            route.route().map(|r| &r.mutations),
            route.virtual_host().map(|v| &v.mutations),
            Some(&config.mutations),
        ];
        if config.most_specific_header_mutations_wins {
            for level in levels.into_iter().rev().flatten() {
                self.mutate_level(s, level, side);
            }
        } else {
            for level in levels.into_iter().flatten() {
                self.mutate_level(s, level, side);
            }
        }
    }

    fn mutate_level(&mut self, s: &mut Stream, level: &HeaderMutations, side: Side) {
        let (remove, add) = match side {
            Side::Request => (&level.request_remove, &level.request_add),
            Side::Response => (&level.response_remove, &level.response_add),
        };
        for name in remove {
            remove_name(headers_of(s, side), name);
        }
        for add in add {
            self.add(s, side, add);
        }
    }

    /// A list of mutations, one after the other.
    pub fn mutate_headers(&mut self, s: &mut Stream, side: Side, mutations: &[Mutation]) {
        for mutation in mutations {
            match mutation {
                Mutation::Remove(name) => remove_name(headers_of(s, side), name),
                Mutation::RemoveMatching(matcher) => {
                    let is_kept = |known: Known, name: &[u8]| {
                        (side == Side::Request && known == Known::Host) || !matcher.matches(name)
                    };
                    headers_of(s, side).retain(|known, name, _| is_kept(known, name));
                }
                Mutation::Append(add) => self.add(s, side, add),
            }
        }
    }

    fn add(&self, s: &mut Stream, side: Side, add: &HeaderAdd) {
        // Most values are plain text: nothing to render, nothing to allocate.
        if let Some(text) = add.value.as_literal() {
            return apply(s, side, add, text);
        }
        let mut value = Vec::new();
        self.render(&add.value, s, &mut value);
        apply(s, side, add, &value);
    }

    /// Sets a header of another head, by what is known of a request.
    pub fn set_rendered(&self, s: &mut Stream, headers: &mut HeaderMap, add: &HeaderAdd) {
        let mut value = Vec::new();
        self.render(&add.value, s, &mut value);
        if !value.is_empty() || add.keep_empty_value {
            overwrite(headers, &add.name, &value);
        }
    }

    /// Renders a format for a header or a body.
    pub fn render(&self, format: &Format, s: &mut Stream, out: &mut Vec<u8>) {
        s.describe();
        let context = LogContext {
            request: &s.request,
            response: Some(&s.response.headers),
            trailers: None,
            info: &s.info,
        };
        crate::telemetry::format::render(format, &context, out);
    }
}

fn headers_of(s: &mut Stream, side: Side) -> &mut HeaderMap {
    match side {
        Side::Request => &mut s.request.headers,
        Side::Response => &mut s.response.headers,
    }
}

fn remove_name(headers: &mut HeaderMap, name: &HeaderName) {
    if name.known == Known::Other {
        headers.remove_name(name.text.as_bytes());
    } else {
        headers.remove(name.known);
    }
}

fn apply(s: &mut Stream, side: Side, add: &HeaderAdd, value: &[u8]) {
    if value.is_empty() && !add.keep_empty_value {
        return;
    }
    let name = add.name.text.as_bytes();
    if side == Side::Request {
        match name {
            b":path" => {
                s.request.set_path(value);
                return;
            }
            b":authority" | b"host" => {
                s.request.set_authority(value);
                return;
            }
            b":method" => {
                s.request.set_method(value);
                return;
            }
            _ => {}
        }
    }
    let headers = headers_of(s, side);
    let present = headers.get_name(name).is_some();
    match add.action {
        AppendAction::AppendIfExistsOrAdd => {
            headers.push(name, value);
        }
        AppendAction::AddIfAbsent if !present => {
            headers.push(name, value);
        }
        AppendAction::OverwriteIfExistsOrAdd => overwrite(headers, &add.name, value),
        AppendAction::OverwriteIfExists if present => overwrite(headers, &add.name, value),
        AppendAction::AddIfAbsent | AppendAction::OverwriteIfExists => {}
    }
}

/// Changes a header as somebody outside says. False: it is none.
pub fn change(headers: &mut HeaderMap, change: &Change) -> bool {
    let (name, value) = (&*change.name, &*change.value);
    let is_there = headers.get_name(name).is_some();
    match change.action {
        AppendAction::AppendIfExistsOrAdd => headers.push(name, value),
        AppendAction::OverwriteIfExistsOrAdd => headers.set_name(name, value),
        AppendAction::AddIfAbsent => is_there || headers.push(name, value),
        AppendAction::OverwriteIfExists => !is_there || headers.set_name(name, value),
    }
}

/// A value that no header can have (a name in a certificate or a ClientHello may hold control
/// characters) leaves none, rather than the one that was to be overwritten: that may be a lie.
fn overwrite(headers: &mut HeaderMap, name: &HeaderName, value: &[u8]) {
    if !headers.set_name(name.text.as_bytes(), value) {
        remove_name(headers, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_said_does_not_leave_what_was_said_before() {
        for (text, known) in [("x-id", Known::Other), ("x-request-id", Known::XRequestId)] {
            let name = HeaderName {
                known,
                text: text.into(),
            };
            for (value, want) in [(&b"right"[..], Some(&b"right"[..])), (b"a\nb", None)] {
                let mut headers = HeaderMap::new();
                headers.push(text.as_bytes(), b"lie");
                overwrite(&mut headers, &name, value);
                assert_eq!(headers.get_name(text.as_bytes()), want, "{text} {value:?}");
            }
        }
    }
}
