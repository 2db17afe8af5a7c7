//! Passwords, keys and certificates, by the name that the manifest gives them.
//!
//! A secret is a directory of files, one a key, as Kubernetes mounts it: `<directory>/<name>/<key>`. Without
//! a cluster the same value may stand in an environment variable (see [`variable_name`]).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::SecretRef;

type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where secrets are read from. Cheap to clone; every read looks again, so a rotated secret is seen.
#[derive(Clone)]
pub struct Secrets {
    directory: Option<PathBuf>,
    environment: Environment,
}

/// A secret's text, which neither `{}` nor `{:?}` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is in neither place.
    #[error("secret {name} has no key {key}: looked for {}the environment variable {variable}", looked_for(.file.as_deref()))]
    Missing {
        name: String,
        /// The key within it.
        key: String,
        /// The file that would hold it; none without a secrets directory.
        file: Option<PathBuf>,
        /// The environment variable that would hold it.
        variable: String,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {} (key {key} of secret {name})", .file.display())]
    Unreadable {
        name: String,
        /// The key within it.
        key: String,
        file: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The name or key would lead out of the secrets directory.
    #[error("{text:?} cannot be a secret's name or key: use letters, digits, '-', '_' and '.'")]
    BadName {
        /// The name or key.
        text: String,
    },
}

impl Secrets {
    /// Secrets from files below `directory`, and else from `environment`, which gives a variable's value.
    pub fn new(
        directory: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            directory,
            environment: Arc::new(environment),
        }
    }

    /// Secrets from files below `directory`, and else from this process's environment.
    #[must_use]
    pub fn from_environment(directory: Option<PathBuf>) -> Self {
        Self::new(directory, |name| std::env::var(name).ok())
    }

    /// The value of `key` in `secret`, without the newline that editors put at the end of a file.
    pub fn read(&self, secret: &SecretRef, key: &str) -> Result<SecretText, SecretError> {
        self.read_optional(secret, key)?
            .ok_or_else(|| SecretError::Missing {
                name: secret.name.clone(),
                key: key.to_owned(),
                file: self.file(secret, key),
                variable: variable_name(&secret.name, key),
            })
    }

    /// As [`read`](Self::read) for a key that a secret need not have: absent is `None`, unreadable is an error.
    pub fn read_optional(&self, secret: &SecretRef, key: &str) -> Result<Option<SecretText>, SecretError> {
        check_name(&secret.name)?;
        check_name(key)?;
        if let Some(file) = self.file(secret, key) {
            match std::fs::read_to_string(&file) {
                Ok(text) => return Ok(Some(SecretText::new(text))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(SecretError::Unreadable {
                        name: secret.name.clone(),
                        key: key.to_owned(),
                        file,
                        source,
                    });
                }
            }
        }
        Ok((self.environment)(&variable_name(&secret.name, key)).map(SecretText::new))
    }

    fn file(&self, secret: &SecretRef, key: &str) -> Option<PathBuf> {
        self.directory
            .as_ref()
            .map(|directory| directory.join(&secret.name).join(key))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl SecretText {
    /// Takes `text` without its trailing newlines.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        Self(text)
    }

    /// The text itself: for the one call that needs it, never for a log line or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The environment variable for `key` of the secret `name`: `STREAMPIPELINE_SECRET_<NAME>_<KEY>` in upper
/// case, with `_` for everything that is neither a letter nor a digit.
#[must_use]
pub fn variable_name(name: &str, key: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let suffix: String = name.chars().chain(['_']).chain(key.chars()).map(legal).collect();
    format!("STREAMPIPELINE_SECRET_{suffix}")
}

/// Kubernetes' own rule for a secret's keys, which covers names too: no separator, no parent directory.
fn check_name(text: &str) -> Result<(), SecretError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with("..") || text == "." || !text.chars().all(legal) {
        return Err(SecretError::BadName {
            text: text.to_owned(),
        });
    }
    Ok(())
}

fn looked_for(file: Option<&Path>) -> String {
    file.map_or_else(
        || "(no secrets directory is set) ".to_owned(),
        |file| format!("the file {} and ", file.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> SecretRef {
        SecretRef {
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_file_comes_before_the_environment_and_loses_its_newline() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("music-postgres")).unwrap();
        std::fs::write(
            directory.path().join("music-postgres/password"),
            "from a file \r\n",
        )
        .unwrap();
        let secrets = Secrets::new(Some(directory.path().to_owned()), |name| {
            Some(format!("from {name}\n"))
        });

        let music = secret("music-postgres");
        assert_eq!(secrets.read(&music, "password").unwrap().expose(), "from a file ");
        assert_eq!(
            secrets.read(&music, "ca.crt").unwrap().expose(),
            "from STREAMPIPELINE_SECRET_MUSIC_POSTGRES_CA_CRT"
        );
    }

    #[test]
    fn a_missing_secret_names_both_places() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kafka-user").join("password");
        let secrets = Secrets::new(Some(directory.path().to_owned()), |_| None);
        assert_eq!(
            secrets
                .read(&secret("kafka-user"), "password")
                .unwrap_err()
                .to_string(),
            format!(
                "secret kafka-user has no key password: looked for the file {} and the environment variable \
                 STREAMPIPELINE_SECRET_KAFKA_USER_PASSWORD",
                file.display()
            )
        );
        assert!(
            secrets
                .read_optional(&secret("kafka-user"), "ca.crt")
                .unwrap()
                .is_none()
        );
        let error = Secrets::new(None, |_| None)
            .read(&secret("kafka-user"), "password")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("looked for (no secrets directory is set) the environment"),
            "{error}"
        );
    }

    /// A secret that is mounted but not readable must not silently become another one from the environment.
    #[test]
    fn an_unreadable_file_is_an_error_and_not_a_fall_back() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("a/password")).unwrap();
        let secrets = Secrets::new(Some(directory.path().to_owned()), |_| Some("other".to_owned()));
        assert!(matches!(
            secrets.read(&secret("a"), "password"),
            Err(SecretError::Unreadable { .. })
        ));
    }

    #[test]
    fn names_cannot_lead_out_of_the_directory() {
        let secrets = Secrets::new(Some("secrets".into()), |_| Some("x".to_owned()));
        for (name, key) in [
            ("..", "passwd"),
            ("a/b", "c"),
            ("a", "../../passwd"),
            ("", "c"),
            ("a", "."),
        ] {
            assert!(
                matches!(secrets.read(&secret(name), key), Err(SecretError::BadName { .. })),
                "{name} {key}"
            );
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let text = SecretText::new("hunter2");
        assert_eq!(format!("{text} {text:?}"), "[secret] [secret]");
    }
}
