//! The list: per message the fields we implement, and those that are safe to ignore, with why. A
//! file for each area.
//!
//! A message that is not here is an extension or a part of Envoy that we do not have.

mod access_log;
mod bootstrap;
mod cluster;
mod common;
mod config_source;
mod connection_manager;
mod endpoint;
mod ext_authz;
mod http_filters;
mod istio;
mod jwt_authn;
mod listener;
mod listener_filters;
mod load_balancing;
mod matcher;
mod network_filters;
mod rbac;
mod retry;
mod route;
mod transport_sockets;

/// All areas.
pub const TABLE: &[&[Entry]] = &[
    bootstrap::ENTRIES,
    config_source::ENTRIES,
    listener::ENTRIES,
    listener_filters::ENTRIES,
    network_filters::ENTRIES,
    rbac::ENTRIES,
    ext_authz::ENTRIES,
    jwt_authn::ENTRIES,
    http_filters::ENTRIES,
    istio::ENTRIES,
    transport_sockets::ENTRIES,
    connection_manager::ENTRIES,
    route::ENTRIES,
    retry::ENTRIES,
    matcher::ENTRIES,
    access_log::ENTRIES,
    cluster::ENTRIES,
    load_balancing::ENTRIES,
    endpoint::ENTRIES,
    common::ENTRIES,
];

/// What we do with the fields of one message; those not named are refused.
#[derive(Debug)]
pub struct Entry {
    pub message: &'static str,
    pub implemented: &'static [&'static str],
    /// (field, why nothing is lost when it is ignored)
    pub ignored: &'static [(&'static str, &'static str)],
    /// Accepted while they say what is so anyway.
    pub default_only: &'static [&'static str],
}

/// An entry whose fields are all implemented.
const fn all(message: &'static str, implemented: &'static [&'static str]) -> Entry {
    Entry {
        message,
        implemented,
        ignored: &[],
        default_only: &[],
    }
}

// Reasons that hold in several areas.
const OPAQUE: &str = "data for other programs; no filter we have reads it";
const RUNTIME: &str = "there is no runtime to override it: the default value holds";
const NO_TRACING: &str = "acts only with tracing, which is refused";
const NO_HEALTH_CHECKS: &str = "acts only with health checks, which are refused";
const NO_OVERLOAD: &str = "exempts from the overload manager, which is refused";
