//! The messages of xDS streams, both kinds: all there is each time, and what has changed.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Extension, Locality, Node, node};
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;
use prost::Message as _;

use super::{WRAPPER, unknown};
use crate::compile;
use crate::schema;
use crate::text::UnknownFields;

/// gRPC's INTERNAL, which Envoy says with every refusal.
const INTERNAL: i32 = 13;
/// Bytes of a refusal that are sent: servers log them, and have limits of their own.
const MAX_ERROR: usize = 8 * 1024;

/// A response of either kind.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Response {
    pub type_url: String,
    pub version: String,
    pub nonce: String,
    /// `ControlPlane.identifier`
    pub control_plane: String,
    pub resources: Vec<Item>,
    pub removed: Vec<String>,
    /// Why it cannot be taken at all; empty: it can.
    pub problem: String,
}

/// A resource of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub name: String,
    /// Of the resource; empty where only the response has one.
    pub version: String,
    /// `None`: it is as it was, and lives on (a heartbeat).
    pub body: Option<Vec<u8>>,
    pub ttl: Option<Duration>,
}

/// Reads a `DiscoveryResponse`. `fields`: of resources, that the API does not have.
pub fn response(message: &[u8], fields: UnknownFields) -> Result<Response, String> {
    let message = pb::DiscoveryResponse::decode(message)
        .map_err(|error| format!("not a DiscoveryResponse: {error}"))?;
    let mut response = Response {
        type_url: message.type_url,
        version: message.version_info,
        nonce: message.nonce,
        control_plane: message
            .control_plane
            .map(|c| c.identifier)
            .unwrap_or_default(),
        ..Response::default()
    };
    let kind = response.type_url.clone();
    let resources = message.resources.into_iter();
    let items = resources.map(|any| match any.type_url == WRAPPER {
        true => {
            let wrapper = pb::Resource::decode(any.value.as_slice())
                .map_err(|error| format!("not a Resource: {error}"))?;
            item(wrapper, &kind, "DiscoveryResponse", fields)
        }
        false => {
            let body = unpack(any, &kind, "DiscoveryResponse", fields)?;
            Ok(Item {
                name: name(&kind, &body)?,
                version: String::new(),
                body: Some(body),
                ttl: None,
            })
        }
    });
    keep(&mut response, items.collect());
    Ok(response)
}

/// Reads a `DeltaDiscoveryResponse`, likewise.
pub fn delta_response(message: &[u8], fields: UnknownFields) -> Result<Response, String> {
    let message = pb::DeltaDiscoveryResponse::decode(message)
        .map_err(|error| format!("not a DeltaDiscoveryResponse: {error}"))?;
    let mut response = Response {
        type_url: message.type_url,
        version: message.system_version_info,
        nonce: message.nonce,
        control_plane: message
            .control_plane
            .map(|c| c.identifier)
            .unwrap_or_default(),
        removed: message.removed_resources,
        ..Response::default()
    };
    let kind = response.type_url.clone();
    let resources = message.resources.into_iter();
    let items = resources.map(|one| item(one, &kind, "DeltaDiscoveryResponse", fields));
    keep(&mut response, items.collect());
    Ok(response)
}

/// Writes a `DiscoveryRequest`. `node`: empty for none; `error`: empty for an ACK.
#[must_use]
pub fn request(
    node: &[u8],
    type_url: String,
    version: String,
    nonce: String,
    names: Vec<String>,
    error: &str,
) -> Vec<u8> {
    pb::DiscoveryRequest {
        version_info: version,
        node: read_node(node),
        resource_names: names,
        type_url,
        response_nonce: nonce,
        error_detail: error_detail(error),
        ..pb::DiscoveryRequest::default()
    }
    .encode_to_vec()
}

/// Writes a `DeltaDiscoveryRequest`.
#[must_use]
pub fn delta_request(
    node: &[u8],
    type_url: String,
    nonce: String,
    subscribe: Vec<String>,
    unsubscribe: Vec<String>,
    versions: Vec<(String, String)>,
    error: &str,
) -> Vec<u8> {
    pb::DeltaDiscoveryRequest {
        node: read_node(node),
        type_url,
        resource_names_subscribe: subscribe,
        resource_names_unsubscribe: unsubscribe,
        initial_resource_versions: versions.into_iter().collect(),
        response_nonce: nonce,
        error_detail: error_detail(error),
        ..pb::DeltaDiscoveryRequest::default()
    }
    .encode_to_vec()
}

