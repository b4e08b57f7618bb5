//! The filters of a connection manager: what they are made of, and what a route says of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::extension::{Extension, ExtensionFilter};
use model::resources::hcm::{Hcm, RouterFilter};
use model::resources::http_filters::{
    ConfiguredFilter, FilterSource, HeaderMutation, HttpFilter, RouteFilter, RouteFilterConfig,
};
use model::resources::istio::{AlpnOverride, Local};

use super::ext_authz::ExtAuthzFilter;
use super::fault::{FaultCounts, FaultFilter};
use super::jwt_authn::{JwksStore, JwtAuthnFilter};
use super::peer_metadata::Exchange;
use super::rbac::RbacFilter;
use crate::telemetry::istio::Reports;
use crate::telemetry::stats::{CorsShard, Stats};
use crate::worker::chain::RouteRef;

/// What filters are made with.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub stats: &'a Stats,
    pub faults: &'a FaultCounts,
    pub jwks: &'a JwksStore,
    /// Who we are, and our own address.
    pub local: (&'a Arc<Local>, IpAddr),
    /// Configurations that have come of filters that are discovered.
    pub extensions: &'a HashMap<Arc<str>, Arc<Extension>>,
}

/// A filter of a connection manager with this worker's state of it.
#[derive(Debug)]
pub struct Configured {
    /// What routes call it.
    pub(super) name: Box<str>,
    disabled: bool,
    /// What it was made of, if it was discovered.
    discovered: Option<Arc<ExtensionFilter>>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A filter that is discovered, of which there is no configuration.
    Missing,
    GrpcWeb,
    GrpcHttp1Bridge {
        upgrade_protobuf_to_grpc: bool,
        ignore_query_parameters: bool,
    },
    GrpcStats {
        stats_for_all_methods: bool,
        enable_upstream_stats: bool,
        emit_filter_state: bool,
    },
    Rbac(RbacFilter),
    ExtAuthz(ExtAuthzFilter),
    JwtAuthn(JwtAuthnFilter),
    Fault(FaultFilter),
    Cors(Arc<CorsShard>),
    HeaderMutation(Arc<HeaderMutation>),
    Alpn(Arc<AlpnOverride>),
    PeerMetadata(Exchange),
    IstioStats(Reports),
}

impl Configured {
    /// The filters of a connection manager, for one worker, and its router. Of `before`, which
    /// were made of it, those stay that are the same.
    pub fn all(
        hcm: &Hcm,
        around: Surroundings<'_>,
        before: &[Rc<Self>],
    ) -> (Box<[Rc<Self>]>, RouterFilter) {
        let mut router = hcm.router;
        let prefix = &hcm.stat_prefix;
        let each = |(index, configured): (usize, &ConfiguredFilter)| {
            let old = before.get(index);
            let (discovered, kind) = match &configured.filter {
                FilterSource::Given(filter) => match old {
                    Some(old) => return Some(Rc::clone(old)),
                    None => (None, Kind::new(filter, prefix, around)),
                },
                FilterSource::Discovered(discovered) => {
                    let extension = around.extensions.get(&*configured.name);
                    match discovered.resolve(extension) {
                        None => (None, Kind::Missing),
                        Some(found) => match &**found {
                            ExtensionFilter::Router(found) => {
                                router = *found;
                                return None;
                            }
                            ExtensionFilter::Before(filter) => {
                                let same = |old: &&Rc<Self>| {
                                    let of = old.discovered.as_ref();
                                    of.is_some_and(|of| Arc::ptr_eq(of, found))
                                };
                                if let Some(old) = old.filter(same) {
                                    return Some(Rc::clone(old));
                                }
                                (Some(Arc::clone(found)), Kind::new(filter, prefix, around))
                            }
                        },
                    }
                }
            };
            Some(Rc::new(Self {
                name: configured.name.clone(),
                disabled: configured.disabled,
                discovered,
                kind,
            }))
        };
        let filters = hcm.filters.iter().enumerate().filter_map(each).collect();
        (filters, router)
    }

    /// Whether it has no part in requests of a route. The most specific level that speaks of it
    /// decides; a level with a configuration for it wants it.
    pub(super) fn is_off(&self, route: Option<&RouteRef>, weighted: Option<u32>) -> bool {
        let levels = route.map(|route| route.filter_levels(weighted));
        let mut levels = levels.iter().flatten().flatten();
        let said = levels.find_map(|level| level.get(&self.name));
        said.map_or(self.disabled, |said| matches!(said, RouteFilter::Disabled))
    }

    /// The most specific configuration that levels of the route have for it. (Of another type than
    /// the filter's it says nothing, but hides those of other levels: as in Envoy.)
    pub(super) fn of_route<'r>(
        &self,
        route: Option<&'r RouteRef>,
        weighted: Option<u32>,
    ) -> Option<&'r RouteFilterConfig> {
        let levels = route?.filter_levels(weighted);
        let mut levels = levels.into_iter().flatten();
        levels.find_map(|level| level.config(&self.name))
    }

    /// All of them, the most specific first.
    pub(super) fn of_levels<'r>(
        &self,
        route: Option<&'r RouteRef>,
        weighted: Option<u32>,
    ) -> [Option<&'r RouteFilterConfig>; 4] {
        let Some(route) = route else { return [None; 4] };
        let levels = route.filter_levels(weighted);
        levels.map(|level| level?.config(&self.name))
    }
}

impl Kind {
    fn new(filter: &HttpFilter, hcm_prefix: &Arc<str>, around: Surroundings<'_>) -> Self {
        let stats = around.stats;
        let (local, address) = around.local;
        match filter {
            HttpFilter::GrpcWeb => Self::GrpcWeb,
            HttpFilter::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc,
                ignore_query_parameters,
            } => Self::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc: *upgrade_protobuf_to_grpc,
                ignore_query_parameters: *ignore_query_parameters,
            },
            HttpFilter::GrpcStats {
                stats_for_all_methods,
                enable_upstream_stats,
                emit_filter_state,
            } => Self::GrpcStats {
                stats_for_all_methods: *stats_for_all_methods,
                enable_upstream_stats: *enable_upstream_stats,
                emit_filter_state: *emit_filter_state,
            },
            HttpFilter::Rbac(config) => Self::Rbac(RbacFilter::new(config, hcm_prefix, stats)),
            HttpFilter::ExtAuthz(config) => {
                Self::ExtAuthz(ExtAuthzFilter::new(config, hcm_prefix, stats, address))
            }
            HttpFilter::JwtAuthn(config) => {
                Self::JwtAuthn(JwtAuthnFilter::new(config, hcm_prefix, stats, around.jwks))
            }
            HttpFilter::Fault(config) => {
                Self::Fault(FaultFilter::new(config, hcm_prefix, stats, around.faults))
            }
            HttpFilter::Cors => Self::Cors(stats.cors(hcm_prefix)),
            HttpFilter::HeaderMutation(config) => Self::HeaderMutation(Arc::clone(config)),
            HttpFilter::IstioAlpn(config) => Self::Alpn(Arc::clone(config)),
            HttpFilter::PeerMetadata(config) => Self::PeerMetadata(Exchange::new(config, local)),
            HttpFilter::IstioStats(config) => Self::IstioStats(Reports::new(config, local, stats)),
        }
    }
}
