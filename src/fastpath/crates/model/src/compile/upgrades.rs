//! `upgrade_configs` of connection managers and of routes.

use std::collections::HashSet;

use envoy_types::pb::envoy::config::route::v3::route_action as route;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use hcm::http_connection_manager::UpgradeConfig as HcmMessage;

use crate::problem::Problems;
use crate::resources::http::{ConnectConfig, UpgradeConfig};

const FIELD: &str = "upgrade_configs";

pub(super) fn of_manager(messages: &[HcmMessage], problems: &mut Problems) -> Vec<UpgradeConfig> {
    let mut seen = HashSet::new();
    let mut upgrades = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let name = &message.upgrade_type;
        let upgrade_type = name.to_ascii_lowercase();
        if !seen.insert(upgrade_type.clone()) {
            let reason = format!("Error: multiple upgrade configs with the same name: '{name}'");
            problems.within_item(FIELD, index, |p| p.report(reason));
        }
        let enabled = message.enabled.as_ref().is_none_or(|v| v.value);
        upgrades.push(UpgradeConfig {
            upgrade_type: upgrade_type.into(),
            enabled,
            connect: None,
        });
    }
    upgrades
}

pub(super) fn of_route(
    messages: &[route::UpgradeConfig],
    problems: &mut Problems,
) -> Vec<UpgradeConfig> {
    let mut seen = HashSet::new();
    let mut upgrades = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let name = &message.upgrade_type;
        let upgrade_type = name.to_ascii_lowercase();
        let level = problems.enter_item(FIELD, index);
        if !seen.insert(upgrade_type.clone()) {
            problems.report(format!("Duplicate upgrade {name}"));
        }
        let connect = message.connect_config.as_ref().map(|config| ConnectConfig {
            allow_post: config.allow_post,
        });
        if connect.is_some() && !matches!(upgrade_type.as_str(), "connect" | "connect-udp") {
            let reason = format!("Non-CONNECT upgrade type {name} has ConnectConfig");
            problems.report(reason);
        }
        let enabled = message.enabled.as_ref().is_none_or(|v| v.value);
        problems.leave(level);
        upgrades.push(UpgradeConfig {
            upgrade_type: upgrade_type.into(),
            enabled,
            connect,
        });
    }
    upgrades
}