/// The node of a bootstrap as servers are told of it: with the names that flags give, and what
/// asks.
#[must_use]
pub fn node(bootstrap: &[u8], id: &str, cluster: &str, zone: &str) -> Vec<u8> {
    use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
    // It was read before.
    let bootstrap = Bootstrap::decode(bootstrap).unwrap_or_default();
    let mut node = bootstrap.node.unwrap_or_default();
    for (field, flag) in [(&mut node.id, id), (&mut node.cluster, cluster)] {
        if !flag.is_empty() {
            flag.clone_into(field);
        }
    }
    if !zone.is_empty() {
        let locality = node.locality.get_or_insert_with(Locality::default);
        zone.clone_into(&mut locality.zone);
    }
    if node.user_agent_name.is_empty() {
        "fastmesh".clone_into(&mut node.user_agent_name);
    }
    if node.user_agent_version_type.is_none() {
        let version = build_version();
        node.user_agent_version_type =
            Some(node::UserAgentVersionType::UserAgentBuildVersion(version));
    }
    node.extensions.extend(beyond_envoy());
    node.encode_to_vec()
}

/// Istio's filters, and roots of the system, so that a control plane knows that it may send them:
/// the stock Envoy, which tells all of its extensions, has none of them.
fn beyond_envoy() -> impl Iterator<Item = Extension> {
    let found = [
        (
            "envoy.filters.http",
            "envoy.filters.http.peer_metadata",
            "io.istio.http.peer_metadata.Config",
        ),
        (
            "envoy.filters.http",
            "envoy.filters.http.istio_stats",
            "stats.PluginConfig",
        ),
        (
            "envoy.filters.http",
            "istio.alpn",
            "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        ),
        (
            "envoy.filters.network",
            "envoy.filters.network.metadata_exchange",
            "envoy.tcp.metadataexchange.config.MetadataExchange",
        ),
        (
            "fastmesh.tls",
            "system_root_certs",
            "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts",
        ),
    ];
    found
        .into_iter()
        .map(|(category, name, of_type)| Extension {
            name: name.to_owned(),
            category: category.to_owned(),
            type_urls: vec![of_type.to_owned()],
            ..Extension::default()
        })
}

fn build_version() -> BuildVersion {
    let mut numbers = env!("CARGO_PKG_VERSION").split('.');
    let mut number = || numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    BuildVersion {
        version: Some(SemanticVersion {
            major_number: number(),
            minor_number: number(),
            patch: number(),
        }),
        metadata: None,
    }
}

fn read_node(node: &[u8]) -> Option<Node> {
    // What `node` wrote.
    (!node.is_empty()).then(|| Node::decode(node).unwrap_or_default())
}

fn error_detail(error: &str) -> Option<Status> {
    let mut end = error.len().min(MAX_ERROR);
    while !error.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    (!error.is_empty()).then(|| Status {
        code: INTERNAL,
        message: error.get(..end).unwrap_or_default().to_owned(),
        details: Vec::new(),
    })
}

/// Takes the resources, or the first reason why not.
fn keep(response: &mut Response, items: Result<Vec<Item>, String>) {
    match items {
        Ok(items) => response.resources = items,
        Err(problem) => response.problem = problem,
    }
}

fn item(
    wrapper: pb::Resource,
    type_url: &str,
    what: &str,
    fields: UnknownFields,
) -> Result<Item, String> {
    let ttl = wrapper.ttl.as_ref().map(|ttl| {
        let seconds = u64::try_from(ttl.seconds).unwrap_or(0);
        Duration::new(seconds, u32::try_from(ttl.nanos).unwrap_or(0))
    });
    let Some(any) = wrapper.resource else {
        if ttl.is_none() {
            return Err(format!(
                "resource '{}' of a {what} has neither a body nor a TTL",
                wrapper.name
            ));
        }
        return Ok(Item {
            name: wrapper.name,
            version: wrapper.version,
            body: None,
            ttl,
        });
    };
    let body = unpack(any, type_url, what, fields)?;
    let inside = name(type_url, &body)?;
    if !wrapper.name.is_empty() && wrapper.name != inside {
        return Err(format!(
            "resource '{}' of a {what} calls itself '{inside}'",
            wrapper.name
        ));
    }
    Ok(Item {
        name: inside,
        version: wrapper.version,
        body: Some(body),
        ttl,
    })
}

/// The bytes of a resource, if they are of the response's type.
fn unpack(any: Any, type_url: &str, what: &str, fields: UnknownFields) -> Result<Vec<u8>, String> {
    if schema::name_of_url(&any.type_url) == schema::name_of_url(type_url) {
        return Ok(match fields {
            UnknownFields::Refused => any.value,
            UnknownFields::Ignored => unknown::strip(type_url, &any.value).unwrap_or(any.value),
        });
    }
    Err(format!(
        "type URL {} embedded in an individual Any does not match the message-wide type URL \
         {type_url} in {what}",
        any.type_url
    ))
}

fn name(type_url: &str, body: &[u8]) -> Result<String, String> {
    compile::resource_name(type_url, body).map_err(|problem| problem.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{CLUSTER, ENDPOINTS, LISTENER};
    use crate::testing;
    use envoy_types::pb::google::protobuf::Duration as Ttl;

    fn cluster(name: &str) -> Any {
        Any {
            type_url: CLUSTER.to_owned(),
            value: testing::resource(CLUSTER, &format!("{{name: {name}, type: STATIC}}")),
        }
    }

    fn wrapped(wrapper: &pb::Resource) -> Any {
        Any {
            type_url: WRAPPER.to_owned(),
            value: wrapper.encode_to_vec(),
        }
    }

    fn whole(resources: Vec<Any>) -> Response {
        let message = pb::DiscoveryResponse {
            version_info: "7".to_owned(),
            type_url: CLUSTER.to_owned(),
            nonce: "n".to_owned(),
            resources,
            ..pb::DiscoveryResponse::default()
        };
        response(&message.encode_to_vec(), UnknownFields::Refused).unwrap()
    }

    fn names(response: &Response) -> Vec<&str> {
        let items = response.resources.iter();
        items.map(|item| item.name.as_str()).collect()
    }

    #[test]
    fn resources_come_bare_and_wrapped_and_as_heartbeats() {
        let ttl = Some(Ttl {
            seconds: 1,
            nanos: 500_000_000,
        });
        let inside = pb::Resource {
            version: "b1".to_owned(),
            resource: Some(cluster("b")),
            ttl,
            ..pb::Resource::default()
        };
        let heartbeat = pb::Resource {
            name: "c".to_owned(),
            version: "c1".to_owned(),
            ttl,
            ..pb::Resource::default()
        };
        let got = whole(vec![cluster("a"), wrapped(&inside), wrapped(&heartbeat)]);
        assert_eq!(got.problem, "");
        assert_eq!((&*got.version, &*got.nonce), ("7", "n"));
        assert_eq!(names(&got), ["a", "b", "c"]);
        let [a, b, c] = got.resources.as_slice() else {
            panic!("{got:?}")
        };
        assert!(a.body.is_some() && a.ttl.is_none() && a.version.is_empty());
        assert_eq!(
            (&*b.version, b.ttl),
            ("b1", Some(Duration::from_millis(1500)))
        );
        assert!(b.body.is_some() && c.body.is_none());
    }

    #[test]
    fn one_resource_of_another_type_spoils_all() {
        let wrong = Any {
            type_url: LISTENER.to_owned(),
            value: Vec::new(),
        };
        let got = whole(vec![cluster("a"), wrong]);
        assert!(got.resources.is_empty());
        let said = "does not match the message-wide type URL";
        assert!(got.problem.contains(said), "{}", got.problem);
        let garbage = Any {
            type_url: CLUSTER.to_owned(),
            value: vec![0xff],
        };
        assert!(
            whole(vec![garbage])
                .problem
                .contains("not a message of type")
        );
        // Named "b", and a `load_assignment` that is none: to be refused by itself.
        let broken = Any {
            type_url: CLUSTER.to_owned(),
            value: vec![0x0a, 1, b'b', 0x8a, 0x02, 1, 0xff],
        };
        assert!(compile::cluster(&broken.value).is_err());
        let got = whole(vec![cluster("a"), broken]);
        assert_eq!((names(&got), &*got.problem), (vec!["a", "b"], ""));
        let empty = pb::Resource {
            name: "a".to_owned(),
            ..pb::Resource::default()
        };
        let got = whole(vec![wrapped(&empty)]);
        assert!(
            got.problem.contains("neither a body nor a TTL"),
            "{}",
            got.problem
        );
    }

    #[test]
    fn changes_come_with_versions_and_removals() {
        let message = pb::DeltaDiscoveryResponse {
            system_version_info: "7".to_owned(),
            type_url: CLUSTER.to_owned(),
            resources: vec![pb::Resource {
                name: "a".to_owned(),
                version: "a1".to_owned(),
                resource: Some(cluster("a")),
                ..pb::Resource::default()
            }],
            removed_resources: vec!["gone".to_owned()],
            ..pb::DeltaDiscoveryResponse::default()
        };
        let got = delta_response(&message.encode_to_vec(), UnknownFields::Refused).unwrap();
        assert_eq!(
            (names(&got), got.removed.clone()),
            (vec!["a"], vec!["gone".to_owned()])
        );
        let mut other = message;
        for resource in &mut other.resources {
            resource.name = "b".to_owned();
        }
        let got = delta_response(&other.encode_to_vec(), UnknownFields::Refused).unwrap();
        assert_eq!(
            got.problem,
            "resource 'b' of a DeltaDiscoveryResponse calls itself 'a'"
        );
        assert!(response(&[0xff], UnknownFields::Refused).is_err());
        assert!(delta_response(&[0xff], UnknownFields::Refused).is_err());
    }

    #[test]
    fn requests_say_who_asks_what_was_taken_and_what_was_wrong() {
        let bootstrap = crate::bootstrap::load(
            b"node: {id: a, cluster: b, metadata: {x: 1}, locality: {zone: z}}",
            "test",
        )
        .unwrap();
        let asks = node(&bootstrap.body, "over", "", "");
        let names = vec!["e".to_owned()];
        let ack = request(
            &asks,
            ENDPOINTS.to_owned(),
            "1".into(),
            "n".into(),
            names,
            "",
        );
        let ack = pb::DiscoveryRequest::decode(ack.as_slice()).unwrap();
        let node = ack.node.unwrap();
        assert_eq!((&*node.id, &*node.cluster), ("over", "b"));
        assert_eq!(node.user_agent_name, "fastmesh");
        assert_eq!(node.locality.unwrap().zone, "z");
        assert!(node.metadata.is_some() && node.user_agent_version_type.is_some());
        assert_eq!((&*ack.version_info, &*ack.response_nonce), ("1", "n"));
        assert_eq!(
            (ack.resource_names, ack.error_detail),
            (vec!["e".to_owned()], None)
        );

        let long = "é".repeat(MAX_ERROR);
        let nack = delta_request(
            b"",
            ENDPOINTS.to_owned(),
            "n".into(),
            vec!["*".into()],
            vec!["a".into()],
            vec![("k".into(), "1".into())],
            &long,
        );
        let nack = pb::DeltaDiscoveryRequest::decode(nack.as_slice()).unwrap();
        assert!(nack.node.is_none());
        let error = nack.error_detail.unwrap();
        assert_eq!((error.code, error.message.len()), (INTERNAL, MAX_ERROR));
        assert_eq!(nack.initial_resource_versions.get("k").unwrap(), "1");
        assert_eq!(nack.resource_names_unsubscribe, ["a"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_answered(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            inside in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let fields = UnknownFields::Ignored;
            let _ = (response(&bytes, fields), delta_response(&bytes, fields));
            let any = |type_url: &str| Any { type_url: type_url.to_owned(), value: inside.clone() };
            let message = pb::DiscoveryResponse {
                type_url: CLUSTER.to_owned(),
                resources: vec![any(CLUSTER), any(WRAPPER)],
                ..pb::DiscoveryResponse::default()
            };
            proptest::prop_assert!(response(&message.encode_to_vec(), fields).is_ok());
        }
    }
}
