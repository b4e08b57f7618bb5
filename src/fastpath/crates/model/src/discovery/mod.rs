//! `DiscoveryResponse` from a file: text or, for names that end in `.pb`, bytes.

mod unknown;
pub mod wire;

use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use prost::Message as _;

use crate::compile;
use crate::problem::{ConfigProblem, MAX_PROBLEMS, Problem};
use crate::schema;
use crate::text::{self, Document, Element, UnknownFields};
pub use wire::node;

const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";
const RESOURCES: &str = "resources";
const WRAPPER: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// A version and its resources, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub version_info: String,
    pub resources: Vec<(String, Vec<u8>)>,
    /// (name, field path in the resource, file:line:column and reason) of those that have a name
    /// but are no such messages. They are offered all the same: they are not absent.
    pub rejected: Vec<(String, String, String)>,
}

/// Reads a response. Resources are read one by one, as Envoy applies them: a bad one leaves its
/// siblings usable. One of another type, or bad and without a name, fails the whole: nothing then
/// says which resource is to keep its last version. What is wrong in a resource that can be read
/// is for `compile` to say.
pub fn load(bytes: &[u8], file: &str, type_url: &str) -> Result<Response, Vec<ConfigProblem>> {
    load_with(bytes, file, type_url, UnknownFields::Refused)
}

/// `load`; `unknown`: in text.
pub fn load_with(
    bytes: &[u8],
    file: &str,
    type_url: &str,
    unknown: UnknownFields,
) -> Result<Response, Vec<ConfigProblem>> {
    if file.ends_with(".pb") {
        let unplaced = |Problem { path, reason }| {
            vec![ConfigProblem {
                file: file.to_owned(),
                line: 0,
                column: 0,
                path,
                reason,
            }]
        };
        let wrong = |error: prost::DecodeError| {
            let reason = format!("not a {RESPONSE}: {error}");
            unplaced(Problem {
                path: String::new(),
                reason,
            })
        };
        let response = pb::DiscoveryResponse::decode(bytes).map_err(wrong)?;
        return unpack(response, type_url).map_err(unplaced);
    }
    let schema = schema::get();
    let document = Document::parse(bytes, file)?;
    let unplaced = |reason: String| {
        document.locate(vec![Problem {
            path: String::new(),
            reason,
        }])
    };
    let descriptor = schema.message(RESPONSE);
    let descriptor = descriptor.ok_or_else(|| unplaced(format!("no descriptor of {RESPONSE}")))?;
    let (message, elements) = document.message_apart(&schema, &descriptor, RESOURCES, unknown)?;
    let message = pb::DiscoveryResponse::decode(text::encode(&message).as_slice())
        .map_err(|error| unplaced(error.to_string()))?;
    let mut resources = Vec::with_capacity(elements.len());
    let mut rejected = Vec::new();
    let mut fatal = false;
    for (index, mut element) in elements.into_iter().enumerate() {
        let read = std::mem::replace(&mut element.message, Err(Vec::new()));
        let read = read.and_then(|any| {
            let any = Any::decode(text::encode(&any).as_slice())
                .map_err(|error| at(index, error.to_string()));
            any.and_then(|any| resource(any, index, type_url))
                .map_err(|problem| document.locate(vec![problem]))
        });
        match read {
            Ok(resource) => resources.push(resource),
            Err(problems) => {
                let (name, inside) = identity(&element, index, type_url);
                fatal |= name.is_none();
                rejected.push((name.unwrap_or_default(), inside, problems));
            }
        }
    }
    if fatal {
        let problems = rejected.into_iter().flat_map(|(_, _, problems)| problems);
        return Err(problems.take(MAX_PROBLEMS).collect());
    }
    let rejected = rejected.into_iter().flat_map(|(name, inside, problems)| {
        problems.into_iter().map(move |problem| {
            let (path, problem) = relative(problem, &inside);
            (name.clone(), path, problem.to_string())
        })
    });
    Ok(Response {
        version_info: message.version_info,
        resources,
        rejected: rejected.collect(),
    })
}

/// The name in the text of a resource that cannot be read, if it is of this type, and the field
/// path of the resource.
fn identity(element: &Element<'_, '_>, index: usize, type_url: &str) -> (Option<String>, String) {
    let wrapped = element.text(&["@type"]) == Some(WRAPPER);
    let own = if type_url == compile::ENDPOINTS {
        "cluster_name"
    } else {
        "name"
    };
    let (url, name, inside) = if wrapped {
        let name = element.text(&["resource", own]);
        (
            element.text(&["resource", "@type"]),
            name.or_else(|| element.text(&["name"])),
            format!("{RESOURCES}[{index}].resource"),
        )
    } else {
        let inside = format!("{RESOURCES}[{index}]");
        (element.text(&["@type"]), element.text(&[own]), inside)
    };
    let expected = url.and_then(schema::name_of_url) == schema::name_of_url(type_url);
    let name = name.filter(|name| expected && !name.is_empty());
    (name.map(str::to_owned), inside)
}

/// The problem's path in the resource that is at `inside`, and the problem without its path.
fn relative(problem: ConfigProblem, inside: &str) -> (String, ConfigProblem) {
    let ConfigProblem { path, .. } = &problem;
    let path = path.strip_prefix(inside).unwrap_or(path);
    let path = path.strip_prefix('.').unwrap_or(path).to_owned();
    let problem = ConfigProblem {
        path: String::new(),
        ..problem
    };
    (path, problem)
}

fn unpack(message: pb::DiscoveryResponse, type_url: &str) -> Result<Response, Problem> {
    let resources = message.resources.into_iter().enumerate();
    let resources = resources.map(|(index, any)| resource(any, index, type_url));
    Ok(Response {
        version_info: message.version_info,
        resources: resources.collect::<Result<_, _>>()?,
        rejected: Vec::new(),
    })
}

fn at(index: usize, reason: String) -> Problem {
    Problem {
        path: format!("{RESOURCES}[{index}]"),
        reason,
    }
}

/// The name and the bytes of a resource, out of its wrapper.
fn resource(any: Any, index: usize, type_url: &str) -> Result<(String, Vec<u8>), Problem> {
    let any = if any.type_url == WRAPPER {
        let wrapper = pb::Resource::decode(any.value.as_slice());
        let wrapper = wrapper.map_err(|error| at(index, error.to_string()))?;
        wrapper
            .resource
            .ok_or_else(|| at(index, "resource: value is required".to_owned()))?
    } else {
        any
    };
    if schema::name_of_url(&any.type_url) != schema::name_of_url(type_url) {
        let reason = format!(
            "expected a resource of type {type_url}, found {}",
            any.type_url
        );
        return Err(at(index, reason));
    }
    let name = compile::resource_name(type_url, &any.value)
        .map_err(|problem| at(index, problem.reason))?;
    Ok((name, any.value))
}
