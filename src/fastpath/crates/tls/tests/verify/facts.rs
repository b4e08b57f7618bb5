//! What is known of a peer afterwards, and told to upstreams.

use crate::presenting;
use crate::support::{Ca, downstream, established, inline, server, trust};
use rcgen::{SerialNumber, date_time_ymd};
use tls::{Details, xfcc_element};

#[test]
fn facts_and_xfcc() {
    let ca = Ca::with("The CA, Inc.", |params| {
        params
            .distinguished_name
            .push(rcgen::DnType::CountryName, "DE");
    });
    let leaf = ca.leaf_with(&["a.test", "b.test"], |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[0, 0xab, 0xcd]));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CountryName, "DE");
        name.push(rcgen::DnType::OrganizationName, "Ä, \"quoted\"");
        name.push(rcgen::DnType::CommonName, "#me ");
        params.distinguished_name = name;
        let uri = "spiffe://td/ns/x/sa/y".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    });
    let mut down = downstream(&[&ca.leaf_with(&["server.test"], |params| {
        let uri = "spiffe://td/ns/x/sa/server".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    })]);
    down.require_client_certificate = true;
    down.common.validation = inline(trust(&ca));
    let pair = established(&presenting(Some(&leaf)), &server(&down), None);
    let info = pair.server.info();
    let peer = info.peer.as_ref().unwrap();
    assert_eq!(&*peer.subject, r#"CN=\#me\ ,O=\C3\84\, \"quoted\",C=DE"#);
    assert_eq!(&*peer.issuer, r"C=DE,CN=The CA\, Inc.");
    assert_eq!(&*peer.serial, "abcd");
    assert_eq!(
        (peer.not_before, peer.not_after),
        (1_577_836_800, 4_102_444_800)
    );
    assert_eq!(peer.sha256.len(), 64);
    assert_eq!(peer.sha1.len(), 40);
    let bare = ca.leaf(&["bare.test"]);
    let bare = established(&presenting(Some(&bare)), &server(&down), None);
    let of_uris = Details {
        uri: true,
        ..Details::default()
    };
    let element = xfcc_element(bare.server.info(), of_uris).unwrap();
    assert!(element.ends_with(b";URI="), "the key without a URI");
    let without = established(&presenting(None), &server(&downstream(&[&leaf])), None);
    assert!(xfcc_element(without.server.info(), Details::default()).is_none());
    let text = |details| String::from_utf8(xfcc_element(info, details).unwrap()).unwrap();
    let hash = &peer.sha256;
    assert_eq!(
        text(Details::default()),
        format!("By=spiffe://td/ns/x/sa/server;Hash={hash}")
    );
    let all = text(Details {
        subject: true,
        cert: true,
        chain: true,
        dns: true,
        uri: true,
    });
    let pem = peer.url_encoded_pem();
    assert!(
        pem.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"),
        "{pem}"
    );
    assert!(pem.ends_with("%0A-----END%20CERTIFICATE-----%0A"), "{pem}");
    assert!(!pem.contains(['+', '/', '=', '\n', ' ']));
    let subject = &peer.subject;
    assert_eq!(
        all,
        format!(
            "By=spiffe://td/ns/x/sa/server;Hash={hash};Cert=\"{pem}\";Chain=\"{pem}\";\
             Subject=\"{subject}\";URI=spiffe://td/ns/x/sa/y;DNS=a.test;DNS=b.test"
        )
    );
}
