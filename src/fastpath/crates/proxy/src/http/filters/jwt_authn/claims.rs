//! Claims as headers and dynamic metadata have them.

use std::sync::Arc;

use model::jwt::base64;
use model::matching::metadata::Structured;

/// As the value of a header; `None`: it has none.
pub(super) fn text(claim: &Structured) -> Option<String> {
    let text = match claim {
        Structured::Null => return None,
        Structured::Bool(flag) => flag.to_string(),
        Structured::Number(number) => number_text(*number),
        Structured::Text(text) => text.to_string(),
        Structured::List(_) | Structured::Struct(_) => {
            let mut json = String::new();
            claim.write_json(&mut json, crate::telemetry::json::string);
            base64(json.as_bytes())
        }
    };
    Some(text).filter(|text| !text.is_empty())
}

/// Whole numbers without a fraction, others with six digits of it (`%f` of C), as Envoy does.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && (0.0..u64::MAX as f64).contains(&number) {
        (number as u64).to_string()
    } else {
        format!("{number:.6}")
    }
}

/// The payload as metadata has it: some claims, which are words between spaces, as lists.
pub(super) fn split(payload: &Arc<Structured>, names: &[Box<str>]) -> Arc<Structured> {
    let Structured::Struct(fields) = &**payload else {
        return Arc::clone(payload);
    };
    let is_split = |(name, value): &(Box<str>, Structured)| {
        matches!(value, Structured::Text(_)) && names.contains(name)
    };
    if !fields.iter().any(is_split) {
        return Arc::clone(payload);
    }
    let each = |field: &(Box<str>, Structured)| match field {
        (name, Structured::Text(text)) if is_split(field) => {
            let words = text.split(' ').filter(|word| !word.is_empty());
            let words = words.map(|word| Structured::Text(word.into()));
            (name.clone(), Structured::List(words.collect()))
        }
        other => other.clone(),
    };
    Arc::new(Structured::Struct(fields.iter().map(each).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_as_headers() {
        let json = br#"{"b": true, "d": 1.5, "e": "", "i": 7, "l": ["a"], "m": -2, "n": null,
            "o": {"k": 1}, "t": "x y", "w": 1e30}"#;
        let payload = Structured::from_json(json).unwrap();
        for (name, want) in [
            ("b", Some("true")),
            ("d", Some("1.500000")),
            ("e", None),
            ("i", Some("7")),
            ("l", Some("WyJhIl0=")),
            ("m", Some("-2.000000")),
            ("n", None),
            ("o", Some("eyJrIjoxfQ==")),
            ("t", Some("x y")),
            ("w", Some("1000000000000000019884624838656.000000")),
        ] {
            assert_eq!(text(payload.get(name).unwrap()).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn words_become_lists_where_that_is_wanted() {
        let payload = Structured::from_json(br#"{"a": "x  y", "b": "x y", "c": 1}"#).unwrap();
        let payload = Arc::new(payload);
        let names: Vec<Box<str>> = vec!["a".into(), "c".into(), "missing".into()];
        let wanted = Structured::from_json(br#"{"a": ["x", "y"], "b": "x y", "c": 1}"#).unwrap();
        assert_eq!(*split(&payload, &names), wanted);
        assert!(Arc::ptr_eq(&split(&payload, &[]), &payload));
    }
}
