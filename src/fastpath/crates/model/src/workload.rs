//! What workloads say of themselves: a node's metadata, the headers by which Istio's sidecars
//! introduce themselves to each other, and what endpoints say of the workload behind them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Struct, value::Kind};
use prost::Message;

use crate::resources::istio::{Local, Told, Workload};

/// A peer that tells more than this tells nothing.
pub(crate) const LONGEST_METADATA: usize = 16 * 1024;
/// Of a label of a metric: peers write them.
pub const LONGEST_VALUE: usize = 256;

const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";
const APP: &str = "app";
const QUALIFIED_APP: &str = "app.kubernetes.io/name";
const VERSION: &str = "version";
const QUALIFIED_VERSION: &str = "app.kubernetes.io/version";

const OWNER: &str = "kubernetes://apis/apps/v1/namespaces/";
const KINDS: [&str; 4] = ["pod", "deployment", "job", "cronjob"];

/// With or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `google.protobuf.Struct` as far as it is read and written here: texts, and structs of them. In
/// the order of the keys, so that equal ones are equal bytes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Fields {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Field>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Field {
    #[prost(string, optional, tag = "3")]
    pub(crate) text: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(crate) fields: Option<Fields>,
}

impl Fields {
    fn text(&self, name: &str) -> &str {
        let field = self.fields.get(name);
        field.and_then(|f| f.text.as_deref()).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let text = Some(value.to_owned());
            self.fields
                .insert(name.to_owned(), Field { text, fields: None });
        }
    }

    pub(crate) fn workload(&self) -> Workload {
        let none = Self::default();
        let labels = self.fields.get("LABELS");
        let labels = labels.and_then(|f| f.fields.as_ref()).unwrap_or(&none);
        let label = |qualified: &str, plain: &str| match labels.text(qualified) {
            "" => short(labels.text(plain)),
            said => short(said),
        };
        Workload {
            name: short(self.text("WORKLOAD_NAME")),
            namespace: short(self.text("NAMESPACE")),
            canonical_name: short(labels.text(CANONICAL_NAME)),
            canonical_revision: short(labels.text(CANONICAL_REVISION)),
            app: label(QUALIFIED_APP, APP),
            version: label(QUALIFIED_VERSION, VERSION),
            cluster: short(self.text("CLUSTER_ID")),
            identity: short(self.text("IDENTITY")),
        }
    }
}

/// No longer than the label of a metric may be.
fn short(text: &str) -> Box<str> {
    let ends = (0..=LONGEST_VALUE).rev();
    ends.into_iter()
        .find_map(|end| text.get(..end.min(text.len())))
        .unwrap_or_default()
        .into()
}

impl Workload {
    /// `x-envoy-peer-metadata`.
    #[must_use]
    pub fn of_header(value: &[u8]) -> Option<Self> {
        if value.is_empty() || value.len() > LONGEST_METADATA {
            return None;
        }
        Self::of_struct(&BASE64.decode(value).ok()?)
    }

    /// `baggage`: OpenTelemetry's names; others are other people's.
    #[must_use]
    pub fn of_baggage(value: &[u8]) -> Option<Self> {
        if value.len() > LONGEST_METADATA {
            return None;
        }
        let mut found = Self::default();
        for property in std::str::from_utf8(value).ok()?.split(',') {
            let (key, rest) = property.split_once('=').unwrap_or((property, ""));
            let value = short(rest.split('=').next().unwrap_or_default());
            let unless = |known: &str| if known.is_empty() { &*value } else { known }.into();
            match key {
                "k8s.namespace.name" => found.namespace = value,
                "k8s.cluster.name" => found.cluster = value,
                "service.name" => {
                    found.app = unless(&found.app);
                    found.canonical_name = value;
                }
                "service.version" => {
                    found.version = unless(&found.version);
                    found.canonical_revision = value;
                }
                "app.name" => {
                    found.canonical_name = unless(&found.canonical_name);
                    found.app = value;
                }
                "app.version" => {
                    found.canonical_revision = unless(&found.canonical_revision);
                    found.version = value;
                }
                "k8s.deployment.name" | "k8s.pod.name" | "k8s.cronjob.name" | "k8s.job.name" => {
                    found.name = value;
                }
                _ => {}
            }
        }
        Some(found)
    }

