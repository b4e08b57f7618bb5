//! A route configuration that was there before: virtual hosts whose bytes are as they were are not
//! checked and compiled again. Of hundreds one changes, most of the time.

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{self, Field};
use crate::resources::route::{RouteConfig, VirtualHost};

/// Numbers of fields: of `RouteConfiguration`, of `VirtualHost`.
const VIRTUAL_HOSTS: u64 = 2;
const DOMAINS: u64 = 2;

/// The version before: as it came, and what was made of it.
#[derive(Debug, Clone, Copy)]
pub struct Before<'b> {
    pub bytes: &'b [u8],
    pub config: &'b RouteConfig,
}

/// A virtual host that stays.
pub(super) struct Kept {
    pub host: Arc<VirtualHost>,
    pub domains: Vec<String>,
}

/// What is to be done to have the new version.
pub(super) struct Changes {
    /// The new version without the virtual hosts that stay.
    pub message: Vec<u8>,
    /// All virtual hosts of the new version in their order; `None`: the next one of `message`.
    pub hosts: Vec<Option<Kept>>,
}

impl Changes {
    /// `None`: nothing stays, as something changed that holds for all.
    pub fn between(before: Before<'_>, bytes: &[u8]) -> Option<Self> {
        let (was, is) = (Split::of(before.bytes)?, Split::of(bytes)?);
        let list = &before.config.hosts.list;
        if was.rest != is.rest || was.hosts.len() != list.len() {
            return None;
        }
        let pairs = was.hosts.iter().map(|field| field.value).zip(list);
        let known: HashMap<&[u8], &Arc<VirtualHost>> =
            pairs.filter(|(_, host)| !host.reads_elsewhere).collect();
        let mut message = is.rest;
        let mut hosts = Vec::with_capacity(is.hosts.len());
        for field in &is.hosts {
            let kept = known.get(field.value).and_then(|host| {
                let domains = domains(field.value)?;
                let host = Arc::clone(host);
                Some(Kept { host, domains })
            });
            if kept.is_none() {
                message.extend_from_slice(field.whole);
            }
            hosts.push(kept);
        }
        Some(Self { message, hosts })
    }
}

/// The bytes of a configuration: its virtual hosts, and all else.
struct Split<'b> {
    hosts: Vec<Field<'b>>,
    rest: Vec<u8>,
}

impl<'b> Split<'b> {
    /// `None`: there is something in it that `wire` does not know.
    fn of(bytes: &'b [u8]) -> Option<Self> {
        let mut left = bytes.len();
        let mut found = Self {
            hosts: Vec::new(),
            rest: Vec::new(),
        };
        for field in wire::fields(bytes) {
            left = left.checked_sub(field.whole.len())?;
            if field.number == VIRTUAL_HOSTS {
                found.hosts.push(field);
            } else {
                found.rest.extend_from_slice(field.whole);
            }
        }
        (left == 0).then_some(found)
    }
}

