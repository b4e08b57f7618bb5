//! Whether a request has the tokens that it needs, and what is made of them.

use std::sync::Arc;

use model::jwt::{KeySet, Status, Token};
use model::matching::metadata::Structured;
use model::resources::jwt_authn::{Audiences, Keys, Places, Provider, Requirement};
use proto::h1::RequestHead;

use super::jwks::Fetched;
use super::places::{self, Found};
use super::{JwtAuthnFilter, claims};

/// What becomes of a request, as far as a requirement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed(Status),
    /// For keys.
    Waiting,
}

impl Outcome {
    fn of(result: Result<(), Status>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(status) => Self::Failed(status),
        }
    }

    /// Of several that do not let pass: what counts. That there is no token says less than that it
    /// is of nobody's, and this less than what is wrong with it.
    fn or(self, later: Self) -> Self {
        let weight = |it| match it {
            Self::Passed => 0,
            Self::Failed(Status::JwtMissed) => 1,
            Self::Failed(Status::JwtUnknownIssuer) => 2,
            Self::Failed(_) => 3,
            Self::Waiting => 4,
        };
        if weight(later) < weight(self) {
            self
        } else {
            later
        }
    }
}

/// Why a token is not good.
enum Fault {
    Status(Status),
    Waiting,
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// A request that is looked at.
pub(super) struct Verification<'v> {
    pub filter: &'v JwtAuthnFilter,
    pub now_ns: u64,
    pub now_s: u64,
    /// Keys that were fetched for this request, or why there are none.
    pub fetched: &'v [(usize, Result<Arc<KeySet>, Status>)],
    pub request: &'v mut RequestHead,
    /// What goes to dynamic metadata.
    pub told: Vec<(Arc<str>, Arc<Structured>)>,
    pub route_again: bool,
    /// Before a token was taken out of it.
    pub original_path: Option<Vec<u8>>,
    /// Tokens that were in a cache, and that were not.
    pub hits: u64,
    pub misses: u64,
    /// Whose keys are to be fetched before this can be answered.
    pub missing: Option<usize>,
    /// Whose keys are to be fetched anew for those who come later.
    pub stale: Option<usize>,
}

/// Whose tokens are looked at.
#[derive(Clone, Copy)]
enum Of<'v> {
    Provider(usize, Option<&'v Audiences>),
    /// Their issuers say it. `failed`: tokens that are wrong do no harm.
    Anybody {
        failed: bool,
    },
}

impl<'v> Verification<'v> {
    pub fn ask(&mut self, requirement: &'v Requirement) -> Outcome {
        match requirement {
            Requirement::Nothing => Outcome::Passed,
            Requirement::Provider {
                provider,
                audiences,
                places,
            } => self.tokens(Of::Provider(*provider, audiences.as_ref()), places),
            Requirement::Optional { failed, places } => {
                self.tokens(Of::Anybody { failed: *failed }, places)
            }
            Requirement::Any(all) => {
                let mut so_far = None;
                for one in all {
                    let outcome = self.ask(one);
                    if outcome == Outcome::Passed {
                        return outcome;
                    }
                    so_far = Some(so_far.map_or(outcome, |it: Outcome| it.or(outcome)));
                }
                so_far.unwrap_or(Outcome::Passed)
            }
            Requirement::All(all) => {
                let mut waits = false;
                for one in all {
                    match self.ask(one) {
                        Outcome::Passed => {}
                        Outcome::Waiting => waits = true,
                        failed @ Outcome::Failed(_) => return failed,
                    }
                }
                if waits {
                    Outcome::Waiting
                } else {
                    Outcome::Passed
                }
            }
        }
    }

