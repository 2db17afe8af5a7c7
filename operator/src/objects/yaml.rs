//! Objects as people read and apply them.

use serde_json::Value;

use super::desired::BuildError;

/// A document for each object.
pub(crate) fn documents<'a>(objects: impl Iterator<Item = &'a Value>) -> Result<String, BuildError> {
    let mut text = String::new();
    for object in objects {
        let document = serde_yaml::to_string(object).map_err(|error| BuildError(error.to_string()))?;
        text.push_str("---\n");
        text.push_str(&document);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn yaml_is_what_would_be_applied() {
        let objects = testing::objects(&testing::valid("generator: {music: {}, rate: 5}"));
        let bodies: Vec<&Value> = objects.iter().map(|desired| &desired.body).collect();
        let text = documents(bodies.iter().copied()).unwrap();
        let read: Vec<Value> = serde_yaml::from_multiple(&text).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), bodies);
    }
}