fn domains(host: &[u8]) -> Option<Vec<String>> {
    let domains = wire::fields(host).filter(|field| field.number == DOMAINS);
    let domains = domains.map(|field| std::str::from_utf8(field.value).map(str::to_owned).ok());
    domains.collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::compile::{Compiled, ROUTES, route_config, route_config_after};
    use crate::problem::Problem;
    use crate::testing::resource;

    fn host(name: &str, cluster: &str) -> String {
        format!(
            "{{name: {name}, domains: [{name}, '{name}.*'], routes: [{{match: {{prefix: /}}, route: {{cluster: '{cluster}'}}}}]}}"
        )
    }

    fn bytes(options: &str, hosts: &[String]) -> Vec<u8> {
        let hosts = hosts.join(", ");
        resource(
            ROUTES,
            &format!("{{name: r, {options} virtual_hosts: [{hosts}]}}"),
        )
    }

    fn after(before: &[u8], now: &[u8]) -> Result<Compiled<RouteConfig>, Vec<Problem>> {
        let config = route_config(before).unwrap().resource;
        let bytes = before;
        let config = &config;
        route_config_after(now, Some(Before { bytes, config }))
    }

    /// What a configuration says, but for the order of maps and of clusters.
    fn said(compiled: &Compiled<RouteConfig>) -> String {
        let config = &compiled.resource;
        let mut out = format!("{} {}\n", config.name, config.hash);
        for host in &config.hosts.list {
            let _ = writeln!(out, "{host:?}");
        }
        let sorted = |map: &HashMap<Box<[u8]>, usize>| {
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.clone(), *v)).collect();
            pairs.sort();
            pairs
        };
        let _ = writeln!(out, "{:?}", sorted(&config.hosts.exact));
        for (length, map) in config.hosts.prefix.iter().chain(&config.hosts.suffix) {
            let _ = writeln!(out, "{length} {:?}", sorted(map));
        }
        let mut names: Vec<&str> = compiled.clusters.iter().map(|one| &*one.name).collect();
        names.sort_unstable();
        let _ = writeln!(out, "{:?} {names:?}", config.hosts.default);
        out
    }

    #[test]
    fn what_is_made_of_changes_is_what_is_made_of_the_whole() {
        let [a, b, c] = [host("a", "x"), host("b", "y"), host("c", "x")];
        let [d, other] = [host("d", "z"), host("b", "other")];
        let any = "{name: any, domains: ['*'], routes: [{match: {path: /only}, redirect: {host_redirect: h}}]}";
        let any = any.to_owned();
        let before = [a.clone(), b.clone(), c.clone()];
        let later: [&[String]; 9] = [
            &before,
            &[a.clone(), other.clone(), c.clone()],
            &[c.clone(), a.clone(), b.clone()],
            &[a.clone(), b.clone(), c.clone(), d.clone(), any.clone()],
            &[any.clone(), a.clone(), d.clone(), c.clone()],
            std::slice::from_ref(&b),
            &[],
            std::slice::from_ref(&any),
            &[any.clone(), other],
        ];
        let before = bytes("", &before);
        for hosts in later {
            let now = bytes("", hosts);
            let whole = route_config(&now).unwrap();
            assert_eq!(said(&after(&before, &now).unwrap()), said(&whole));
        }
    }

    #[test]
    fn any_version_after_any_other_is_as_if_it_came_alone() {
        let pool = [
            host("a", "x"),
            host("b", "z"),
            host("a", "z"),
            host("c", "x"),
            "{name: any, domains: ['*'], routes: []}".to_owned(),
            "{name: w, domains: ['*.a'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: x, weight: 1}, {name: w, weight: 2}]}}}]}".to_owned(),
            "{name: bad, domains: [bad], routes: [{match: {prefix: /}, direct_response: {status: 99}}]}".to_owned(),
        ];
        let options = [
            "",
            "",
            "",
            "validate_clusters: true,",
            "internal_only_headers: [q],",
        ];
        // A linear congruential generator: the same every time.
        let mut state = 7_u32;
        let mut dice = |sides: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(state >> 16).unwrap() % sides
        };
        let mut before: Option<(Vec<u8>, RouteConfig)> = None;
        let (mut good, mut bad) = (0, 0);
        for _ in 0..600 {
            let hosts: Vec<String> = (0..dice(5))
                .map(|_| pool[dice(pool.len())].clone())
                .collect();
            let now = bytes(options[dice(options.len())], &hosts);
            let given = before
                .as_ref()
                .map(|(bytes, config)| Before { bytes, config });
            match (route_config_after(&now, given), route_config(&now)) {
                (Ok(after), Ok(whole)) => {
                    assert_eq!(said(&after), said(&whole));
                    before = Some((now, after.resource));
                    good += 1;
                }
                (Err(after), Err(whole)) => {
                    assert_eq!(after, whole);
                    bad += 1;
                }
                (after, whole) => panic!("{after:?} {whole:?}"),
            }
        }
        assert!(good > 100 && bad > 100, "{good} {bad}");
    }

    #[test]
    fn hosts_that_stay_are_the_same_ones() {
        let before = bytes("", &[host("a", "x"), host("b", "y")]);
        let now = bytes("", &[host("c", "x"), host("b", "y"), host("a", "z")]);
        let old = route_config(&before).unwrap().resource;
        let given = Before {
            bytes: &before,
            config: &old,
        };
        let new = route_config_after(&now, Some(given)).unwrap().resource;
        let list = |config: &RouteConfig| config.hosts.list.clone();
        let same = |at: usize, was: usize| Arc::ptr_eq(&list(&new)[at], &list(&old)[was]);
        assert!(same(1, 1));
        assert!(!same(2, 0) && !same(0, 0));
    }

    #[test]
    fn nothing_stays_when_something_changes_that_holds_for_all() {
        let hosts = [host("a", "x")];
        let before = bytes("", &hosts);
        for options in [
            "internal_only_headers: [x],",
            "max_direct_response_body_size_bytes: 1,",
            "request_headers_to_remove: [x],",
        ] {
            let now = bytes(options, &hosts);
            let config = route_config(&before).unwrap().resource;
            let given = Before {
                bytes: &before,
                config: &config,
            };
            assert!(Changes::between(given, &now).is_none());
            let whole = route_config(&now).unwrap();
            assert_eq!(said(&after(&before, &now).unwrap()), said(&whole));
        }
    }

    #[test]
    fn mistakes_are_told_with_their_places_in_the_whole() {
        let [a, b, c] = [host("a", "x"), host("b", "y"), host("c", "z")];
        let before = bytes("", &[a.clone(), b.clone(), c.clone()]);
        let bad = "{name: d, domains: [d], routes: [{match: {prefix: /}, direct_response: {status: 99}}]}";
        let regex = "{name: d, domains: [d], routes: [{match: {safe_regex: {regex: '('}}, non_forwarding_action: {}}]}";
        let empty = "{name: e, domains: [], routes: []}";
        for hosts in [
            vec![a.clone(), b.clone(), bad.to_owned()],
            vec![a.clone(), b.clone(), empty.to_owned(), bad.to_owned()],
            vec![b.clone(), a.clone(), regex.to_owned()],
            vec![a.clone(), b.clone(), c, a.clone()],
            vec![a, b.clone(), host("B", "x"), b],
        ] {
            let now = bytes("", &hosts);
            let whole = route_config(&now).unwrap_err();
            assert!(whole.iter().all(|p| p.path.starts_with("virtual_hosts[")));
            assert_eq!(after(&before, &now).unwrap_err(), whole);
        }
    }

    #[test]
    fn clusters_that_must_be_there_are_told_with_their_places() {
        let hosts = |last: &str| [host("a", "x"), host("b", "x"), host("c", last)];
        let before = bytes("validate_clusters: true,", &hosts("y"));
        let now = bytes("validate_clusters: true,", &hosts("z"));
        let whole = route_config(&now).unwrap();
        assert!(whole.clusters.iter().all(|one| one.required));
        assert_eq!(after(&before, &now).unwrap().clusters, whole.clusters);
    }

    #[test]
    fn what_no_field_is_told_by_is_no_version_like_the_one_before() {
        let hosts = [host("a", "x"), host("b", "z")];
        let before = bytes("", &hosts);
        // A group, number 100, empty; then what may not be: another name.
        let group = [0xa3, 0x06, 0xa4, 0x06, 0x0a, 0x01, b'q'];
        for now in [[&before, group.as_slice()].concat(), before[..9].to_vec()] {
            let whole = route_config(&now).unwrap_err();
            assert_eq!(after(&before, &now).unwrap_err(), whole);
        }
    }

    #[test]
    fn files_are_read_again() {
        let file = std::env::temp_dir().join(format!("route-again-{}", std::process::id()));
        let with_file = format!(
            "{{name: f, domains: [f], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{filename: {}}}}}}}]}}",
            file.display()
        );
        let [before, now] = ["x", "y"].map(|c| bytes("", &[host("a", c), with_file.clone()]));
        std::fs::write(&file, "one").unwrap();
        let config = route_config(&before).unwrap().resource;
        std::fs::write(&file, "two").unwrap();
        let given = Before {
            bytes: &before,
            config: &config,
        };
        let new = route_config_after(&now, Some(given)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let said = said(&new);
        assert!(said.contains(&format!("{:?}", b"two".as_slice())), "{said}");
    }
}