    /// A `google.protobuf.Struct`.
    #[must_use]
    pub fn of_struct(bytes: &[u8]) -> Option<Self> {
        Some(Fields::decode(bytes).ok()?.workload())
    }

    /// `istio.workload` of an endpoint: `name;namespace;service;revision;cluster`.
    #[must_use]
    pub fn of_endpoint(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(short);
        Some(Self {
            name: parts.next()?,
            namespace: parts.next()?,
            canonical_name: parts.next()?,
            canonical_revision: parts.next()?,
            cluster: parts.next()?,
            ..Self::default()
        })
    }
}

impl Local {
    pub(crate) fn of_node(node: &Node) -> Self {
        let metadata = node.metadata.as_ref().map(of_metadata).unwrap_or_default();
        let mut told = Fields::default();
        for name in [
            "NAME",
            "NAMESPACE",
            "WORKLOAD_NAME",
            "CLUSTER_ID",
            "IDENTITY",
        ] {
            told.put(name, metadata.text(name));
        }
        let locality = node.locality.clone().unwrap_or_default();
        for (name, known) in [
            ("REGION", &locality.region),
            ("AVAILABILITY_ZONE", &locality.zone),
        ] {
            let said = metadata.text(name);
            told.put(name, if said.is_empty() { known } else { said });
        }
        told.put("OWNER", &owner(&metadata).unwrap_or_default());
        let texts = |fields: &Fields| {
            let texts = fields.fields.iter().filter_map(|(name, field)| {
                let text = field.text.as_deref()?;
                Some((name.as_str().into(), text.into()))
            });
            texts.collect()
        };
        let labels = metadata.fields.get("LABELS");
        let label = |name: &str| {
            let labels = labels.and_then(|f| f.fields.as_ref());
            labels.map_or("", |labels| labels.text(name))
        };
        Self {
            istio_version: short(metadata.text("ISTIO_VERSION")),
            told: Told {
                id: node.id.as_str().into(),
                fields: texts(&told),
                labels: labels
                    .and_then(|f| f.fields.as_ref())
                    .map(texts)
                    .unwrap_or_default(),
            },
            // Of ourselves only the plain labels count, as in Istio.
            workload: Workload {
                app: short(label(APP)),
                version: short(label(VERSION)),
                ..metadata.workload()
            },
        }
    }
}

impl Told {
    /// The value of `x-envoy-peer-metadata`.
    #[must_use]
    pub fn header(&self, additional_labels: &[Box<str>]) -> String {
        BASE64.encode(self.fields(additional_labels).encode_to_vec())
    }

    /// The value of `baggage`.
    #[must_use]
    pub fn baggage(&self) -> String {
        let told = self.fields(&[]);
        let none = Fields::default();
        let labels = told.fields.get("LABELS").and_then(|f| f.fields.as_ref());
        let labels = labels.unwrap_or(&none);
        let owner = told.text("OWNER").rsplit('/').nth(1).unwrap_or_default();
        let kind = format!("k8s.{}.name", owner.strip_suffix('s').unwrap_or("pod"));
        let (service, app) = (labels.text(CANONICAL_NAME), labels.text(APP));
        let (revision, version) = (labels.text(CANONICAL_REVISION), labels.text(VERSION));
        let unless_same = |text, other| if text == other { "" } else { text };
        let parts = [
            (kind.as_str(), told.text("WORKLOAD_NAME")),
            ("service.name", service),
            ("app.name", unless_same(app, service)),
            ("service.version", revision),
            ("app.version", unless_same(version, revision)),
            ("k8s.namespace.name", told.text("NAMESPACE")),
            ("k8s.cluster.name", told.text("CLUSTER_ID")),
            ("k8s.instance.name", told.text("NAME")),
            ("cloud.region", told.text("REGION")),
            ("cloud.availability_zone", told.text("AVAILABILITY_ZONE")),
        ];
        let said = parts.iter().filter(|(_, value)| !value.is_empty());
        let said: Vec<_> = said.map(|(key, value)| format!("{key}={value}")).collect();
        said.join(",")
    }

