//! Extensions and the listeners that discover them: what must hold between the two.

use super::Store;
use super::update::{accept, is_known, remove};
use crate::compile::{self, EXTENSION, Needs};
use crate::problem::Problem;
use crate::resources::extension::{Discovered, Extension};
use crate::resources::listener::Listener;

impl Store {
    /// Whether there is a new version now.
    pub(super) fn update_extension(
        &mut self,
        name: &str,
        bytes: &[u8],
        is_static: bool,
    ) -> Result<bool, Vec<Problem>> {
        if is_known(&self.extensions, name, bytes) {
            return Ok(false);
        }
        let compiled = compile::extension(bytes)?;
        self.check_places(&compiled.resource)?;
        accept(
            &mut self.extensions,
            name,
            bytes,
            is_static,
            compiled.into(),
        );
        self.timed_out.remove(&(EXTENSION, name.to_owned()));
        Ok(true)
    }

    /// Its places go back to their defaults; nobody waits for it any more.
    pub(super) fn remove_extension(&mut self, name: &str) -> bool {
        let removed = remove(&mut self.extensions, name);
        let mut wanted = self.wanted.iter().filter(|need| is_extension(need));
        if removed && wanted.any(|need| need.name == name) {
            self.timed_out.insert((EXTENSION, name.to_owned()));
        }
        removed
    }

    /// Whether an extension may stand where listeners have it.
    fn check_places(&self, extension: &Extension) -> Result<(), Vec<Problem>> {
        let refusal = |(name, discovered): (&str, &Discovered)| {
            (*name == *extension.name)
                .then(|| discovered.refusal(extension))
                .flatten()
        };
        let mut places = self.listeners.values().flat_map(|slot| {
            let serving = slot.serving.iter();
            let versions = std::iter::once(&slot.newest).chain(serving);
            versions.flat_map(|version| places(&version.resource))
        });
        match places.find_map(refusal) {
            None => Ok(()),
            Some(reason) => Err(vec![Problem {
                path: String::new(),
                reason,
            }]),
        }
    }

    /// Whether a listener has all extensions from where others have them.
    pub(super) fn check_extension_sources(
        &self,
        listener: &str,
        needs: &[Needs],
    ) -> Result<(), Vec<Problem>> {
        if !needs.iter().any(is_extension) {
            return Ok(());
        }
        let others = self.listeners.iter().filter(|(name, _)| *name != listener);
        let others = others.flat_map(|(_, slot)| slot.newest.needs.iter());
        let all: Vec<&Needs> = others.chain(needs).filter(|n| is_extension(n)).collect();
        let elsewhere = |need: &Needs| {
            let mut same = all.iter().filter(|other| other.name == need.name);
            same.find(|other| other.source != need.source)
        };
        let problem = |need: &Needs| {
            let other = elsewhere(need)?;
            Some(Problem {
                path: String::new(),
                reason: format!(
                    "extension configuration '{}' comes from {} and from {}: two of one name are \
                     not implemented",
                    need.name, need.source, other.source
                ),
            })
        };
        let mut own = needs.iter().filter(|need| is_extension(need));
        match own.find_map(problem) {
            None => Ok(()),
            Some(problem) => Err(vec![problem]),
        }
    }

    /// Of the places that new listeners have for extensions that are there and may not stand in
    /// them: what the extension's statistics begin with.
    pub(super) fn conflicts(&self, listeners: &[String]) -> Vec<String> {
        let slots = listeners.iter().filter_map(|name| self.listeners.get(name));
        slots
            .flat_map(|slot| {
                let needs = &slot.newest.needs;
                places(&slot.newest.resource).filter_map(|(name, discovered)| {
                    let extension = self.extensions.get(name)?;
                    discovered.refusal(&extension.newest.resource)?;
                    let mut needs = needs.iter().filter(|need| is_extension(need));
                    let need = needs.find(|need| need.name == name)?;
                    Some(need.stat_scope.clone())
                })
            })
            .collect()
    }
}

/// What a listener discovers, with names.
fn places(listener: &Listener) -> impl Iterator<Item = (&str, &Discovered)> {
    listener.chains.hcms().flat_map(|hcm| hcm.discovered())
}

fn is_extension(need: &Needs) -> bool {
    need.type_url == EXTENSION
}

#[cfg(test)]
mod tests {
    use super::super::{Applied, Store};
    use crate::compile::{EXTENSION, LISTENER, Source};
    use crate::resources::extension::{Extension, ExtensionFilter};
    use crate::resources::http_filters::HttpFilter;
    use crate::testing::resource;