    /// All tokens must be good: who reads the wrong one of two must not be misled.
    fn tokens(&mut self, of: Of<'_>, places: &Places) -> Outcome {
        for name in &places.own_headers {
            self.request.headers.remove_name(name.text.as_bytes());
        }
        let mut found = places::find(places, self.request);
        if found.is_empty() {
            self.tell_failure(None, Status::JwtMissed);
            return match of {
                Of::Provider(..) => Outcome::Failed(Status::JwtMissed),
                Of::Anybody { .. } => Outcome::Passed,
            };
        }
        let mut provider = match of {
            Of::Provider(provider, _) => Some(provider),
            Of::Anybody { .. } => None,
        };
        let mut result = Ok(());
        // The last place first, as in Envoy.
        while let Some(token) = found.pop() {
            result = match self.token(of, &mut provider, &token) {
                Ok(()) => Ok(()),
                Err(Fault::Waiting) => return Outcome::Waiting,
                Err(Fault::Status(status)) => Err(status),
            };
            if let Err(status) = result {
                self.tell_failure(provider, status);
                if matches!(of, Of::Provider(..)) {
                    break;
                }
            }
        }
        if matches!(of, Of::Anybody { failed: true }) {
            return Outcome::Passed;
        }
        Outcome::of(result)
    }

    /// `of_provider`: whose the token is, as soon as that is known.
    fn token(
        &mut self,
        of: Of<'_>,
        of_provider: &mut Option<usize>,
        found: &Found<'_>,
    ) -> Result<(), Fault> {
        let filter = self.filter;
        let (known, audiences) = match of {
            Of::Provider(at, audiences) => (Some(at), audiences),
            Of::Anybody { .. } => (None, None),
        };
        let cached = known.and_then(|at| self.cached(at, &found.text));
        let token = match &cached {
            Some(token) => Arc::clone(token),
            None => Arc::new(Token::parse(&found.text)?),
        };
        if !found.issuers.allow(&token.issuer) {
            return Err(Status::JwtUnknownIssuer.into());
        }
        let at = known.or_else(|| filter.config.of_issuer(&token.issuer));
        let at = at.ok_or(Status::JwtUnknownIssuer)?;
        *of_provider = Some(at);
        let provider = filter.config.providers.get(at);
        let provider = provider.ok_or(Status::JwtUnknownIssuer)?;
        self.check_claims(provider, audiences, &token)?;
        if cached.is_none() {
            let keys = self.keys(at, provider)?;
            keys.verify(&token)?;
            if known.is_some()
                && let Some(Some(cache)) = filter.caches.get(at)
            {
                cache.borrow_mut().put(&found.text, &token, &keys);
            }
        }
        self.take(provider, &token, found);
        Ok(())
    }

    fn check_claims(
        &self,
        provider: &Provider,
        audiences: Option<&Audiences>,
        token: &Token,
    ) -> Result<(), Status> {
        let subjects = provider.subjects.as_ref();
        if subjects.is_some_and(|matcher| !matcher.matches(token.subject.as_bytes())) {
            return Err(Status::JwtVerificationFail);
        }
        let most = provider.max_lifetime.map(|most| most.as_secs());
        let lives_well = match token.expires() {
            None => !provider.require_expiration && most.is_none(),
            Some(end) => most.is_none_or(|most| end.saturating_sub(self.now_s) <= most),
        };
        if !lives_well {
            return Err(Status::JwtVerificationFail);
        }
        token.check_time(self.now_s, provider.clock_skew_seconds)?;
        if !audiences
            .unwrap_or(&provider.audiences)
            .allow(&token.audiences)
        {
            return Err(Status::JwtAudienceNotAllowed);
        }
        Ok(())
    }

    /// A token that was good with the keys that there are now.
    fn cached(&mut self, at: usize, text: &str) -> Option<Arc<Token>> {
        let cache = self.filter.caches.get(at)?.as_ref();
        let keys = self
            .filter
            .config
            .providers
            .get(at)
            .and_then(|it| match &it.keys {
                Keys::Local(keys) => keys.as_ref().ok().cloned(),
                Keys::Remote(_) => match self.filter.remote.get(at)?.as_ref()?.get(self.now_ns) {
                    Fetched::Good(keys) | Fetched::Stale(keys) => Some(keys),
                    Fetched::Nothing => None,
                },
            });
        let found = cache.and_then(|cache| cache.borrow_mut().get(text, &keys?));
        let count = if found.is_some() {
            &mut self.hits
        } else {
            &mut self.misses
        };
        *count = count.saturating_add(1);
        found
    }

