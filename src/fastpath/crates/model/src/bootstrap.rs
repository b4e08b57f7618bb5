//! The bootstrap: read, merged, checked as a whole, and taken apart into resources.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3::{AccessLog, access_log::ConfigType};
use envoy_types::pb::envoy::config::bootstrap::v3 as pb;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3::FileAccessLog;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Value};

use crate::check::check;
use crate::compile::{
    self, BOOTSTRAP, CLUSTER, Context, LISTENER, SecretKind, SecretRef, Server, Source, parts,
};
use crate::problem::{ConfigProblem, Problem, Problems};
use crate::resources::bind::BindConfig;
use crate::resources::istio::Local;
use crate::schema::{self, Schema};
use crate::store::{NO_ADS, check_reference, not_a_server};
use crate::text::{self, Document, UnknownFields};
use crate::typed_struct;

/// Envoy's default of `stats_flush_interval`.
const STATS_FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// `envoy.config.bootstrap.v3.Bootstrap`, checked.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The whole message.
    pub body: Vec<u8>,
    pub node_id: String,
    pub node_cluster: String,
    /// The node as Istio's filters see it.
    pub local: Arc<Local>,
    pub admin_address: Option<SocketAddr>,
    /// (name, resource bytes)
    pub static_listeners: Vec<(String, Vec<u8>)>,
    pub static_clusters: Vec<(String, Vec<u8>)>,
    pub static_secrets: Vec<(String, Vec<u8>)>,
    pub dynamic: Vec<Subscription>,
    /// `ads_config`.
    pub ads: Option<Server>,
    pub stats_flush_interval: Duration,
    /// `cluster_manager.upstream_bind_config`, of clusters that have none.
    pub upstream_bind: Option<Arc<BindConfig>>,
    /// `cluster_manager.outlier_detection.event_log_path`.
    pub ejection_log: Option<PathBuf>,
    /// Fields that the API does not have, if such are ignored.
    pub ignored: Vec<ConfigProblem>,
}

/// What brings all resources of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub type_url: &'static str,
    pub source: Source,
    /// Zero: wait for ever.
    pub initial_fetch_timeout: Duration,
}

/// Reads a bootstrap from YAML or JSON.
pub fn load(text: &[u8], file: &str) -> Result<Bootstrap, Vec<ConfigProblem>> {
    load_with(text, file, UnknownFields::Refused)
}

/// `load`, with another answer to fields that the API does not have.
pub fn load_with(
    text: &[u8],
    file: &str,
    unknown: UnknownFields,
) -> Result<Bootstrap, Vec<ConfigProblem>> {
    let schema = schema::get();
    let document = Document::parse(text, file)?;
    let (message, ignored) = read(&schema, &document, unknown)?;
    let bootstrap = take_apart(&schema, &message).map_err(|problems| document.locate(problems))?;
    Ok(Bootstrap {
        ignored,
        ..bootstrap
    })
}

/// Reads another one over `base`, merged as protobuf merges: fields replace, lists grow.
pub fn merge(base: &Bootstrap, text: &[u8], file: &str) -> Result<Bootstrap, Vec<ConfigProblem>> {
    merge_with(base, text, file, UnknownFields::Refused)
}

/// `merge`, with another answer to fields that the API does not have.
pub fn merge_with(
    base: &Bootstrap,
    text: &[u8],
    file: &str,
    unknown: UnknownFields,
) -> Result<Bootstrap, Vec<ConfigProblem>> {
    let schema = schema::get();
    let document = Document::parse(text, file)?;
    let (over, ignored) = read(&schema, &document, unknown)?;
    let unplaced = |reason: String| {
        document.locate(vec![Problem {
            path: String::new(),
            reason,
        }])
    };
    let Some(descriptor) = schema.message_of_url(BOOTSTRAP) else {
        return Err(unplaced("no descriptor of the bootstrap".to_owned()));
    };
    let mut message = DynamicMessage::decode(descriptor, base.body.as_slice())
        .map_err(|error| unplaced(error.to_string()))?;
    let lists = ["listeners", "clusters", "secrets"]
        .map(|list| (list, static_resources(&message, list).count()));
    message
        .merge(text::encode(&over).as_slice())
        .map_err(|error| unplaced(error.to_string()))?;
    let merged = take_apart(&schema, &message).map_err(|problems| {
        // The base alone was fine: what is wrong is in the text, where lists start at 0.
        let shifted = problems.into_iter().map(|p| (unshift(&p.path, &lists), p));
        let (places, problems): (Vec<_>, Vec<_>) = shifted
            .map(|(path, p)| {
                (
                    Problem {
                        path,
                        reason: String::new(),
                    },
                    p,
                )
            })
            .unzip();
        let places = document.locate(places).into_iter();
        let join = |(place, problem): (ConfigProblem, Problem)| ConfigProblem {
            path: problem.path,
            reason: problem.reason,
            ..place
        };
        places.zip(problems).map(join).collect::<Vec<_>>()
    })?;
    Ok(Bootstrap {
        ignored: [base.ignored.as_slice(), &ignored].concat(),
        ..merged
    })
}

