//! `QueryParameterMatcher`: as written, not decoded; of several values the first.

use crate::resources::route::QueryMatcher;

impl QueryMatcher {
    #[must_use]
    pub fn matches(&self, query: &[u8]) -> bool {
        let value = first_value(query, &self.name);
        match &self.value {
            None => value.is_some() == self.present,
            Some(matcher) => value.is_some_and(|value| matcher.matches(value)),
        }
    }
}

/// Of the parameter `name`.
#[must_use]
pub fn first_value<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    query.split(|b| *b == b'&').find_map(|parameter| {
        let after = parameter.strip_prefix(name)?;
        match after {
            [] => Some(after),
            [b'=', value @ ..] => Some(value),
            _ => None,
        }
    })
}