    const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http";
    const CORS: &str = "cors.v3.Cors";
    const GRPC_WEB: &str = "grpc_web.v3.GrpcWeb";
    const ROUTER: &str = "router.v3.Router";

    /// A listener whose first filter is discovered by the name `f`.
    fn listener(name: &str, discovery: &str) -> (String, Vec<u8>) {
        let router = format!("{{name: router, typed_config: {{'@type': {TYPES}.{ROUTER}}}}}");
        let filter = format!("{{name: f, config_discovery: {{{discovery}}}}}");
        with(name, &format!("{filter}, {router}"))
    }

    fn with(name: &str, filters: &str) -> (String, Vec<u8>) {
        let hcm = format!(
            "{{'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, route_config: {{}}, http_filters: [{filters}]}}"
        );
        let yaml = format!(
            "{{name: {name}, address: {{pipe: {{path: '@{name}'}}}}, filter_chains: [{{filters: [{{name: hcm, typed_config: {hcm}}}]}}]}}"
        );
        (name.to_owned(), resource(LISTENER, &yaml))
    }

    /// Of these types, from a file.
    fn of(types: &[&str]) -> String {
        let urls: Vec<String> = types.iter().map(|one| format!("{TYPES}.{one}")).collect();
        let urls = urls.join(", ");
        format!("config_source: {{path: /ecds.yaml}}, type_urls: [{urls}]")
    }

    fn extension(of_type: &str) -> (String, Vec<u8>) {
        let yaml = format!("{{name: f, typed_config: {{'@type': {TYPES}.{of_type}}}}}");
        ("f".to_owned(), resource(EXTENSION, &yaml))
    }

    fn apply(store: &mut Store, type_url: &str, one: &(String, Vec<u8>)) -> Applied {
        store.apply(type_url, std::slice::from_ref(one), &[], false)
    }

    fn refusal(applied: &Applied) -> String {
        let rejected = applied.rejected.first();
        rejected.map_or_else(String::new, |(_, path, reason)| format!("{path}: {reason}"))
    }

    /// The filters that serve in the listener `l`.
    fn serving(store: &Store) -> String {
        let snapshot = store.snapshot();
        let Some(listener) = snapshot.listeners.get("l") else {
            return "no listener".to_owned();
        };
        let hcm = listener.chains.hcms().next().unwrap();
        let all = hcm.filters_in_use(&snapshot.extensions);
        all.map(|filter| match filter {
            HttpFilter::Cors => "cors",
            HttpFilter::GrpcWeb => "grpc_web",
            _ => "another",
        })
        .collect()
    }

    #[test]
    fn a_listener_waits_for_its_extension_and_follows_it() {
        let mut store = Store::new();
        let applied = apply(&mut store, LISTENER, &listener("l", &of(&[CORS, GRPC_WEB])));
        let wanted = applied.wanted.first().unwrap();
        assert_eq!((wanted.type_url, &*wanted.name), (EXTENSION, "f"));
        assert!(matches!(&wanted.source, Source::File { path, .. } if path == "/ecds.yaml"));
        let scope = "extension_config_discovery.http_filter.f.";
        assert_eq!(wanted.stat_scope, scope);
        assert_eq!(store.warming(), [(LISTENER, "l".to_owned())]);
        let applied = apply(&mut store, EXTENSION, &extension(CORS));
        assert_eq!(
            (applied.accepted, serving(&store)),
            (vec!["f".into()], "cors".into())
        );
        let before = store.snapshot();
        let applied = apply(&mut store, EXTENSION, &extension(CORS));
        assert_eq!(applied.unchanged, ["f"]);
        assert_eq!(store.snapshot().generation, before.generation);
        apply(&mut store, EXTENSION, &extension(GRPC_WEB));
        assert_eq!(serving(&store), "grpc_web");
        let now = store.snapshot();
        let same = |of: &crate::resources::Snapshot| std::sync::Arc::as_ptr(&of.listeners["l"]);
        assert_eq!(same(&before), same(&now), "the listener is as it was");
        store.apply(LISTENER, &[], &["l".to_owned()], false);
        assert!(store.snapshot().extensions.is_empty() && store.wanted().is_empty());
    }