    fn keys(&mut self, at: usize, provider: &Provider) -> Result<Arc<KeySet>, Fault> {
        if let Keys::Local(keys) = &provider.keys {
            return Ok(keys.clone()?);
        }
        if let Some((_, fetched)) = self.fetched.iter().find(|(known, _)| *known == at) {
            return Ok(fetched.clone()?);
        }
        let remote = self.filter.remote.get(at).and_then(Option::as_ref);
        let remote = remote.ok_or(Status::JwksNoValidKeys)?;
        match remote.get(self.now_ns) {
            Fetched::Good(keys) => Ok(keys),
            Fetched::Stale(keys) => {
                self.stale = Some(at);
                Ok(keys)
            }
            Fetched::Nothing => {
                self.missing = Some(at);
                Err(Fault::Waiting)
            }
        }
    }

    /// The token is good.
    fn take(&mut self, provider: &Provider, token: &Token, found: &Found<'_>) {
        let headers = &mut self.request.headers;
        if let Some(header) = &provider.payload_header {
            let mut payload = token.encoded_payload().to_owned();
            while header.pad && !payload.len().is_multiple_of(4) {
                payload.push('=');
            }
            headers.push(header.name.text.as_bytes(), payload.as_bytes());
        }
        let mut has_claims = false;
        for header in &provider.claim_headers {
            let value = token.payload.descend(header.path.iter().map(|key| &**key));
            if let Some(text) = value.and_then(claims::text) {
                // What no header can have is left out.
                has_claims |= headers.push(header.name.text.as_bytes(), text.as_bytes());
            }
        }
        if !provider.forward
            && let Some(path) = places::remove(found.place, self.request)
        {
            self.original_path.get_or_insert(path);
        }
        if let Some(key) = &provider.header_key {
            self.tell(key, Arc::clone(&token.header));
        }
        if let Some(key) = &provider.payload_key {
            self.tell(key, claims::split(&token.payload, &provider.split_claims));
        }
        let has_told = provider.payload_key.is_some();
        self.route_again |= provider.clear_route_cache && (has_claims || has_told);
    }

    fn tell(&mut self, key: &Arc<str>, value: Arc<Structured>) {
        self.told.push((Arc::clone(key), value));
    }

    /// Of a provider, or of the only one that there is.
    fn tell_failure(&mut self, provider: Option<usize>, status: Status) {
        let providers = &self.filter.config.providers;
        let provider = match (provider, providers.as_slice()) {
            (Some(at), _) => providers.get(at),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let Some(key) = provider.and_then(|provider| provider.failure_key.as_ref()) else {
            return;
        };
        let text = Structured::Text(status.text().into());
        let code = Structured::Number(status.code().into());
        let fields = [("code".into(), code), ("message".into(), text)];
        self.tell(key, Arc::new(Structured::Struct(fields.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_more_counts() {
        let missed = Outcome::Failed(Status::JwtMissed);
        let unknown = Outcome::Failed(Status::JwtUnknownIssuer);
        let expired = Outcome::Failed(Status::JwtExpired);
        let audience = Outcome::Failed(Status::JwtAudienceNotAllowed);
        for (one, other, counts) in [
            (missed, unknown, unknown),
            (unknown, missed, unknown),
            (expired, unknown, expired),
            (missed, expired, expired),
            (expired, audience, audience),
            (audience, expired, expired),
            (expired, Outcome::Waiting, Outcome::Waiting),
            (Outcome::Waiting, missed, Outcome::Waiting),
        ] {
            assert_eq!(one.or(other), counts, "{one:?} {other:?}");
        }
    }
}