    pub(crate) fn fields(&self, additional_labels: &[Box<str>]) -> Fields {
        let mut told = Fields::default();
        for (name, value) in &self.fields {
            told.put(name, value);
        }
        let of = |name: &str| {
            let known = self.labels.iter().find(|(known, _)| **known == *name);
            known.map_or("", |(_, value)| &**value)
        };
        let qualified = |name: &str, plain: &str| match of(name) {
            "" => of(plain).to_owned(),
            said => said.to_owned(),
        };
        let mut labels = Fields::default();
        labels.put(CANONICAL_NAME, of(CANONICAL_NAME));
        labels.put(CANONICAL_REVISION, of(CANONICAL_REVISION));
        labels.put(APP, &qualified(QUALIFIED_APP, APP));
        labels.put(VERSION, &qualified(QUALIFIED_VERSION, VERSION));
        for name in additional_labels {
            labels.put(name, of(name));
        }
        let labels = Field {
            text: None,
            fields: Some(labels),
        };
        told.fields.insert("LABELS".to_owned(), labels);
        told
    }
}

/// The owner, if it is of a kind that is told of.
fn owner(metadata: &Fields) -> Option<String> {
    let (namespace, name) = (metadata.text("NAMESPACE"), metadata.text("WORKLOAD_NAME"));
    let rest = metadata.text("OWNER");
    let rest = rest.strip_suffix(name)?.strip_suffix("s/")?;
    let (_, kind) = rest.rsplit_once('/')?;
    KINDS
        .contains(&kind)
        .then(|| format!("{OWNER}{namespace}/{kind}s/{name}"))
}