    #[test]
    fn without_warming_the_default_serves_at_once_and_again_when_the_extension_goes() {
        let default = format!(
            "{}, default_config: {{'@type': {TYPES}.{CORS}}}",
            of(&[CORS, GRPC_WEB])
        );
        let mut store = Store::new();
        let at_once = format!("{default}, apply_default_config_without_warming: true");
        apply(&mut store, LISTENER, &listener("l", &at_once));
        assert_eq!(serving(&store), "cors");
        apply(&mut store, EXTENSION, &extension(GRPC_WEB));
        assert_eq!(serving(&store), "grpc_web");
        let gone = store.apply(EXTENSION, &[], &["f".to_owned()], false);
        assert_eq!(
            (gone.removed, serving(&store)),
            (vec!["f".into()], "cors".into())
        );
        // It was there: a new version of the listener does not wait for it again.
        apply(&mut store, LISTENER, &listener("l", &of(&[CORS])));
        assert_eq!(serving(&store), "");
        let mut store = Store::new();
        apply(&mut store, LISTENER, &listener("l", &default));
        assert_eq!(serving(&store), "no listener");
        store.fetch_timed_out(EXTENSION, "f");
        assert_eq!(serving(&store), "cors");
    }

    #[test]
    fn an_extension_is_refused_where_it_may_not_stand() {
        let mut store = Store::new();
        apply(&mut store, LISTENER, &listener("l", &of(&[CORS, ROUTER])));
        let said = refusal(&apply(&mut store, EXTENSION, &extension(GRPC_WEB)));
        let types = "envoy.extensions.filters.http.cors.v3.Cors, envoy.extensions.filters.http.router.v3.Router";
        let expected = format!(
            ": Error: filter config has type URL envoy.extensions.filters.http.grpc_web.v3.GrpcWeb but expect {types}."
        );
        assert_eq!(said, expected);
        let said = refusal(&apply(&mut store, EXTENSION, &extension(ROUTER)));
        assert!(
            said.contains(
                "terminal filter named f of type envoy.filters.http.router must be the last"
            ),
            "{said}"
        );
        assert_eq!(serving(&store), "no listener");
        let other = resource(
            EXTENSION,
            "{name: f, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster}}",
        );
        let said = refusal(&apply(&mut store, EXTENSION, &("f".to_owned(), other)));
        assert!(
            said.contains("SniCluster) is not implemented as an HTTP filter"),
            "{said}"
        );
        let said = refusal(&apply(
            &mut store,
            EXTENSION,
            &("f".to_owned(), resource(EXTENSION, "{name: f}")),
        ));
        assert!(
            said.starts_with("typed_config: value is required"),
            "{said}"
        );
    }

    #[test]
    fn a_listener_that_the_extension_does_not_fit_is_there_and_counts_it() {
        let mut store = Store::new();
        apply(&mut store, LISTENER, &listener("other", &of(&[CORS])));
        apply(&mut store, EXTENSION, &extension(CORS));
        let applied = apply(&mut store, LISTENER, &listener("l", &of(&[GRPC_WEB])));
        assert_eq!(applied.accepted, ["l"]);
        assert_eq!(
            applied.conflicts,
            ["extension_config_discovery.http_filter.f."]
        );
        assert_eq!(serving(&store), "", "its requests are answered by 500");
    }

    #[test]
    fn one_name_is_one_extension() {
        let mut store = Store::new();
        apply(&mut store, LISTENER, &listener("l", &of(&[CORS])));
        let elsewhere = of(&[CORS]).replace("/ecds", "/other");
        let said = refusal(&apply(&mut store, LISTENER, &listener("m", &elsewhere)));
        assert_eq!(
            said,
            ": extension configuration 'f' comes from /other.yaml and from /ecds.yaml: two of one name are not implemented"
        );
        // The listener itself may go elsewhere.
        let applied = apply(&mut store, LISTENER, &listener("l", &elsewhere));
        assert_eq!(applied.accepted, ["l"]);
    }

    #[test]
    fn the_router_is_discovered_too() {
        let mut store = Store::new();
        let suppress = format!(
            "{}, default_config: {{'@type': {TYPES}.{ROUTER}, suppress_envoy_headers: true}}",
            of(&[ROUTER])
        );
        let router = format!("{{name: f, config_discovery: {{{suppress}}}}}");
        apply(&mut store, LISTENER, &with("l", &router));
        let said = refusal(&apply(&mut store, EXTENSION, &extension(CORS)));
        assert!(said.contains("filter config has type URL"), "{said}");
        let applied = apply(&mut store, EXTENSION, &extension(ROUTER));
        assert_eq!(applied.accepted, ["f"]);
        let snapshot = store.snapshot();
        let hcm = snapshot.listeners["l"].chains.hcms().next().unwrap();
        assert!(hcm.router.suppress_envoy_headers, "until it is there");
        let (name, discovered) = hcm.discovered().next().unwrap();
        let extension: Option<&std::sync::Arc<Extension>> = snapshot.extensions.get(name);
        let found = discovered.resolve(extension).unwrap();
        assert!(matches!(**found, ExtensionFilter::Router(r) if !r.suppress_envoy_headers));
    }
}
