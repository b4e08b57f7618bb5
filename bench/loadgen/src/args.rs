//! `--name value` and `--flag`, nothing more.

use std::collections::HashMap;
use std::str::FromStr;

pub struct Args(HashMap<String, String>);

impl Args {
    /// `flags` take no value. Names that are in neither list are an error.
    pub fn parse(
        raw: impl Iterator<Item = String>,
        options: &[&str],
        flags: &[&str],
    ) -> Result<Self, String> {
        let mut values = HashMap::new();
        let mut raw = raw;
        while let Some(word) = raw.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("not an option: {word}"))?;
            let value = if flags.contains(&name) {
                String::new()
            } else if options.contains(&name) {
                raw.next().ok_or_else(|| format!("--{name} needs a value"))?
            } else {
                return Err(format!("unknown option --{name}"));
            };
            values.insert(name.to_owned(), value);
        }
        Ok(Self(values))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn get<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.0
            .get(name)
            .map(|value| value.parse().map_err(|_| format!("--{name}: not valid: {value}")))
            .transpose()
    }

    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        Ok(self.get(name)?.unwrap_or(default))
    }
}
