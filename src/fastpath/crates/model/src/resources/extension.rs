//! Configurations of HTTP filters that come by themselves (ECDS), and the places that wait for them.

use std::sync::Arc;

use super::hcm::RouterFilter;
use super::http_filters::HttpFilter;

/// `envoy.config.core.v3.TypedExtensionConfig`, compiled.
#[derive(Debug)]
pub struct Extension {
    pub name: Arc<str>,
    /// The message in `typed_config`.
    pub type_name: Box<str>,
    /// The filter's name in Envoy.
    pub kind: &'static str,
    pub filter: Arc<ExtensionFilter>,
    /// The same in listeners of `traffic_direction: INBOUND`.
    pub inbound: Arc<ExtensionFilter>,
}

/// What an HTTP filter's configuration is compiled to.
#[derive(Debug)]
pub enum ExtensionFilter {
    Before(HttpFilter),
    /// The terminal one.
    Router(RouterFilter),
}

/// `ExtensionConfigSource`: a filter whose configuration is the extension of its name.
#[derive(Debug)]
pub struct Discovered {
    /// `type_urls`, as names of messages.
    pub types: Box<[Box<str>]>,
    /// `default_config`: while there is no extension.
    pub default: Option<Arc<ExtensionFilter>>,
    /// Its listener waits for the extension, as it does not with
    /// `apply_default_config_without_warming`.
    pub warms: bool,
    /// Its place is that of the terminal filter.
    pub is_last: bool,
    /// Of an INBOUND listener.
    pub inbound: bool,
}

impl Discovered {
    /// The configuration that serves: of the extension if it may stand here, else the default.
    /// `None`: requests are answered by 500.
    #[must_use]
    pub fn resolve<'e>(
        &'e self,
        extension: Option<&'e Arc<Extension>>,
    ) -> Option<&'e Arc<ExtensionFilter>> {
        match extension.filter(|extension| self.refusal(extension).is_none()) {
            Some(extension) if self.inbound => Some(&extension.inbound),
            Some(extension) => Some(&extension.filter),
            None => self.default.as_ref(),
        }
    }

    /// Of a router: how requests are handled while there is no extension.
    #[must_use]
    pub fn default_router(&self) -> RouterFilter {
        match self.default.as_deref() {
            Some(ExtensionFilter::Router(router)) => *router,
            _ => RouterFilter::default(),
        }
    }

    /// Why an extension may not stand here, in Envoy's words.
    #[must_use]
    pub fn refusal(&self, extension: &Extension) -> Option<String> {
        let is_router = matches!(*extension.filter, ExtensionFilter::Router(_));
        self.refusal_of(
            &extension.name,
            &extension.type_name,
            extension.kind,
            is_router,
        )
    }

    /// The same of a configuration of this type.
    #[must_use]
    pub fn refusal_of(
        &self,
        name: &str,
        type_name: &str,
        kind: &str,
        is_router: bool,
    ) -> Option<String> {
        if !self.types.iter().any(|expected| **expected == *type_name) {
            let types = self.types.join(", ");
            return Some(format!(
                "Error: filter config has type URL {type_name} but expect {types}."
            ));
        }
        match (is_router, self.is_last) {
            (true, false) => Some(misplaced_terminal(name, kind)),
            (false, true) => Some(misplaced_other(name, kind)),
            _ => None,
        }
    }
}

/// Envoy's words for a terminal filter that others follow.
#[must_use]
pub fn misplaced_terminal(name: &str, kind: &str) -> String {
    format!(
        "Error: terminal filter named {name} of type {kind} must be the last filter in a http \
         filter chain."
    )
}

/// And for another one that nothing follows.
#[must_use]
pub fn misplaced_other(name: &str, kind: &str) -> String {
    format!(
        "Error: non-terminal filter named {name} of type {kind} is the last filter in a http \
         filter chain."
    )
}
