//! Keys that come from elsewhere (`remote_jwks`): one set a place, which all workers share. Whoever
//! needs it and finds none, or one that is no longer good, fetches it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use model::jwt::KeySet;
use model::resources::jwt_authn::RemoteJwks;
use proto::Known;
use proto::h1::RequestHead;

use crate::http::own_call::{self, Answer, Question};
use crate::telemetry::log::Level;
use crate::telemetry::stats::{JwtAuthnCounter, JwtAuthnShard};

/// Bytes of a set of keys.
const MAX_KEYS: usize = 1 << 20;

/// Envoy's, which asks for keys with it: issuers may know it.
const USER_AGENT: &[u8] = b"Go-browser";

/// The sets that some configuration wants.
#[derive(Debug, Default)]
pub struct JwksStore(Mutex<HashMap<Arc<RemoteJwks>, Weak<RemoteKeys>>>);

impl JwksStore {
    pub(super) fn of(&self, config: &Arc<RemoteJwks>) -> Arc<RemoteKeys> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|_, set| set.strong_count() > 0);
        if let Some(set) = sets.get(config).and_then(Weak::upgrade) {
            return set;
        }
        let set = Arc::new(RemoteKeys {
            config: Arc::clone(config),
            state: Mutex::default(),
        });
        sets.insert(Arc::clone(config), Arc::downgrade(&set));
        set
    }
}

#[derive(Debug)]
pub struct RemoteKeys {
    config: Arc<RemoteJwks>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// Until then it is good, by the clock of the process (ns).
    good_until: u64,
    /// Somebody fetches another one: nobody else does before this time.
    fetching_until: u64,
}

/// A set that is fetched while the old one serves.
#[derive(Debug)]
pub struct Refresh {
    pub keys: Arc<RemoteKeys>,
    pub stats: Arc<JwtAuthnShard>,
}

impl Refresh {
    pub fn take(&self, answer: Answer, now_ns: u64) {
        match self.keys.take(answer, now_ns) {
            Ok(_) => self.stats.inc(JwtAuthnCounter::JwksFetchSuccess),
            Err(reason) => self.fail(&reason),
        }
    }

    pub fn fail(&self, reason: &str) {
        self.stats.inc(JwtAuthnCounter::JwksFetchFailed);
        self.keys.complain(reason);
    }
}

/// What there is.
#[derive(Debug)]
pub enum Fetched {
    Good(Arc<KeySet>),
    /// It serves while somebody fetches another one.
    Stale(Arc<KeySet>),
    Nothing,
}

