//! Tokens that were found good (`jwt_cache_config`): they need no signature checked again. Whether
//! they still hold is asked each time.

use std::collections::HashMap;
use std::sync::Arc;

use model::jwt::{KeySet, Token};
use model::resources::jwt_authn as config;

/// Of one worker. The older half goes when the younger one is full: what is used moves to that.
#[derive(Debug)]
pub(super) struct TokenCache {
    half: usize,
    max_token: usize,
    young: HashMap<Box<str>, Good>,
    old: HashMap<Box<str>, Good>,
}

#[derive(Debug, Clone)]
struct Good {
    token: Arc<Token>,
    /// The keys that it was good with.
    keys: Arc<KeySet>,
}

impl TokenCache {
    pub fn new(config: config::TokenCache) -> Self {
        Self {
            half: config.size.div_ceil(2).max(1),
            max_token: config.max_token,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    pub fn get(&mut self, text: &str, keys: &Arc<KeySet>) -> Option<Arc<Token>> {
        if let Some(good) = self.young.get(text) {
            return Arc::ptr_eq(&good.keys, keys).then(|| Arc::clone(&good.token));
        }
        let (text, good) = self.old.remove_entry(text)?;
        if !Arc::ptr_eq(&good.keys, keys) {
            return None;
        }
        let token = Arc::clone(&good.token);
        self.insert(text, good);
        Some(token)
    }

    pub fn put(&mut self, text: &str, token: &Arc<Token>, keys: &Arc<KeySet>) {
        if text.len() > self.max_token {
            return;
        }
        let good = Good {
            token: Arc::clone(token),
            keys: Arc::clone(keys),
        };
        self.insert(text.into(), good);
    }

    fn insert(&mut self, text: Box<str>, good: Good) {
        if self.young.len() >= self.half && !self.young.contains_key(&text) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, good);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.eA";

    fn keys() -> Arc<KeySet> {
        Arc::new(KeySet::parse(br#"{"keys": [{"kty": "oct", "k": "eA"}]}"#).unwrap())
    }

    #[test]
    fn it_is_bounded_and_what_is_used_stays() {
        let token = Arc::new(Token::parse(TOKEN).unwrap());
        let keys = keys();
        let mut cache = TokenCache::new(config::TokenCache {
            size: 4,
            max_token: 3,
        });
        for n in 0..100 {
            cache.put(&format!("t{n}"), &token, &keys);
            assert!(cache.young.len() + cache.old.len() <= 4);
            cache.put("used", &token, &keys);
            cache.put("a", &token, &keys);
            assert!(cache.get("a", &keys).is_some(), "{n}");
        }
        assert!(cache.get("t1", &keys).is_none());
        // Too long.
        assert!(cache.get("used", &keys).is_none());
    }

    #[test]
    fn other_keys_are_not_believed() {
        let token = Arc::new(Token::parse(TOKEN).unwrap());
        let (before, now) = (keys(), keys());
        let mut cache = TokenCache::new(config::TokenCache {
            size: 1,
            max_token: 9,
        });
        cache.put("a", &token, &before);
        assert!(cache.get("a", &before).is_some());
        assert!(cache.get("a", &now).is_none());
        cache.put("b", &token, &now);
        assert!(cache.get("a", &now).is_none());
        assert!(cache.get("b", &now).is_some());
    }
}