/// `static_resources.clusters[3].x` → `static_resources.clusters[1].x` where the base has 2.
fn unshift(path: &str, lists: &[(&str, usize)]) -> String {
    for (list, count) in lists {
        let prefix = format!("static_resources.{list}[");
        let Some((index, rest)) = path.strip_prefix(&prefix).and_then(|p| p.split_once(']')) else {
            continue;
        };
        if let Some(index) = index
            .parse()
            .ok()
            .and_then(|index: usize| index.checked_sub(*count))
        {
            return format!("{prefix}{index}]{rest}");
        }
    }
    path.to_owned()
}

/// The message, and the fields in it that were ignored.
fn read(
    schema: &Schema,
    document: &Document<'_>,
    unknown: UnknownFields,
) -> Result<(DynamicMessage, Vec<ConfigProblem>), Vec<ConfigProblem>> {
    match schema.message_of_url(BOOTSTRAP) {
        Some(descriptor) => document.message_and_ignored(schema, &descriptor, unknown),
        None => Err(document.locate(vec![Problem {
            path: String::new(),
            reason: "no descriptor of the bootstrap".to_owned(),
        }])),
    }
}

fn take_apart(schema: &Schema, message: &DynamicMessage) -> Result<Bootstrap, Vec<Problem>> {
    let body = text::encode(message);
    let mut plain = Cow::Borrowed(message);
    if typed_struct::may_be_in(&body) {
        typed_struct::replace(schema, plain.to_mut())?;
    }
    let message = plain.as_ref();
    let problems = check(schema, message);
    if !problems.is_empty() {
        return Err(problems);
    }
    let bytes = match &plain {
        Cow::Borrowed(_) => Cow::Borrowed(body.as_slice()),
        Cow::Owned(plain) => Cow::Owned(text::encode(plain)),
    };
    let typed = pb::Bootstrap::decode(&*bytes).map_err(|error| {
        vec![Problem {
            path: String::new(),
            reason: error.to_string(),
        }]
    })?;
    let mut cx = Context::default();
    let admin_address = typed
        .admin
        .as_ref()
        .and_then(|a| admin(a, &mut cx.problems));
    let dynamic = typed.dynamic_resources.as_ref();
    let (dynamic, ads) = dynamic
        .map(|d| subscriptions(d, &mut cx.problems))
        .unwrap_or_default();
    let stats_flush_interval = parts::millis_or(
        "stats_flush_interval",
        typed.stats_flush_interval.as_ref(),
        STATS_FLUSH_INTERVAL,
        &mut cx.problems,
    );
    let manager = typed.cluster_manager.as_ref();
    let bind = manager.and_then(|m| m.upstream_bind_config.as_ref());
    let upstream_bind = bind.and_then(|config| {
        cx.problems.within("cluster_manager", |p| {
            p.within("upstream_bind_config", |p| {
                compile::bind::compile(config, "Bootstrap", p)
            })
        })
    });
    let ejection_log = manager
        .and_then(|m| m.outlier_detection.as_ref())
        .map(|outliers| PathBuf::from(&outliers.event_log_path))
        .filter(|path| !path.as_os_str().is_empty());
    let resources = typed.static_resources.unwrap_or_default();
    check_static(&resources, &mut cx);
    let has_ads = typed
        .dynamic_resources
        .as_ref()
        .is_some_and(|dynamic| dynamic.ads_config.is_some());
    check_servers(&resources, &dynamic, has_ads, ads.as_ref(), &mut cx);
    let listener_names = resources.listeners.iter().map(compile::listener_name);
    let cluster_names = resources
        .clusters
        .iter()
        .map(|cluster| cluster.name.clone());
    let secret_names = resources.secrets.iter().map(|secret| secret.name.clone());
    let node = typed.node.unwrap_or_default();
    let bootstrap = Bootstrap {
        static_listeners: listener_names
            .zip(static_resources(message, "listeners").map(text::encode))
            .collect(),
        static_clusters: cluster_names
            .zip(static_resources(message, "clusters").map(text::encode))
            .collect(),
        static_secrets: secret_names
            .zip(static_resources(message, "secrets").map(text::encode))
            .collect(),
        body,
        local: Arc::new(Local::of_node(&node)),
        node_id: node.id,
        node_cluster: node.cluster,
        admin_address,
        dynamic,
        ads,
        stats_flush_interval,
        upstream_bind: upstream_bind.map(Arc::new),
        ejection_log,
        ignored: Vec::new(),
    };
    cx.problems.finish(bootstrap)
}

