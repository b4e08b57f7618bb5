//! `upgrade_configs` of connection managers and of routes.

use std::collections::HashSet;

use envoy_types::pb::envoy::config::route::v3::route_action as route;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use hcm::http_connection_manager::UpgradeConfig as HcmMessage;

use crate::problem::Problems;
use crate::resources::http::{ConnectConfig, UpgradeConfig};

const FIELD: &str = "upgrade_configs";

pub(super) fn of_manager(messages: &[HcmMessage], problems: &mut Problems) -> Vec<UpgradeConfig> {
    let upgrades = messages.iter().map(|message| UpgradeConfig {
        upgrade_type: message.upgrade_type.to_ascii_lowercase().into(),
        enabled: message.enabled.as_ref().is_none_or(|v| v.value),
        connect: None,
    });
    let upgrades: Vec<UpgradeConfig> = upgrades.collect();
    refuse_repeated(
        &upgrades,
        |name| format!("Error: multiple upgrade configs with the same name: '{name}'"),
        problems,
    );
    upgrades
}

pub(super) fn of_route(
    messages: &[route::UpgradeConfig],
    problems: &mut Problems,
) -> Vec<UpgradeConfig> {
    let mut upgrades = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let upgrade_type = message.upgrade_type.to_ascii_lowercase();
        let connect = message.connect_config.as_ref().map(|config| ConnectConfig {
            allow_post: config.allow_post,
        });
        if connect.is_some() && !matches!(upgrade_type.as_str(), "connect" | "connect-udp") {
            let level = problems.enter_item(FIELD, index);
            let reason = format!(
                "Non-CONNECT upgrade type {} has ConnectConfig",
                message.upgrade_type
            );
            problems.report(reason);
            problems.leave(level);
        }
        upgrades.push(UpgradeConfig {
            upgrade_type: upgrade_type.into(),
            enabled: message.enabled.as_ref().is_none_or(|v| v.value),
            connect,
        });
    }
    refuse_repeated(
        &upgrades,
        |name| format!("Duplicate upgrade {name}"),
        problems,
    );
    upgrades
}

fn refuse_repeated(
    upgrades: &[UpgradeConfig],
    reason: impl Fn(&str) -> String,
    problems: &mut Problems,
) {
    let mut seen = HashSet::new();
    for (index, upgrade) in upgrades.iter().enumerate() {
        if !seen.insert(&*upgrade.upgrade_type) {
            let level = problems.enter_item(FIELD, index);
            problems.report(reason(&upgrade.upgrade_type));
            problems.leave(level);
        }
    }
}