impl RemoteKeys {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, now_ns: u64) -> Fetched {
        let state = self.state();
        match &state.keys {
            Some(keys) if now_ns < state.good_until => Fetched::Good(Arc::clone(keys)),
            Some(keys) if self.config.retry_after.is_some() => {
                if now_ns < state.fetching_until {
                    Fetched::Good(Arc::clone(keys))
                } else {
                    Fetched::Stale(Arc::clone(keys))
                }
            }
            _ => Fetched::Nothing,
        }
    }

    pub fn complain(&self, reason: &str) {
        let RemoteJwks {
            cluster,
            authority,
            path,
            ..
        } = &*self.config;
        crate::log!(
            Level::Warning,
            "jwt",
            "keys could not be fetched from {authority}{path} in cluster {cluster}: {reason}"
        );
    }

    /// Whether it is the caller who fetches another set for all.
    pub fn may_refresh(&self, now_ns: u64) -> bool {
        let Some(after) = self.config.retry_after else {
            return false;
        };
        let mut state = self.state();
        let is_due = now_ns >= state.good_until && now_ns >= state.fetching_until;
        if is_due {
            let timeout = Duration::from_millis(self.config.timeout_ms);
            let until = now_ns.saturating_add(nanos(after.max(timeout)));
            state.fetching_until = until;
        }
        is_due
    }

    /// `None`: the place is none that can be asked. `local`: our own address.
    pub fn question(&self, local: IpAddr) -> Option<Question> {
        let mut head = RequestHead::new();
        let config = &*self.config;
        let is_said = head.set_method(b"GET")
            && head.set_path(config.path.as_bytes())
            && head.set_authority(config.authority.as_bytes())
            && head.headers.push_known(Known::UserAgent, USER_AGENT)
            && head.headers.push_known(Known::XEnvoyInternal, b"true")
            && head
                .headers
                .push_known(Known::XForwardedFor, local.to_string().as_bytes());
        let timeout_ms = Some(config.timeout_ms).filter(|ms| *ms != 0);
        own_call::set_expected_timeout(&mut head, timeout_ms);
        is_said.then(|| Question {
            cluster: Rc::from(&*config.cluster),
            head,
            body: Vec::new(),
            timeout_ms,
            most: MAX_KEYS,
        })
    }

    /// Keeps what has come, for everybody; or says why it is no set of keys.
    pub fn take(&self, answer: Answer, now_ns: u64) -> Result<Arc<KeySet>, String> {
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Failed(failed) => return Err(failed.reason().into_owned()),
        };
        if response.status != 200 {
            return Err(format!("the answer's status is {}", response.status));
        }
        let keys = KeySet::parse(&response.body).map_err(|status| status.text())?;
        let keys = Arc::new(keys);
        let mut state = self.state();
        state.keys = Some(Arc::clone(&keys));
        state.good_until = now_ns.saturating_add(nanos(self.config.cache));
        state.fetching_until = 0;
        Ok(keys)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::own_call::{Failed, Response};

    const KEYS: &[u8] = br#"{"keys": [{"kty": "oct", "k": "eA"}]}"#;
    const S: u64 = 1_000_000_000;

    fn config(retry_after: Option<Duration>) -> Arc<RemoteJwks> {
        Arc::new(RemoteJwks {
            cluster: "c".into(),
            authority: "a".into(),
            path: "/keys".into(),
            timeout_ms: 1000,
            cache: Duration::from_secs(10),
            retry_after,
        })
    }

    fn answer(status: u16, body: &[u8]) -> Answer {
        Answer::Response(Box::new(Response {
            status,
            body: body.to_vec(),
            ..Response::default()
        }))
    }

    #[test]
    fn a_set_is_shared_and_forgotten_with_its_last_user() {
        let store = JwksStore::default();
        let (one, other) = (store.of(&config(None)), store.of(&config(None)));
        assert!(Arc::ptr_eq(&one, &other));
        one.take(answer(200, KEYS), 0).unwrap();
        drop((one, other));
        assert!(matches!(store.of(&config(None)).get(0), Fetched::Nothing));
    }

    #[test]
    fn a_set_is_good_for_as_long_as_the_configuration_says() {
        let set = JwksStore::default().of(&config(None));
        assert!(matches!(set.get(0), Fetched::Nothing));
        for (bad, why) in [
            (answer(404, KEYS), "status is 404"),
            (answer(200, b""), "invalid JSON"),
            (Answer::Failed(Failed::TooLarge), "too large"),
        ] {
            let said = set.take(bad, 0).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        set.take(answer(200, KEYS), S).unwrap();
        assert!(matches!(set.get(11 * S - 1), Fetched::Good(_)));
        assert!(matches!(set.get(11 * S), Fetched::Nothing));
        assert!(!set.may_refresh(11 * S));
    }

    #[test]
    fn one_fetches_for_all_while_the_old_set_serves() {
        let set = JwksStore::default().of(&config(Some(Duration::from_secs(2))));
        set.take(answer(200, KEYS), 0).unwrap();
        assert!(!set.may_refresh(9 * S));
        assert!(matches!(set.get(10 * S), Fetched::Stale(_)));
        assert!(set.may_refresh(10 * S));
        assert!(!set.may_refresh(10 * S));
        assert!(matches!(set.get(11 * S), Fetched::Good(_)));
        // It failed: somebody tries again.
        assert!(matches!(set.get(12 * S), Fetched::Stale(_)));
        assert!(set.may_refresh(12 * S));
        set.take(answer(200, KEYS), 12 * S).unwrap();
        assert!(matches!(set.get(21 * S), Fetched::Good(_)));
    }
}
