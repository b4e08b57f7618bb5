//! How workloads introduce themselves on a connection (`istio.metadata_exchange`): a head of eight
//! bytes, then a message of the length that it says.

use std::collections::BTreeMap;

use prost::Message;

use crate::resources::istio::{Told, Workload};
use crate::schema::name_of_url;
use crate::workload::{Field, Fields, LONGEST_METADATA};

const MAGIC: u32 = 0x3D23_0467;
/// Of the magic number: whoever has said so much is introducing itself.
pub const MARK: usize = 4;
const HEAD: usize = 8;

const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
const METADATA: &str = "x-envoy-peer-metadata";
const ID: &str = "x-envoy-peer-metadata-id";

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// What a peer's first bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Introduction {
    Incomplete,
    /// None: it begins with what it has to say.
    Foreign,
    /// Longer than anybody needs to be.
    TooLong,
    Said {
        len: usize,
        /// `None`: not who it is.
        workload: Option<Workload>,
    },
}

impl Introduction {
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let is_foreign = bytes.iter().zip(MAGIC.to_be_bytes()).any(|(a, b)| *a != b);
        if is_foreign {
            return Self::Foreign;
        }
        let size = bytes.get(MARK..HEAD).and_then(|size| size.try_into().ok());
        let Some(size) = size.map(u32::from_be_bytes) else {
            return Self::Incomplete;
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > LONGEST_METADATA {
            return Self::TooLong;
        }
        let len = HEAD.saturating_add(size);
        match bytes.get(HEAD..len) {
            None => Self::Incomplete,
            Some(message) => Self::Said {
                len,
                workload: workload(message),
            },
        }
    }
}

fn workload(bytes: &[u8]) -> Option<Workload> {
    let any = Any::decode(bytes).ok()?;
    if name_of_url(&any.type_url) != name_of_url(STRUCT) {
        return None;
    }
    let said = Fields::decode(any.value.as_slice()).ok()?;
    said.fields
        .get(METADATA)?
        .fields
        .as_ref()
        .map(Fields::workload)
}

impl Told {
    /// The bytes that a connection begins with.
    #[must_use]
    pub fn introduction(&self, additional_labels: &[Box<str>]) -> Vec<u8> {
        let metadata = Field {
            text: None,
            fields: Some(self.fields(additional_labels)),
        };
        let mut said = Fields {
            fields: BTreeMap::from([(METADATA.to_owned(), metadata)]),
        };
        said.put(ID, &self.id);
        let message = Any {
            type_url: STRUCT.to_owned(),
            value: said.encode_to_vec(),
        };
        let message = message.encode_to_vec();
        let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let head = [MAGIC.to_be_bytes(), size.to_be_bytes()].concat();
        [head, message].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        Told {
            id: "sidecar~10.0.0.1~a.b~b.svc".into(),
            fields: vec![
                ("NAMESPACE".into(), "books".into()),
                ("WORKLOAD_NAME".into(), "ratings-v1".into()),
            ],
            labels: vec![("app".into(), "ratings".into())],
        }
    }

    #[test]
    fn what_is_said_is_understood_once_it_is_all_there() {
        let mut bytes = told().introduction(&[]);
        let len = bytes.len();
        assert_eq!(bytes.get(..4), Some([0x3D, 0x23, 0x04, 0x67].as_slice()));
        for end in 0..len {
            let part = bytes.get(..end).unwrap();
            assert_eq!(Introduction::read(part), Introduction::Incomplete, "{end}");
        }
        bytes.extend_from_slice(b"what follows");
        let Introduction::Said {
            len: said,
            workload,
        } = Introduction::read(&bytes)
        else {
            panic!("not understood");
        };
        assert_eq!(said, len);
        let workload = workload.unwrap();
        assert_eq!(
            (&*workload.name, &*workload.namespace),
            ("ratings-v1", "books")
        );
        assert_eq!(&*workload.app, "ratings");
    }

    #[test]
    fn others_are_let_through_and_nobody_says_too_much() {
        assert_eq!(Introduction::read(b"GET / HTTP/1.1"), Introduction::Foreign);
        assert_eq!(Introduction::read(b"="), Introduction::Incomplete);
        assert_eq!(Introduction::read(b"=#x"), Introduction::Foreign);
        let head = [MAGIC.to_be_bytes(), 0x00FF_FFFF_u32.to_be_bytes()].concat();
        assert_eq!(Introduction::read(&head), Introduction::TooLong);
        let nonsense = [MAGIC.to_be_bytes(), 3_u32.to_be_bytes()].concat();
        let nonsense = [nonsense, b"\xff\xff\xff".to_vec()].concat();
        let said = Introduction::Said {
            len: 11,
            workload: None,
        };
        assert_eq!(Introduction::read(&nonsense), said);
    }
}
