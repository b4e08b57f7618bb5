//! `config_discovery` of HTTP filters, and `TypedExtensionConfig`, which ECDS brings for it.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as pb;
use envoy_types::pb::google::protobuf::Any;

use super::{Context, EXTENSION, config_source, http_filters};
use crate::problem::Problems;
use crate::resources::extension::{Discovered, Extension, ExtensionFilter};
use crate::schema::name_of_url;

/// A filter whose configuration comes by its name.
pub(super) fn discovered(
    name: &str,
    message: &pb::ExtensionConfigSource,
    is_last: bool,
    cx: &mut Context,
) -> Option<Discovered> {
    let level = cx.problems.enter("config_discovery");
    let found = inside(name, message, is_last, cx);
    cx.problems.leave(level);
    found
}

fn inside(
    name: &str,
    message: &pb::ExtensionConfigSource,
    is_last: bool,
    cx: &mut Context,
) -> Option<Discovered> {
    let problems = &mut cx.problems;
    if message.apply_default_config_without_warming && message.default_config.is_none() {
        problems.report(format!(
            "Error: filter config {name} applied without warming but has no default config."
        ));
    }
    let mut types = Vec::with_capacity(message.type_urls.len());
    for (index, url) in message.type_urls.iter().enumerate() {
        let type_name = name_of_url(url).unwrap_or(url);
        if http_filters::kind(type_name).is_none() {
            problems.within_item("type_urls", index, |p| {
                p.report(http_filters::no_filter(name, type_name));
            });
        }
        types.push(type_name.into());
    }
    let mut discovered = Discovered {
        types: types.into(),
        default: None,
        warms: !message.apply_default_config_without_warming,
        is_last,
        inbound: cx.inbound,
    };
    let is_complete = match message.default_config.as_ref() {
        Some(any) => {
            let level = problems.enter("default_config");
            discovered.default = default(name, any, &discovered, problems);
            problems.leave(level);
            discovered.default.is_some()
        }
        None => true,
    };
    let source = config_source::origin(
        "config_source",
        message.config_source.as_ref(),
        "config_source: value is required",
        problems,
    )?;
    let scope = format!("extension_config_discovery.http_filter.{name}.");
    cx.needs.push(source.needs(EXTENSION, name, scope));
    is_complete.then_some(discovered)
}

fn default(
    name: &str,
    any: &Any,
    of: &Discovered,
    problems: &mut Problems,
) -> Option<Arc<ExtensionFilter>> {
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    let Some(kind) = http_filters::kind(type_name) else {
        problems.report(http_filters::no_filter(name, type_name));
        return None;
    };
    let filter = http_filters::configuration(any, of.inbound, problems)?;
    let is_router = matches!(filter, ExtensionFilter::Router(_));
    if let Some(reason) = of.refusal_of(name, type_name, kind, is_router) {
        problems.report(reason);
        return None;
    }
    Some(Arc::new(filter))
}

/// `TypedExtensionConfig` of an HTTP filter.
pub(super) fn compile(
    message: &pb::TypedExtensionConfig,
    problems: &mut Problems,
) -> Option<Extension> {
    let level = problems.enter("typed_config");
    let extension = of_any(message, problems);
    problems.leave(level);
    extension
}

fn of_any(message: &pb::TypedExtensionConfig, problems: &mut Problems) -> Option<Extension> {
    let name = &message.name;
    let Some(any) = message.typed_config.as_ref() else {
        problems.report("value is required");
        return None;
    };
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    let Some(kind) = http_filters::kind(type_name) else {
        problems.report(http_filters::no_filter(name, type_name));
        return None;
    };
    let filter = Arc::new(http_filters::configuration(any, false, problems)?);
    let inbound = if http_filters::knows_direction(type_name) {
        Arc::new(http_filters::configuration(any, true, problems)?)
    } else {
        Arc::clone(&filter)
    };
    Some(Extension {
        name: name.as_str().into(),
        type_name: type_name.into(),
        kind,
        filter,
        inbound,
    })
}