fn of_metadata(message: &Struct) -> Fields {
    let fields = message.fields.iter().filter_map(|(name, value)| {
        let field = match value.kind.as_ref()? {
            Kind::StringValue(text) => Field {
                text: Some(text.clone()),
                fields: None,
            },
            Kind::StructValue(inner) => Field {
                text: None,
                fields: Some(of_metadata(inner)),
            },
            _ => return None,
        };
        Some((name.clone(), field))
    });
    Fields {
        fields: fields.collect(),
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::Value;

    use super::*;

    fn text(value: &str) -> Value {
        Value {
            kind: Some(Kind::StringValue(value.to_owned())),
        }
    }

    fn message<const N: usize>(fields: [(&str, Value); N]) -> Struct {
        Struct {
            fields: fields.map(|(k, v)| (k.to_owned(), v)).into(),
        }
    }

    /// As Istio's own tests have it.
    fn productpage() -> Node {
        let labels = message([
            ("app", text("productpage")),
            ("version", text("v1")),
            (CANONICAL_NAME, text("productpage-v1")),
            (CANONICAL_REVISION, text("version-1")),
            ("role", text("client")),
        ]);
        let owner = "kubernetes://apis/apps/v1/namespaces/default/deployments/productpage-v1";
        Node {
            id: "sidecar~10.0.0.1~productpage.default~default.svc.cluster.local".to_owned(),
            metadata: Some(message([
                ("NAME", text("productpage-v1-84975bc778-pxz2w")),
                ("NAMESPACE", text("default")),
                ("WORKLOAD_NAME", text("productpage-v1")),
                ("CLUSTER_ID", text("client-cluster")),
                ("ISTIO_VERSION", text("1.5-dev")),
                ("OWNER", text(owner)),
                (
                    "LABELS",
                    Value {
                        kind: Some(Kind::StructValue(labels)),
                    },
                ),
            ])),
            ..Node::default()
        }
    }

    #[test]
    fn what_is_told_is_understood() {
        let local = Local::of_node(&productpage());
        assert_eq!(&*local.workload.name, "productpage-v1");
        assert_eq!(&*local.workload.app, "productpage");
        assert_eq!(&*local.istio_version, "1.5-dev");
        let header = local.told.header(&[]);
        let heard = Workload::of_header(header.as_bytes()).unwrap();
        assert_eq!(heard, local.workload);
        let unpadded = header.trim_end_matches('=');
        assert_eq!(Workload::of_header(unpadded.as_bytes()).unwrap(), heard);
        let told = local.told.fields(&[]);
        let owner = "kubernetes://apis/apps/v1/namespaces/default/deployments/productpage-v1";
        assert_eq!(told.text("OWNER"), owner);
        let labels = |told: &Fields| told.fields["LABELS"].fields.clone().unwrap();
        assert_eq!(labels(&told).text("role"), "");
        assert_eq!(
            labels(&local.told.fields(&["role".into()])).text("role"),
            "client"
        );
    }

    #[test]
    fn qualified_labels_go_first_and_other_values_are_nothing() {
        let number = Value {
            kind: Some(Kind::NumberValue(7.0)),
        };
        let labels = message([
            ("app", text("plain")),
            (QUALIFIED_APP, text("qualified")),
            ("version", number),
        ]);
        let bytes = message([(
            "LABELS",
            Value {
                kind: Some(Kind::StructValue(labels)),
            },
        )])
        .encode_to_vec();
        let heard = Workload::of_struct(&bytes).unwrap();
        assert_eq!((&*heard.app, &*heard.version), ("qualified", ""));
    }

    #[test]
    fn baggage_is_told_and_understood() {
        let local = Local::of_node(&productpage());
        let told = local.told.baggage();
        assert_eq!(
            told,
            "k8s.deployment.name=productpage-v1,service.name=productpage-v1,app.name=productpage,\
             service.version=version-1,app.version=v1,k8s.namespace.name=default,\
             k8s.cluster.name=client-cluster,k8s.instance.name=productpage-v1-84975bc778-pxz2w"
        );
        assert_eq!(
            Workload::of_baggage(told.as_bytes()).unwrap(),
            local.workload
        );
        let heard = Workload::of_baggage(b"userId=alice,app.name=a,k8s.pod.name=p,odd").unwrap();
        assert_eq!(
            (&*heard.canonical_name, &*heard.app, &*heard.name),
            ("a", "a", "p")
        );
    }

    #[test]
    fn endpoints_say_five_things() {
        let heard = Workload::of_endpoint("reviews-v1;books;reviews;v1;west").unwrap();
        assert_eq!(&*heard.name, "reviews-v1");
        assert_eq!(&*heard.namespace, "books");
        assert_eq!(&*heard.canonical_name, "reviews");
        assert_eq!(&*heard.canonical_revision, "v1");
        assert_eq!(&*heard.cluster, "west");
        assert_eq!(Workload::of_endpoint("reviews-v1;books;reviews;v1"), None);
    }

    #[test]
    fn a_peer_cannot_say_too_much() {
        assert_eq!(Workload::of_header(b""), None);
        assert_eq!(Workload::of_header(b"no base64 !"), None);
        let long = "x".repeat(300);
        let bytes = message([("NAMESPACE", text(&long))]).encode_to_vec();
        let heard = Workload::of_header(BASE64.encode(&bytes).as_bytes()).unwrap();
        assert_eq!(heard.namespace.len(), LONGEST_VALUE);
        let more = message([("NAMESPACE", text(&"x".repeat(LONGEST_METADATA)))]).encode_to_vec();
        assert_eq!(Workload::of_header(BASE64.encode(&more).as_bytes()), None);
    }
}
