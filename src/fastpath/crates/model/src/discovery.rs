//! `DiscoveryResponse` from a file: text or, for names that end in `.pb`, bytes.

use envoy_types::pb::envoy::service::discovery::v3 as pb;
use prost::Message as _;

use crate::compile;
use crate::problem::{ConfigProblem, Problem};
use crate::schema;
use crate::text::{self, Document};

const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";
const WRAPPER: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// A version and its resources, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub version_info: String,
    pub resources: Vec<(String, Vec<u8>)>,
}

/// Reads a response; what is wrong inside a resource is for `compile` to say.
pub fn load(bytes: &[u8], file: &str, type_url: &str) -> Result<Response, Vec<ConfigProblem>> {
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
    let message = document.message(&schema, &descriptor)?;
    let response = pb::DiscoveryResponse::decode(text::encode(&message).as_slice())
        .map_err(|error| unplaced(error.to_string()))?;
    unpack(response, type_url).map_err(|problem| document.locate(vec![problem]))
}

fn unpack(message: pb::DiscoveryResponse, type_url: &str) -> Result<Response, Problem> {
    let at = |index: usize, reason: String| Problem {
        path: format!("resources[{index}]"),
        reason,
    };
    let mut resources = Vec::with_capacity(message.resources.len());
    for (index, any) in message.resources.into_iter().enumerate() {
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
        resources.push((name, any.value));
    }
    Ok(Response {
        version_info: message.version_info,
        resources,
    })
}
