//! Secrets that are missing, or that may not be read, do not hide the rest of a plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Pipeline, StreamPipeline};

use crate::secrets::{SecretContent, SecretContents};
use crate::validate::{self, Valid, ValidationError};

/// Puts manifest and secrets together. What is missing in these is listed, and something else stands in for it, so that
/// everything else can be shown.
pub(super) fn with_stand_ins(
    resource: &StreamPipeline,
    pipeline: &Pipeline,
    mut secrets: SecretContents,
) -> Result<(Valid, Vec<String>), ValidationError> {
    let mut missing = BTreeSet::new();
    loop {
        match validate::validate(resource, pipeline.clone(), &secrets) {
            Ok(valid) => return Ok((valid, missing.into_iter().collect())),
            Err(error) => {
                let (ValidationError::SecretMissing { name, .. }
                | ValidationError::SecretKeyMissing { name, .. }) = &error
                else {
                    return Err(error);
                };
                secrets.insert(name.clone(), stand_in(pipeline, name));
                missing.insert(error.to_string());
            }
        }
    }
}

/// Has every key that a pipeline wants of the secret `name`, and nothing in them.
pub(super) fn stand_in(pipeline: &Pipeline, name: &str) -> Arc<SecretContent> {
    let uses = pipeline.secrets();
    let keys = uses
        .iter()
        .filter(|needed| needed.secret.name == name)
        .flat_map(|needed| needed.keys);
    Arc::new(SecretContent {
        data: keys.map(|key| ((*key).to_owned(), String::new())).collect(),
        hash: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn missing_secrets_are_told_and_do_not_hide_the_rest() {
        let resource = testing::resource("");
        let pipeline = testing::pipeline("");
        let (valid, missing) = with_stand_ins(&resource, &pipeline, SecretContents::new()).unwrap();
        assert_eq!(
            missing,
            [
                "spec.sink.postgres.secretRef: there is no secret music-postgres; create it in this namespace with the keys username and password"
            ]
        );
        assert_eq!(testing::objects(&valid).worker.len(), 2);
        let mut half = testing::secrets("a");
        let mut secret = (*half["music-postgres"]).clone();
        secret.data.remove("password");
        half.insert("music-postgres".to_owned(), std::sync::Arc::new(secret));
        let (_, missing) = with_stand_ins(&resource, &pipeline, half).unwrap();
        assert_eq!(
            missing,
            ["spec.sink.postgres.secretRef: the secret music-postgres has no key password; add it"]
        );
        let (_, missing) = with_stand_ins(&resource, &pipeline, testing::secrets("a")).unwrap();
        assert_eq!(missing, Vec::<String>::new());
    }
}
