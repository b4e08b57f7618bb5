//! `RouteConfiguration`: domains to virtual hosts, and what holds for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;

use super::headers::{self, lists};
use super::route_again::Kept;
use super::{Context, mirror, per_filter, virtual_host};
use crate::resources::header_mutation::HeaderMutations;
use crate::resources::http_filters::PerFilter;
use crate::resources::route::{
    MirrorPolicy, RouteConfig, VirtualHost, VirtualHosts, WildcardsOfLength,
};

/// Envoy's default of `max_direct_response_body_size_bytes`.
const MAX_DIRECT_BODY: u32 = 4096;

/// How the route configuration came, which decides what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Inline,
    Rds,
}

/// What routes need to know of their configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub validate_clusters: bool,
    pub max_direct_body: usize,
    pub ignore_path_parameters: bool,
}

pub(super) fn compile(
    message: &pb::RouteConfiguration,
    hash: u64,
    origin: Origin,
    cx: &mut Context,
) -> RouteConfig {
    let settings = Settings::of(message, origin);
    let of_all = OfAll::compile(message, settings, cx);
    let mut hosts = Hosts::new(&message.name);
    for (index, virtual_host) in message.virtual_hosts.iter().enumerate() {
        let level = cx.problems.enter_item("virtual_hosts", index);
        hosts.compile(virtual_host, settings, &of_all, cx);
        cx.problems.leave(level);
    }
    of_all.finish(message, hosts.finish(), hash)
}

/// `compile` of a version of which only the virtual hosts that are not among `kept` are in the
/// message; it came by RDS. `None`: its clusters must be told with their places, which takes the
/// whole.
pub(super) fn compile_changed(
    message: &pb::RouteConfiguration,
    kept: Vec<Option<Kept>>,
    hash: u64,
    cx: &mut Context,
) -> Option<RouteConfig> {
    let settings = Settings::of(message, Origin::Rds);
    if settings.validate_clusters {
        return None;
    }
    let of_all = OfAll::compile(message, settings, cx);
    let mut hosts = Hosts::new(&message.name);
    let mut changed = message.virtual_hosts.iter();
    for (index, kept) in kept.into_iter().enumerate() {
        let level = cx.problems.enter_item("virtual_hosts", index);
        match kept {
            Some(Kept { host, domains }) => {
                for cluster in &host.clusters {
                    cx.refer("routes", cluster, false, false);
                }
                hosts.add(&domains, host, cx);
            }
            None => hosts.compile(changed.next()?, settings, &of_all, cx),
        }
        cx.problems.leave(level);
    }
    Some(of_all.finish(message, hosts.finish(), hash))
}

impl Settings {
    fn of(message: &pb::RouteConfiguration, origin: Origin) -> Self {
        let validate = message.validate_clusters.as_ref().map(|v| v.value);
        let max_body = message.max_direct_response_body_size_bytes.as_ref();
        let max_body = max_body.map_or(MAX_DIRECT_BODY, |v| v.value);
        Self {
            validate_clusters: validate.unwrap_or(origin == Origin::Inline),
            max_direct_body: usize::try_from(max_body).unwrap_or(usize::MAX),
            ignore_path_parameters: message.ignore_path_parameters_in_path_matching,
        }
    }
}

/// What holds for all virtual hosts.
struct OfAll {
    mutations: HeaderMutations,
    per_filter: PerFilter,
    mirrors: Option<Arc<[MirrorPolicy]>>,
}

impl OfAll {
    fn compile(message: &pb::RouteConfiguration, settings: Settings, cx: &mut Context) -> Self {
        let mutations = headers::mutations(&lists!(message), &mut cx.problems);
        let per_filter = per_filter::compile(&message.typed_per_filter_config, &mut cx.problems);
        let policies = &message.request_mirror_policies;
        Self {
            mutations,
            per_filter,
            mirrors: mirror::compile(policies, settings.validate_clusters, cx),
        }
    }

    fn finish(
        self,
        message: &pb::RouteConfiguration,
        hosts: VirtualHosts,
        hash: u64,
    ) -> RouteConfig {
        let internal_only_headers = &message.internal_only_headers;
        RouteConfig {
            name: message.name.as_str().into(),
            hosts,
            ignore_port_in_host_matching: message.ignore_port_in_host_matching,
            ignore_path_parameters_in_path_matching: message
                .ignore_path_parameters_in_path_matching,
            mutations: self.mutations,
            internal_only_headers: internal_only_headers
                .iter()
                .map(|name| headers::name(name))
                .collect(),
            per_filter: self.per_filter,
            most_specific_header_mutations_wins: message.most_specific_header_mutations_wins,
            hash,
        }
    }
}

struct Hosts<'m> {
    name: &'m str,
    table: VirtualHosts,
}

impl<'m> Hosts<'m> {
    /// `name`: of the configuration.
    fn new(name: &'m str) -> Self {
        Self {
            name,
            table: VirtualHosts::default(),
        }
    }

    fn compile(
        &mut self,
        message: &pb::VirtualHost,
        settings: Settings,
        of_all: &OfAll,
        cx: &mut Context,
    ) {
        let compiled = virtual_host::compile(message, settings, of_all.mirrors.as_ref(), cx);
        self.add(&message.domains, Arc::new(compiled), cx);
    }

    fn add(&mut self, domains: &[String], host: Arc<VirtualHost>, cx: &mut Context) {
        let at = self.table.list.len();
        self.table.list.push(host);
        for (index, domain) in domains.iter().enumerate() {
            let domain = domain.to_ascii_lowercase();
            if let Err(reason) = self.add_domain(&domain, at) {
                let level = cx.problems.enter_item("domains", index);
                cx.problems.report(reason);
                cx.problems.leave(level);
            }
        }
    }

    fn add_domain(&mut self, domain: &str, at: usize) -> Result<(), String> {
        let name = self.name;
        if domain == "*" {
            if self.table.default.replace(at).is_some() {
                return Err(format!(
                    "Only a single wildcard domain is permitted in route {name}"
                ));
            }
            return Ok(());
        }
        let repeated = if let Some(suffix) = domain.strip_prefix('*') {
            add_wildcard(&mut self.table.suffix, suffix, at)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            add_wildcard(&mut self.table.prefix, prefix, at)
        } else {
            self.table
                .exact
                .insert(domain.as_bytes().into(), at)
                .is_some()
        };
        if repeated {
            return Err(format!(
                "Only unique values for domains are permitted. Duplicate entry of domain {domain} in route {name}"
            ));
        }
        Ok(())
    }

    fn finish(mut self) -> VirtualHosts {
        self.table.suffix.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.table.prefix.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.table
    }
}

/// Adds to the table of its length; true if it was there.
fn add_wildcard(tables: &mut Vec<WildcardsOfLength>, fixed: &str, at: usize) -> bool {
    let key: Box<[u8]> = fixed.as_bytes().into();
    match tables.iter_mut().find(|(length, _)| *length == fixed.len()) {
        Some((_, table)) => table.insert(key, at).is_some(),
        None => {
            tables.push((fixed.len(), HashMap::from([(key, at)])));
            false
        }
    }
}
