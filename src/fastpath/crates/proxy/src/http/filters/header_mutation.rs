//! `envoy.filters.http.header_mutation`: changes headers of requests and responses, as the
//! connection manager says and then as the levels of the route do.

use model::resources::http_filters::{HeaderMutation, Mutation, Mutations, RouteFilterConfig};

use super::Configured;
use crate::http::stream::Stream;
use crate::router::headers::Side;
use crate::worker::Worker;

pub(super) fn decode(
    of: &Configured,
    config: &HeaderMutation,
    worker: &mut Worker,
    s: &mut Stream,
) {
    mutate(of, config, worker, s, Side::Request, |m| &m.request);
}

pub(super) fn encode(
    of: &Configured,
    config: &HeaderMutation,
    worker: &mut Worker,
    s: &mut Stream,
) {
    mutate(of, config, worker, s, Side::Response, |m| &m.response);
}

fn mutate(
    of: &Configured,
    config: &HeaderMutation,
    worker: &mut Worker,
    s: &mut Stream,
    side: Side,
    list: fn(&Mutations) -> &[Mutation],
) {
    worker.mutate_headers(s, side, list(&config.mutations));
    let route = s.route.clone();
    let mut levels = of.of_levels(route.as_ref(), s.weighted);
    if config.most_specific_wins {
        // The last one does.
        levels.reverse();
    }
    for level in levels.into_iter().flatten() {
        if let RouteFilterConfig::HeaderMutation(mutations) = level {
            worker.mutate_headers(s, side, list(mutations));
        }
    }
}
