//! Secrets and those that name them: what must hold between the two.

use std::collections::{BTreeMap, BTreeSet};

use super::slot::Slot;
use super::update::accept;
use super::{Store, Watched};
use crate::compile::{self, CLUSTER, LISTENER, SECRET, SecretKind, SecretRef};
use crate::problem::Problem;
use crate::resources::tls::Secret;

impl Store {
    /// Whether there is a new version now: the same bytes may name files with something else in
    /// them.
    pub(super) fn update_secret(
        &mut self,
        name: &str,
        bytes: &[u8],
        is_static: bool,
    ) -> Result<bool, Vec<Problem>> {
        let known = self.secrets.get(name);
        if known.is_some_and(|slot| slot.is_static) {
            return Ok(false);
        }
        let compiled = compile::secret(bytes).and_then(|compiled| {
            self.check_kind(&compiled.resource)?;
            Ok(compiled)
        });
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(problems) => {
                let directories = compile::secret_directories(bytes);
                self.refused_secrets.insert(name.to_owned(), directories);
                return Err(problems);
            }
        };
        self.refused_secrets.remove(name);
        if known.is_some_and(|slot| slot.newest.resource.hash == compiled.resource.hash) {
            return Ok(false);
        }
        accept(&mut self.secrets, name, bytes, is_static, compiled.into());
        self.timed_out.remove(&(SECRET, name.to_owned()));
        Ok(true)
    }

    /// Directories with files of the secrets that came by SDS. Those of the bootstrap stay as
    /// they were read, as in Envoy.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let dynamic = self.secrets.iter().filter(|(_, slot)| !slot.is_static);
        let accepted = dynamic.map(|(name, slot)| (name, &slot.newest.resource.watched));
        let watched: BTreeSet<Watched> = accepted
            .chain(&self.refused_secrets)
            .flat_map(|(name, directories)| {
                directories.iter().map(|directory| Watched {
                    type_url: SECRET,
                    name: name.clone(),
                    directory: directory.clone(),
                })
            })
            .collect();
        watched.into_iter().collect()
    }

    /// A secret by SDS goes with the last that names it.
    pub(super) fn forget_secret(&mut self, name: &str) {
        self.refused_secrets.remove(name);
        if self.secrets.get(name).is_some_and(|slot| !slot.is_static) {
            self.secrets.remove(name);
        }
    }

    /// Whether the secrets that a listener or a cluster names can be what it takes them for.
    pub(super) fn check_secrets(
        &self,
        type_url: &str,
        name: &str,
        references: &[SecretRef],
    ) -> Result<(), Vec<Problem>> {
        let others: BTreeMap<&str, &SecretRef> = self
            .references()
            .filter(|(of_type, of_name, _)| (*of_type, *of_name) != (type_url, name))
            .map(|(_, _, reference)| (&*reference.name, reference))
            .collect();
        let mut problems = Vec::new();
        for (at, reference) in references.iter().enumerate() {
            let known = self.secrets.get(&*reference.name);
            let known = known.map(|slot| (slot.is_static, kind(slot)));
            let mut earlier = references.iter().take(at);
            let earlier = earlier.rfind(|other| other.name == reference.name);
            let other = earlier.or(others.get(&*reference.name).copied());
            problems.extend(check_reference(reference, known, other));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// Whether a secret that came is what those that name it take it for.
    pub(super) fn check_kind(&self, secret: &Secret) -> Result<(), Vec<Problem>> {
        let found = SecretKind::of(&secret.value);
        let other = self
            .references()
            .find(|(_, _, reference)| reference.name == secret.name && reference.kind != found);
        match other {
            None => Ok(()),
            Some((type_url, name, reference)) => {
                let user = if type_url == LISTENER {
                    "listener"
                } else {
                    "cluster"
                };
                let reason = format!(
                    "is a {} where {user} '{name}' expects a {}",
                    found.field(),
                    reference.kind.field()
                );
                Err(vec![Problem {
                    path: String::new(),
                    reason,
                }])
            }
        }
    }

    /// (type, name, reference) of every secret that is named.
    fn references(&self) -> impl Iterator<Item = (&'static str, &str, &SecretRef)> {
        let listeners = self.listeners.iter().flat_map(|(name, slot)| {
            let references = slot.newest.secrets.iter();
            references.map(move |one| (LISTENER, name.as_str(), one))
        });
        let clusters = self.clusters.iter().flat_map(|(name, slot)| {
            let references = slot.newest.secrets.iter();
            references.map(move |one| (CLUSTER, name.as_str(), one))
        });
        listeners.chain(clusters)
    }
}

fn kind(slot: &Slot<Secret>) -> SecretKind {
    SecretKind::of(&slot.newest.resource.value)
}

/// What is wrong with naming a secret that is `known` (is it static, its kind), and that `other`
/// names, too.
pub(crate) fn check_reference(
    reference: &SecretRef,
    known: Option<(bool, SecretKind)>,
    other: Option<&SecretRef>,
) -> Option<Problem> {
    let name = &reference.name;
    match (&reference.source, known) {
        // Envoy has a space of names for each kind.
        (None, Some((true, kind))) if kind == reference.kind => None,
        (None, _) => Some(reference.unknown()),
        (Some(_), Some((true, _))) => Some(reference.problem(format!(
            "secret '{name}' is a static secret, too: two secrets of one name are not implemented"
        ))),
        (Some(_), Some((false, kind))) if kind != reference.kind => {
            Some(reference.problem(format!(
                "secret '{name}' is a {}, and a {} is expected",
                kind.field(),
                reference.kind.field()
            )))
        }
        (Some(source), _) => {
            let elsewhere = other
                .and_then(|other| other.source.as_ref())
                .filter(|other| other.source != source.source)?;
            Some(reference.problem(format!(
                "secret '{name}' comes from {} elsewhere: two secrets of one name are not implemented",
                elsewhere.source
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::compile::{CLUSTER, SECRET};
    use crate::resources::tls::SecretValue;
    use crate::store::{Applied, Store};
    use crate::testing::resource;

    fn pki(file: &str) -> PathBuf {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pki");
        directory.join(file)
    }

    /// An empty directory of a test's own.
    fn directory(test: &str) -> PathBuf {
        let name = format!("model-secrets-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn certificate(name: &str, chain: &Path, key: &Path) -> (String, Vec<u8>) {
        let (chain, key) = (chain.display(), key.display());
        let yaml = format!(
            "{{name: {name}, tls_certificate: {{certificate_chain: {{filename: {chain}}}, private_key: {{filename: {key}}}}}}}"
        );
        (name.to_owned(), resource(SECRET, &yaml))
    }

    fn validation(name: &str) -> (String, Vec<u8>) {
        let ca = pki("ca.crt");
        let yaml = format!(
            "{{name: {name}, validation_context: {{trusted_ca: {{filename: {}}}}}}}",
            ca.display()
        );
        (name.to_owned(), resource(SECRET, &yaml))
    }

    /// A cluster with fields of `CommonTlsContext`.
    fn cluster(name: &str, common: &str) -> (String, Vec<u8>) {
        let yaml = format!(
            "{{name: {name}, type: STATIC, transport_socket: {{name: tls, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {{{common}}}}}}}}}"
        );
        (name.to_owned(), resource(CLUSTER, &yaml))
    }

    fn by_sds(secret: &str, file: &str) -> String {
        format!(
            "tls_certificate_sds_secret_configs: [{{name: {secret}, sds_config: {{path_config_source: {{path: {file}}}}}}}]"
        )
    }

    fn apply(store: &mut Store, type_url: &str, one: &(String, Vec<u8>)) -> Applied {
        store.apply(type_url, std::slice::from_ref(one), &[], false)
    }

    fn refusal(applied: &Applied) -> String {
        let rejected = applied.rejected.first();
        rejected.map_or_else(String::new, |(_, path, reason)| format!("{path}: {reason}"))
    }

    #[test]
    fn a_cluster_waits_for_its_secret_and_the_secret_goes_with_it() {
        let mut store = Store::new();
        let applied = apply(
            &mut store,
            CLUSTER,
            &cluster("a", &by_sds("s", "/sds.yaml")),
        );
        let wanted = applied.wanted.first().unwrap();
        assert_eq!((wanted.type_url, &*wanted.name), (SECRET, "s"));
        assert_eq!(
            (wanted.source.to_string(), &*wanted.stat_scope),
            ("/sds.yaml".to_owned(), "sds.s.")
        );
        assert_eq!(store.warming(), [(CLUSTER, "a".to_owned())]);
        let secret = certificate("s", &pki("ec.crt"), &pki("ec.key"));
        let applied = apply(&mut store, SECRET, &secret);
        assert_eq!(applied.accepted, ["s"]);
        let watched = applied.watched.first().unwrap();
        assert_eq!((&*watched.name, &*watched.directory), ("s", &*pki("")));
        assert!(store.warming().is_empty());
        let snapshot = store.snapshot();
        let value = &snapshot.secrets.get("s").unwrap().value;
        assert!(matches!(value, SecretValue::Certificate(c) if c.chain.len() == 1));
        let applied = store.apply(CLUSTER, &[], &["a".to_owned()], false);
        assert!(applied.wanted.is_empty() && applied.watched.is_empty());
        assert!(store.snapshot().secrets.is_empty());
    }

    #[test]
    fn a_secret_that_does_not_come_in_time_is_gone_without() {
        let mut store = Store::new();
        apply(
            &mut store,
            CLUSTER,
            &cluster("a", &by_sds("s", "/sds.yaml")),
        );
        store.fetch_timed_out(SECRET, "s");
        assert!(store.warming().is_empty());
        assert!(store.snapshot().secrets.is_empty());
    }

    #[test]
    fn static_secrets_are_known_by_kind_and_do_not_change() {
        let mut store = Store::new();
        let named = "tls_certificate_sds_secret_configs: [{name: s}]";
        let said = refusal(&apply(&mut store, CLUSTER, &cluster("a", named)));
        let path = "transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0]";
        assert_eq!(said, format!("{path}: Unknown static secret: s"));
        store.apply(SECRET, &[validation("s")], &[], true);
        let said = refusal(&apply(&mut store, CLUSTER, &cluster("a", named)));
        assert_eq!(said, format!("{path}: Unknown static secret: s"));
        let mut store = Store::new();
        let secret = certificate("s", &pki("ec.crt"), &pki("ec.key"));
        store.apply(SECRET, &[secret], &[], true);
        let applied = apply(&mut store, CLUSTER, &cluster("a", named));
        assert_eq!(applied.accepted, ["a"]);
        assert!(applied.wanted.is_empty() && applied.watched.is_empty());
        let other = certificate("s", &pki("rsa.crt"), &pki("rsa.key"));
        assert_eq!(apply(&mut store, SECRET, &other).unchanged, ["s"]);
        let said = refusal(&apply(
            &mut store,
            CLUSTER,
            &cluster("b", &by_sds("s", "/s.yaml")),
        ));
        assert!(said.contains("is a static secret, too"), "{said}");
    }

    #[test]
    fn files_are_read_again_and_a_bad_pair_changes_nothing() {
        let at = directory("reload");
        let (chain, key) = (at.join("tls.crt"), at.join("tls.key"));
        let put = |name: &str| {
            std::fs::copy(pki(&format!("{name}.crt")), &chain).unwrap();
            std::fs::copy(pki(&format!("{name}.key")), &key).unwrap();
        };
        put("ec");
        let mut store = Store::new();
        apply(
            &mut store,
            CLUSTER,
            &cluster("a", &by_sds("s", "/sds.yaml")),
        );
        let secret = certificate("s", &chain, &key);
        assert_eq!(apply(&mut store, SECRET, &secret).accepted, ["s"]);
        let first = store.snapshot();
        assert_eq!(apply(&mut store, SECRET, &secret).unchanged, ["s"]);
        assert_eq!(store.snapshot().generation, first.generation);
        std::fs::copy(pki("rsa.crt"), &chain).unwrap();
        let said = refusal(&apply(&mut store, SECRET, &secret));
        assert!(said.contains("Failed to load private key from"), "{said}");
        assert_eq!(store.snapshot().generation, first.generation);
        put("rsa");
        assert_eq!(apply(&mut store, SECRET, &secret).accepted, ["s"]);
        let hash = |s: &crate::resources::Snapshot| s.secrets.get("s").unwrap().hash;
        assert_ne!(hash(&store.snapshot()), hash(&first));
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn files_of_a_secret_that_was_refused_are_watched_for() {
        let at = directory("late");
        let (chain, key) = (at.join("tls.crt"), at.join("tls.key"));
        let mut store = Store::new();
        apply(
            &mut store,
            CLUSTER,
            &cluster("a", &by_sds("s", "/sds.yaml")),
        );
        let secret = certificate("s", &chain, &key);
        let applied = apply(&mut store, SECRET, &secret);
        assert!(refusal(&applied).contains("does not exist"));
        assert_eq!(applied.watched.first().unwrap().directory, at);
        std::fs::copy(pki("ec.crt"), &chain).unwrap();
        std::fs::copy(pki("ec.key"), &key).unwrap();
        assert_eq!(apply(&mut store, SECRET, &secret).accepted, ["s"]);
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn one_name_is_one_secret_of_one_kind() {
        let mut store = Store::new();
        apply(
            &mut store,
            CLUSTER,
            &cluster("a", &by_sds("s", "/one.yaml")),
        );
        let said = refusal(&apply(
            &mut store,
            CLUSTER,
            &cluster("b", &by_sds("s", "/two.yaml")),
        ));
        assert!(said.contains("comes from /one.yaml elsewhere"), "{said}");
        // The cluster itself may go elsewhere.
        let moved = cluster("a", &by_sds("s", "/two.yaml"));
        assert_eq!(apply(&mut store, CLUSTER, &moved).accepted, ["a"]);
        let said = refusal(&apply(&mut store, SECRET, &validation("s")));
        let expected = "is a validation_context where cluster 'a' expects a tls_certificate";
        assert!(said.contains(expected), "{said}");
    }
}