/// The messages in a list of `static_resources`.
fn static_resources<'m>(
    bootstrap: &'m DynamicMessage,
    list: &str,
) -> impl Iterator<Item = &'m DynamicMessage> {
    let resources = field(bootstrap, "static_resources").and_then(Value::as_message);
    let list = resources
        .and_then(|r| field(r, list))
        .and_then(Value::as_list);
    list.unwrap_or_default()
        .iter()
        .filter_map(Value::as_message)
}

fn field<'m>(message: &'m DynamicMessage, name: &str) -> Option<&'m Value> {
    message
        .fields()
        .find(|(field, _)| field.name() == name)
        .map(|(_, value)| value)
}

fn admin(message: &pb::Admin, problems: &mut Problems) -> Option<SocketAddr> {
    let level = problems.enter("admin");
    #[allow(deprecated)]
    let path = message.access_log_path.as_str();
    if !matches!(path, "" | "/dev/null") {
        problems.report_at("access_log_path", NO_ADMIN_LOG);
    }
    for (index, log) in message.access_log.iter().enumerate() {
        if !is_to_nowhere(log) {
            problems.within_item("access_log", index, |p| p.report(NO_ADMIN_LOG));
        }
    }
    let address = message.address.as_ref();
    let address = address.and_then(|a| parts::socket_address("address", Some(a), "", problems));
    problems.leave(level);
    address
}

const NO_ADMIN_LOG: &str =
    "an access log of the admin port other than /dev/null is not implemented";

fn is_to_nowhere(log: &AccessLog) -> bool {
    match log.config_type.as_ref() {
        Some(ConfigType::TypedConfig(any)) => {
            any.type_url
                .ends_with("/envoy.extensions.access_loggers.file.v3.FileAccessLog")
                && FileAccessLog::decode(any.value.as_slice()).is_ok_and(|l| l.path == "/dev/null")
        }
        None => false,
    }
}

fn subscriptions(
    message: &pb::bootstrap::DynamicResources,
    problems: &mut Problems,
) -> (Vec<Subscription>, Option<Server>) {
    let sources = [
        (LISTENER, "lds_config", message.lds_config.as_ref()),
        (CLUSTER, "cds_config", message.cds_config.as_ref()),
    ];
    let level = problems.enter("dynamic_resources");
    let mut subscriptions = Vec::new();
    for (type_url, field, source) in sources {
        let Some(source) = source else { continue };
        let origin = parts::origin(field, Some(source), "", problems);
        subscriptions.extend(origin.map(|origin| Subscription {
            type_url,
            source: origin.source,
            initial_fetch_timeout: origin.initial_fetch_timeout,
        }));
    }
    let ads = message.ads_config.as_ref();
    let ads = ads.and_then(|ads| parts::server("ads_config", ads, problems));
    problems.leave(level);
    (subscriptions, ads)
}

