//! Hashes that decide whether pods are made anew.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A short hash of a JSON value that does not depend on the order of members.
pub(crate) fn of(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(value, &mut hasher);
    short(hasher)
}

/// The first 64 bits of a hash, in hexadecimal digits.
pub(crate) fn short(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    let number = digest
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:016x}")
}

/// Each value is preceded by its kind and length, so that no two values feed the same bytes.
fn feed(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(members) => {
            hasher.update(format!("o{}:", members.len()));
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, member) in members {
                hasher.update(format!("{}:{name}", name.len()));
                feed(member, hasher);
            }
        }
        Value::Array(items) => {
            hasher.update(format!("a{}:", items.len()));
            for item in items {
                feed(item, hasher);
            }
        }
        Value::String(text) => hasher.update(format!("s{}:{text}", text.len())),
        other => hasher.update(format!("v{other};")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_does_not_matter_and_content_does() {
        let first: Value = serde_json::from_str(r#"{"a": 1, "b": [true, "x"]}"#).unwrap();
        let second: Value = serde_json::from_str(r#"{"b": [true, "x"], "a": 1}"#).unwrap();
        assert_eq!(of(&first), of(&second));
        for other in [
            json!({"a": 1, "b": ["x", true]}),
            json!({"a": "1", "b": [true, "x"]}),
            json!({"a": 1}),
            json!(null),
        ] {
            assert_ne!(of(&first), of(&other), "{other}");
        }
        assert_ne!(of(&json!(["ab", "c"])), of(&json!(["a", "bc"])));
    }
}
