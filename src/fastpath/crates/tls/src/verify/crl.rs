//! Revocation lists: which of an issuer's counts at a time.

use rustls::pki_types::UnixTime;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// All that a validation context has, the lists that replace each other together.
#[derive(Debug)]
pub(super) struct Crls(Vec<Scope>);

/// Lists of one key for the same certificates, the latest first.
#[derive(Debug)]
struct Scope {
    issuer: Vec<u8>,
    /// Of extensions: whose key, and which certificates.
    parts: [Option<Vec<u8>>; 2],
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    list: CertRevocationList<'static>,
    from: i64,
    until: Option<i64>,
}

impl Crls {
    pub(super) fn new(ders: &[Vec<u8>]) -> Result<Self, String> {
        let mut scopes: Vec<Scope> = Vec::new();
        for (index, der) in ders.iter().enumerate() {
            let problem = |why: String| format!("revocation list {index} cannot be used: {why}");
            let list = BorrowedCertRevocationList::from_der(der)
                .and_then(|list| list.to_owned())
                .map_err(|why| problem(why.to_string()))?;
            let (_, parsed) =
                CertificateRevocationList::from_der(der).map_err(|why| problem(why.to_string()))?;
            let list = List {
                list: list.into(),
                from: parsed.last_update().timestamp(),
                until: parsed.next_update().map(|time| time.timestamp()),
            };
            let issuer = parsed.issuer().as_raw();
            let parts = [
                OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
                OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
            ]
            .map(|oid| {
                let found = parsed.tbs_cert_list.find_extension(&oid);
                found.map(|extension| extension.value.to_vec())
            });
            let same = |scope: &&mut Scope| scope.issuer == issuer && scope.parts == parts;
            match scopes.iter_mut().find(same) {
                Some(scope) => {
                    // Of two that begin at once the first in the file stays first.
                    let at = scope.lists.partition_point(|each| each.from >= list.from);
                    scope.lists.insert(at, list);
                }
                None => scopes.push(Scope {
                    issuer: issuer.to_vec(),
                    parts,
                    lists: vec![list],
                }),
            }
        }
        Ok(Self(scopes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of each scope, as OpenSSL chooses: the latest that is valid, else the latest that has
    /// ended, which says so; none that has not begun. Under `any_time` the latest.
    pub(super) fn at(&self, now: UnixTime, any_time: bool) -> Vec<&CertRevocationList<'static>> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let best = |scope: &'_ Scope| -> Option<usize> {
            if any_time {
                return Some(0);
            }
            let begun = |list: &List| list.from <= now;
            let valid = |list: &List| begun(list) && list.until.is_none_or(|until| now <= until);
            let lists = &scope.lists;
            lists
                .iter()
                .position(valid)
                .or_else(|| lists.iter().position(begun))
        };
        self.0
            .iter()
            .filter_map(|scope| scope.lists.get(best(scope)?).map(|each| &each.list))
            .collect()
    }
}