/// Whether every xDS server that is named can be asked.
fn check_servers(
    resources: &pb::bootstrap::StaticResources,
    dynamic: &[Subscription],
    has_ads: bool,
    ads: Option<&Server>,
    cx: &mut Context,
) {
    let clusters = &resources.clusters;
    let is_eds = |name: &str| {
        let cluster = clusters.iter().find(|cluster| cluster.name == name)?;
        Some(cluster.eds_cluster_config.is_some())
    };
    if let Some(ads) = ads
        && is_eds(&ads.cluster).is_none()
    {
        let reason = format!("Unknown gRPC client cluster '{}'", ads.cluster);
        cx.problems
            .report_at("dynamic_resources.ads_config", reason);
    }
    let of_bootstrap = dynamic.iter().map(|subscription| &subscription.source);
    let mut problems: Vec<String> = of_bootstrap
        .chain(cx.needs.iter().map(|need| &need.source))
        .filter_map(|source| match source {
            Source::Ads if !has_ads => Some(NO_ADS.to_owned()),
            Source::Grpc(server) if is_eds(&server.cluster) != Some(false) => {
                Some(not_a_server(&server.cluster))
            }
            _ => None,
        })
        .collect();
    problems.sort();
    problems.dedup();
    for problem in problems {
        cx.problems.report(problem);
    }
}

/// Compiles all static resources for their problems, and checks them against each other.
fn check_static(message: &pb::bootstrap::StaticResources, cx: &mut Context) {
    let level = cx.problems.enter("static_resources");
    let mut secrets = HashMap::new();
    for (index, secret) in message.secrets.iter().enumerate() {
        let item = cx.problems.enter_item("secrets", index);
        if let Some((name, kind)) = parts::secret(secret, cx)
            && secrets.insert(name, kind).is_some()
        {
            let reason = format!(
                "Duplicate static secret name {}: two secrets of one name are not implemented",
                secret.name
            );
            cx.problems.report_at("name", reason);
        }
        cx.problems.leave(item);
    }
    let mut clusters = HashSet::new();
    for (index, cluster) in message.clusters.iter().enumerate() {
        let item = cx.problems.enter_item("clusters", index);
        if !clusters.insert(cluster.name.as_str()) {
            let reason = format!("cluster manager: duplicate cluster '{}'", cluster.name);
            cx.problems.report_at("name", reason);
        }
        parts::cluster(cluster, cx);
        cx.problems.leave(item);
    }
    let mut listeners = HashSet::new();
    let mut addresses = HashSet::new();
    for (index, listener) in message.listeners.iter().enumerate() {
        let item = cx.problems.enter_item("listeners", index);
        if let Some(listener) = parts::listener(listener, cx) {
            if !listeners.insert(Arc::clone(&listener.name)) {
                let reason = format!("duplicate listener '{}'", listener.name);
                cx.problems.report_at("name", reason);
            }
            // Envoy does not mind one that a listener has twice.
            let own: HashSet<_> = listener
                .addresses()
                .map(|bind| bind.address.clone())
                .filter(|address| !address.is_ephemeral())
                .collect();
            if let Some(taken) = own.iter().find(|address| addresses.contains(*address)) {
                let reason = crate::store::duplicate_address(&listener.name, taken);
                cx.problems.report_at("address", reason);
            }
            addresses.extend(own);
        }
        cx.problems.leave(item);
    }
    cx.problems.leave(level);
    let unknown: Vec<_> = cx
        .clusters
        .iter()
        .filter(|reference| reference.required && !clusters.contains(&*reference.name))
        .map(compile::ClusterRef::unknown)
        .chain(secret_problems(&cx.secrets, &secrets))
        .collect();
    for Problem { path, reason } in unknown {
        cx.problems.report_at(&path, reason);
    }
}

/// What is wrong with the secrets that listeners and clusters name.
fn secret_problems(
    references: &[SecretRef],
    known: &HashMap<Arc<str>, SecretKind>,
) -> Vec<Problem> {
    let mut by_name: HashMap<&str, &SecretRef> = HashMap::new();
    let mut problems = Vec::new();
    for reference in references {
        let kind = known.get(&reference.name).map(|kind| (true, *kind));
        let other = by_name.insert(&reference.name, reference);
        problems.extend(check_reference(reference, kind, other));
    }
    problems
}
