//! `RouteConfiguration`: domains to virtual hosts, and what holds for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;

use super::headers::{self, lists};
use super::{Context, mirror, per_filter, virtual_host};
use crate::resources::route::{RouteConfig, VirtualHost, VirtualHosts, WildcardsOfLength};

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
    let validate = message.validate_clusters.as_ref().map(|v| v.value);
    let max_body = message.max_direct_response_body_size_bytes.as_ref();
    let max_body = max_body.map_or(MAX_DIRECT_BODY, |v| v.value);
    let settings = Settings {
        validate_clusters: validate.unwrap_or(origin == Origin::Inline),
        max_direct_body: usize::try_from(max_body).unwrap_or(usize::MAX),
        ignore_path_parameters: message.ignore_path_parameters_in_path_matching,
    };
    let mutations = headers::mutations(&lists!(message), &mut cx.problems);
    let per_filter = per_filter::compile(&message.typed_per_filter_config, &mut cx.problems);
    let internal_only_headers = message
        .internal_only_headers
        .iter()
        .map(|name| headers::name(name))
        .collect();
    let mut hosts = Hosts {
        name: &message.name,
        table: VirtualHosts::default(),
    };
    let policies = &message.request_mirror_policies;
    let mirrors = mirror::compile(policies, settings.validate_clusters, cx);
    for (index, virtual_host) in message.virtual_hosts.iter().enumerate() {
        let level = cx.problems.enter_item("virtual_hosts", index);
        let compiled = virtual_host::compile(virtual_host, settings, mirrors.as_ref(), cx);
        hosts.add(&virtual_host.domains, compiled, cx);
        cx.problems.leave(level);
    }
    RouteConfig {
        name: message.name.as_str().into(),
        hosts: hosts.finish(),
        ignore_port_in_host_matching: message.ignore_port_in_host_matching,
        ignore_path_parameters_in_path_matching: message.ignore_path_parameters_in_path_matching,
        mutations,
        internal_only_headers,
        per_filter,
        most_specific_header_mutations_wins: message.most_specific_header_mutations_wins,
        hash,
    }
}

struct Hosts<'m> {
    name: &'m str,
    table: VirtualHosts,
}

impl Hosts<'_> {
    fn add(&mut self, domains: &[String], host: VirtualHost, cx: &mut Context) {
        let at = self.table.list.len();
        self.table.list.push(Arc::new(host));
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
